//! Who looks on while a story is played. Tests judge by invariants; the command line does not.

use crate::{
    engine::{
        action::Action,
        state::State,
        step::{Look, Step},
    },
    simulation::world::World,
};

/// Somebody who sees everything that happens.
pub trait Witness {
    /// A decision was made and stored.
    fn decision(&mut self, look: Look<'_>, made: &Step, world: &World);
    /// A write is about to happen, with this many pods desired.
    fn write(&mut self, world: &World, state: &State, action: &Action, desired: u32);
    /// A second has passed while a stable revision served.
    fn served(&mut self, world: &World);
    /// The status was lost.
    fn forgotten(&mut self);
}

/// Somebody who has no opinion.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Witness for Nobody {
    fn decision(&mut self, _: Look<'_>, _: &Step, _: &World) {}
    fn write(&mut self, _: &World, _: &State, _: &Action, _: u32) {}
    fn served(&mut self, _: &World) {}
    fn forgotten(&mut self) {}
}

//! A pretended cluster in which the engine carries out whole rollouts.
//!
//! Ring 1. Pods take time, endpoints follow late, routers acknowledge and settle, a status store has versions, and an
//! operator between them can be killed, see old news or see nothing. Time is a counter, and faults come from a seed: the
//! same story has the same end. It imports the engine and nothing else of the crate.
//!
//! - [`scenario`]: what a file says; [`plan`] is its part about how to roll out.
//! - [`story`]: plays a scenario and writes it down. [`witness`] is who looks on, and may judge.
//! - [`world`], [`operator`], [`random`]: what is true, what is made of it, and what goes wrong.

pub mod operator;
pub mod plan;
pub mod random;
pub mod scenario;
pub mod story;
pub mod witness;
pub mod world;

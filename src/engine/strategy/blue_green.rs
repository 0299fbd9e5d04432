//! Blue-green: the candidate is previewed without traffic, then gets all of it at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{plan::Plan, share::Share, stage::Stage};

/// Who says when traffic switches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Promotion {
    /// The checks.
    #[default]
    Automatic,
    /// A person.
    Manual,
}

/// The settings of a blue-green switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueGreen {
    /// The part of the pods that the preview has.
    pub preview: Share,
    /// The time between passed checks and the switch.
    pub switch_delay: Duration,
    /// Who says go.
    pub promotion: Promotion,
}

impl BlueGreen {
    /// The stages before the promotion.
    pub fn stages(&self, plan: &Plan) -> Vec<Stage> {
        let delay = Stage::Hold { at_least: self.switch_delay, checks: Vec::new() };
        let approve = (self.promotion == Promotion::Manual).then_some(Stage::Approve);
        let wait = (self.switch_delay > Duration::ZERO).then_some(delay);
        let full = (self.preview < Share::WHOLE).then_some(Stage::Scale(Share::WHOLE));
        let switch = plan.splits().then_some(Stage::Weight(Share::WHOLE));
        let first = Some(Stage::Prepare(self.preview));
        [first, plan.verify(Duration::ZERO, &[]), approve, wait, full, switch].into_iter().flatten().collect()
    }
}

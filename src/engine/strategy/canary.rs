//! Canary: the candidate gets its traffic share by share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{
    plan::{Invalid, Plan, Router},
    share::Share,
    stage::Stage,
};

/// One explicit step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CanaryStep {
    /// Give the candidate this share.
    Weight(Share),
    /// Let this time pass.
    Pause(Duration),
    /// Wait for a person.
    Approval,
    /// Run these checks, and those that always run.
    Checks(Vec<String>),
    /// Give the candidate the pods for this share.
    Scale(Share),
}

/// The settings of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Canary {
    /// Shares that grow evenly, with time and checks after each.
    Schedule {
        /// The first share.
        initial: Share,
        /// What each next one adds.
        increment: Share,
        /// The time at each share.
        interval: Duration,
    },
    /// Steps one by one.
    Steps(Vec<CanaryStep>),
}

impl CanaryStep {
    fn named(&self) -> &[String] {
        if let Self::Checks(names) = self { names } else { &[] }
    }
}

impl Canary {
    /// Whether the settings lead somewhere.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check(&self, router: Router) -> Result<(), Invalid> {
        match self {
            Self::Schedule { increment, .. } if *increment == Share::NONE => Err(Invalid::NoIncrement),
            Self::Schedule { .. } => Ok(()),
            Self::Steps(steps) => check_steps(steps, router),
        }
    }

    /// The stages before the promotion.
    pub fn stages(&self, plan: &Plan) -> Vec<Stage> {
        let middle = match self {
            Self::Schedule { initial, increment, interval } => schedule(*initial, *increment, *interval, plan),
            Self::Steps(steps) => from_steps(steps, plan),
        };
        let early = if plan.previews() { plan.verify(Duration::ZERO, &[]) } else { None };
        let first = middle.iter().find_map(weight).unwrap_or(Share::WHOLE);
        let last = middle.iter().rev().find_map(weight);
        let whole = (last != Some(Share::WHOLE)).then_some(Stage::Weight(Share::WHOLE));
        [vec![Stage::Prepare(first)], Vec::from_iter(early), middle, Vec::from_iter(whole)].concat()
    }

    /// The checks that steps name.
    pub fn named(&self) -> Vec<String> {
        match self {
            Self::Schedule { .. } => Vec::new(),
            Self::Steps(steps) => steps.iter().flat_map(CanaryStep::named).cloned().collect(),
        }
    }
}

fn check_steps(steps: &[CanaryStep], router: Router) -> Result<(), Invalid> {
    let before = steps.iter().take_while(|step| !matches!(step, CanaryStep::Weight(_)));
    let early = before.into_iter().any(|step| matches!(step, CanaryStep::Checks(_)));
    if early && router == Router::Replicas { Err(Invalid::CheckBeforeTraffic) } else { Ok(()) }
}

fn schedule(initial: Share, increment: Share, interval: Duration, plan: &Plan) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut share = initial;
    while share < Share::WHOLE && increment > Share::NONE {
        stages.push(Stage::Weight(share));
        stages.extend(plan.verify(interval, &[]));
        share = share.plus(increment);
    }
    stages
}

fn from_steps(steps: &[CanaryStep], plan: &Plan) -> Vec<Stage> {
    let mut asked = plan.previews();
    let mut stages = Vec::new();
    for step in steps {
        asked |= matches!(step, CanaryStep::Weight(_));
        stages.extend(match step {
            CanaryStep::Pause(time) if !asked => Some(Stage::Hold { at_least: *time, checks: Vec::new() }),
            step => stage(step, plan),
        });
    }
    stages
}

fn stage(step: &CanaryStep, plan: &Plan) -> Option<Stage> {
    match step {
        CanaryStep::Weight(share) => Some(Stage::Weight(*share)),
        CanaryStep::Pause(time) => plan.verify(*time, &[]),
        CanaryStep::Approval => Some(Stage::Approve),
        CanaryStep::Checks(names) => plan.verify(Duration::ZERO, names),
        CanaryStep::Scale(share) => Some(Stage::Scale(*share)),
    }
}

fn weight(stage: &Stage) -> Option<Share> {
    if let Stage::Weight(share) = stage { Some(*share) } else { None }
}

//! What a run is to do: the snapshot of spec and profile that it keeps to its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::engine::{
    moment::Moment,
    share::Share,
    stage::Stage,
    strategy::{blue_green::BlueGreen, canary::Canary, rolling::Rolling},
    verdict::Check,
};

/// How a revision gets its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Share by share.
    Canary(Canary),
    /// All at once, after a preview.
    BlueGreen(BlueGreen),
    /// Pod by pod.
    Rolling(Rolling),
}

/// What divides the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Router {
    /// A router with weights, which has them in force this long after it acknowledged them.
    Split {
        /// See SEMANTICS, `traffic.settle`.
        settle: Duration,
    },
    /// Nothing but the number of pods behind one Service.
    Replicas,
}

/// What the kind of a package is able to do. The engine asks these and never which kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Two revisions can have traffic at the same time.
    pub traffic: Ability,
    /// A run can be held.
    pub pause: Ability,
    /// A run can return to the revision before it.
    pub reverse: Ability,
}

/// A capability that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ability {
    /// It is there.
    Can,
    /// It is not.
    Cannot,
}

/// What follows a failed check or a passed deadline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The stable revision gets all the traffic back.
    #[default]
    Rollback,
    /// A person decides; traffic stays as it is.
    Pause,
}

/// What a run does where there is no stable revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstDeploy {
    /// Ready pods are enough.
    #[default]
    Skip,
    /// Checks, and approval where the strategy asks for one, come before traffic.
    Gate,
}

/// How far a run goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// To its end.
    #[default]
    Deploy,
    /// It says what it would do, and touches nothing.
    DryRun,
    /// It says whether it could be carried out, and touches nothing.
    Validate,
}

/// The snapshot of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How traffic moves.
    pub strategy: Strategy,
    /// What moves it.
    pub router: Router,
    /// What the kind can do.
    pub capabilities: Capabilities,
    /// The checks that there are, by their names.
    pub checks: Vec<Check>,
    /// The checks that run in every hold, and before the first weight where the candidate can be asked without traffic.
    pub always: Vec<String>,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// What is asked of the first revision.
    pub first_deploy: FirstDeploy,
    /// The longest time without progress.
    pub progress_deadline: Option<Duration>,
    /// The longest time that a run may take until it has all traffic; pauses for people, holds, and the time before its
    /// start do not count. Read at every look, not kept with the run.
    pub timeout: Option<Duration>,
    /// How long an old revision keeps its pods.
    pub scale_down_delay: Duration,
    /// How many more pods than its share a revision needs, in basis points: 10 000 is none.
    pub headroom: u32,
    /// The earliest start.
    pub not_before: Option<Moment>,
    /// How far it goes.
    pub reach: Reach,
}

/// Why a plan cannot be carried out. Each says the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Invalid {
    /// The kind cannot have two revisions in traffic.
    #[error("this kind of package cannot split traffic; use the strategy rolling")]
    CannotSplit,
    /// A canary that never grows.
    #[error("canary.increment must be more than 0 %")]
    NoIncrement,
    /// A rolling replacement that cannot begin.
    #[error("rolling.maxSurge must be at least 1: a revision behind a Service keeps one pod until it is replaced")]
    NoSurge,
    /// Less than the pods that a share needs.
    #[error("headroom must be at least 1")]
    Headroom,
    /// A check that passes without looking.
    #[error("check {0}: count must be at least 1")]
    NoCount(String),
    /// Two checks of one name.
    #[error("check {0} is there twice")]
    Twice(String),
    /// A name without a check.
    #[error("check {0} is not defined; add it to the checks, or do not name it")]
    UnknownCheck(String),
    /// Checks before traffic where a ready pod has traffic.
    #[error(
        "without a router a ready pod has traffic at once: checks before the first weight need the strategy blueGreen"
    )]
    CheckBeforeTraffic,
}

impl Plan {
    /// Whether the plan can be carried out.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.headroom < Share::WHOLE.points() {
            return Err(Invalid::Headroom);
        }
        for (at, check) in self.checks.iter().enumerate() {
            if check.count == 0 {
                return Err(Invalid::NoCount(check.name.clone()));
            }
            if self.checks.iter().take(at).any(|other| other.name == check.name) {
                return Err(Invalid::Twice(check.name.clone()));
            }
        }
        self.check_names()?;
        let splits = self.capabilities.traffic == Ability::Can;
        match &self.strategy {
            Strategy::Rolling(rolling) => rolling.check(),
            _ if !splits => Err(Invalid::CannotSplit),
            Strategy::Canary(canary) => canary.check(self.router),
            Strategy::BlueGreen(_) => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), Invalid> {
        let used = self.always.iter().cloned().chain(self.strategy.named());
        let unknown = used.into_iter().find(|name| self.checks.iter().all(|check| check.name != *name));
        unknown.map_or(Ok(()), |name| Err(Invalid::UnknownCheck(name)))
    }

    /// What divides the traffic in this run; a rolling replacement leaves the router alone.
    pub fn divider(&self) -> Router {
        match self.strategy {
            Strategy::Rolling(_) => Router::Replicas,
            Strategy::Canary(_) | Strategy::BlueGreen(_) => self.router,
        }
    }

    /// The stages of a run where there is a stable revision.
    pub fn stages(&self) -> Vec<Stage> {
        let middle = match &self.strategy {
            Strategy::Canary(canary) => canary.stages(self),
            Strategy::BlueGreen(blue_green) => blue_green.stages(self),
            Strategy::Rolling(rolling) => rolling.stages(self),
        };
        [vec![Stage::Admit], middle, self.promotion()].concat()
    }

    /// The stages of a run where there is none.
    pub fn first_stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::Admit, Stage::Prepare(Share::WHOLE)];
        if self.first_deploy == FirstDeploy::Gate {
            stages.extend(self.verify(Duration::ZERO, &self.strategy.named()));
            stages.extend(self.wants_approval().then_some(Stage::Approve));
        }
        stages.extend([Stage::Turn, Stage::Return]);
        stages
    }

    /// The stages of a rollback: scale, ready, one switch.
    pub fn rollback_stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::Prepare(Share::WHOLE)];
        stages.extend(self.splits().then_some(Stage::Weight(Share::WHOLE)));
        stages.extend(self.promotion());
        stages
    }

    /// The stages of a run to the revision that is stable already.
    pub fn rerun_stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::Admit, Stage::Prepare(Share::WHOLE)];
        stages.extend(self.verify(Duration::ZERO, &self.strategy.named()));
        stages
    }

    /// A stage with the checks that always run and these; none where there are none and no time is to pass.
    pub fn verify(&self, at_least: Duration, also: &[String]) -> Option<Stage> {
        let mut checks = self.always.clone();
        for name in also {
            if !checks.contains(name) {
                checks.push(name.clone());
            }
        }
        (!checks.is_empty() || at_least > Duration::ZERO).then_some(Stage::Hold { at_least, checks })
    }

    /// Whether the candidate can be asked before it has traffic.
    pub fn previews(&self) -> bool {
        self.splits() || matches!(self.strategy, Strategy::BlueGreen(_))
    }

    /// The stages of a run where there is a stable revision, as sentences.
    pub fn describe(&self) -> Vec<String> {
        self.stages().iter().map(ToString::to_string).collect()
    }

    /// The time that a run takes where there is a stable revision: what its stages wait for, not what pods and people take.
    pub fn estimate(&self) -> Duration {
        self.stages().iter().map(|stage| self.time_of(stage)).sum()
    }

    /// The time that a stage waits for.
    pub fn time_of(&self, stage: &Stage) -> Duration {
        match (stage, self.divider()) {
            (Stage::Hold { at_least, checks }, _) => {
                checks.iter().map(|name| self.time_to_pass(name)).fold(*at_least, Duration::max)
            }
            (Stage::Drain(time), _) => *time,
            (Stage::Weight(_) | Stage::Return, Router::Split { settle }) => settle,
            _ => Duration::ZERO,
        }
    }

    fn time_to_pass(&self, name: &str) -> Duration {
        let check = self.checks.iter().find(|check| check.name == name);
        check.map_or(Duration::ZERO, |check| check.interval.saturating_mul(check.count.saturating_sub(1)))
    }

    /// Whether a router divides the traffic of this run.
    pub fn splits(&self) -> bool {
        matches!(self.divider(), Router::Split { .. })
    }

    fn promotion(&self) -> Vec<Stage> {
        let back = self.splits().then_some(Stage::Return);
        let drain = (self.scale_down_delay > Duration::ZERO).then_some(Stage::Drain(self.scale_down_delay));
        [Some(Stage::Turn), back, drain, Some(Stage::Retire)].into_iter().flatten().collect()
    }

    fn wants_approval(&self) -> bool {
        self.stages().contains(&Stage::Approve)
    }
}

impl Strategy {
    /// The checks that its steps name.
    fn named(&self) -> Vec<String> {
        match self {
            Self::Canary(canary) => canary.named(),
            Self::BlueGreen(_) | Self::Rolling(_) => Vec::new(),
        }
    }
}

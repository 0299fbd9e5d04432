//! Scenario files: what is wanted, what happens when, and how it must end.

use std::time::Duration;

use landfall::engine::{
    command::Verb,
    moment::Moment,
    plan::{Ability, Capabilities, FirstDeploy, OnFailure, Plan, Reach, Router, Strategy},
    share::Share,
    strategy::{
        blue_green::{BlueGreen, Promotion},
        canary::{Canary, CanaryStep},
        rolling::Rolling,
    },
    verdict::{Check, NoData},
};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub title: String,
    pub plan: PlanFile,
    #[serde(default = "ten")]
    pub pods: u32,
    pub events: Vec<Event>,
    pub expect: Expect,
    /// Pods fail in this story, so somebody may be unserved.
    #[serde(default)]
    pub outage: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub phase: String,
    pub stable: Option<String>,
    pub after: u64,
    pub code: Option<String>,
    #[serde(default)]
    pub answers: std::collections::BTreeMap<Verb, String>,
    /// The weights that the last run gave, in percent.
    pub weights: Option<Vec<u32>>,
}

/// What happens, when the one before it has happened and its own time has come.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// Seconds after the event before it.
    pub after: u64,
    /// `phase Paused`, `weight 40`, `stage 3`.
    pub when: Option<String>,
    pub want: Option<String>,
    pub request: Option<String>,
    pub command: Option<Verb>,
    pub full: bool,
    pub to: Option<String>,
    /// The run that the command names; the current one if it says nothing.
    pub run: Option<u64>,
    pub bad: Option<String>,
    pub broken: Option<String>,
    pub mended: Option<String>,
    pub lose: Option<String>,
    pub pods: Option<u32>,
    pub paused: Option<bool>,
    pub stopped: Option<bool>,
    pub wipe: bool,
    pub unknown_route: Option<bool>,
    pub refusing: Option<bool>,
    pub missing: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "a file that people write: each is a word of it")]
pub struct PlanFile {
    canary: Option<ScheduleFile>,
    steps: Option<Vec<StepFile>>,
    blue_green: Option<BlueGreenFile>,
    rolling: Option<RollingFile>,
    #[serde(default)]
    no_router: bool,
    #[serde(default)]
    check: bool,
    #[serde(default)]
    pause_on_failure: bool,
    #[serde(default)]
    gate_first: bool,
    deadline: Option<u64>,
    #[serde(default)]
    not_before: Option<u64>,
    timeout: Option<u64>,
    /// In percent: 100 is none.
    #[serde(default = "hundred")]
    headroom: u32,
    /// More checks than the one that `check` stands for.
    #[serde(default)]
    checks: Vec<CheckFile>,
    /// Which checks run in every hold; the one that `check` stands for, and all others, where there are no steps.
    always: Option<Vec<String>>,
    /// What the kind of package cannot do.
    #[serde(default)]
    cannot: Vec<Ability2>,
    reach: Option<ReachFile>,
    #[serde(default = "five")]
    scale_down_delay: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    initial: u32,
    increment: u32,
    interval: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Ability2 {
    Traffic,
    Pause,
    Reverse,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReachFile {
    #[default]
    Deploy,
    DryRun,
    Validate,
}

impl From<ReachFile> for Reach {
    fn from(file: ReachFile) -> Self {
        match file {
            ReachFile::Deploy => Self::Deploy,
            ReachFile::DryRun => Self::DryRun,
            ReachFile::Validate => Self::Validate,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckFile {
    name: String,
    #[serde(default = "two")]
    interval: u64,
    #[serde(default = "one")]
    count: u32,
    #[serde(default)]
    limit: u32,
    #[serde(default)]
    no_data: NoData,
}

impl CheckFile {
    fn check(&self) -> Check {
        Check {
            name: self.name.clone(),
            interval: seconds(self.interval),
            count: self.count,
            failure_limit: self.limit,
            no_data: self.no_data,
        }
    }
}

fn one() -> u32 {
    1
}

fn two() -> u64 {
    2
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum StepFile {
    Weight(u32),
    Pause(u64),
    Approval,
    Checks(Vec<String>),
    Scale(u32),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlueGreenFile {
    #[serde(default = "hundred")]
    preview: u32,
    #[serde(default)]
    delay: u64,
    #[serde(default)]
    manual: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollingFile {
    surge: u32,
    unavailable: u32,
}

fn five() -> u64 {
    5
}

fn ten() -> u32 {
    10
}

fn hundred() -> u32 {
    100
}

fn percent(percent: u32) -> Share {
    Share::of_percent(percent).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl PlanFile {
    pub fn plan(&self) -> Plan {
        let plan = Plan {
            strategy: self.strategy(),
            router: if self.no_router { Router::Replicas } else { Router::Split { settle: seconds(2) } },
            capabilities: self.capabilities(),
            checks: self.checks(),
            always: self.always(),
            on_failure: if self.pause_on_failure { OnFailure::Pause } else { OnFailure::Rollback },
            first_deploy: if self.gate_first { FirstDeploy::Gate } else { FirstDeploy::Skip },
            progress_deadline: self.deadline.map(seconds),
            timeout: self.timeout.map(seconds),
            scale_down_delay: seconds(self.scale_down_delay),
            headroom: self.headroom * 100,
            not_before: self.not_before.map(|at| Moment(at * 1000)),
            reach: self.reach.unwrap_or_default().into(),
        };
        assert_eq!(plan.check(), Ok(()));
        plan
    }

    fn checks(&self) -> Vec<Check> {
        self.check.then(check).into_iter().chain(self.checks.iter().map(CheckFile::check)).collect()
    }

    fn always(&self) -> Vec<String> {
        let all = || if self.steps.is_some() { Vec::new() } else { self.checks() };
        self.always.clone().unwrap_or_else(|| all().into_iter().map(|check| check.name).collect())
    }

    fn capabilities(&self) -> Capabilities {
        let can = |what| if self.cannot.contains(&what) { Ability::Cannot } else { Ability::Can };
        Capabilities { traffic: can(Ability2::Traffic), pause: can(Ability2::Pause), reverse: can(Ability2::Reverse) }
    }

    fn strategy(&self) -> Strategy {
        if let Some(file) = &self.canary {
            let (initial, increment) = (percent(file.initial), percent(file.increment));
            return Strategy::Canary(Canary::Schedule { initial, increment, interval: seconds(file.interval) });
        }
        if let Some(steps) = &self.steps {
            return Strategy::Canary(Canary::Steps(steps.iter().map(step).collect()));
        }
        if let Some(file) = &self.blue_green {
            let promotion = if file.manual { Promotion::Manual } else { Promotion::Automatic };
            return Strategy::BlueGreen(BlueGreen {
                preview: percent(file.preview),
                switch_delay: seconds(file.delay),
                promotion,
            });
        }
        let file = self.rolling.as_ref().expect("a scenario names a strategy");
        Strategy::Rolling(Rolling { max_surge: file.surge, max_unavailable: file.unavailable })
    }
}

fn step(step: &StepFile) -> CanaryStep {
    match step {
        StepFile::Weight(share) => CanaryStep::Weight(percent(*share)),
        StepFile::Pause(time) => CanaryStep::Pause(seconds(*time)),
        StepFile::Approval => CanaryStep::Approval,
        StepFile::Checks(names) => CanaryStep::Checks(names.clone()),
        StepFile::Scale(share) => CanaryStep::Scale(percent(*share)),
    }
}

fn check() -> Check {
    Check { name: "health".to_owned(), interval: seconds(2), count: 2, failure_limit: 1, no_data: NoData::Wait }
}

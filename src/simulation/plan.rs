//! How a scenario is rolled out, as its file says it: checked while it is read, so that an error has its line.

use std::time::Duration;

use serde::Deserialize;

use crate::engine::{
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

/// A plan that can be carried out, or is to be seen refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PlanForm")]
pub struct PlanFile(Plan);

impl PlanFile {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

impl TryFrom<PlanForm> for PlanFile {
    type Error = String;

    fn try_from(form: PlanForm) -> Result<Self, String> {
        let plan = form.plan()?;
        match plan.check() {
            Err(invalid) if !form.refused => Err(format!("plan: {invalid}")),
            Ok(()) if form.refused => Err("plan: refused says that it cannot be carried out, but it can".to_owned()),
            _ => Ok(Self(plan)),
        }
    }
}

/// A share in whole percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct SharePercent(pub Share);

impl TryFrom<u32> for SharePercent {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        Share::of_percent(percent).map(Self).ok_or_else(|| format!("a share is at most 100 percent, not {percent}"))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "a file that people write: each is a word of it")]
struct PlanForm {
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
    cannot: Vec<Skill>,
    reach: Option<ReachFile>,
    /// It cannot be carried out, and this is what the story is about.
    #[serde(default)]
    refused: bool,
    #[serde(default = "five")]
    scale_down_delay: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleFile {
    initial: SharePercent,
    increment: SharePercent,
    interval: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Skill {
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
    Weight(SharePercent),
    Pause(u64),
    Approval,
    Checks(Vec<String>),
    Scale(SharePercent),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlueGreenFile {
    #[serde(default = "whole")]
    preview: SharePercent,
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

fn hundred() -> u32 {
    100
}

fn whole() -> SharePercent {
    SharePercent(Share::WHOLE)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl PlanForm {
    fn plan(&self) -> Result<Plan, String> {
        Ok(Plan {
            strategy: self.strategy()?,
            router: if self.no_router { Router::Replicas } else { Router::Split { settle: seconds(2) } },
            capabilities: self.capabilities(),
            checks: self.checks(),
            always: self.always(),
            on_failure: if self.pause_on_failure { OnFailure::Pause } else { OnFailure::Rollback },
            first_deploy: if self.gate_first { FirstDeploy::Gate } else { FirstDeploy::Skip },
            progress_deadline: self.deadline.map(seconds),
            timeout: self.timeout.map(seconds),
            scale_down_delay: seconds(self.scale_down_delay),
            headroom: self.headroom.saturating_mul(100),
            not_before: self.not_before.map(|at| Moment(at.saturating_mul(1000))),
            reach: self.reach.unwrap_or_default().into(),
        })
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
        Capabilities { traffic: can(Skill::Traffic), pause: can(Skill::Pause), reverse: can(Skill::Reverse) }
    }

    fn strategy(&self) -> Result<Strategy, String> {
        match (&self.canary, &self.steps, &self.blue_green, &self.rolling) {
            (Some(canary), None, None, None) => Ok(Strategy::Canary(canary.schedule())),
            (None, Some(steps), None, None) => Ok(Strategy::Canary(Canary::Steps(steps.iter().map(step).collect()))),
            (None, None, Some(file), None) => Ok(Strategy::BlueGreen(file.blue_green())),
            (None, None, None, Some(file)) => {
                Ok(Strategy::Rolling(Rolling { max_surge: file.surge, max_unavailable: file.unavailable }))
            }
            _ => Err("plan: name exactly one of canary, steps, blue_green and rolling".to_owned()),
        }
    }
}

impl ScheduleFile {
    fn schedule(&self) -> Canary {
        let (initial, increment) = (self.initial.0, self.increment.0);
        Canary::Schedule { initial, increment, interval: seconds(self.interval) }
    }
}

impl BlueGreenFile {
    fn blue_green(&self) -> BlueGreen {
        let promotion = if self.manual { Promotion::Manual } else { Promotion::Automatic };
        BlueGreen { preview: self.preview.0, switch_delay: seconds(self.delay), promotion }
    }
}

fn step(step: &StepFile) -> CanaryStep {
    match step {
        StepFile::Weight(share) => CanaryStep::Weight(share.0),
        StepFile::Pause(time) => CanaryStep::Pause(seconds(*time)),
        StepFile::Approval => CanaryStep::Approval,
        StepFile::Checks(names) => CanaryStep::Checks(names.clone()),
        StepFile::Scale(share) => CanaryStep::Scale(share.0),
    }
}

fn check() -> Check {
    Check { name: "health".to_owned(), interval: seconds(2), count: 2, failure_limit: 1, no_data: NoData::Wait }
}

//! A Deployment and its Profile as the engine's plan: every default, and what cannot be carried out.
//!
//! Which checks run where is in [`crate::rollout::checks`].

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{
    api::{
        amount::Amount,
        check::Check,
        deployment::DeploymentSpec,
        percent::Percent,
        profile::ProfileSpec,
        strategy::{self, Strategy},
        time_span::TimeSpan,
    },
    engine::{
        moment::Moment,
        observed::Revision,
        plan::{self, Capabilities, FirstDeploy, OnFailure, Plan, Reach, Router},
        share::Share,
        step::{Pace, Power, Wanted},
        strategy::{
            blue_green::{BlueGreen, Promotion},
            canary::{Canary, CanaryStep},
            rolling::Rolling,
        },
    },
    rollout::{
        checks::{self, Placed},
        terms::Terms,
        words::{self, hexadecimal},
    },
};

/// What the cluster says about a Deployment before its plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given<'a> {
    /// What divides the traffic.
    pub routing: Routing,
    /// What the package's kind can do.
    pub capabilities: Capabilities,
    /// How many instances the whole traffic needs.
    pub desired: u32,
    /// Why two revisions must not run beside each other, with the remedy; none where they may.
    pub alone: Option<&'a str>,
}

/// What divides the traffic between two revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// A route with weights.
    Weights,
    /// The number of instances.
    Instances,
}

/// What a spec asks for, with every default in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// How to bring a revision.
    pub plan: Plan,
    /// The definitions of the plan's checks, in the same order.
    pub checks: Vec<Check>,
    /// Who writes, and where requests come from.
    pub terms: Terms,
    /// How many former revisions are kept.
    pub keep: usize,
    /// `spec.paused`.
    pub pace: Pace,
    /// `spec.stopped`.
    pub power: Power,
    /// The earliest start, as the plan has it.
    pub not_before: Option<Moment>,
    /// A change starts a new run of the same revision; see [`request_id`].
    pub request: Option<String>,
}

/// Why a spec cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The path of the field, with the object's name where it is not the Deployment.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Invalid {
    /// A field and what is wrong with it.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// The defaults that `api::strategy` documents.
mod default {
    use std::time::Duration;

    pub const SHARE: u32 = 1_000;
    pub const INTERVAL: Duration = Duration::from_mins(5);
    pub const PROGRESS_DEADLINE: Duration = Duration::from_mins(10);
    pub const SCALE_DOWN_DELAY: Duration = Duration::from_secs(30);
    pub const SETTLE: Duration = Duration::from_secs(2);
    pub const HISTORY: usize = 5;
    pub const SURGE: i32 = 2_500;
}

/// No more pods than a share needs.
const NO_HEADROOM: u32 = 10_000;

/// The digits of a plan's digest.
const PLAN_DIGITS: usize = 8;

/// The most that plan, stages and checks may have as JSON, in bytes: all of it is remembered in the status.
const MEMORY_MAX: usize = 100_000;

/// What a spec asks for.
///
/// # Errors
/// Names the field that stands against it, and the remedy.
pub fn intend(deployment: &DeploymentSpec, profile: &ProfileSpec, given: Given<'_>) -> Result<Intent, Invalid> {
    let source = Source::of(deployment, profile);
    source.check_times(deployment)?;
    let strategy = source.strategy(given)?;
    let placed = checks::place(&source.at, &source.strategy, &profile.checks)?;
    let plan = source.plan(deployment, profile, given, (strategy, &placed));
    plan.check().map_err(|invalid| source.place(&invalid))?;
    let intent = Intent {
        checks: placed.definitions,
        terms: Terms::of(deployment, Some(profile)),
        keep: source.strategy.revision_history_limit.map_or(default::HISTORY, |limit| count(limit) as usize),
        pace: if deployment.paused == Some(true) { Pace::Hold } else { Pace::Go },
        power: if deployment.stopped == Some(true) { Power::Down } else { Power::Up },
        not_before: plan.not_before,
        request: request(deployment, &plan),
        plan,
    };
    source.check_size(&intent)?;
    Ok(intent)
}

impl Intent {
    /// What the engine is asked for.
    pub fn wanted(&self, revision: Revision, desired: u32) -> Wanted {
        Wanted {
            revision,
            plan: self.plan.clone(),
            request: self.request.clone(),
            desired,
            pace: self.pace,
            power: self.power,
            keep: self.keep,
        }
    }
}

/// What starts a new run of the same revision: another request, and of a run that touches nothing also another plan.
fn request(deployment: &DeploymentSpec, plan: &Plan) -> Option<String> {
    match (&deployment.request_id, plan.reach) {
        (id, Reach::Deploy) => id.clone(),
        (id, Reach::DryRun | Reach::Validate) => {
            Some(format!("{}/{}", digest(plan), id.as_deref().unwrap_or_default()))
        }
    }
}

/// `spec.requestId` of the request that a run of this plan was started for.
pub fn request_id<'a>(plan: &Plan, request: &'a str) -> Option<&'a str> {
    match plan.reach {
        Reach::Deploy => Some(request),
        Reach::DryRun | Reach::Validate => request.split_once('/').map(|(_, id)| id).filter(|id| !id.is_empty()),
    }
}

/// The first characters of a digest of the plan.
fn digest(plan: &Plan) -> String {
    let json = serde_json::to_vec(plan).unwrap_or_default();
    hexadecimal(&Sha256::digest(json), PLAN_DIGITS)
}

fn reach(deployment: &DeploymentSpec) -> Reach {
    match (deployment.dry_run, deployment.validate_only) {
        (_, Some(true)) => Reach::Validate,
        (Some(true), _) => Reach::DryRun,
        _ => Reach::Deploy,
    }
}

/// A strategy, and where a person finds it.
struct Source {
    at: String,
    strategy: Strategy,
}

impl Source {
    /// A Deployment's strategy replaces the Profile's whole.
    fn of(deployment: &DeploymentSpec, profile: &ProfileSpec) -> Self {
        let of_profile = || format!("Profile {} spec.strategy", deployment.profile);
        let canary = || Strategy { canary: Some(strategy::Canary::default()), ..Strategy::default() };
        match (&deployment.strategy, &profile.strategy) {
            (Some(strategy), _) => Self { at: "spec.strategy".to_owned(), strategy: strategy.clone() },
            (None, Some(strategy)) => Self { at: of_profile(), strategy: strategy.clone() },
            (None, None) => Self { at: "spec.strategy".to_owned(), strategy: canary() },
        }
    }

    fn invalid(&self, field: &str, message: impl Into<String>) -> Invalid {
        Invalid::new(format!("{}{field}", self.at), message)
    }

    /// Limits of no length fail every run at once.
    fn check_times(&self, deployment: &DeploymentSpec) -> Result<(), Invalid> {
        let none = |time: Option<TimeSpan>| time.is_some_and(|time| time.as_duration().is_zero());
        if none(self.strategy.progress_deadline) {
            return Err(self.invalid(".progressDeadline", "0s would fail every run: write more, such as 10m"));
        }
        if none(deployment.timeout) {
            return Err(Invalid::new("spec.timeout", "0s would fail every run: write more, such as 1h, or remove it"));
        }
        Ok(())
    }

    fn strategy(&self, given: Given<'_>) -> Result<plan::Strategy, Invalid> {
        let strategy = match (&self.strategy.canary, &self.strategy.blue_green, &self.strategy.rolling) {
            (Some(canary), None, None) => plan::Strategy::Canary(self.canary(canary)?),
            (None, Some(blue_green), None) => plan::Strategy::BlueGreen(self.blue_green(blue_green, given)?),
            (None, None, Some(settings)) => return Ok(plan::Strategy::Rolling(rolling(settings, given))),
            _ => {
                return Err(self.invalid(
                    "",
                    "exactly one of canary, blueGreen and rolling is needed: keep the one that is meant",
                ));
            }
        };
        match given.alone {
            Some(why) => Err(self.invalid(
                "",
                format!("two revisions cannot run beside each other, which canary and blueGreen need: {why}"),
            )),
            None => Ok(strategy),
        }
    }

    fn canary(&self, canary: &strategy::Canary) -> Result<Canary, Invalid> {
        let initial = canary.initial_percentage.map_or(default_share(), words::share);
        if initial == Share::NONE {
            return Err(self.invalid(".canary.initialPercentage", "0 would try nothing: write more than 0"));
        }
        match &canary.steps {
            Some(steps) => steps
                .iter()
                .enumerate()
                .map(|(at, step)| self.step(at, step))
                .collect::<Result<_, _>>()
                .map(Canary::Steps),
            None => Ok(Canary::Schedule {
                initial,
                increment: canary.increment.map_or(default_share(), words::share),
                interval: canary.interval.map_or(default::INTERVAL, TimeSpan::as_duration),
            }),
        }
    }

    fn step(&self, at: usize, step: &strategy::Step) -> Result<CanaryStep, Invalid> {
        match (&step.weight, &step.pause, &step.checks) {
            (Some(weight), None, None) => Ok(CanaryStep::Weight(words::share(*weight))),
            (None, Some(pause), None) => {
                Ok(pause.duration.map_or(CanaryStep::Approval, |time| CanaryStep::Pause(time.as_duration())))
            }
            (None, None, Some(names)) => Ok(CanaryStep::Checks(names.clone())),
            _ => Err(self.invalid(
                &format!(".canary.steps[{at}]"),
                "a step is exactly one of weight, pause and checks: split it into several steps",
            )),
        }
    }

    fn blue_green(&self, settings: &strategy::BlueGreen, given: Given<'_>) -> Result<BlueGreen, Invalid> {
        let desired = given.desired.max(1);
        let preview = settings.preview_replicas.map_or(desired, count);
        if preview > desired || preview == 0 {
            let message = format!(
                "{preview} is outside of 1 to {desired}, the wanted instances: write a number between, or remove it"
            );
            return Err(self.invalid(".blueGreen.previewReplicas", message));
        }
        Ok(BlueGreen {
            preview: part(preview, desired),
            switch_delay: settings.switch_delay.map_or(Duration::ZERO, TimeSpan::as_duration),
            promotion: match settings.promotion.unwrap_or_default() {
                strategy::Promotion::Automatic => Promotion::Automatic,
                strategy::Promotion::Manual => Promotion::Manual,
            },
        })
    }

    fn plan(
        &self,
        deployment: &DeploymentSpec,
        profile: &ProfileSpec,
        given: Given<'_>,
        (strategy, placed): (plan::Strategy, &Placed),
    ) -> Plan {
        let settle = profile.traffic.as_ref().and_then(|traffic| traffic.settle);
        let settle = settle.map_or(default::SETTLE, TimeSpan::as_duration);
        let own = &self.strategy;
        Plan {
            strategy,
            router: match given.routing {
                Routing::Weights => Router::Split { settle },
                Routing::Instances => Router::Replicas,
            },
            capabilities: given.capabilities,
            checks: placed.definitions.iter().map(checks::of_engine).collect(),
            always: placed.always.clone(),
            on_failure: match own.on_failure.unwrap_or_default() {
                strategy::OnFailure::Rollback => OnFailure::Rollback,
                strategy::OnFailure::Pause => OnFailure::Pause,
            },
            first_deploy: match own.first_deploy.unwrap_or_default() {
                strategy::FirstDeploy::Skip => FirstDeploy::Skip,
                strategy::FirstDeploy::Gate => FirstDeploy::Gate,
            },
            progress_deadline: Some(own.progress_deadline.map_or(default::PROGRESS_DEADLINE, TimeSpan::as_duration)),
            timeout: deployment.timeout.map(TimeSpan::as_duration),
            scale_down_delay: own.scale_down_delay.map_or(default::SCALE_DOWN_DELAY, TimeSpan::as_duration),
            headroom: NO_HEADROOM,
            not_before: deployment.schedule_at.as_ref().map(words::moment),
            reach: reach(deployment),
        }
    }

    /// The field that the engine's complaint is about.
    fn place(&self, invalid: &plan::Invalid) -> Invalid {
        let field = match invalid {
            plan::Invalid::NoIncrement => ".canary.increment",
            plan::Invalid::NoSurge => ".rolling.maxSurge",
            plan::Invalid::CheckBeforeTraffic => ".canary.steps",
            plan::Invalid::NoCount(_) | plan::Invalid::Twice(_) | plan::Invalid::UnknownCheck(_) => ".checks",
            plan::Invalid::CannotSplit | plan::Invalid::Headroom => "",
        };
        self.invalid(field, invalid.to_string())
    }

    fn check_size(&self, intent: &Intent) -> Result<(), Invalid> {
        let bytes = size(&intent.plan) + size(&intent.plan.stages()) + size(&intent.checks) + size(&intent.terms);
        if bytes <= MEMORY_MAX {
            return Ok(());
        }
        let steps = intent.plan.stages().len();
        Err(self.invalid("", format!(
            "{steps} steps with their checks have {bytes} bytes, and {MEMORY_MAX} can be remembered: use larger steps or fewer checks"
        )))
    }
}

fn rolling(settings: &strategy::Rolling, given: Given<'_>) -> Rolling {
    let desired = given.desired.max(1);
    let surge = settings.max_surge.or_else(|| Percent::from_basis_points(default::SURGE).map(Amount::Share));
    Rolling {
        max_surge: surge
            .map_or(1, |amount| resolve(amount, |points| (desired.saturating_mul(points)).div_ceil(10_000))),
        max_unavailable: settings
            .max_unavailable
            .map_or(0, |amount| resolve(amount, |points| desired.saturating_mul(points) / 10_000)),
    }
}

/// An amount as a number; `part` rounds a share, which is given in hundredths of a percent.
fn resolve(amount: Amount, part: impl FnOnce(u32) -> u32) -> u32 {
    match amount {
        Amount::Count(number) => count(number),
        Amount::Share(share) => part(count(share.basis_points())),
    }
}

/// The share of which so many instances are the rounded-up number.
fn part(instances: u32, desired: u32) -> Share {
    let points = u64::from(instances) * u64::from(Share::WHOLE.points()) / u64::from(desired);
    u32::try_from(points.max(1)).ok().and_then(Share::of_points).unwrap_or(Share::WHOLE)
}

fn default_share() -> Share {
    Share::of_points(default::SHARE).unwrap_or(Share::WHOLE)
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 4, |json| json.len())
}

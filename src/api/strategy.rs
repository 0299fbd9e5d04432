//! Strategies: how traffic moves from one revision to the next.
//!
//! A strategy is one field of [`Strategy`] and one name in [`STRATEGIES`]; what they share stands beside them.
//! Defaults are documented and not in the schema, so that what a person wrote and what applies can be told apart.

use kube::{KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    amount::Amount,
    check::Check,
    percent::Percent,
    schema::{exactly_one, unique},
    time_span::TimeSpan,
};

/// The strategies that exist.
pub const STRATEGIES: [&str; 3] = ["canary", "blueGreen", "rolling"];

/// What a step can be.
pub const STEPS: [&str; 3] = ["weight", "pause", "checks"];

/// A way to replace one revision by the next: exactly one of canary, blueGreen and rolling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = exactly_one(&STRATEGIES, "strategy: exactly one of `canary`, `blueGreen` and `rolling` is needed: keep the one that is meant"),
    validation = unique("checks", "name", "strategy.checks: a name may occur once only: rename the second check"),
    validation = a_step_has_weight()
)]
pub struct Strategy {
    /// Traffic moves to the new revision step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// The new revision starts beside the old one, and all traffic moves at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// Instances are replaced in batches, for what cannot split traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// Checks that are made while a run goes on. A check of the same name here replaces one of the Profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub checks: Vec<Check>,
    /// The longest time without progress before the run fails. Pauses for people do not count. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<TimeSpan>,
    /// What a failed check or a passed deadline leads to. Default: Rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Whether the first revision, which has no traffic to compare with, goes through the steps. Default: Skip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_deploy: Option<FirstDeploy>,
    /// How many former revisions are kept for a rollback. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub revision_history_limit: Option<i32>,
    /// How long the former revision keeps its instances after it lost its traffic. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_delay: Option<TimeSpan>,
}

/// A run by shares of the traffic: either the three figures, or explicit steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.steps) || !(has(self.initialPercentage) || has(self.increment) || has(self.interval))")
        .message("canary: `steps` replaces `initialPercentage`, `increment` and `interval`: remove these or `steps`"),
    validation = Rule::new("!has(self.increment) || !string(self.increment).matches('^0+([.]0+)?%?$')")
        .message("canary.increment: 0 would never arrive: write more than 0")
)]
pub struct Canary {
    /// The share of the first step, in percent. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_percentage: Option<Percent>,
    /// What each further step adds, in percent. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment: Option<Percent>,
    /// The time between steps. Default: 300s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<TimeSpan>,
    /// An address that must answer with 200 to 399 before traffic moves and during every step.
    /// `{{candidate.service}}` stands for the candidate's Service. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = health_check_url())]
    pub health_check_url: Option<String>,
    /// The steps, one after the other; after the last one the revision is promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub steps: Option<Vec<Step>>,
}

/// One step: exactly one of weight, pause and checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = exactly_one(&STEPS, "a step is exactly one of `weight`, `pause` and `checks`: split it into several steps"))]
pub struct Step {
    /// The candidate's share of the traffic, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Percent>,
    /// A wait for a time, or for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Names of checks of the strategy or the Profile that must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub checks: Option<Vec<String>>,
}

/// A wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long. Default: until a person promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<TimeSpan>,
}

/// A run by one switch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// The time between a healthy new revision and the switch. Default: 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch_delay: Option<TimeSpan>,
    /// An address that must answer with 200 to 399 before the switch. `{{candidate.service}}` stands for the
    /// candidate's Service. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = health_check_url())]
    pub health_check_url: Option<String>,
    /// How many instances the new revision has until shortly before the switch. Default: as many as the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub preview_replicas: Option<i32>,
    /// Whether the switch waits for a person. Default: Automatic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
}

/// A run by batches of instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!(has(self.maxSurge) && has(self.maxUnavailable)) || \
     !(string(self.maxSurge).matches('^0+([.]0+)?%?$') && string(self.maxUnavailable).matches('^0+([.]0+)?%?$'))"
).message("rolling: with `maxSurge` and `maxUnavailable` both 0 nothing can move: raise one of them"))]
pub struct Rolling {
    /// How many instances there may be beyond the wanted number: a number, or a share of it such as `25%`. Default: 25%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<Amount>,
    /// How many instances of the wanted number may be missing: a number, or a share of it such as `25%`. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<Amount>,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// All traffic back to the stable revision.
    #[default]
    Rollback,
    /// Hold where it is until a person decides.
    Pause,
}

/// What the first revision goes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FirstDeploy {
    /// It is promoted as soon as it is ready.
    #[default]
    Skip,
    /// It goes through checks and pauses like every other.
    Gate,
}

/// Who makes the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Promotion {
    /// It follows by itself.
    #[default]
    Automatic,
    /// It waits for a person's `promote`.
    Manual,
}

fn health_check_url() -> Rule {
    Rule::new("self.matches('^https?://[^/]')")
        .message("healthCheckUrl: write an address that starts with http:// or https://")
}

/// Steps without any weight would promote a revision that no request has seen.
fn a_step_has_weight() -> Rule {
    Rule::new("!has(self.canary) || !has(self.canary.steps) || self.canary.steps.exists(step, has(step.weight))")
        .message("strategy.canary.steps: no step has a `weight`, so no traffic would ever be tried: add one")
}

//! Which checks a run makes, and with which figures.
//!
//! - `healthCheckUrl` stands for a check named `health`: before the first weight where a router or a preview makes that
//!   possible, and in every hold.
//! - A check of the strategy that no step names: in every hold.
//! - A check that steps name: in those steps. It is the strategy's, or else the Profile's of that name.
//! - A check of the Profile that no step names: never.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    api::{
        check::{Check, HttpProbe, NoData},
        strategy::{Step, Strategy},
        time_span::TimeSpan,
    },
    engine::verdict,
    rollout::plan::Invalid,
};

/// The name of the check that `healthCheckUrl` stands for.
pub const HEALTH: &str = "health";

/// The time between measurements, where a check does not say; and the longest one of the check [`HEALTH`].
const INTERVAL: Duration = Duration::from_secs(10);

/// The shortest time between measurements: less would be a load and no knowledge.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How many successes pass a check, where it does not say.
const COUNT: u32 = 1;

/// How many failures a check tolerates, where it does not say.
const FAILURE_LIMIT: u32 = 2;

/// The checks of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// All of them, each once.
    pub definitions: Vec<Check>,
    /// The names of those that run in every hold.
    pub always: Vec<String>,
}

/// The checks that a strategy makes. `at` is the path of the strategy, `of_profile` what steps may name beside its own.
///
/// # Errors
/// A step names a check that nobody defines, a name is taken, or a figure makes no sense.
pub fn place(at: &str, strategy: &Strategy, of_profile: &[Check]) -> Result<Placed, Invalid> {
    let health = health(strategy);
    check_own(at, strategy, health.as_ref())?;
    let named = named(strategy);
    let free = strategy.checks.iter().filter(|check| !named.contains(check.name.as_str()));
    let always: Vec<Check> = health.iter().chain(free).cloned().collect();
    let everywhere: Vec<String> = always.iter().map(|check| check.name.clone()).collect();
    let mut definitions = always;
    for (index, name) in steps(strategy)
        .iter()
        .enumerate()
        .flat_map(|(index, step)| step.checks.iter().flatten().map(move |name| (index, name)))
    {
        if definitions.iter().any(|check| check.name == *name) {
            continue;
        }
        let found = strategy.checks.iter().chain(of_profile).find(|check| check.name == *name);
        let check = found.ok_or_else(|| unknown(at, index, name))?;
        check_interval(at, check)?;
        definitions.push(check.clone());
    }
    Ok(Placed { definitions, always: everywhere })
}

fn unknown(at: &str, step: usize, name: &str) -> Invalid {
    Invalid::new(
        format!("{at}.canary.steps[{step}].checks"),
        format!("there is no check {name}: add it to the strategy's checks or the Profile's, or correct the name"),
    )
}

fn check_own(at: &str, strategy: &Strategy, health: Option<&Check>) -> Result<(), Invalid> {
    for (index, check) in strategy.checks.iter().enumerate() {
        let field = format!("{at}.checks[{index}].name");
        if strategy.checks.iter().take(index).any(|other| other.name == check.name) {
            return Err(Invalid::new(field, format!("{} is there twice: rename one", check.name)));
        }
        if health.is_some_and(|health| health.name == check.name) {
            return Err(Invalid::new(
                field,
                format!("{HEALTH} is the check of healthCheckUrl: rename this one, or remove the address"),
            ));
        }
        check_interval(at, check)?;
    }
    Ok(())
}

fn check_interval(at: &str, check: &Check) -> Result<(), Invalid> {
    if check.interval.is_some_and(|interval| interval.as_duration() < INTERVAL_MIN) {
        return Err(Invalid::new(
            format!("{at}.checks"),
            format!("check {}: interval must be at least 1s", check.name),
        ));
    }
    Ok(())
}

fn steps(strategy: &Strategy) -> &[Step] {
    strategy.canary.as_ref().and_then(|canary| canary.steps.as_deref()).unwrap_or_default()
}

fn named(strategy: &Strategy) -> BTreeSet<&str> {
    steps(strategy).iter().flat_map(|step| step.checks.iter().flatten()).map(String::as_str).collect()
}

/// The check that `healthCheckUrl` stands for. It is made at least every 10 s, and within a canary at least once per
/// interval; one success passes it, the third failure of a step fails it.
fn health(strategy: &Strategy) -> Option<Check> {
    let canary = strategy.canary.as_ref();
    let of_canary = canary.and_then(|canary| canary.health_check_url.as_ref());
    let url = of_canary.or_else(|| strategy.blue_green.as_ref()?.health_check_url.as_ref())?;
    let steps = canary.and_then(|canary| canary.interval).map_or(INTERVAL, TimeSpan::as_duration);
    let seconds = steps.clamp(INTERVAL_MIN, INTERVAL).as_secs();
    let http = HttpProbe {
        url: url.clone(),
        method: None,
        expected_status: Vec::new(),
        expected_body: None,
        headers: Vec::new(),
        timeout: None,
    };
    Some(Check {
        name: HEALTH.to_owned(),
        http: Some(http),
        success: None,
        failure: None,
        interval: Some(TimeSpan::from_secs(seconds)),
        count: None,
        failure_limit: None,
        no_data: None,
    })
}

/// A check as the engine counts it.
pub fn of_engine(check: &Check) -> verdict::Check {
    let figure =
        |figure: Option<i32>, default| figure.map_or(default, |figure| u32::try_from(figure).unwrap_or_default());
    verdict::Check {
        name: check.name.clone(),
        interval: check.interval.map_or(INTERVAL, TimeSpan::as_duration),
        count: figure(check.count, COUNT),
        failure_limit: figure(check.failure_limit, FAILURE_LIMIT),
        no_data: match check.no_data.unwrap_or_default() {
            NoData::Wait => verdict::NoData::Wait,
            NoData::Pass => verdict::NoData::Pass,
            NoData::Fail => verdict::NoData::Fail,
        },
    }
}

//! Specs as plans: defaults, what replaces what, which checks run where, and what is refused with which words.

use std::time::Duration;

use landfall::{
    api::deployment::DeploymentSpec,
    engine::{
        moment::Moment,
        plan::{Ability, Capabilities, FirstDeploy, OnFailure, Plan, Reach, Router, Strategy},
        share::Share,
        step::{Pace, Power},
        strategy::{
            blue_green::{BlueGreen, Promotion},
            canary::{Canary, CanaryStep},
            rolling::Rolling,
        },
        verdict::NoData,
    },
    rollout::plan::{Given, Intent, Invalid, Routing, intend, request_id},
};
use serde_json::{Value, json};

use super::{deployment, profile};

const ALL: Capabilities = Capabilities { traffic: Ability::Can, pause: Ability::Can, reverse: Ability::Can };
const GIVEN: Given<'_> = Given { routing: Routing::Weights, capabilities: ALL, desired: 10, alone: None };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn percent(percent: u32) -> Share {
    Share::of_percent(percent).unwrap()
}

fn of(deployment_fields: &Value, profile_fields: &Value) -> Result<Intent, Invalid> {
    intend(&deployment(deployment_fields), &profile(profile_fields), GIVEN)
}

/// The intent of a strategy of the Deployment's own.
fn own(strategy: &Value) -> Result<Intent, Invalid> {
    of(&json!({"strategy": strategy}), &json!({}))
}

fn refused(strategy: &Value) -> String {
    own(strategy).unwrap_err().to_string()
}

fn check(name: &str) -> Value {
    json!({"name": name, "http": {"url": "http://example.test/"}})
}

#[test]
fn without_a_word_about_it_everything_has_its_documented_default() {
    let intent = of(&json!({}), &json!({})).unwrap();
    let schedule = Canary::Schedule { initial: percent(10), increment: percent(10), interval: seconds(300) };
    let plan = Plan {
        strategy: Strategy::Canary(schedule),
        router: Router::Split { settle: seconds(2) },
        capabilities: ALL,
        checks: Vec::new(),
        always: Vec::new(),
        on_failure: OnFailure::Rollback,
        first_deploy: FirstDeploy::Skip,
        progress_deadline: Some(seconds(600)),
        timeout: None,
        scale_down_delay: seconds(30),
        headroom: 10_000,
        not_before: None,
        reach: Reach::Deploy,
    };
    assert_eq!(intent.plan, plan);
    assert_eq!((intent.keep, intent.pace, intent.power), (5, Pace::Go, Power::Up));
    assert_eq!((intent.not_before, intent.request, intent.checks), (None, None, Vec::new()));
}

#[test]
fn what_is_written_replaces_every_default() {
    let intent = of(
        &json!({
            "strategy": {
                "canary": {"initialPercentage": "0.5", "increment": 20, "interval": "10s"},
                "progressDeadline": "1m", "onFailure": "Pause", "firstDeploy": "Gate",
                "revisionHistoryLimit": 0, "scaleDownDelay": "0s",
            },
            "paused": true, "stopped": true, "timeout": "2h", "scheduleAt": "1970-01-01T00:01:00Z",
        }),
        &json!({"traffic": {"settle": "500ms"}, "strategy": {"rolling": {}}}),
    );
    let intent = intent.unwrap();
    let plan = &intent.plan;
    let schedule =
        Canary::Schedule { initial: Share::of_points(50).unwrap(), increment: percent(20), interval: seconds(10) };
    assert_eq!(plan.strategy, Strategy::Canary(schedule));
    assert_eq!(plan.router, Router::Split { settle: Duration::from_millis(500) });
    assert_eq!((plan.progress_deadline, plan.scale_down_delay), (Some(seconds(60)), seconds(0)));
    assert_eq!((plan.on_failure, plan.first_deploy), (OnFailure::Pause, FirstDeploy::Gate));
    assert_eq!((plan.not_before, intent.not_before), (Some(Moment(60_000)), Some(Moment(60_000))));
    assert_eq!((intent.keep, intent.pace, intent.power), (0, Pace::Hold, Power::Down));
    assert_eq!(intent.plan.timeout, Some(seconds(7_200)));
}

#[test]
fn a_deployments_strategy_replaces_the_profiles_whole() {
    let of_profile = json!({"strategy": {"blueGreen": {}, "onFailure": "Pause", "checks": [check("a")]}});
    let intent = of(&json!({}), &of_profile).unwrap();
    assert_eq!((intent.plan.on_failure, intent.checks.len()), (OnFailure::Pause, 1));
    let intent = of(&json!({"strategy": {"rolling": {}}}), &of_profile).unwrap();
    assert_eq!((intent.plan.on_failure, intent.checks.len()), (OnFailure::Rollback, 0));
}

#[test]
fn steps_become_steps() {
    let steps =
        json!([{"weight": 20}, {"pause": {"duration": "5s"}}, {"checks": ["a"]}, {"pause": {}}, {"weight": 60}]);
    let intent = own(&json!({"canary": {"steps": steps}, "checks": [check("a")]})).unwrap();
    let steps = vec![
        CanaryStep::Weight(percent(20)),
        CanaryStep::Pause(seconds(5)),
        CanaryStep::Checks(vec!["a".to_owned()]),
        CanaryStep::Approval,
        CanaryStep::Weight(percent(60)),
    ];
    assert_eq!(intent.plan.strategy, Strategy::Canary(Canary::Steps(steps)));
}

#[test]
fn a_preview_has_exactly_the_instances_that_are_asked_for() {
    for desired in [1, 2, 3, 7, 10, 99, 1_000] {
        for preview in 1..=desired {
            let spec = deployment(&json!({"strategy": {"blueGreen": {
                "previewReplicas": preview, "switchDelay": "3s", "promotion": "Manual",
            }}}));
            let intent = intend(&spec, &profile(&json!({})), Given { desired, ..GIVEN }).unwrap();
            let Strategy::BlueGreen(BlueGreen { preview: share, switch_delay, promotion }) = intent.plan.strategy
            else {
                panic!("it is another strategy");
            };
            assert_eq!(landfall::engine::share::need(desired, share, 10_000), preview, "{preview} of {desired}");
            assert_eq!((switch_delay, promotion), (seconds(3), Promotion::Manual));
        }
    }
    let whole = BlueGreen { preview: Share::WHOLE, switch_delay: seconds(0), promotion: Promotion::Automatic };
    assert_eq!(own(&json!({"blueGreen": {}})).unwrap().plan.strategy, Strategy::BlueGreen(whole));
}

#[test]
fn surge_is_rounded_up_and_unavailability_down() {
    let cases = [
        (10, json!({}), (3, 0)),
        (1, json!({}), (1, 0)),
        (0, json!({}), (1, 0)),
        (10, json!({"maxSurge": 4, "maxUnavailable": 2}), (4, 2)),
        (9, json!({"maxSurge": "10%", "maxUnavailable": "25%"}), (1, 2)),
        (100_000, json!({"maxSurge": "100%", "maxUnavailable": "0.01%"}), (100_000, 10)),
    ];
    for (desired, settings, (max_surge, max_unavailable)) in cases {
        let spec = deployment(&json!({"strategy": {"rolling": settings}}));
        let intent = intend(&spec, &profile(&json!({})), Given { desired, ..GIVEN }).unwrap();
        assert_eq!(intent.plan.strategy, Strategy::Rolling(Rolling { max_surge, max_unavailable }), "{settings}");
    }
}

#[test]
fn a_health_check_url_is_a_check_named_health() {
    let url = "http://{{candidate.service}}/healthz";
    for (strategy, interval) in [
        (json!({"canary": {"healthCheckUrl": url}}), 10),
        (json!({"canary": {"healthCheckUrl": url, "interval": "4s"}}), 4),
        (json!({"canary": {"healthCheckUrl": url, "interval": "0s"}}), 1),
        (json!({"blueGreen": {"healthCheckUrl": url}}), 10),
    ] {
        let intent = own(&strategy).unwrap();
        let (check, definition) = (&intent.plan.checks[0], &intent.checks[0]);
        assert_eq!((check.name.as_str(), check.interval), ("health", seconds(interval)), "{strategy}");
        assert_eq!((check.count, check.failure_limit, check.no_data), (1, 2, NoData::Wait));
        assert_eq!(intent.plan.always, ["health"]);
        assert_eq!(definition.http.as_ref().unwrap().url, url);
    }
}

#[test]
fn checks_are_those_of_the_strategy_and_those_that_steps_name() {
    let with_interval = |name: &str, interval: &str| json!({"name": name, "http": {"url": "http://example.test/"}, "interval": interval, "count": 3, "failureLimit": 0, "noData": "Fail"});
    let intent = of(
        &json!({"strategy": {
            "canary": {"steps": [{"weight": 20}, {"checks": ["errors", "latency"]}, {"checks": ["errors"]}]},
            "checks": [check("always"), with_interval("errors", "7s")],
        }}),
        &json!({"checks": [check("errors"), with_interval("latency", "9s"), check("unused")]}),
    );
    let intent = intent.unwrap();
    let names: Vec<_> =
        intent.plan.checks.iter().map(|check| (check.name.as_str(), check.interval.as_secs())).collect();
    assert_eq!(names, [("always", 10), ("errors", 7), ("latency", 9)]);
    assert_eq!(intent.plan.always, ["always"]);
    assert_eq!(
        intent.checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(),
        ["always", "errors", "latency"]
    );
    let latency = &intent.plan.checks[2];
    assert_eq!((latency.count, latency.failure_limit, latency.no_data), (3, 0, NoData::Fail));
}

#[test]
fn what_cannot_be_carried_out_names_the_field_and_the_remedy() {
    let many: Vec<_> = (0..16)
        .map(|n| {
            json!({"name": format!("c{n}"), "success": "\"".repeat(1024), "failure": "\"".repeat(1024),
        "http": {"url": format!("http://example.test/{}", "x".repeat(2000)), "expectedBody": "x".repeat(1024)}})
        })
        .collect();
    let cases = [
        (json!({}), "spec.strategy: exactly one of"),
        (json!({"canary": {}, "rolling": {}}), "spec.strategy: exactly one of"),
        (json!({"canary": {"initialPercentage": 0}}), "spec.strategy.canary.initialPercentage: "),
        (json!({"canary": {"increment": 0}}), "spec.strategy.canary.increment: "),
        (json!({"canary": {"increment": "0.01"}}), "spec.strategy: "),
        (json!({"canary": {"steps": [{"weight": 10}, {}]}}), "spec.strategy.canary.steps[1]: a step is exactly one"),
        (
            json!({"canary": {"steps": [{"weight": 10, "pause": {}}]}}),
            "spec.strategy.canary.steps[0]: a step is exactly one",
        ),
        (
            json!({"canary": {"steps": [{"weight": 10}, {"checks": ["no"]}]}}),
            "spec.strategy.canary.steps[1].checks: there is no check no: add",
        ),
        (
            json!({"blueGreen": {"previewReplicas": 11}}),
            "spec.strategy.blueGreen.previewReplicas: 11 is outside of 1 to 10",
        ),
        (json!({"rolling": {"maxSurge": 0}}), "spec.strategy.rolling.maxSurge: "),
        (json!({"canary": {}, "progressDeadline": "0s"}), "spec.strategy.progressDeadline: "),
        (json!({"canary": {}, "checks": [check("a"), check("a")]}), "spec.strategy.checks[1].name: a is there twice"),
        (
            json!({"canary": {}, "checks": [{"name": "a", "interval": "10ms"}]}),
            "spec.strategy.checks: check a: interval must be at least 1s",
        ),
        (
            json!({"canary": {}, "checks": [{"name": "a", "count": 0}]}),
            "spec.strategy.checks: check a: count must be at least 1",
        ),
        (
            json!({"canary": {"healthCheckUrl": "http://example.test/"}, "checks": [check("health")]}),
            "spec.strategy.checks[0].name: health is the check of healthCheckUrl: rename",
        ),
        (json!({"canary": {}, "checks": many}), "spec.strategy: "),
    ];
    for (strategy, start) in cases {
        let text = refused(&strategy);
        assert!(text.starts_with(start), "{strategy}: {text}");
    }
    assert!(of(&json!({"timeout": "0s"}), &json!({})).unwrap_err().to_string().starts_with("spec.timeout: "));
}

#[test]
fn what_the_profile_says_is_refused_with_the_profiles_name() {
    let text = of(&json!({}), &json!({"strategy": {"rolling": {"maxSurge": 0}}})).unwrap_err().to_string();
    assert!(text.starts_with("Profile production spec.strategy.rolling.maxSurge: "), "{text}");
}

#[test]
fn what_the_package_or_the_router_cannot_do_is_refused() {
    let with = |strategy: Value, given| {
        let spec: DeploymentSpec = deployment(&json!({"strategy": strategy}));
        intend(&spec, &profile(&json!({})), given).map(|_| ()).map_err(|invalid| invalid.to_string())
    };
    let alone = Given { alone: Some("volume data is ReadWriteOnce: use rolling"), ..GIVEN };
    for strategy in [json!({"canary": {}}), json!({"blueGreen": {}})] {
        let text = with(strategy, alone).unwrap_err();
        assert!(text.starts_with("spec.strategy: ") && text.ends_with("use rolling"), "{text}");
    }
    assert_eq!(with(json!({"rolling": {}}), alone), Ok(()));

    let single = Given { capabilities: Capabilities { traffic: Ability::Cannot, ..ALL }, ..GIVEN };
    assert!(with(json!({"canary": {}}), single).unwrap_err().contains("use the strategy rolling"));
    assert_eq!(with(json!({"rolling": {}}), single), Ok(()));

    let early = json!({"canary": {"steps": [{"checks": ["a"]}, {"weight": 50}]}, "checks": [check("a")]});
    let by_instances = Given { routing: Routing::Instances, ..GIVEN };
    let text = with(early.clone(), by_instances).unwrap_err();
    assert!(text.starts_with("spec.strategy.canary.steps: ") && text.contains("blueGreen"), "{text}");
    assert_eq!(with(early, GIVEN), Ok(()));
}

#[test]
fn a_request_starts_a_run_and_so_does_another_plan_of_a_dry_run() {
    let asked = |fields: Value| {
        let intent = of(&fields, &json!({})).unwrap();
        let id = intent.request.as_deref().and_then(|request| request_id(&intent.plan, request)).map(str::to_owned);
        (intent.plan.reach, intent.request, id)
    };
    assert_eq!(asked(json!({})), (Reach::Deploy, None, None));
    let named = Some("a/b".to_owned());
    assert_eq!(asked(json!({"requestId": "a/b"})), (Reach::Deploy, named.clone(), named.clone()));
    let dry = asked(json!({"dryRun": true, "requestId": "a/b"}));
    assert_eq!((dry.0, dry.2), (Reach::DryRun, named));
    let validation = asked(json!({"validateOnly": true, "dryRun": true}));
    assert_eq!((validation.0, validation.2), (Reach::Validate, None));
    let other = asked(json!({"dryRun": true, "requestId": "a/b", "strategy": {"rolling": {}}}));
    assert_ne!(dry.1, other.1);
    assert_ne!(dry.1, validation.1);
}

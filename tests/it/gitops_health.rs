//! How live objects stand, as a table, and what somebody else changed of them.

use std::time::Duration;

use landfall::{
    api::source::HealthCheck,
    engine::moment::Moment,
    gitops::{
        custom::{Checks, Words},
        document,
        drift::{batch, contested, differs, manager},
        health::{Health, health},
    },
};
use serde_json::{Value, json};

fn object(yaml: &str) -> Value {
    document::read(yaml).unwrap().remove(0).value
}

/// How an object stands, as a word and a sentence.
fn stands(api_version: &str, kind: &str, rest: &str) -> String {
    let mut live = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "generation": 2}});
    json_patch::merge(&mut live, &object(rest));
    match health(Some(&live)) {
        Health::Current => "current".to_owned(),
        Health::InProgress(sentence) => format!("waits: {sentence}"),
        Health::Failed(sentence) => format!("failed: {sentence}"),
        Health::Gone => "gone".to_owned(),
    }
}

fn table(api_version: &str, kind: &str, rows: &[(&str, &str)]) {
    for (rest, expected) in rows {
        assert_eq!(stands(api_version, kind, rest), *expected, "{kind}: {rest}");
    }
}

const UNSEEN: &str = "waits: its controller has not looked at it yet";
const CHANGED: &str = "waits: its controller has not seen the last change yet";

#[test]
fn any_object_is_judged_by_what_it_says_of_itself() {
    assert_eq!(health(None), Health::Gone);
    assert_eq!((Health::Gone.sentence(), Health::Current.sentence()), (Some("it is not there"), None));
    let ready = |status: &str| {
        format!(
            "status: {{observedGeneration: 2, conditions: [{{type: Ready, status: '{status}', reason: R, message: m}}]}}"
        )
    };
    table(
        "example.test/v1",
        "Sample",
        &[
            ("spec: {}", "current"),
            ("status: {observedGeneration: 2}", "current"),
            ("status: {observedGeneration: 1}", CHANGED),
            ("status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True'}]}", CHANGED),
            (&ready("True"), "current"),
            (&ready("False"), "waits: m"),
            (&ready("Unknown"), "waits: m"),
            ("status: {conditions: [{type: Ready, status: 'False', reason: R}]}", "waits: R"),
            ("status: {conditions: [{type: Ready, status: 'False'}]}", "waits: it is not ready"),
            (
                "status: {conditions: [{type: Ready, status: 'True'}, {type: Reconciling, status: 'True', message: m}]}",
                "waits: m",
            ),
            (
                "status: {conditions: [{type: Reconciling, status: 'False'}, {type: Stalled, status: 'False'}]}",
                "current",
            ),
            (
                "status: {conditions: [{type: Reconciling, status: 'True'}, {type: Stalled, status: 'True', message: m}]}",
                "failed: m",
            ),
            (
                "metadata: {deletionTimestamp: '2024-01-31T10:00:00Z'}\nstatus: {conditions: [{type: Ready, status: 'True'}]}",
                "waits: it is being deleted",
            ),
            ("status: {conditions: not a list, observedGeneration: not a number}", "current"),
        ],
    );
}

#[test]
fn a_deployment_is_current_when_all_its_instances_are_new_and_available() {
    let with = |more: &str| format!("spec: {{replicas: 3}}\nstatus: {{observedGeneration: 2, {more}}}");
    table(
        "apps/v1",
        "Deployment",
        &[
            ("spec: {replicas: 3}", UNSEEN),
            ("spec: {replicas: 0}\nstatus: {observedGeneration: 2}", "current"),
            ("spec: {}\nstatus: {observedGeneration: 2}", "waits: 0 of 1 instances are of the wanted template"),
            (&with("replicas: 4, updatedReplicas: 2"), "waits: 2 of 3 instances are of the wanted template"),
            (&with("replicas: 4, updatedReplicas: 3"), "waits: 1 instances of the former template are still there"),
            (&with("replicas: 3, updatedReplicas: 3, readyReplicas: 1"), "waits: 1 of 3 instances are ready"),
            (
                &with("replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 2"),
                "waits: 2 of 3 instances are available",
            ),
            (&with("replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3"), "current"),
            (
                &with(
                    "replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [{type: Available, status: 'False', message: m}]",
                ),
                "waits: m",
            ),
            (
                &with(
                    "conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: m}]",
                ),
                "failed: m",
            ),
        ],
    );
}

#[test]
fn other_workloads_are_current_when_their_instances_are() {
    let set = |more: &str| {
        format!("spec: {{replicas: 2}}\nstatus: {{observedGeneration: 2, replicas: 2, readyReplicas: 2, {more}}}")
    };
    table(
        "apps/v1",
        "StatefulSet",
        &[
            ("spec: {replicas: 2}", UNSEEN),
            ("spec: {replicas: 2}\nstatus: {observedGeneration: 2, replicas: 1}", "waits: 1 of 2 instances are there"),
            (
                "spec: {replicas: 2}\nstatus: {observedGeneration: 2, replicas: 2, readyReplicas: 1}",
                "waits: 1 of 2 instances are ready",
            ),
            (
                "spec: {replicas: 1}\nstatus: {observedGeneration: 2, replicas: 2, readyReplicas: 2}",
                "waits: 1 instances are too many",
            ),
            (&set("currentRevision: a, updateRevision: a"), "current"),
            (
                &set("currentRevision: a, updateRevision: b, updatedReplicas: 1"),
                "waits: 1 of 2 instances are of the wanted template",
            ),
            (&set("currentRevision: a, updateRevision: b, updatedReplicas: 2"), "waits: its update is not finished"),
            (
                "spec: {replicas: 2, updateStrategy: {rollingUpdate: {partition: 1}}}\nstatus: {observedGeneration: 2, replicas: 2, readyReplicas: 2, currentRevision: a, updateRevision: b, updatedReplicas: 1}",
                "current",
            ),
            (
                "spec: {replicas: 2, updateStrategy: {type: OnDelete}}\nstatus: {observedGeneration: 2, replicas: 2, readyReplicas: 2, currentRevision: a, updateRevision: b}",
                "current",
            ),
        ],
    );
    let daemon = |more: &str| {
        format!("status: {{observedGeneration: 2, desiredNumberScheduled: 2, currentNumberScheduled: 2, {more}}}")
    };
    table(
        "apps/v1",
        "DaemonSet",
        &[
            ("status: {observedGeneration: 2}", UNSEEN),
            ("status: {observedGeneration: 2, desiredNumberScheduled: 0}", "current"),
            (
                "status: {observedGeneration: 2, desiredNumberScheduled: 2, currentNumberScheduled: 1}",
                "waits: 1 of 2 instances are there",
            ),
            (&daemon("updatedNumberScheduled: 1"), "waits: 1 of 2 instances are of the wanted template"),
            (&daemon("updatedNumberScheduled: 2, numberReady: 1"), "waits: 1 of 2 instances are ready"),
            (
                &daemon("updatedNumberScheduled: 2, numberReady: 2, numberAvailable: 1"),
                "waits: 1 of 2 instances are available",
            ),
            (&daemon("updatedNumberScheduled: 2, numberReady: 2, numberAvailable: 2"), "current"),
        ],
    );
    table(
        "apps/v1",
        "ReplicaSet",
        &[
            ("spec: {}", UNSEEN),
            (
                "status: {observedGeneration: 2, conditions: [{type: ReplicaFailure, status: 'True', message: quota}]}",
                "waits: quota",
            ),
            ("status: {observedGeneration: 2, replicas: 2}", "waits: 1 instances are too many"),
            ("status: {observedGeneration: 2, replicas: 1}", "waits: 0 of 1 instances are ready"),
            ("status: {observedGeneration: 2, replicas: 1, readyReplicas: 1, availableReplicas: 1}", "current"),
        ],
    );
}

#[test]
fn what_runs_to_an_end_is_current_at_its_end() {
    table(
        "batch/v1",
        "Job",
        &[
            ("spec: {}", "waits: it has not completed: 0 pods are at work, 0 failed"),
            ("status: {active: 1, failed: 2}", "waits: it has not completed: 1 pods are at work, 2 failed"),
            ("spec: {suspend: true}", "current"),
            ("status: {conditions: [{type: Complete, status: 'True'}]}", "current"),
            (
                "status: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded}]}",
                "failed: BackoffLimitExceeded",
            ),
        ],
    );
    table(
        "v1",
        "Pod",
        &[
            ("spec: {}", UNSEEN),
            ("status: {phase: Succeeded}", "current"),
            ("status: {phase: Failed, reason: Evicted}", "failed: Evicted"),
            ("status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}", "current"),
            ("status: {phase: Running, conditions: [{type: Ready, status: 'False'}]}", "waits: running"),
            (
                "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', message: no room}]}",
                "waits: no room",
            ),
            (
                "status: {phase: Running, containerStatuses: [{name: main, state: {waiting: {reason: CrashLoopBackOff}}}]}",
                "failed: its container main does not start: CrashLoopBackOff",
            ),
            (
                "status: {phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: ContainerCreating}}}]}",
                "waits: pending",
            ),
        ],
    );
}

#[test]
fn storage_addresses_and_definitions_are_current_when_they_can_be_used() {
    table(
        "v1",
        "PersistentVolumeClaim",
        &[
            ("spec: {}", "waits: it has no volume yet"),
            ("status: {phase: Bound}", "current"),
            ("status: {phase: Lost}", "failed: its volume is lost"),
        ],
    );
    table(
        "v1",
        "Service",
        &[
            ("spec: {type: ClusterIP}", "current"),
            ("spec: {type: LoadBalancer}", "waits: it has no address from outside yet"),
            ("spec: {type: LoadBalancer}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}", "current"),
        ],
    );
    table(
        "v1",
        "Namespace",
        &[("status: {phase: Active}", "current"), ("status: {phase: Terminating}", "waits: it is not active")],
    );
    table(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &[
            ("spec: {}", "waits: it is not established"),
            ("status: {conditions: [{type: Established, status: 'True'}]}", "current"),
            ("status: {conditions: [{type: NamesAccepted, status: 'False', message: taken}]}", "failed: taken"),
        ],
    );
    table(
        "apiregistration.k8s.io/v1",
        "APIService",
        &[
            ("spec: {}", "waits: it is not available"),
            ("status: {conditions: [{type: Available, status: 'False', message: m}]}", "waits: m"),
            ("status: {conditions: [{type: Available, status: 'True'}]}", "current"),
        ],
    );
}

#[test]
fn the_outcome_of_a_rollout_is_that_of_the_object() {
    let at = |phase: &str, more: &str| format!("status: {{observedGeneration: 2, phase: {phase}, {more}}}");
    table(
        "landfall.dev/v1alpha1",
        "Deployment",
        &[
            ("spec: {}", UNSEEN),
            ("status: {observedGeneration: -1}", CHANGED),
            ("status: {observedGeneration: 1, phase: Succeeded}", CHANGED),
            (&at("Succeeded", ""), "current"),
            (&at("Stopped", ""), "current"),
            (&at("Progressing", "waitingFor: more instances"), "waits: more instances"),
            (&at("Pending", "conditions: [{type: Ready, status: 'False', message: no package}]"), "waits: no package"),
            (&at("Pending", "conditions: [{type: Stalled, status: 'True', message: bad spec}]"), "failed: bad spec"),
            (&at("RolledBack", "error: {message: too many errors}"), "failed: too many errors"),
            (&at("Failed", "error: {message: too late}"), "failed: too late"),
            (&at("RolledBack", ""), "failed: the run failed, and the former revision runs again"),
            (
                &at("Cancelled", "conditions: [{type: Ready, status: 'False', message: ended by ann}]"),
                "failed: ended by ann",
            ),
            (&at("SomethingNew", ""), UNSEEN),
        ],
    );
    table(
        "landfall.dev/v1alpha1",
        "Package",
        &[
            ("spec: {}", UNSEEN),
            (&at("Ready", ""), "current"),
            (&at("Failed", "error: bad content"), "failed: bad content"),
        ],
    );
    table(
        "landfall.dev/v1alpha1",
        "Profile",
        &[("status: {observedGeneration: 2, conditions: [{type: Ready, status: 'False', message: m}]}", "waits: m")],
    );
}

#[test]
fn drift_is_what_our_write_would_change() {
    let live = object(
        "metadata: {name: a, generation: 4, resourceVersion: '9', managedFields: [1], labels: {a/b: x}}\nspec: {replicas: 3, list: [1, {a: 1}], other: [1]}\nstatus: {x: 1}\n",
    );
    assert_eq!(differs(&live, &live), [""; 0]);
    let mut answer = live.clone();
    answer["metadata"] = json!({"name": "a", "generation": 5, "uid": "u", "labels": {"a/b": "y"}});
    answer["spec"] = json!({"replicas": 2, "list": [1, {"a": 1, "b": null, "c": 1}], "other": [1, 2]});
    answer["status"] = json!({});
    assert_eq!(differs(&live, &answer), ["/metadata/labels/a~1b", "/spec/list/1/c", "/spec/other", "/spec/replicas"]);
    assert_eq!(differs(&json!({"a": 1.0, "b": {}}), &json!({"a": 1, "b": {}})), [""; 0]);
    assert_eq!(differs(&json!({"a": {}}), &json!({})), ["/a"]);
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (n.to_string(), json!(n))).collect();
    assert_eq!(differs(&json!({"data": many}), &json!({"data": {}})).len(), 20);
    let secret = differs(&json!({"data": {"p": "hunter2"}}), &json!({"data": {"p": "hunter3"}}));
    assert_eq!(secret, ["/data/p"]);
}

#[test]
fn whoever_wrote_a_field_last_is_named() {
    let live = object(
        r#"
metadata:
  managedFields:
    - {manager: landfall, time: "2024-01-31T12:00:00Z", fieldsV1: {f:spec: {f:replicas: {}}}}
    - {manager: old, time: "2024-01-31T10:00:00Z", fieldsV1: {f:spec: {f:replicas: {}}}}
    - {manager: edit, time: "2024-01-31T11:00:00Z", fieldsV1: {f:spec: {f:replicas: {}, f:hosts: {'v:"b"': {}}}}}
    - manager: other
      time: "2024-01-31T11:30:00Z"
      fieldsV1: {f:metadata: {f:labels: {f:a/b: {}}}, f:spec: {f:containers: {'k:{"name":"x"}': {f:image: {}}}, f:blob: {}}}
  labels: {a/b: c}
spec: {replicas: 3, containers: [{name: y, image: i}, {name: x, image: i}], blob: {deep: 1}, hosts: [a, b]}
"#,
    );
    for (pointer, who) in [
        ("/spec/replicas", Some("edit")),
        ("/metadata/labels/a~1b", Some("other")),
        ("/spec/containers/1/image", Some("other")),
        ("/spec/containers/0/image", None),
        ("/spec/blob/deep", Some("other")),
        ("/spec/hosts/1", Some("edit")),
        ("/spec/hosts/0", None),
        ("/spec/paused", None),
    ] {
        assert_eq!(manager(&live, pointer, "landfall"), who, "{pointer}");
    }
    assert_eq!(manager(&json!({}), "/spec", "landfall"), None);
}

#[test]
fn what_was_set_back_together_is_told_once_by_at_most_five_names() {
    let names = |count: usize| (0..count).map(|number| format!("ConfigMap shop/{number}")).collect::<Vec<_>>();
    assert_eq!(batch(&[]), None);
    assert_eq!(batch(&names(1)).as_deref(), Some("ConfigMap shop/0"));
    assert!(batch(&names(5)).unwrap().ends_with(", ConfigMap shop/4"));
    assert!(batch(&names(1000)).unwrap().ends_with(", ConfigMap shop/4 and 995 more"));
}

#[test]
fn a_field_is_contested_when_it_was_taken_back_three_times_in_ten_minutes() {
    let start = Moment(1_000_000);
    let at = |minutes: &[u64]| minutes.iter().map(|m| start.after(Duration::from_mins(*m))).collect::<Vec<_>>();
    let now = start.after(Duration::from_mins(10));
    assert!(contested(&at(&[1, 5, 9]), now));
    assert!(!contested(&at(&[0, 5, 9]), now), "the first one is ten minutes ago");
    assert!(!contested(&at(&[8, 9]), now));
    assert!(!contested(&[], now));
    assert!(contested(&at(&[0, 5, 6, 7, 30]), start.after(Duration::from_mins(8))), "clocks may have gone back");
}

const PIPE: &str = "example.test/v1";

fn check(yaml: &str) -> HealthCheck {
    let mut check = json!({"apiVersion": PIPE, "kind": "Pipe"});
    json_patch::merge(&mut check, &object(yaml));
    serde_json::from_value(check).unwrap()
}

/// How a Pipe stands by a check, as a word and a sentence.
fn judged(of: &str, rest: &str, words: Words) -> String {
    let mut live = json!({"apiVersion": PIPE, "kind": "Pipe", "metadata": {"name": "a", "generation": 2}});
    json_patch::merge(&mut live, &object(rest));
    match Checks::of(&[check(of)]).unwrap().judge(&live, words).unwrap() {
        Health::Current => "current".to_owned(),
        Health::InProgress(sentence) => format!("waits: {sentence}"),
        Health::Failed(sentence) => format!("failed: {sentence}"),
        Health::Gone => "gone".to_owned(),
    }
}

#[test]
fn a_source_says_itself_when_objects_of_a_kind_are_healthy() {
    let whole = "{failed: \"object.status.phase == 'Burst'\", inProgress: \"object.status.phase == 'Filling'\", \
                 current: object.status.litres >= object.spec.litres}";
    let rows = [
        ("{spec: {litres: 3}, status: {phase: Full, litres: 3}}", "current"),
        // What its conditions say does not count.
        (
            "{spec: {litres: 3}, status: {phase: Full, litres: 4, conditions: [{type: Ready, status: 'False'}]}}",
            "current",
        ),
        (
            "{spec: {litres: 3}, status: {phase: Full, litres: 2}}",
            "waits: spec.source.healthChecks[0].current is not true yet",
        ),
        // The first that is true counts.
        (
            "{spec: {litres: 3}, status: {phase: Filling, litres: 3}}",
            "waits: spec.source.healthChecks[0].inProgress is true",
        ),
        (
            "{spec: {litres: 3}, status: {phase: Burst, litres: 3}}",
            "failed: spec.source.healthChecks[0].failed is true",
        ),
        (
            "{spec: {litres: 3}}",
            "waits: spec.source.healthChecks[0].failed: the expression cannot be evaluated: there is no key status",
        ),
        (
            "{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}, spec: {litres: 3}, status: {phase: Full, litres: 3}}",
            "waits: it is being deleted",
        ),
    ];
    for (rest, expected) in rows {
        assert_eq!(judged(whole, rest, Words::Open), expected, "{rest}");
    }
    let careful = "{current: 'has(object.status) && has(object.status.full) && object.status.full'}";
    assert_eq!(judged(careful, "{}", Words::Open), "waits: spec.source.healthChecks[0].current is not true yet");
    assert_eq!(judged(careful, "{status: {full: true}}", Words::Open), "current");
    let each = "{current: \"object.status.parts.all(status, status.ok)\"}";
    assert_eq!(judged(each, "{status: {parts: [{ok: true}, {ok: true}]}}", Words::Open), "current");
    assert_eq!(
        judged("{current: object.spec.litres}", "{spec: {litres: 3}}", Words::Open),
        "waits: spec.source.healthChecks[0].current: the expression gives int, not true or false: compare it with something"
    );
}

#[test]
fn a_check_is_for_one_kind_of_one_version() {
    let checks = Checks::of(&[check("{current: 'true'}")]).unwrap();
    assert!(checks.has(PIPE, "Pipe") && !checks.has("example.test/v2", "Pipe") && !checks.has(PIPE, "Cake"));
    let other = json!({"apiVersion": PIPE, "kind": "Cake", "metadata": {"name": "a"}});
    assert_eq!(checks.judge(&other, Words::Open), None);
    assert!(checks.is_of(&[check("{current: 'true'}")]) && !checks.is_of(&[check("{current: 'false'}")]));
    assert!(Checks::default().is_of(&[]));
}

/// The interpreter quotes the key that it did not find, which may be a value of the object.
#[test]
fn nothing_of_a_secret_is_in_what_is_said_of_its_health() {
    let of = "{current: 'object.data[object.data.password] == \"x\"'}";
    let rest = "{data: {password: hunter2}}";
    assert!(judged(of, rest, Words::Open).contains("hunter2"));
    assert_eq!(
        judged(of, rest, Words::Secret),
        "waits: spec.source.healthChecks[0].current: the expression has no value for this object, of which nothing is repeated"
    );
}

#[test]
fn a_check_that_cannot_be_carried_out_is_refused_with_its_field_and_the_remedy() {
    let refusal = |checks: &[HealthCheck]| Checks::of(checks).unwrap_err().to_string();
    let good = check("{current: 'true'}");
    let rows = [
        (
            "{current: object.status.ready ==}",
            "healthChecks[0].current: \"object.status.ready ==\" is not CEL: write one such as \
             has(object.status.ready) && object.status.ready",
        ),
        ("{current: 'true', failed: status == 200}", "healthChecks[0].failed: there is no variable status: use object"),
        (
            "{current: 'true', inProgress: 'object.spec.list.map(a, a).all(a, a)'}",
            "healthChecks[0].inProgress: the comprehension over a walks over a computed list: walk over a part of what there is, \
             such as object.status.conditions.exists(...), or over constants",
        ),
    ];
    for (yaml, expected) in rows {
        assert_eq!(refusal(&[check(yaml)]), format!("spec.source.{expected}"), "{yaml}");
    }
    assert_eq!(
        refusal(&[good.clone(), good]),
        "spec.source.healthChecks[1].kind: Pipe of example.test/v1 has a check already: join them with ||"
    );
}

//! The commands about the repository of a Profile, as processes against a pretended API server.

use serde_json::{Value, json};

use crate::{cli::run, commands::piped, fake_cluster::FakeCluster};

const PROFILE: &str = "/apis/landfall.dev/v1alpha1/namespaces/shop/profiles/production";
const COMMIT: &str = "8d2f5c7a9b1e3f4d6c8a0b2e4f6a8c0d2e4f6a8c";

fn commit() -> Value {
    json!({"id": COMMIT, "author": "Jane <jane@example.test>", "message": "Raise the limit", "time": "2026-01-01T00:00:00Z"})
}

/// A Profile whose repository was in force.
fn profile() -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile",
        "metadata": {"name": "production", "namespace": "shop", "generation": 1},
        "spec": {"environment": "production", "source": {"git": {"url": "https://git.example.test/acme/shop.git"}}},
        "status": {
            "observedGeneration": 1, "phase": "Ready",
            "conditions": [{"type": "Synced", "status": "True", "reason": "Succeeded", "message": "",
                            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "source": {
                "phase": "Synced", "observed": commit(), "applied": commit(), "handledRequest": "an older one",
                "lastSync": {"commit": COMMIT, "result": "Succeeded", "durationMs": 1234,
                             "counts": {"created": 1, "configured": 2, "unchanged": 997, "pruned": 3, "failed": 0}},
            },
        },
    })
}

fn cluster(name: &str) -> FakeCluster {
    let cluster = FakeCluster::start(name);
    cluster.put(PROFILE, profile());
    cluster
}

/// An operator that answers a request, and then leaves the source like this.
fn answering(change: impl Fn(&mut Value) + Send + 'static) -> impl FnMut(&mut Value) + Send + 'static {
    move |object| {
        let request = object["metadata"]["annotations"]["landfall.dev/sync"].clone();
        object["status"]["source"]["handledRequest"] = request;
        change(&mut object["status"]["source"]);
    }
}

fn failed(source: &mut Value) {
    source["phase"] = json!("Failed");
    source["observed"]["id"] = json!("1a3c5e7f9b2d4f6a8c0e2a4c6e8a0c2e4a6c8e0a");
    source["lastSync"] = json!({
        "commit": "1a3c5e7f9b2d4f6a8c0e2a4c6e8a0c2e4a6c8e0a", "result": "Failed", "durationMs": 80,
        "counts": {"failed": 2}, "message": "2 objects are refused\u{1b}[2J; nothing was changed",
    });
    source["failures"] = json!([
        {"object": "Deployment shop/web", "file": "production/web.yaml", "line": 12, "reason": "Invalid",
         "message": "spec.replicas: expected an integer"},
        {"file": "production/b.yaml", "reason": "Unreadable", "message": "no UTF-8"},
        {"object": "Service shop/web", "line": 3, "reason": "Forbidden", "message": "not allowed"},
    ]);
}

#[test]
fn sync_writes_one_annotation_and_says_what_became_of_the_commit() {
    let cluster = cluster("sync");
    cluster.operator(answering(|_| {}));
    let (code, out, err) = run(&mut cluster.landfall(&["sync", "production"]));
    let expected = "\
production: Synced 8d2f5c7a9b1e, Raise the limit, by Jane <jane@example.test>
  1 created, 2 configured, 997 unchanged, 3 pruned, 0 failed, in 1.2 s
";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    run(&mut cluster.landfall(&["sync", "production"]));
    let written = cluster.written();
    assert_eq!((written.len(), written[0].path.as_str()), (2, PROFILE));
    assert_eq!(written[0].content_type, "application/merge-patch+json");
    assert!(written[0].query.contains("fieldManager=landfall-cli"), "{}", written[0].query);
    let token = |at: usize| written[at].body["metadata"]["annotations"]["landfall.dev/sync"].as_str().unwrap();
    assert_eq!(written[0].body, json!({"metadata": {"annotations": {"landfall.dev/sync": token(0)}}}));
    assert_ne!(token(0), token(1), "two requests are two");
}

#[test]
fn a_commit_that_is_refused_is_told_with_file_and_line_and_ends_with_1() {
    let cluster = cluster("sync-failed");
    cluster.operator(answering(failed));
    let (code, out, err) = run(&mut cluster.landfall(&["sync", "production"]));
    let expected = "\
production: Failed 1a3c5e7f9b2d, Raise the limit, by Jane <jane@example.test>
  0 created, 0 configured, 0 unchanged, 0 pruned, 2 failed, in 0.0 s
  2 objects are refused\\u001b[2J; nothing was changed
  production/web.yaml:12: Deployment shop/web: spec.replicas: expected an integer (Invalid)
  production/b.yaml: no UTF-8 (Unreadable)
  Service shop/web: not allowed (Forbidden)
";
    assert_eq!((code, out.as_str(), err.as_str()), (1, expected, ""));
}

#[test]
fn a_message_that_is_no_more_than_the_first_failure_is_said_once() {
    let cluster = cluster("sync-once");
    cluster.operator(answering(|source| {
        failed(source);
        let message = "production/web.yaml:12: Deployment shop/web: spec.replicas: expected an integer (and 2 more)";
        source["lastSync"]["message"] = json!(message);
    }));
    let (_, out, _) = run(&mut cluster.landfall(&["sync", "production"]));
    assert_eq!(out.matches("expected an integer").count(), 1, "{out}");
}

/// A fetch that failed is no sync of a commit: the condition says why.
#[test]
fn a_repository_that_cannot_be_reached_is_told_from_the_condition() {
    let cluster = cluster("sync-unreachable");
    cluster.edit(PROFILE, |profile| {
        profile["status"]["conditions"][0]["status"] = json!("False");
        profile["status"]["conditions"][0]["message"] = json!("git.example.test does not answer");
        profile["status"]["source"]["observed"] = Value::Null;
        profile["status"]["source"]["applied"] = Value::Null;
    });
    cluster.edit(PROFILE, |profile| {
        let source = profile["status"]["source"].as_object_mut().unwrap();
        source.retain(|_, value| !value.is_null());
    });
    cluster.operator(answering(|source| source["phase"] = json!("Failed")));
    let (code, out, _) = run(&mut cluster.landfall(&["sync", "production"]));
    assert_eq!((code, out.as_str()), (1, "production: Failed\n  git.example.test does not answer\n"));
}

#[test]
fn a_source_that_is_suspended_says_so_and_ends_with_1() {
    let cluster = cluster("sync-suspended");
    cluster.operator(answering(|source| source["phase"] = json!("Suspended")));
    let (code, out, _) = run(&mut cluster.landfall(&["sync", "production"]));
    assert_eq!(code, 1);
    assert!(
        out.starts_with("production: Suspended 8d2f5c7a9b1e") && out.contains("spec.source.suspend is true"),
        "{out}"
    );
}

#[test]
fn sync_says_how_far_it_is_and_waits_for_the_end() {
    let cluster = cluster("sync-waits");
    cluster.operator(answering(|source| source["phase"] = json!("Fetching")));
    let child = piped(&mut cluster.landfall(&["sync", "production"]));
    cluster.wait_for_watchers(1);
    cluster.edit(PROFILE, |profile| {
        profile["status"]["source"]["phase"] = json!("Verifying");
        profile["status"]["source"]["waitingFor"] = json!("Deployment shop/web");
    });
    cluster.edit(PROFILE, |profile| profile["metadata"]["labels"] = json!({"nothing": "that matters"}));
    cluster.edit(PROFILE, |profile| {
        profile["status"]["source"]["phase"] = json!("Synced");
        profile["status"]["source"].as_object_mut().unwrap().remove("waitingFor");
    });
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let expected = "production: Fetching 8d2f5c7a9b1e\n\
                    production: Verifying 8d2f5c7a9b1e, waiting for: Deployment shop/web\n";
    assert_eq!(err, expected);
    assert!(out.starts_with("production: Synced 8d2f5c7a9b1e"), "{out}");
}

#[test]
fn what_was_in_force_before_the_request_is_no_answer_to_it() {
    let cluster = cluster("sync-unanswered");
    let (code, out, err) = run(&mut cluster.landfall(&["sync", "production", "--timeout", "300ms", "-n", "shop"]));
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("The request stays") && err.ends_with("landfall tree production -n shop\n"), "{err}");
    assert!(cluster.object(PROFILE).unwrap()["metadata"]["annotations"]["landfall.dev/sync"].is_string());
}

#[test]
fn a_request_that_another_one_replaces_is_not_taken_for_answered() {
    let cluster = cluster("sync-replaced");
    cluster.operator(|object| object["metadata"]["annotations"]["landfall.dev/sync"] = json!("of somebody else"));
    let (code, _, err) = run(&mut cluster.landfall(&["sync", "production"]));
    assert!(code == 1 && err.contains("another request took the place of this one"), "{err}");
}

#[test]
fn sync_need_not_wait_and_asks_only_where_there_is_a_source() {
    let cluster = cluster("sync-no-wait");
    let (code, out, _) = run(&mut cluster.landfall(&["sync", "production", "--no-wait"]));
    assert_eq!((code, cluster.written().len()), (0, 1));
    assert!(out.starts_with("production: asked for a look at its repository"), "{out}");
    cluster.edit(PROFILE, |profile| profile["spec"] = json!({"environment": "production"}));
    for command in ["sync", "tree"] {
        let (code, _, err) = run(&mut cluster.landfall(&[command, "production"]));
        assert!(code == 1 && err.contains("production has no source"), "{err}");
        let (code, _, err) = run(&mut cluster.landfall(&[command, "nobody"]));
        assert_eq!((code, err.as_str()), (1, "error: there is no profiles.landfall.dev nobody in namespace shop\n"));
    }
    assert_eq!(cluster.written().len(), 1);
    cluster.edit(PROFILE, |profile| *profile = self::profile());
    cluster.refuse_writes("/production", 403);
    let (code, _, err) = run(&mut cluster.landfall(&["sync", "production"]));
    assert!(code == 1 && err.contains("HTTP 403"), "{err}");
}

fn with_inventory(cluster: &FakeCluster) {
    cluster.edit(PROFILE, |profile| {
        profile["status"]["source"]["inventory"] = json!({"count": 5, "entries": [
            "-/v1 Service shop/web 0a1b 1",
            "-/v1 Namespace -/shop 0a1b 2",
            "landfall.dev/v1alpha1 Deployment shop/shop 0a1b 3",
            "landfall.dev/v1alpha1 Deployment shop/gone 0a1b 4",
            "landfall.dev/v1alpha1 Package shop/shop-1.1.0 0a1b 5",
            "of a newer version",
        ]});
        profile["status"]["source"]["drift"] =
            json!([{"object": "Service shop/web", "manager": "kubectl-edit", "message": "spec.type is other"}]);
    });
    cluster.put("/apis/landfall.dev/v1alpha1/namespaces/shop/deployments/shop", crate::commands::shop());
}

#[test]
fn tree_shows_the_objects_by_kind_with_the_phases_of_deployments() {
    let cluster = cluster("tree");
    with_inventory(&cluster);
    let (code, out, err) = run(&mut cluster.landfall(&["tree", "production"]));
    let expected = "\
Profile shop/production  Synced 8d2f5c7a9b1e, Raise the limit, by Jane <jane@example.test>
├─ Deployment.landfall.dev (2)
│  ├─ shop/gone  not seen
│  └─ shop/shop  Progressing | 40% | step 3/5 SetWeight: 40 % to 1.1.0 | 1.0.0 → 1.1.0 | waiting for: 2 of 5 pods of revision bbbb ready
├─ Package.landfall.dev (1)
│  └─ shop/shop-1.1.0
├─ Namespace (1)
│  └─ shop
└─ Service (1)
   └─ shop/web  changed by kubectl-edit: spec.type is other
  1 created, 2 configured, 997 unchanged, 3 pruned, 0 failed, in 1.2 s
note: entries of the inventory that this version cannot read: 1
";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn tree_for_programs_is_one_object() {
    let cluster = cluster("tree-json");
    with_inventory(&cluster);
    let (code, out, _) = run(&mut cluster.landfall(&["tree", "production", "-o", "json"]));
    let tree: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &tree["phase"], &tree["commit"]), (0, &json!("Synced"), &json!(COMMIT)));
    let objects = tree["objects"].as_array().unwrap();
    assert_eq!((objects.len(), &objects[1]["namespace"], &objects[1]["group"]), (5, &Value::Null, &json!("")));
    assert_eq!(objects[2]["phase"], "Progressing");
    assert_eq!(objects[0]["drift"]["manager"], "kubectl-edit");
}

#[test]
fn a_long_inventory_is_in_config_maps_and_what_cannot_be_read_is_said() {
    let cluster = cluster("tree-maps");
    cluster.edit(PROFILE, |profile| {
        profile["status"]["source"]["inventory"] = json!({"count": 3, "configMaps": ["inventory-0", "inventory-1"]});
    });
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "inventory-0", "namespace": "shop"},
                     "data": {"entries": "-/v1 Secret shop/b 0 1\n-/v1 Secret shop/a 0 2\n"}});
    cluster.put("/api/v1/namespaces/shop/configmaps/inventory-0", map);
    cluster.refuse("/deployments", 403);
    let (code, out, _) = run(&mut cluster.landfall(&["tree", "production"]));
    assert!(code == 0 && out.contains("└─ Secret (2)\n   ├─ shop/a\n   └─ shop/b\n"), "{out}");
    assert!(out.contains("\nnote: a part of the inventory, ConfigMap inventory-1, cannot be read: "), "{out}");
    with_inventory(&cluster);
    let (code, out, _) = run(&mut cluster.landfall(&["tree", "production"]));
    assert!(code == 0 && out.contains("shop/shop  not seen"), "{out}");
    assert!(
        out.contains("note: how the Deployments of shop stand cannot be read: ") && out.contains("HTTP 403"),
        "{out}"
    );
}

#[test]
fn a_source_that_nobody_has_looked_at_has_an_empty_tree() {
    let cluster = cluster("tree-empty");
    cluster.edit(PROFILE, |profile| profile["status"] = json!({}));
    let (code, out, _) = run(&mut cluster.landfall(&["tree", "production"]));
    let expected = "Profile shop/production  no operator has looked yet\n  it looks after no object yet\n";
    assert_eq!((code, out.as_str()), (0, expected));
}

#[test]
fn get_profiles_shows_whether_they_are_synced_and_the_commit() {
    let cluster = cluster("get-profiles");
    let mut other = profile();
    other["metadata"]["name"] = json!("staging");
    other["spec"] = json!({"environment": "staging", "tier": "low"});
    other["status"] = json!({"phase": "Ready", "deployments": {"total": 2}});
    cluster.put("/apis/landfall.dev/v1alpha1/namespaces/shop/profiles/staging", other);
    let (code, out, _) = run(&mut cluster.landfall(&["get", "profiles"]));
    let expected = "\
NAME         ENVIRONMENT   TIER   PHASE   SYNCED   COMMIT         DEPLOYMENTS   AGE
production   production    -      Ready   True     8d2f5c7a9b1e   -             -
staging      staging       low    Ready   -        -              2             -
";
    assert_eq!((code, out.as_str()), (0, expected));
}

//! `landfall plan` as a process, against a pretended API server: what it says of a world, and that it leaves it alone.

use std::{collections::BTreeMap, io::Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use landfall::{
    api::package::PackageSpec,
    engine::{
        observed::Revision,
        state::{Attempted, Origin, State},
    },
    gitops::render::{Settings, file},
    kinds::workload::{
        brought::Content,
        render::{Source, render},
    },
    rollout::{aim, record::Record, words::hexadecimal},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{cli::run, fake_cluster::FakeCluster};

const OURS: &str = "/apis/landfall.dev/v1alpha1/namespaces/shop";
const CORE: &str = "/api/v1/namespaces/shop";

fn package(version: &str) -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Package",
        "metadata": {"name": format!("shop-{version}"), "namespace": "shop"},
        "spec": {"name": "shop", "version": version, "workload": {"manifests": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}},
                             "spec": {"containers": [{"name": "web", "image": format!("shop:{version}")}]}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
             "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        ]}},
    })
}

fn deployment(version: &str) -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 1, "uid": "5f1c"},
        "spec": {"package": {"name": "shop", "version": version}, "profile": "production"},
    })
}

fn profile() -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile",
        "metadata": {"name": "production", "namespace": "shop"},
        "spec": {"environment": "production", "strategy": {
            "scaleDownDelay": "5s",
            "checks": [{"name": "errors", "http": {"url": "http://metrics/errors"}}],
            "canary": {"steps": [{"weight": 50}, {"pause": {"duration": "10s"}}]},
        }},
    })
}

/// A namespace that is ready for version 1.0.0.
fn cluster(name: &str) -> FakeCluster {
    let cluster = FakeCluster::start(name);
    cluster.put(&format!("{OURS}/packages/shop-1.0.0"), package("1.0.0"));
    cluster.put(&format!("{OURS}/profiles/production"), profile());
    cluster.put(&format!("{OURS}/deployments/shop"), deployment("1.0.0"));
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "landfall-deployer"}});
    cluster.put(&format!("{CORE}/serviceaccounts/landfall-deployer"), account);
    cluster
}

/// The revision of a version.
fn hash(version: &str) -> String {
    let package: PackageSpec = serde_json::from_value(package(version)["spec"].clone()).unwrap();
    render(&Source { namespace: "shop", package: &package, overrides: None, env_from: &[] }).unwrap().hash
}

/// Version 1.0.0 runs.
fn running(name: &str) -> FakeCluster {
    let cluster = cluster(name);
    let stable = Revision(hash("1.0.0"));
    let package: PackageSpec = serde_json::from_value(package("1.0.0")["spec"].clone()).unwrap();
    let release = render(&Source { namespace: "shop", package: &package, overrides: None, env_from: &[] }).unwrap();
    let record = Record {
        state: State {
            stable: Some(stable.clone()),
            attempted: Some(Attempted { revision: stable.clone(), request: None }),
            origin: Origin::Read,
            ..State::default()
        },
        wanted: Some(aim::rendered("inputs".to_owned(), &release)),
        versions: BTreeMap::from([(stable.clone(), "1.0.0".to_owned())]),
        ..Record::default()
    };
    let status = json!({"observedGeneration": 1, "phase": "Succeeded", "record": record.write()});
    cluster.edit(&format!("{OURS}/deployments/shop"), |object| object["status"] = status);
    let owners = json!([{
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "shop", "uid": "5f1c", "controller": true,
    }]);
    let labels = |role: &str| json!({"landfall.dev/deployment": "shop", "landfall.dev/role": role, "landfall.dev/revision": stable.0});
    cluster.put(
        &format!("/apis/apps/v1/namespaces/shop/replicasets/web-{stable}"),
        json!({
            "metadata": {"name": format!("web-{stable}"), "namespace": "shop", "labels": labels("workload"), "ownerReferences": owners},
            "spec": {"replicas": 3}, "status": {"replicas": 3, "availableReplicas": 3},
        }),
    );
    for (name, role) in [("web", "stable"), ("web-candidate", "candidate")] {
        cluster.put(
            &format!("{CORE}/services/{name}"),
            json!({
                "metadata": {"name": name, "namespace": "shop", "labels": labels(role),
                             "annotations": {"landfall.dev/selects": stable.0}, "ownerReferences": owners},
                "spec": {"selector": {"app": "web", "pod-template-hash": stable.0}, "ports": [{"port": 80}]},
            }),
        );
        let mut labels = labels(role);
        labels["kubernetes.io/service-name"] = json!(name);
        let pods = (0..3).map(|pod| json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": format!("web-{stable}-{pod}")}}));
        cluster.put(
            &format!("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/{name}"),
            json!({
                "metadata": {"name": name, "namespace": "shop", "labels": labels},
                "addressType": "IPv4", "endpoints": pods.collect::<Vec<_>>(),
            }),
        );
    }
    cluster
}

fn plan(cluster: &FakeCluster, arguments: &[&str]) -> (i32, String, String) {
    let answer = run(&mut cluster.landfall(&[&["plan", "shop"], arguments].concat()));
    assert!(cluster.written().is_empty(), "a plan writes nothing: {:?}", cluster.written());
    answer
}

fn plan_json(cluster: &FakeCluster, arguments: &[&str]) -> (i32, Value) {
    let (code, out, err) = plan(cluster, &[arguments, &["-o", "json"]].concat());
    assert_eq!(err, "");
    (code, serde_json::from_str(&out).unwrap())
}

#[test]
fn a_plan_says_what_the_first_look_at_a_new_deployment_does() {
    let cluster = cluster("plan-first");
    let (code, out, err) = plan(&cluster, &[]);
    let hash = hash("1.0.0");
    let expected = format!(
        "\
Deployment shop/shop
  runs       nothing
  wanted     1.0.0 (revision {hash})
  strategy   canary; the number of instances divides the traffic
  phase      no operator has looked yet → Progressing
  waits for  0 of 3 pods of revision {hash} ready

Steps
  ✓  1  start
  →  2  prepare pods for 100 %
     3  turn the Service
     4  return weight to the Service

Checks
  errors in no step: GET http://metrics/errors

The next look would
  - create {hash} with 3 pods

Something would change.
"
    );
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected.as_str(), ""));
}

#[test]
fn a_plan_of_another_version_changes_neither_the_spec_nor_anything_else() {
    let cluster = running("plan-version");
    cluster.put(&format!("{OURS}/packages/shop-2.0.0"), package("2.0.0"));
    let (code, plan) = plan_json(&cluster, &["--version", "2.0.0", "--detailed-exitcode"]);
    assert_eq!(code, 3);
    assert_eq!(plan["running"], json!({"version": "1.0.0", "hash": hash("1.0.0")}));
    assert_eq!(plan["wanted"], json!({"version": "2.0.0", "hash": hash("2.0.0")}));
    assert_eq!((&plan["differs"], &plan["changes"], &plan["problems"]), (&json!(true), &json!(true), &json!([])));
    assert_eq!((&plan["phase"], &plan["nextPhase"]), (&json!("Succeeded"), &json!("Progressing")));
    assert_eq!(plan["actions"][0]["action"], "Create");
    let steps: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["details"].as_str().unwrap()).collect();
    assert_eq!(steps.first(), Some(&"start"));
    assert!(steps.contains(&"set weight 50 %"), "{steps:?}");
    assert_eq!(plan["steps"][0]["state"], "Done");
    assert_eq!(plan["estimatedSeconds"], 15);
    let check = &plan["checks"][0];
    let hold = steps.iter().position(|step| step.starts_with("verify errors")).unwrap() + 1;
    assert_eq!((&check["name"], &check["steps"]), (&json!("errors"), &json!([hold])));
    let spec = cluster.object(&format!("{OURS}/deployments/shop")).unwrap()["spec"]["package"]["version"].clone();
    assert_eq!(spec, "1.0.0");
}

#[test]
fn a_plan_of_what_runs_already_changes_nothing() {
    let cluster = running("plan-same");
    let (code, out, err) = plan(&cluster, &["--detailed-exitcode"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("which is what runs") && out.ends_with("\nNothing would change.\n"), "{out}");
    let (_, plan) = plan_json(&cluster, &[]);
    assert_eq!((&plan["actions"], &plan["steps"], &plan["differs"]), (&json!([]), &json!([]), &json!(false)));
}

#[test]
fn a_plan_names_every_fault_of_a_package_with_its_field_and_fails() {
    let cluster = running("plan-refused");
    let mut bad = package("2.0.0");
    bad["spec"]["workload"]["manifests"][0]["kind"] = json!("StatefulSet");
    bad["spec"]["workload"]["manifests"][1]["metadata"]["namespace"] = json!("elsewhere");
    cluster.put(&format!("{OURS}/packages/shop-2.0.0"), bad);
    let (code, plan) = plan_json(&cluster, &["--version", "2.0.0"]);
    let problems = plan["problems"].as_array().unwrap();
    assert_eq!((code, plan["changes"].clone()), (1, json!(false)), "{plan}");
    assert!(problems.len() >= 2, "{problems:?}");
    for problem in problems {
        let message = problem["message"].as_str().unwrap();
        assert_eq!(problem["reason"], "InvalidSpec");
        assert!(message.starts_with("Package shop-2.0.0: spec.workload.manifests"), "{message}");
    }
    let named = |field: &str| problems.iter().any(|problem| problem["message"].as_str().unwrap().contains(field));
    assert!(named("manifests[0]") && named("manifests[1]"), "{problems:?}");
}

#[test]
fn a_plan_waits_for_what_is_not_there_yet() {
    let cluster = cluster("plan-missing");
    let (code, plan) = plan_json(&cluster, &["--version", "9.0.0"]);
    assert_eq!((code, &plan["problems"][0]["reason"]), (0, &json!("Pending")));
    let message = plan["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("Package shop-9.0.0"), "{message}");
    cluster.edit(&format!("{OURS}/deployments/shop"), |object| object["spec"]["profile"] = json!("staging"));
    let (code, plan) = plan_json(&cluster, &["--detailed-exitcode"]);
    assert_eq!((code, &plan["problems"][0]["message"]), (0, &json!("Profile staging in namespace shop")));
}

#[test]
fn a_plan_waits_for_the_account_that_packages_are_written_as() {
    let cluster = cluster("plan-account");
    cluster.edit(&format!("{OURS}/profiles/production"), |profile| {
        profile["spec"]["target"] = json!({"serviceAccount": "robot"});
    });
    let (code, plan) = plan_json(&cluster, &[]);
    assert_eq!((code, &plan["nextPhase"], &plan["actions"]), (0, &json!("Pending"), &json!([])));
    assert_eq!(plan["waitingFor"], "service account robot in namespace shop: make it with `landfall init shop`");
}

#[test]
fn what_the_caller_may_not_list_is_unknown_and_decides_nothing() {
    let cluster = running("plan-forbidden");
    cluster.put(&format!("{OURS}/packages/shop-2.0.0"), package("2.0.0"));
    cluster.refuse("/replicasets", 403);
    let (code, plan) = plan_json(&cluster, &["--version", "2.0.0"]);
    let waits = plan["waitingFor"].as_str().unwrap_or_default();
    assert_eq!((code, &plan["actions"]), (0, &json!([])), "{plan}");
    assert!(waits.contains("a complete view of the cluster") && waits.contains("ReplicaSets"), "{plan}");
    cluster.refuse("/packages", 403);
    let (code, _, err) = run(&mut cluster.landfall(&["plan", "shop"]));
    assert!(code == 1 && err.contains("HTTP 403"), "{err}");
}

#[test]
fn nothing_in_a_plan_is_obeyed_by_a_terminal() {
    let cluster = cluster("plan-hostile");
    cluster.edit(&format!("{OURS}/profiles/production"), |profile| {
        profile["spec"]["strategy"]["checks"][0]["http"]["url"] = json!("http://a\u{1b}[2J\u{202e}/b");
    });
    cluster.edit(&format!("{OURS}/deployments/shop"), |object| object["spec"]["package"]["version"] = json!("1.0.0"));
    for arguments in [&[][..], &["-o", "json"]] {
        let (code, out, _) = plan(&cluster, arguments);
        assert!(code == 0 && out.contains("\\u001b[2J"), "{out}");
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out:?}");
    }
}

#[test]
fn a_plan_of_nothing_says_so() {
    let cluster = FakeCluster::start("plan-nothing");
    let (code, _, err) = run(&mut cluster.landfall(&["plan", "shop"]));
    assert_eq!((code, err.as_str()), (1, "error: there is no deployments.landfall.dev shop in namespace shop\n"));
}

/// A Package whose manifests are in a repository, the first of this kind, and what its operator kept of them: a Secret, and the digest
/// of that.
fn from_repository(cluster: &FakeCluster, version: &str, kind: &str) {
    let mut package = package(version);
    let mut manifests = package["spec"]["workload"]["manifests"].take();
    manifests[0]["kind"] = json!(kind);
    let manifests: Vec<String> = manifests.as_array().unwrap().iter().map(Value::to_string).collect();
    package["spec"]["workload"] =
        json!({"git": {"url": "https://git.example.test/shop.git", "tag": "v2", "path": "/shop"}});
    let read = file("shop/web.yaml", manifests.join("\n---\n").as_bytes(), &Settings::default()).unwrap();
    let kept = serde_json::to_vec(&Content::new("spec".to_owned(), "c0ffee".to_owned(), &read)).unwrap();
    let digest = hexadecimal(&Sha256::digest(&kept), 64);
    package["status"] = json!({"phase": "Ready", "commit": "c0ffee", "checksum": digest});
    cluster.put(&format!("{OURS}/packages/shop-{version}"), package);
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&kept).unwrap();
    let name = format!("landfall-pkg-shop-{version}");
    cluster.put(
        &format!("{CORE}/secrets/{name}"),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "landfall.dev/package",
            "metadata": {"name": name, "namespace": "shop", "ownerReferences": [
                {"apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "name": format!("shop-{version}"), "uid": "1"},
            ]},
            "data": {"content": BASE64_STANDARD.encode(packer.finish().unwrap())},
        }),
    );
}

#[test]
fn a_plan_of_a_package_from_a_repository_rests_on_what_was_kept_of_it() {
    let cluster = running("plan-repository");
    from_repository(&cluster, "2.0.0", "Deployment");
    let (code, plan) = plan_json(&cluster, &["--version", "2.0.0", "--detailed-exitcode"]);
    assert_eq!((code, &plan["problems"], &plan["wanted"]["version"]), (3, &json!([]), &json!("2.0.0")), "{plan}");
    assert_eq!((&plan["actions"][0]["action"], &plan["differs"]), (&json!("Create"), &json!(true)));

    // What a Deployment could not release is said with the place in the repository.
    from_repository(&cluster, "3.0.0", "StatefulSet");
    let (code, plan) = plan_json(&cluster, &["--version", "3.0.0"]);
    let message = plan["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(code == 1 && message.contains("shop/web.yaml:1: kind: StatefulSet"), "{plan}");

    // Nothing is planned on what somebody else wrote.
    cluster.edit(&format!("{CORE}/secrets/landfall-pkg-shop-2.0.0"), |secret| {
        secret["data"]["content"] = json!(BASE64_STANDARD.encode("other"));
    });
    let (code, plan) = plan_json(&cluster, &["--version", "2.0.0"]);
    let message = plan["problems"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("landfall-pkg-shop-2.0.0") && message.contains("somebody else wrote it"), "{plan}");
    assert_eq!((code, &plan["actions"]), (0, &json!([])), "{plan}");
}

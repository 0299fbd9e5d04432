//! What becomes of objects when their Profile is deleted, and `landfall uninstall`.

use std::{process::Stdio, sync::mpsc, thread, time::Duration};

use landfall::{
    api::{SOURCE_FINALIZER, profile::Profile},
    gitops::leave::{Ground, Way, finalizers, waiting, way, without},
};
use serde_json::{Value, json};

use crate::{cli::run, fake_cluster::FakeCluster};

fn profile(source: &Value, finalizers: &[&str]) -> Profile {
    serde_json::from_value(json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile",
        "metadata": {"name": "production", "namespace": "shop", "finalizers": finalizers},
        "spec": {"environment": "production", "source": source},
    }))
    .unwrap()
}

fn with(policy: &str) -> Value {
    json!({"git": {"url": "https://git.example.test/shop.git"}, "deletionPolicy": policy})
}

#[test]
fn objects_go_first_only_where_the_profile_says_so_and_the_namespace_stays() {
    let plain = json!({"git": {"url": "https://git.example.test/shop.git"}});
    for source in [Value::Null, plain, with("Orphan")] {
        for ground in [Ground::Stays, Ground::Goes] {
            assert_eq!(way(&profile(&source, &[]), ground, Some("an account is missing")), Way::Free, "{source}");
        }
    }
    let delete = profile(&with("Delete"), &[]);
    assert_eq!(way(&delete, Ground::Stays, None), Way::Withdraw);
    assert_eq!(way(&delete, Ground::Goes, None), Way::Free);
    assert_eq!(way(&delete, Ground::Goes, Some("an account is missing")), Way::Free);
    let Way::Wait(sentence) = way(&delete, Ground::Stays, Some("an account is missing")) else { panic!() };
    assert!(
        sentence.starts_with("an account is missing; ") && sentence.contains("deletionPolicy to Orphan"),
        "{sentence}"
    );
}

#[test]
fn a_profile_has_the_finalizer_exactly_as_long_as_its_objects_are_to_go_with_it() {
    let of = |source: &Value, known: &[&str]| finalizers(&profile(source, known));
    let ours = SOURCE_FINALIZER.to_owned();
    assert_eq!(of(&with("Delete"), &[]), Some(vec![ours.clone()]));
    assert_eq!(of(&with("Delete"), &["other/one"]), Some(vec!["other/one".to_owned(), ours]));
    assert_eq!(of(&with("Delete"), &[SOURCE_FINALIZER]), None);
    assert_eq!(of(&with("Orphan"), &["other/one"]), None);
    for source in [with("Orphan"), Value::Null] {
        assert_eq!(of(&source, &[SOURCE_FINALIZER, "other/one"]), Some(vec!["other/one".to_owned()]));
        assert_eq!(of(&source, &[]), None);
    }
    assert_eq!(without(vec!["a/b".to_owned()]), ["a/b"]);
}

#[test]
fn what_is_waited_for_is_named_and_counted() {
    assert_eq!(waiting(&[]), None);
    let one = waiting(&["ConfigMap shop/one to be gone".to_owned()]).unwrap();
    assert!(one.starts_with("ConfigMap shop/one to be gone; or set "), "{one}");
    let more = waiting(&["a".to_owned(), "b".to_owned(), "c".to_owned()]).unwrap();
    assert!(more.starts_with("a (and 2 more); "), "{more}");
}

fn put(cluster: &FakeCluster, namespace: &str, finalizers: &[&str]) -> String {
    let path = format!("/apis/landfall.dev/v1alpha1/namespaces/{namespace}/profiles/production");
    let object = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile",
        "metadata": {"name": "production", "namespace": namespace, "finalizers": finalizers},
        "spec": {"environment": "production"},
    });
    cluster.put(&path, object);
    path
}

#[test]
fn uninstall_lets_go_what_would_wait_and_leaves_all_else_alone() {
    let cluster = FakeCluster::start("uninstall");
    let held = put(&cluster, "shop", &["other/one", SOURCE_FINALIZER]);
    let other = put(&cluster, "kitchen", &[SOURCE_FINALIZER]);
    put(&cluster, "garden", &["other/one"]);
    let (code, out, err) = run(&mut cluster.landfall(&["uninstall", "-n", "shop"]));
    let expected = "shop/production is let go\n1 Profiles were let go; what their repositories brought stays\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    assert_eq!(cluster.object(&held).unwrap()["metadata"]["finalizers"], json!(["other/one"]));
    let (code, out, _) = run(&mut cluster.landfall(&["uninstall"]));
    assert!(code == 0 && out.starts_with("kitchen/production is let go\n1 Profiles"), "{out}");
    assert_eq!(cluster.object(&other).unwrap()["metadata"]["finalizers"], json!([]));
    let written = cluster.written();
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(written.iter().all(|write| write.body["metadata"]["resourceVersion"].is_string()), "{written:?}");
    put(&cluster, "shop", &[SOURCE_FINALIZER]);
    cluster.refuse_writes("/production", 403);
    let (code, _, err) = run(&mut cluster.landfall(&["uninstall"]));
    assert!(code == 1 && err.contains("HTTP 403"), "{err}");
}

/// A Lease of an operator that watches a namespace, held by somebody or by nobody.
fn lease(cluster: &FakeCluster, name: &str, watches: &str, holder: &str) {
    let object = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": "system", "labels": {"app.kubernetes.io/managed-by": "landfall"},
                     "annotations": {"landfall.dev/watches": watches}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 10, "leaseTransitions": 0},
    });
    cluster.put(&format!("/apis/coordination.k8s.io/v1/namespaces/system/leases/{name}"), object);
}

/// Renews a Lease until what comes back is dropped.
fn renewed(cluster: &FakeCluster, name: &str) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel::<()>();
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/system/leases/{name}");
    let cluster = cluster.clone();
    thread::spawn(move || {
        let mut count = 0;
        while stopped.recv_timeout(Duration::from_millis(500)) == Err(mpsc::RecvTimeoutError::Timeout) {
            count += 1;
            cluster.edit(&path, |lease| lease["spec"]["leaseTransitions"] = json!(count));
        }
    });
    stop
}

#[test]
fn uninstall_for_one_operator_waits_until_it_is_gone_and_leaves_alone_what_another_one_watches() {
    let cluster = FakeCluster::start("uninstall-one");
    let of = |namespace| put(&cluster, namespace, &[SOURCE_FINALIZER]);
    let [own, shared, left, foreign] = ["shop", "kitchen", "cellar", "garden"].map(of);
    lease(&cluster, "own", "shop,kitchen,cellar", "somebody");
    lease(&cluster, "other", "kitchen", "another");
    // Its process was killed.
    lease(&cluster, "dead", "cellar", "nobody any more");
    let (own_renewed, other_renewed) = (renewed(&cluster, "own"), renewed(&cluster, "other"));
    let mut command = cluster.landfall(&["uninstall", "--lease", "system/own"]);
    let command = command.args(["--watch-namespace", "shop,kitchen", "--watch-namespace", "cellar"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(cluster.written().len(), 0, "its operator still runs");
    drop(own_renewed);
    thread::sleep(Duration::from_secs(1));
    lease(&cluster, "own", "shop,kitchen,cellar", "");
    let output = child.wait_with_output().unwrap();
    drop(other_renewed);
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    let expected = "another operator may look after some of them: its Lease is watched for a while\n\
                    shop/production is let go\n\
                    kitchen/production is left to the operator with the Lease system/other\n\
                    cellar/production is let go\n\
                    2 Profiles were let go; what their repositories brought stays\n";
    assert_eq!(out, expected);
    let held = |path: &str| cluster.object(path).unwrap()["metadata"]["finalizers"] == json!([SOURCE_FINALIZER]);
    assert_eq!([held(&own), held(&shared), held(&left), held(&foreign)], [false, true, false, true]);

    let (code, _, err) = run(&mut cluster.landfall(&["uninstall", "--lease", "own"]));
    assert!(code == 2 && err.contains("write its namespace and its name"), "{err}");
    let (code, _, _) = run(&mut cluster.landfall(&["uninstall", "-n", "shop", "--watch-namespace", "shop"]));
    assert_eq!(code, 2, "both say which namespaces");
}

#[test]
fn uninstall_finds_nothing_to_let_go_where_the_definitions_are_gone() {
    let cluster = FakeCluster::start("uninstall-undefined");
    cluster.refuse("/profiles", 404);
    let (code, out, err) = run(&mut cluster.landfall(&["uninstall"]));
    assert!(code == 0 && out.starts_with("0 Profiles were let go"), "{out}{err}");
}

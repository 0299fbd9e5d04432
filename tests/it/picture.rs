//! The picture that `landfall status` draws: as a value, and on a terminal.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    process::{Command, ExitStatus, Stdio},
};

use kube::{api::DynamicObject, runtime::watcher::Event};
use landfall::cli::{
    status::{
        tree::picture,
        world::{Source, World},
    },
    terminal::{Ink, lines},
};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::{Value, json};

use crate::{
    commands::{SHOP, cluster, finish, shop},
    fake_cluster::FakeCluster,
};

fn of_revision(kind: &str, name: &str, revision: &str, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": kind,
        "metadata": {"name": name, "namespace": "shop",
                     "labels": {"landfall.dev/deployment": "shop", "landfall.dev/revision": revision}},
    });
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

fn replica_set(revision: &str, wanted: i64, ready: i64) -> Value {
    let more = json!({"spec": {"replicas": wanted}, "status": {"readyReplicas": ready}});
    of_revision("ReplicaSet", &format!("shop-{revision}"), revision, &more)
}

fn pod(revision: &str, name: &str, status: &Value) -> Value {
    let mut pod = of_revision("Pod", &format!("shop-{revision}-{name}"), revision, &json!({"status": status}));
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("shop-{revision}"), "uid": "1"});
    pod["metadata"]["ownerReferences"] = json!([owner]);
    pod
}

fn ready() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

fn service(name: &str, hash: &str) -> Value {
    of_revision("Service", name, "", &json!({"spec": {"selector": {"app": "shop", "pod-template-hash": hash}}}))
}

fn route() -> Value {
    let backends = json!([{"name": "shop", "weight": 3}, {"name": "shop-candidate", "weight": 2}]);
    of_revision("HTTPRoute", "shop", "", &json!({"spec": {"rules": [{"backendRefs": backends}]}}))
}

fn parts() -> Vec<(Source, Value)> {
    let waiting = json!({
        "phase": "Pending",
        "containerStatuses": [{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff\u{1b}[2J"}}}],
    });
    let mut parts = vec![
        (Source::ReplicaSet, replica_set("aaaa", 9, 9)),
        (Source::ReplicaSet, replica_set("bbbb", 2, 1)),
        (Source::ReplicaSet, replica_set("cccc", 0, 0)),
        (Source::Pod, pod("bbbb", "one", &ready())),
        (Source::Pod, pod("bbbb", "two", &waiting)),
        (Source::Service, service("shop", "aaaa")),
        (Source::Service, service("shop-candidate", "none")),
        (Source::HttpRoute, route()),
    ];
    parts.extend((1..=9).map(|number| (Source::Pod, pod("aaaa", &number.to_string(), &ready()))));
    parts
}

fn world(deployment: Value, parts: Vec<(Source, Value)>) -> World {
    let mut world = World::default();
    for (source, value) in std::iter::once((Source::Deployment, deployment)).chain(parts) {
        let object: DynamicObject = serde_json::from_value(value).unwrap();
        world.take((source, Ok(Event::Apply(object)))).unwrap();
    }
    world
}

fn drawn(world: &World) -> String {
    lines(picture(world).iter().map(|line| line.render(Ink::Plain, 100)))
}

#[test]
fn the_picture_shows_the_deployment_its_revisions_and_where_traffic_goes() {
    let expected = "\
shop  Progressing  █████████░░░░░░░░░░░░░░░ 40%  step 3 of 5, SetWeight
  40 % to 1.1.0
  waiting for: 2 of 5 pods of revision bbbb ready

Deployment shop/shop, Healthy
├─ revision bbbb 1.1.0, candidate, 40%
│  └─ ReplicaSet shop-bbbb 1/2 ready
│     ├─ Pod shop-bbbb-two CrashLoopBackOff\\u001b[2J, 3 restarts
│     └─ Pod shop-bbbb-one ready
├─ revision aaaa 1.0.0, stable, 60%
│  └─ ReplicaSet shop-aaaa 9/9 ready
│     ├─ Pod shop-aaaa-1 ready
│     ├─ Pod shop-aaaa-2 ready
│     ├─ Pod shop-aaaa-3 ready
│     ├─ Pod shop-aaaa-4 ready
│     ├─ Pod shop-aaaa-5 ready
│     ├─ Pod shop-aaaa-6 ready
│     ├─ Pod shop-aaaa-7 ready
│     ├─ Pod shop-aaaa-8 ready
│     └─ and 1 more
├─ revision cccc
│  └─ ReplicaSet shop-cccc 0/0 ready
├─ Service shop selects aaaa
├─ Service shop-candidate selects nothing
└─ HTTPRoute shop shop 60%, shop-candidate 40%
Last run deploy-1: 1.0.0 Succeeded in 72s by jane
";
    assert_eq!(drawn(&world(shop(), parts())), expected);
}

#[test]
fn the_picture_names_checks_errors_and_what_waits_for_the_next_run() {
    let mut deployment = shop();
    let status = &mut deployment["status"];
    status["phase"] = json!("RollingBack");
    status["pendingChanges"] = json!(true);
    status["history"] = json!([]);
    status["error"] = json!({"step": 3, "code": "CHECK_FAILED", "message": "health failed", "details": "503 of 200"});
    status["checks"] = json!([
        {"name": "health", "phase": "Failed", "successes": 4, "failures": 3, "value": "503", "message": "too many"},
        {"name": "speed", "phase": "Running", "successes": 0, "failures": 0},
    ]);
    let text = drawn(&world(deployment, Vec::new()));
    let expected = "
Checks
├─ health Failed 4 ok, 3 failed, last value 503: too many
└─ speed Running 0 ok, 0 failed
Error CHECK_FAILED in step 3: health failed
  503 of 200
";
    assert!(text.ends_with(expected), "{text}");
    assert!(text.contains("  the spec was changed since; the change waits for the next run\n"), "{text}");
}

#[test]
fn a_list_replaces_what_was_seen_and_what_is_deleted_goes() {
    let mut world = world(shop(), parts());
    let object = |value: Value| -> DynamicObject { serde_json::from_value(value).unwrap() };
    let kept = object(service("shop", "bbbb"));
    for event in [Event::Init, Event::InitApply(kept.clone()), Event::InitDone] {
        world.take((Source::Service, Ok(event))).unwrap();
    }
    let text = drawn(&world);
    assert!(text.contains("Service shop selects bbbb") && !text.contains("shop-candidate selects"), "{text}");
    world.take((Source::Service, Ok(Event::Delete(kept)))).unwrap();
    assert!(!drawn(&world).contains("Service "));
    let gone = world.take((Source::Deployment, Ok(Event::Delete(object(shop())))));
    assert_eq!(gone.unwrap_err().to_string(), "the Deployment was deleted");
}

/// What a command prints on a terminal, and how it ended. Something happens to the cluster after its first words.
pub fn on_a_terminal(command: &mut Command, happens: impl FnOnce()) -> (ExitStatus, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 60, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let flags = i32::try_from(OpenptFlags::NOCTTY.bits()).unwrap();
    let inner = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap();
    let mut child = command.env("TERM", "xterm").stdout(Stdio::from(OwnedFd::from(inner))).spawn().unwrap();
    // The command still holds its side of the terminal open, and a copy of it here would keep the reader waiting.
    command.stdout(Stdio::null());
    let mut terminal = File::from(terminal);
    let mut bytes = vec![0; 1];
    terminal.read_exact(&mut bytes).unwrap();
    happens();
    // A terminal whose other side is closed ends with an error.
    drop(terminal.read_to_end(&mut bytes));
    (child.wait().unwrap(), String::from_utf8(bytes).unwrap())
}

fn with_parts(name: &str) -> FakeCluster {
    let cluster = cluster(name);
    cluster.put("/apis/apps/v1/namespaces/shop/replicasets/shop-bbbb", replica_set("bbbb", 2, 1));
    cluster.put("/api/v1/namespaces/shop/pods/shop-bbbb-one", pod("bbbb", "one", &ready()));
    cluster.refuse("/services", 403);
    cluster.refuse("/grpcroutes", 404);
    cluster
}

#[test]
fn on_a_terminal_the_picture_is_drawn_again_when_something_changes() {
    let cluster = with_parts("live");
    let (status, text) = on_a_terminal(&mut cluster.landfall(&["status", "shop"]), || {
        cluster.edit(SHOP, finish("Succeeded"));
    });
    assert_eq!(status.code(), Some(0), "{text}");
    let frames: Vec<_> = text.split("\u{1b}[J").skip(1).collect();
    assert!(
        frames.len() >= 2 && frames[0].contains("ReplicaSet shop-bbbb") && frames[0].contains("Pod shop-bbbb-one"),
        "{text}"
    );
    assert!(
        text.contains("\u{1b}[33m  Progressing  █") && frames.last().unwrap().contains("\u{1b}[32m  Succeeded"),
        "{text}"
    );
    assert!(
        text.contains("note: Services are not shown: you may not watch them") && !text.contains("GRPCRoutes"),
        "{text}"
    );
}

#[test]
fn on_a_terminal_that_shall_have_no_colours_there_are_none() {
    let cluster = with_parts("live-plain");
    let mut command = cluster.landfall(&["status", "shop", "--no-watch"]);
    let (status, text) = on_a_terminal(command.env("NO_COLOR", "1"), || {});
    assert_eq!(status.code(), Some(0));
    assert!(
        text.contains("shop  Progressing  █") && !text.contains("\u{1b}[3") && !text.contains("\u{1b}[0m"),
        "{text}"
    );
}

//! The commands that talk to a cluster, as processes against a pretended API server.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    cli::{landfall, run, scratch},
    fake_cluster::FakeCluster,
};

/// Where it is.
pub const SHOP: &str = "/apis/landfall.dev/v1alpha1/namespaces/shop/deployments/shop";

/// A Deployment under way.
pub fn shop() -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 2, "managedFields": [{"manager": "kubectl"}]},
        "spec": {"package": {"name": "shop", "version": "1.1.0"}, "profile": "production"},
        "status": {
            "observedGeneration": 2, "phase": "Progressing", "record": "{}",
            "progress": {"percentage": 40, "completedSteps": 2, "totalSteps": 5},
            "currentStep": {"number": 3, "action": "SetWeight", "details": "40 % to 1.1.0"},
            "revision": {"stable": {"version": "1.0.0", "hash": "aaaa"}, "candidate": {"version": "1.1.0", "hash": "bbbb"}},
            "traffic": {"stable": "60", "candidate": "40", "verified": true},
            "health": "Healthy", "instances": {"desired": 4, "ready": 4},
            "waitingFor": "2 of 5 pods of revision bbbb ready",
            "run": {"id": "deploy-2", "attempt": 1, "startedAt": "2026-01-01T00:00:00Z"},
            "history": [{
                "run": {"id": "deploy-1", "attempt": 1, "durationMs": 72_000}, "phase": "Succeeded", "by": "jane",
                "revision": {"version": "1.0.0", "hash": "aaaa"}, "message": "done\u{1b}[2J",
            }],
        },
    })
}

/// A cluster with it.
pub fn cluster(name: &str) -> FakeCluster {
    let cluster = FakeCluster::start(name);
    cluster.put(SHOP, shop());
    cluster
}

/// An operator that answers every command like this.
fn answering(result: &'static str, message: &'static str) -> impl FnMut(&mut Value) + Send + 'static {
    move |object| {
        let annotations = object["metadata"]["annotations"].clone();
        for (name, value) in annotations.as_object().into_iter().flatten() {
            let verb = name.trim_start_matches("command.landfall.dev/");
            if verb != "actor" {
                object["status"]["commands"][verb] = json!({
                    "id": value, "at": "2026-01-01T00:00:05Z", "by": "jane", "result": result, "message": message,
                });
            }
        }
    }
}

/// Ends its run.
pub fn finish(phase: &'static str) -> impl FnOnce(&mut Value) {
    move |object| object["status"]["phase"] = json!(phase)
}

#[test]
fn get_shows_a_table_of_what_runs_and_what_is_waited_for() {
    let cluster = cluster("get");
    let (code, out, err) = run(&mut cluster.landfall(&["get"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "\
NAME   PHASE         PROGRESS   STEP            WEIGHT   HEALTH    VERSION         AGE   WAITING FOR
shop   Progressing   40%        3/5 SetWeight   40%      Healthy   1.0.0 → 1.1.0   -     2 of 5 pods of revision bbbb ready
";
    assert_eq!(out, expected);
    let (_, wide, _) = run(&mut cluster.landfall(&["get", "dpl", "shop", "-o", "wide"]));
    assert!(wide.contains("PROFILE") && wide.contains("production") && wide.contains("deploy-2"), "{wide}");
    let (_, everywhere, _) = run(&mut cluster.landfall(&["get", "deployments", "-A"]));
    assert!(everywhere.starts_with("NAMESPACE   NAME") && everywhere.contains("\nshop        shop"), "{everywhere}");
}

#[test]
fn get_prints_objects_for_programs() {
    let cluster = cluster("get-json");
    let (_, one, _) = run(&mut cluster.landfall(&["get", "deployment", "shop", "-o", "json"]));
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["kind"], &one["metadata"]["managedFields"]), (&json!("Deployment"), &Value::Null));
    let (_, list, _) = run(&mut cluster.landfall(&["get", "-o", "yaml"]));
    let list: Value = serde_saphyr::from_str(&list).unwrap();
    assert_eq!((&list["kind"], &list["items"][0]["metadata"]["name"]), (&json!("List"), &json!("shop")));
    let (_, names, _) = run(&mut cluster.landfall(&["get", "-o", "name"]));
    assert_eq!(names, "deployment.landfall.dev/shop\n");
}

#[test]
fn get_says_when_there_is_nothing_and_when_the_kinds_are_unknown() {
    let cluster = cluster("get-nothing");
    let (code, out, err) = run(&mut cluster.landfall(&["get", "packages"]));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "there are no packages of Landfall in namespace shop\n"));
    let (code, _, err) = run(&mut cluster.landfall(&["get", "deployments", "nobody"]));
    assert_eq!((code, err.as_str()), (1, "error: there is no deployments.landfall.dev nobody in namespace shop\n"));
    cluster.refuse("/profiles", 404);
    let (code, _, err) = run(&mut cluster.landfall(&["get", "profiles"]));
    assert!(code == 1 && err.contains("the cluster does not know profiles.landfall.dev: install Landfall"), "{err}");
    cluster.refuse("/packages", 403);
    let (code, _, err) = run(&mut cluster.landfall(&["get", "packages"]));
    assert!(code == 1 && err.contains("HTTP 403"), "{err}");
}

#[test]
fn history_shows_finished_runs_and_nothing_that_a_terminal_obeys() {
    let cluster = cluster("history");
    let (code, out, _) = run(&mut cluster.landfall(&["history", "shop"]));
    let expected = "\
RUN        VERSION   REVISION   PHASE       DURATION   BY     MESSAGE
deploy-1   1.0.0     aaaa       Succeeded   72s        jane   done\\u001b[2J
";
    assert_eq!((code, out.as_str()), (0, expected));
    let (_, json, _) = run(&mut cluster.landfall(&["history", "shop", "-o", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()[0]["run"]["id"], "deploy-1");
}

#[test]
fn a_command_is_one_annotation_that_names_the_run_and_the_caller() {
    let cluster = cluster("verbs");
    cluster.operator(answering("Done", "as asked"));
    for verb in ["promote", "skip", "pause", "resume", "abort", "cancel", "retry", "stop", "restart"] {
        let (code, out, err) = run(&mut cluster.landfall(&[verb, "shop"]));
        assert_eq!((code, out, err.as_str()), (0, format!("shop: {verb}: done: as asked\n"), ""));
        let written = cluster.written().pop().unwrap();
        assert_eq!((written.path.as_str(), written.content_type.as_str()), (SHOP, "application/merge-patch+json"));
        assert!(written.query.contains("fieldManager=landfall-cli"), "{}", written.query);
        let annotations = &written.body["metadata"]["annotations"];
        let value = annotations[format!("command.landfall.dev/{verb}")].as_str().unwrap();
        assert!(value.starts_with("deploy-2 at="), "{value}");
        assert_eq!(annotations["command.landfall.dev/actor"], "jane");
        assert_eq!((annotations.as_object().unwrap().len(), written.body.as_object().unwrap().len()), (2, 1));
    }
}

#[test]
fn promote_and_rollback_say_how_far() {
    let cluster = cluster("verbs-with");
    cluster.operator(answering("Done", ""));
    let value = |verb: &str| {
        let written = cluster.written().pop().unwrap();
        written.body["metadata"]["annotations"][format!("command.landfall.dev/{verb}")].as_str().unwrap().to_owned()
    };
    assert_eq!(run(&mut cluster.landfall(&["promote", "shop", "--full", "--run", "deploy-7"])).0, 0);
    assert!(value("promote").starts_with("deploy-7 full at="));
    let (code, _, err) = run(&mut cluster.landfall(&["rollback", "shop"]));
    assert!(code == 1 && err.contains("type: landfall abort shop\n"), "{err}");
    cluster.edit(SHOP, |shop| shop["status"]["run"]["completedAt"] = json!("2026-01-01T00:01:00Z"));
    assert_eq!(run(&mut cluster.landfall(&["rollback", "shop", "--to", "1.0.0"])).0, 0);
    assert!(value("rollback").starts_with("aaaa to=aaaa at="));
}

#[test]
fn two_commands_that_are_alike_are_two_commands() {
    let cluster = cluster("verbs-twice");
    cluster.operator(answering("Done", ""));
    for _ in 0..2 {
        run(&mut cluster.landfall(&["pause", "shop"]));
    }
    let values: Vec<_> = cluster.written().iter().map(|one| one.body["metadata"]["annotations"].clone()).collect();
    assert_ne!(values[0]["command.landfall.dev/pause"], values[1]["command.landfall.dev/pause"]);
}

#[test]
fn a_refusal_ends_with_1_and_names_what_to_type_instead() {
    let cluster = cluster("refused");
    cluster.operator(answering("Refused", "traffic has moved; use abort"));
    let (code, out, err) = run(&mut cluster.landfall(&["cancel", "shop", "-n", "shop"]));
    assert_eq!((code, out.as_str()), (1, ""));
    let expected = "error: shop: cancel was refused: traffic has moved; use abort; type: landfall abort shop -n shop\n";
    assert_eq!(err, expected);
    cluster.operator(answering("Stale", ""));
    let (code, _, err) = run(&mut cluster.landfall(&["abort", "shop"]));
    assert!(code == 1 && err.contains("abort about deploy-2 is stale; look with: landfall status shop\n"), "{err}");
}

#[test]
fn a_command_without_an_answer_ends_with_4_and_stays() {
    let cluster = cluster("unanswered");
    let (code, _, err) = run(&mut cluster.landfall(&["abort", "shop", "--timeout", "300ms"]));
    assert!(code == 4 && err.contains("The command stays on shop"), "{code} {err}");
    let stored = cluster.object(SHOP).unwrap();
    assert!(stored["metadata"]["annotations"]["command.landfall.dev/abort"].is_string());
}

#[test]
fn a_command_that_another_one_replaces_is_not_taken_for_answered() {
    let cluster = cluster("replaced");
    cluster.operator(|object| {
        object["metadata"]["annotations"]["command.landfall.dev/pause"] = json!("deploy-2 at=other");
    });
    let (code, _, err) = run(&mut cluster.landfall(&["pause", "shop"]));
    assert!(code == 1 && err.contains("another pause took the place of this one"), "{err}");
}

#[test]
fn a_command_waits_for_the_end_of_the_run_where_that_is_asked_for() {
    let cluster = cluster("wait");
    let mut answer = answering("Done", "");
    cluster.operator(move |object| {
        answer(object);
        object["status"]["phase"] = json!("RolledBack");
    });
    for (verb, expected) in [("promote", 1), ("abort", 0)] {
        let (code, out, _) = run(&mut cluster.landfall(&[verb, "shop", "--wait"]));
        assert_eq!(code, expected, "{out}");
        assert!(out.starts_with(&format!("shop: {verb}: done\nRolledBack | ")), "{out}");
    }
}

#[test]
fn a_command_that_starts_a_run_waits_for_the_end_of_that_one() {
    let cluster = cluster("wait-new");
    cluster.edit(SHOP, |shop| {
        shop["status"]["phase"] = json!("RolledBack");
        shop["status"]["run"]["completedAt"] = json!("2026-01-01T00:01:00Z");
    });
    cluster.operator(answering("Done", ""));
    let mut child = piped(&mut cluster.landfall(&["retry", "shop", "--wait"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "shop: retry: done");
    assert!(lines.next().unwrap().starts_with("RolledBack | "));
    cluster.edit(SHOP, |shop| {
        shop["status"]["phase"] = json!("Succeeded");
        shop["status"]["run"] = json!({"id": "deploy-3"});
    });
    assert!(lines.next().unwrap().starts_with("Succeeded | "));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn status_says_one_line_per_change_without_colours_and_ends_with_the_run() {
    for (phase, expected) in [("Succeeded", 0), ("Stopped", 0), ("Failed", 1), ("RolledBack", 1), ("Cancelled", 1)] {
        let cluster = cluster(&format!("status-{phase}"));
        let child = piped(&mut cluster.landfall(&["status", "shop"]));
        cluster.wait_for_watchers(1);
        cluster.edit(SHOP, |shop| shop["status"]["waitingFor"] = json!("a\u{1b}[31m person\nnow"));
        cluster.edit(SHOP, |shop| shop["metadata"]["labels"] = json!({"nothing": "that matters"}));
        cluster.edit(SHOP, finish(phase));
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(expected), "{out}");
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(
            lines[0],
            "Progressing | 40% | step 3/5 SetWeight: 40 % to 1.1.0 | 1.0.0 → 1.1.0 | waiting for: 2 of 5 pods of revision bbbb ready"
        );
        assert!(lines[1].ends_with("waiting for: a\\u001b[31m person now"), "{out}");
        assert!(lines.len() == 3 && lines[2].starts_with(phase) && !out.contains('\u{1b}'), "{out}");
    }
}

#[test]
fn status_for_programs_is_one_object_per_change_without_the_record() {
    let cluster = cluster("status-json");
    let child = piped(&mut cluster.landfall(&["status", "shop", "-o", "json"]));
    cluster.wait_for_watchers(1);
    cluster.edit(SHOP, finish("Succeeded"));
    let output = child.wait_with_output().unwrap();
    let objects: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), output.status.code()), (2, Some(0)));
    assert_eq!((&objects[1]["status"]["phase"], &objects[0]["status"]["record"]), (&json!("Succeeded"), &Value::Null));
}

#[test]
fn status_ends_with_4_when_time_runs_out_and_at_once_where_nobody_watches() {
    let cluster = cluster("status-time");
    let (code, out, err) = run(&mut cluster.landfall(&["status", "shop", "--timeout", "300ms"]));
    assert!(code == 4 && out.lines().count() == 1 && err.contains("has not ended within"), "{out}{err}");
    let (code, out, _) = run(&mut cluster.landfall(&["status", "shop", "--no-watch"]));
    assert_eq!((code, out.lines().count()), (0, 1));
    cluster.edit(SHOP, finish("Failed"));
    assert_eq!(run(&mut cluster.landfall(&["status", "shop", "--no-watch"])).0, 1);
    let (code, _, err) = run(&mut cluster.landfall(&["status", "nobody"]));
    assert!(code == 1 && err.contains("there is no deployments.landfall.dev nobody"), "{err}");
}

#[test]
fn a_status_about_an_older_spec_is_not_the_end() {
    let cluster = cluster("status-old");
    cluster.edit(SHOP, |shop| {
        shop["status"]["phase"] = json!("Succeeded");
        shop["metadata"]["generation"] = json!(3);
    });
    assert_eq!(run(&mut cluster.landfall(&["status", "shop", "--timeout", "300ms"])).0, 4);
}

#[test]
fn adopt_shows_what_the_object_is_and_writes_one_annotation() {
    let cluster = cluster("adopt");
    let path = "/api/v1/namespaces/shop/services/web";
    let owner = json!([{"kind": "Chart", "name": "old", "apiVersion": "v1", "uid": "1"}]);
    cluster.put(
        path,
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.0.0.1"},
                             "metadata": {"name": "web", "namespace": "shop", "ownerReferences": owner}}),
    );
    for word in ["service/web", "svc/web", "services/web"] {
        let (code, out, err) = run(&mut cluster.landfall(&["adopt", word, "shop"]));
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.starts_with("Service web in namespace shop, owned by Chart/old"), "{out}");
        assert!(out.ends_with("Service/web may be taken by Deployment shop\n"), "{out}");
    }
    let written = cluster.written();
    assert_eq!(written[0].body, json!({"metadata": {"annotations": {"landfall.dev/adopt": "shop"}}}));

    // What has no namespace goes to the Deployment of one.
    cluster.put(
        "/api/v1/namespaces/tools",
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tools"}}),
    );
    let (code, out, err) = run(&mut cluster.landfall(&["adopt", "ns/tools", "shop"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("Namespace tools\n"), "{out}");
    let last = cluster.written().last().unwrap().body.clone();
    assert_eq!(last, json!({"metadata": {"annotations": {"landfall.dev/adopt": "shop/shop"}}}));

    let (code, _, err) = run(&mut cluster.landfall(&["adopt", "gizmo/web", "shop"]));
    assert!(code == 1 && err.contains("the cluster knows no kind gizmo"), "{err}");
    assert_eq!(run(&mut cluster.landfall(&["adopt", "service", "shop"])).0, 2);
}

#[test]
fn init_applies_what_its_dry_run_prints_and_may_be_repeated() {
    let cluster = FakeCluster::start("init");
    let (code, out, err) = run(&mut cluster.landfall(&["init", "shop"]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let said: Vec<_> = out.lines().collect();
    let objects = [
        "ServiceAccount/landfall-deployer",
        "Role/landfall-deployer",
        "RoleBinding/landfall-deployer",
        "Role/landfall-impersonate",
        "RoleBinding/landfall-impersonate",
        "Role/landfall-operator",
        "RoleBinding/landfall-operator",
    ];
    assert_eq!(said[..7], objects.map(|name| format!("{name} created")));
    let (_, dry, _) = run(&mut landfall(&["init", "shop", "--dry-run"]));
    let printed: Vec<Value> = serde_saphyr::from_multiple(&dry).unwrap();
    let applied: Vec<_> = cluster.written().into_iter().map(|one| one.body).collect();
    assert_eq!(printed, applied);
    let (_, again, _) = run(&mut cluster.landfall(&["init", "shop"]));
    assert_eq!(again.lines().filter(|line| line.ends_with(" unchanged")).count(), 7, "{again}");
}

#[test]
fn init_names_a_missing_namespace_and_takes_nothing_by_force() {
    let cluster = FakeCluster::start("init-refused");
    cluster.refuse_writes("/roles/landfall-deployer", 404);
    let (code, out, err) = run(&mut cluster.landfall(&["init", "shop"]));
    assert_eq!((code, out.as_str()), (1, "ServiceAccount/landfall-deployer created\n"));
    let expected = "error: cannot apply Role/landfall-deployer: there is no namespace shop: make it with `kubectl create namespace shop`\n";
    assert_eq!(err, expected);
    cluster.refuse_writes("/roles/landfall-deployer", 409);
    let (code, _, err) = run(&mut cluster.landfall(&["init", "shop"]));
    assert!(code == 1 && err.contains("it was made with other values, which stay"), "{err}");
    assert!(cluster.written().iter().all(|one| !one.query.contains("force=true")));
}

#[test]
fn init_gives_no_more_than_packages_need() {
    let arguments = ["init", "shop", "--dry-run", "--operator-namespace", "ops", "--operator-account", "lf"];
    let (_, out, _) = run(&mut landfall(&arguments));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&out).unwrap();
    assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "shop"));
    let rules = objects[1]["rules"].as_array().unwrap();
    let of = |field: &str| -> Vec<String> {
        let values = rules.iter().flat_map(|rule| rule[field].as_array().unwrap().clone());
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    for never in ["*", "roles", "rolebindings", "serviceaccounts", "pods/exec", "pods/attach", "serviceaccounts/token"]
    {
        assert!(!of("resources").contains(&never.to_owned()), "{never}");
    }
    for never in ["*", "impersonate", "bind", "escalate", "deletecollection"] {
        assert!(!of("verbs").contains(&never.to_owned()), "{never}");
    }
    assert!(of("resources").contains(&"pods/eviction".to_owned()));
    let may = &objects[3]["rules"];
    assert_eq!(may[0]["resourceNames"], json!(["landfall-deployer"]));
    assert_eq!((may[0]["verbs"].clone(), may.as_array().unwrap().len()), (json!(["impersonate"]), 1));
    for binding in [&objects[4], &objects[6]] {
        assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": "lf", "namespace": "ops"}]));
    }
    let own = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "delete"]}]);
    assert_eq!(objects[5]["rules"], own);
}

#[test]
fn a_missing_cluster_and_an_unknown_context_are_named_with_the_remedy() {
    let (code, _, err) = run(&mut landfall(&["get"]));
    assert_eq!((code, err.lines().count()), (1, 1));
    assert!(err.starts_with("error: no cluster is configured: set KUBECONFIG"), "{err}");
    let cluster = cluster("context");
    let (code, _, err) = run(&mut cluster.landfall(&["status", "shop", "--context", "moon"]));
    assert_eq!((code, err.as_str()), (1, "error: the kubeconfig has no context \"moon\"; it has test\n"));
    assert_eq!(run(&mut cluster.landfall(&["get", "--context", "test"])).0, 0);
    let (code, _, err) = run(&mut cluster.landfall(&["get", "--kubeconfig", "no-such-file"]));
    assert!(code == 1 && err.contains("no-such-file"), "{err}");
}

#[test]
fn completion_names_the_commands_in_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&mut landfall(&["completion", shell]));
        assert!(code == 0 && out.contains("promote") && out.contains("rollback"), "{shell}");
    }
    assert_eq!(run(&mut landfall(&["completion", "cmd"])).0, 2);
    let (_, out, _) = run(&mut landfall(&["version"]));
    assert_eq!(out, format!("landfall {}\n", landfall::telemetry::version()));
}

#[test]
fn a_reader_that_hangs_up_ends_a_command_in_silence() {
    for arguments in [&["completion", "bash"][..], &["crds"], &["init", "shop", "--dry-run"], &["version"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = landfall(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}");
    }
}

#[test]
fn as_a_plugin_of_kubectl_it_names_itself_so() {
    let link = scratch("kubectl-landfall");
    drop(fs::remove_file(&link));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_landfall"), &link).unwrap();
    let (code, out, _) = run(Command::new(&link).env_clear().args(["promote", "--help"]));
    assert!(code == 0 && out.contains("Usage: kubectl landfall promote [OPTIONS] <NAME>"), "{out}");
}

/// Starts a command whose words are read later.
/// Starts a command whose output is read.
pub fn piped(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

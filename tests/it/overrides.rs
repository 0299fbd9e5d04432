//! Overrides: images, variables and patches of every form, and those that fit nothing.

use landfall::{
    api::deployment::{EnvFrom, Overrides},
    kinds::workload::{
        release::Release,
        render::{Source, render},
    },
};
use serde_json::{Value, json};

use crate::release::{NAMESPACE, package, service, with, workload};

fn rendered(manifests: &[Value], overrides: Value, env_from: Value) -> Result<Release, Vec<String>> {
    let overrides: Overrides = serde_json::from_value(overrides).unwrap();
    let env_from: Vec<EnvFrom> = serde_json::from_value(env_from).unwrap();
    let source =
        Source { namespace: NAMESPACE, package: &package(manifests), overrides: Some(&overrides), env_from: &env_from };
    render(&source).map_err(|refusals| refusals.iter().map(ToString::to_string).collect())
}

/// A workload with something of everything.
fn web() -> Value {
    let pod = json!({
        "containers": [{
            "name": "web", "image": "a/web:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
            "ports": [{"containerPort": 80}, {"containerPort": 81}],
            "volumeMounts": [{"mountPath": "/a", "name": "a"}],
            "args": ["x", "y"],
        }],
        "volumes": [{"name": "a", "emptyDir": {}}],
        "tolerations": [{"key": "old"}],
        "imagePullSecrets": [{"name": "old"}],
    });
    with(workload("web"), "/spec/template/spec", pod)
}

/// The pod of the workload after a patch.
#[track_caller]
fn patched(patch: &Value) -> Value {
    let text = patch.to_string();
    let patches = json!({"patches": [{"target": {"kind": "Deployment"}, "patch": text}]});
    let release = rendered(&[web()], patches, json!([])).unwrap();
    release.workloads[0].object["spec"]["template"]["spec"].clone()
}

fn pod_patch(spec: &Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

/// What is said of a patch.
fn said_of(patch: &Value) -> Vec<String> {
    rendered(&[web(), service("web", "web")], json!({"patches": [patch]}), json!([])).err().unwrap_or_default()
}

#[test]
fn items_with_a_name_are_merged_and_other_lists_replaced() {
    let pod = patched(&pod_patch(&json!({
        "containers": [
            {
                "name": "web", "args": ["z"],
                "env": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}],
                "ports": [{"containerPort": 81, "name": "admin"}, {"containerPort": 82}],
                "volumeMounts": [{"mountPath": "/a", "readOnly": true}],
            },
            {"name": "second", "image": "b", "command": null},
        ],
        "volumes": [{"name": "b", "emptyDir": {}}],
        "tolerations": [{"key": "new"}],
        "imagePullSecrets": [{"name": "new"}],
    })));
    let expected = json!({
        "containers": [
            {
                "name": "web", "image": "a/web:1", "args": ["z"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}],
                "ports": [{"containerPort": 80}, {"containerPort": 81, "name": "admin"}, {"containerPort": 82}],
                "volumeMounts": [{"mountPath": "/a", "name": "a", "readOnly": true}],
            },
            {"name": "second", "image": "b"},
        ],
        "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}],
        "tolerations": [{"key": "new"}],
        "imagePullSecrets": [{"name": "old"}, {"name": "new"}],
    });
    assert_eq!(pod, expected);
}

#[test]
fn directives_and_nulls_remove_and_replace() {
    let volumes = |patch: Value| patched(&pod_patch(&json!({"volumes": patch})))["volumes"].clone();
    assert_eq!(volumes(json!([{"name": "a", "$patch": "delete"}])), json!([]));
    assert_eq!(volumes(json!([{"name": "gone", "$patch": "delete"}])), json!([{"name": "a", "emptyDir": {}}]));
    let hidden = json!({"name": "a", "emptyDir": null, "hostPath": {"path": "/x"}});
    assert_eq!(volumes(json!([hidden])), json!([{"name": "a", "hostPath": {"path": "/x"}}]));
    let retained = json!({"name": "a", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}});
    assert_eq!(volumes(json!([retained])), json!([{"name": "a", "hostPath": {"path": "/x"}}]));
    assert_eq!(
        volumes(json!([{"name": "a", "$patch": "replace", "hostPath": {}}])),
        json!([{"name": "a", "hostPath": {}}])
    );
    assert_eq!(volumes(json!([{"$patch": "replace"}, {"name": "b"}])), json!([{"name": "b"}]));
    assert_eq!(volumes(Value::Null), Value::Null);
    let ports = patched(&pod_patch(
        &json!({"containers": [{"name": "web", "ports": [{"containerPort": 80, "$patch": "delete"}]}]}),
    ));
    assert_eq!(ports["containers"][0]["ports"], json!([{"containerPort": 81}]));
}

#[test]
fn a_whole_object_can_be_removed_or_belong_to_another_group() {
    let notes = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}});
    let thing = json!({
        "apiVersion": "example.test/v1", "kind": "Thing", "metadata": {"name": "thing"}, "spec": {"containers": [{"name": "a"}]},
    });
    let patches = json!({"patches": [
        {"patch": "{kind: ConfigMap, metadata: {name: notes}, $patch: delete}"},
        {"patch": "{kind: Thing, metadata: {name: thing}, spec: {containers: [{name: b}]}}"},
    ]});
    let release = rendered(&[web(), notes, thing], patches, json!([])).unwrap();
    assert_eq!(release.shared.len(), 1);
    assert_eq!(release.shared[0].object["spec"]["containers"], json!([{"name": "b"}]), "its lists are its own affair");
}

#[test]
fn ports_of_a_service_are_known_by_their_number() {
    let patches = json!({"patches": [{"target": {"kind": "Service"}, "patch": "spec: {ports: [{port: 80, name: web}, {port: 81}]}"}]});
    let release = rendered(&[web(), service("web", "web")], patches, json!([])).unwrap();
    let ports = json!([{"name": "web", "port": 80, "targetPort": 8080}, {"port": 81}]);
    assert_eq!(release.services[0].object["spec"]["ports"], ports);
}

#[test]
fn a_json_patch_changes_every_object_it_is_meant_for() {
    let add = r#"[{"op": "add", "path": "/metadata/labels", "value": {"team": "a"}}]"#;
    let release = rendered(
        &[web(), workload("worker"), service("web", "web")],
        json!({"patches": [{"target": {"kind": "Deployment"}, "patch": add}]}),
        json!([]),
    )
    .unwrap();
    assert!(release.workloads.iter().all(|workload| workload.object["metadata"]["labels"]["team"] == "a"));
    assert!(release.services[0].object["metadata"].get("labels").is_none());
    let names: Vec<_> = release.workloads.iter().map(|workload| workload.name.as_str()).collect();
    assert_eq!(names, ["web", "worker"], "they keep their order");
}

#[test]
fn a_patch_that_fits_nothing_is_refused() {
    let at = "spec.overrides.patches[0]";
    let refuses = |patch: Value, words: &str| {
        let said = said_of(&patch);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(&format!("{at}.{words}")), "{said:?}");
    };
    refuses(
        json!({"target": {"kind": "Gone"}, "patch": "{}"}),
        "target: the package has no such object: correct kind and name",
    );
    refuses(json!({"target": {"name": "gone"}, "patch": "{}"}), "target: the package has no such object");
    refuses(json!({"patch": "{kind: Deployment, metadata: {name: gone}}"}), "target: the package has no such object");
    refuses(
        json!({"patch": "spec: {}"}),
        "patch: the patch names no object: add kind and metadata.name to it, or set `target`",
    );
    refuses(json!({"patch": "[]"}), "target: a JSON patch does not say what it is for: add kind and name");
    let on_web = |patch: &str| json!({"target": {"kind": "Deployment"}, "patch": patch});
    refuses(on_web("a: ["), "patch: this is neither YAML nor JSON: ");
    refuses(on_web("text"), "patch: a patch of an object is an object itself");
    refuses(on_web("[{op: fly}]"), "patch: this is no JSON patch: write a list of operations with op, path and value");
    refuses(on_web(r#"[{"op": "remove", "path": "/gone"}]"#), "patch: the JSON patch does not fit: ");
    refuses(on_web(r#"[{"op": "test", "path": "/kind", "value": "x"}]"#), "patch: the JSON patch does not fit: ");
    let identity = "patch: apiVersion, kind and metadata.name make an object what it is: leave them as they are";
    refuses(on_web(r#"[{"op": "replace", "path": "/metadata/name", "value": "other"}]"#), identity);
    refuses(on_web(r#"[{"op": "replace", "path": "", "value": 1}]"#), identity);
    refuses(on_web("metadata: null"), identity);
    refuses(on_web("$patch: explode"), "patch: $patch is merge, replace or delete: write one of them");
    refuses(
        on_web("$setElementOrder/a: []"),
        "patch: the directive $setElementOrder/a is not supported: use $patch or $retainKeys",
    );
    let nameless = on_web("spec: {template: {spec: {containers: [{image: b}]}}}");
    refuses(nameless, "patch: an item of this list is known by its name: add it to the patch");
}

#[test]
fn the_names_in_a_patch_with_a_target_say_nothing() {
    let patch = json!({"target": {"kind": "Deployment"}, "patch": "{apiVersion: x/v1, kind: X, metadata: {name: x, labels: {a: b}}}"});
    assert_eq!(said_of(&patch), [""; 0]);
}

#[test]
fn what_a_patch_makes_is_judged_like_what_is_written() {
    let said =
        said_of(&json!({"target": {"kind": "Deployment"}, "patch": "spec: {selector: {matchLabels: {app: other}}}"}));
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("spec.workload.manifests[0].spec.selector: the selector does not match"), "{said:?}");
}

#[test]
fn an_image_is_changed_wherever_it_runs_and_must_be_somewhere() {
    let mut web = web();
    web["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "init", "image": "a/web"}]);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
        "spec": {"template": {"spec": {"containers": [{"name": "job", "image": "a/web@sha256:1"}]}}},
    });
    let swap =
        json!({"images": [{"name": "a/web", "newName": "b/web", "newTag": "2"}, {"name": "b/web", "newTag": "3"}]});
    let said = rendered(&[web.clone(), job.clone()], swap, json!([])).unwrap_err();
    let words =
        "spec.overrides.images[1].name: no container has the image b/web: write it as the package does, without tag";
    assert_eq!(said, [words], "an override sees what the package says, not what another one has made of it");
    let release = rendered(&[web, job], json!({"images": [{"name": "a/web", "newTag": "2"}]}), json!([])).unwrap();
    let pod = &release.workloads[0].object["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["containers"][0]["image"], &pod["initContainers"][0]["image"]),
        (&json!("a/web:2"), &json!("a/web:2"))
    );
    assert_eq!(release.jobs[0]["spec"]["template"]["spec"]["containers"][0]["image"], "a/web:2");
}

#[test]
fn variables_replace_those_of_the_same_name_in_their_place() {
    let overrides = json!({"env": [{"name": "A", "value": "9"}, {"name": "C"}]});
    let release =
        rendered(&[web()], overrides, json!([{"secret": "db", "prefix": "DB_"}, {"secret": "mail"}])).unwrap();
    let container = &release.workloads[0].object["spec"]["template"]["spec"]["containers"][0];
    let env = json!([{"name": "A", "value": "9"}, {"name": "B", "value": "$(A)"}, {"name": "C", "value": ""}]);
    assert_eq!(container["env"], env);
    let sources = json!([{"secretRef": {"name": "db"}, "prefix": "DB_"}, {"secretRef": {"name": "mail"}}]);
    assert_eq!(container["envFrom"], sources);
    let said = rendered(&[web()], json!({}), json!([{"secret": "../x"}])).unwrap_err();
    assert!(said[0].starts_with("spec.envFrom[0].secret: a name consists of"), "{said:?}");
}

#[test]
fn overrides_show_in_the_version_and_sources_of_variables_in_the_hash() {
    let version = |overrides: Value, env_from: Value| {
        let release = rendered(&[web()], overrides, env_from).unwrap();
        (release.version, release.hash)
    };
    let (plain, hash) = version(json!({}), json!([]));
    assert_eq!(plain, "1.0.0");
    let (changed, other) = version(json!({"env": [{"name": "A", "value": "2"}]}), json!([]));
    let mark = changed.strip_prefix("1.0.0+").unwrap();
    assert_eq!(mark.len(), 6);
    assert_ne!(hash, other);
    let (unmarked, third) = version(json!({}), json!([{"secret": "db"}]));
    assert_eq!(unmarked, "1.0.0");
    assert_ne!(hash, third);
}

//! Two lists of objects side by side, as `kubectl diff` shows them.

use landfall::cli::{
    diff::print::{Fate, differences, report},
    terminal::{Ink, lines},
};
use serde_json::{Value, json};

fn text(before: &[Value], after: &[Value]) -> String {
    let found = differences(before, after).unwrap();
    lines(report(&found).iter().map(|line| line.render(Ink::Plain, usize::MAX)))
}

fn web(replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "1", "b": "2", "c": "3"}},
        "spec": {"replicas": replicas},
    })
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
}

#[test]
fn what_is_new_gone_and_different_is_told_by_object() {
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let expected = "\
ConfigMap new is created
@@ -0,0 +1,4 @@
+apiVersion: v1
+kind: ConfigMap
+metadata:
+  name: new
ConfigMap old is deleted
@@ -1,4 +0,0 @@
-apiVersion: v1
-kind: ConfigMap
-metadata:
-  name: old
Deployment.apps shop/web is changed
@@ -8,4 +8,4 @@
   name: web
   namespace: shop
 spec:
-  replicas: 1
+  replicas: 2
1 created, 1 changed, 1 deleted
";
    assert_eq!(text(&[web(1), map("old"), map("same")], &[map("same"), map("new"), web(2)]), expected);
}

#[test]
fn what_is_the_same_is_not_shown_and_neither_is_what_the_server_adds() {
    let mut live = web(1);
    live["status"] = json!({"replicas": 1});
    live["metadata"]["uid"] = json!("1");
    live["metadata"]["resourceVersion"] = json!("7");
    live["metadata"]["generation"] = json!(3);
    live["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    live["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    live["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    assert_eq!(text(&[live], &[web(1)]), "0 created, 0 changed, 0 deleted\n");
    let other_version =
        json!({"apiVersion": "apps/v2", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
    let found = differences(&[web(1)], &[other_version]).unwrap();
    assert_eq!(found.iter().map(|one| one.fate).collect::<Vec<_>>(), [Fate::Changed], "one object, of two versions");
}

#[test]
fn values_of_secrets_are_never_shown_and_still_told_apart() {
    let before = secret("key", &json!({"same": "aaaa", "other": "bbbb", "gone": "cccc"}));
    let mut after = secret("key", &json!({"same": "aaaa", "other": "dddd"}));
    after["stringData"] = json!({"new": "eeee"});
    after["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"other\":\"dddd\"}}"});
    let shown = text(&[before], &[after]);
    for value in ["aaaa", "bbbb", "cccc", "dddd", "eeee"] {
        assert!(!shown.contains(value), "{value} is in\n{shown}");
    }
    let lines: Vec<_> = shown.lines().filter(|line| line.contains("***")).map(str::to_owned).collect();
    let has = |sign: &str, key: &str| lines.iter().any(|line| line.starts_with(sign) && line.contains(key));
    assert!(has("-", "other") && has("+", "other") && has("-", "gone") && has("+", "new"), "{shown}");
    assert!(has(" ", "same"), "{shown}");
    let same = secret("key", &json!({"same": "aaaa"}));
    assert_eq!(text(std::slice::from_ref(&same), std::slice::from_ref(&same)), "0 created, 0 changed, 0 deleted\n");
}

#[test]
fn a_secret_inside_a_package_or_of_a_strange_form_is_hidden_too() {
    let package = |value: &str| {
        json!({
            "apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "metadata": {"name": "shop-1.0.0"},
            "spec": {"workload": {"manifests": [secret("key", &json!({"a": value})), {"kind": "List", "items": [
                {"kind": "Secret", "metadata": {"name": "odd"}, "data": value, "stringData": [value]},
            ]}]}},
        })
    };
    let shown = text(&[package("s3cret-one")], &[package("s3cret-two")]);
    assert!(!shown.contains("s3cret") && shown.contains("*** (before)") && shown.contains("*** (after)"), "{shown}");
    assert!(!text(&[], &[package("s3cret-one")]).contains("s3cret"));
}

#[test]
fn what_a_terminal_would_obey_is_written_out_and_colours_follow_the_ink() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a\u{1b}[2J"}, "data": {"k": "\u{202e}x"}});
    let found = differences(&[], &[map]).unwrap();
    let shown = lines(report(&found).iter().map(|line| line.render(Ink::Plain, usize::MAX)));
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    let coloured = report(&differences(&[web(1)], &[web(2)]).unwrap());
    let coloured = lines(coloured.iter().map(|line| line.render(Ink::Colour, usize::MAX)));
    assert!(
        coloured.contains("\u{1b}[31m-  replicas: 1\u{1b}[0m") && coloured.contains("\u{1b}[32m+  replicas: 2"),
        "{coloured}"
    );
}

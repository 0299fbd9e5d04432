//! What a repository gave for a Package: in one order, within bounds, and with the place of each object.

use landfall::{
    api::package::{Package, PackageSpec},
    gitops::render::{Settings, file},
    kinds::workload::{
        brought::Content,
        render::{Source, render},
    },
};
use serde_json::{Map, Value, json};

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
";

fn spec(more: Value) -> PackageSpec {
    let mut workload = json!({"git": {"url": "https://git.example.test/shop.git", "tag": "v1", "path": "/shop"}});
    workload.as_object_mut().unwrap().extend(serde_json::from_value::<Map<String, Value>>(more).unwrap());
    let package = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "metadata": {"name": "web-1.0.0"},
        "spec": {"name": "web", "version": "1.0.0", "workload": workload},
    });
    serde_json::from_value::<Package>(package).unwrap().spec
}

fn content(files: &[(&str, &str)]) -> Content {
    let read = |(path, text): &(&str, &str)| file(path, text.as_bytes(), &Settings::default()).unwrap();
    let manifests: Vec<_> = files.iter().flat_map(read).collect();
    Content::new("spec".to_owned(), "commit".to_owned(), &manifests)
}

fn said(content: &Content, more: Value) -> Vec<String> {
    let problems = content.problems(spec(more).workload.as_ref().unwrap());
    problems.iter().map(|problem| format!("{}:{}: {}", problem.file, problem.line, problem.message)).collect()
}

/// What a Deployment says of it.
fn refused(content: &Content) -> Vec<String> {
    let package = content.package(&spec(json!({})));
    let refusals =
        render(&Source { namespace: "shop", package: &package, overrides: None, env_from: &[] }).unwrap_err();
    refusals.iter().map(|one| content.told(one)).collect()
}

#[test]
fn content_is_the_same_in_whatever_order_files_were_read_and_is_released_as_if_it_stood_in_the_package() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let (one, other) = (content(&[("b.yaml", WEB), ("a.yaml", map)]), content(&[("a.yaml", map), ("b.yaml", WEB)]));
    assert_eq!(one, other);
    assert_eq!(said(&one, json!({})), [""; 0]);
    let package = one.package(&spec(json!({})));
    let release = render(&Source { namespace: "shop", package: &package, overrides: None, env_from: &[] }).unwrap();
    assert_eq!((release.workloads.len(), release.version.as_str()), (1, "1.0.0"));
    assert_eq!(format!("{one:?}"), "Content(2 objects of commit)");
}

#[test]
fn what_cannot_be_content_is_said_with_its_file_and_line() {
    let secret = format!("{WEB}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{a: word}}\n");
    let secret = content(&[("shop/web.yaml", &secret)]);
    let words = said(&secret, json!({}));
    assert!(
        words[0].starts_with(
            "shop/web.yaml:10: a Secret in plain text is readable by everybody who may read the repository"
        ),
        "{words:?}"
    );
    assert_eq!(said(&secret, json!({"allowPlainSecrets": true})), [""; 0]);
    assert!(said(&content(&[]), json!({}))[0].starts_with("/shop:0: there is no manifest here"));
    let map = |number: usize| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{number}}}\n");
    let many: String = (0..201).map(map).collect();
    assert!(said(&content(&[("a.yaml", &many)]), json!({}))[0].contains("201 objects, at most 200"));
    let large =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {}}}\n", "x".repeat(900_001));
    assert!(said(&content(&[("a.yaml", &large)]), json!({}))[0].contains("at most 900000 fit"));
}

#[test]
fn what_a_deployment_refuses_is_said_with_its_file_and_line() {
    let pod = "\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    assert_eq!(
        refused(&content(&[("shop/pod.yaml", pod)])),
        ["shop/pod.yaml:2: kind: Pod is not supported yet: use a Deployment of apps/v1"]
    );
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    assert_eq!(
        refused(&content(&[("a.yaml", map)])),
        ["spec.workload.git: nothing here runs pods: add a Deployment of apps/v1"]
    );
    let elsewhere = WEB.replace("{name: web}\nspec:", "{name: web, namespace: other}\nspec:");
    assert!(refused(&content(&[("a.yaml", &elsewhere)]))[0].starts_with("a.yaml:1: metadata.namespace: "));
}

//! From files to manifests: what is read, what is refused and with which words.

use std::collections::BTreeMap;

use landfall::{
    api::source::SyncFailure,
    gitops::{
        object::{Id, Manifest, digest},
        problem::Problem,
        render::{self, Bounds, Settings},
        scope::{Scope, Scopes},
    },
};
use serde_json::json;

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn read(text: &str) -> Vec<Manifest> {
    render::file("a.yaml", text.as_bytes(), &Settings::default()).unwrap()
}

fn problems(text: &str) -> Vec<Problem> {
    render::file("a.yaml", text.as_bytes(), &Settings::default()).expect_err(text)
}

/// Where, why and about which object, in short.
fn told(problems: &[Problem]) -> Vec<String> {
    let told = |p: &Problem| format!("{}:{} {} {}", p.file, p.line, p.reason, p.object.as_deref().unwrap_or("-"));
    problems.iter().map(told).collect()
}

fn scopes() -> Scopes {
    let mut scopes = Scopes::default();
    for (api_version, kind) in
        [("v1", "ConfigMap"), ("v1", "Secret"), ("apps/v1", "Deployment"), ("landfall.dev/v1alpha1", "Profile")]
    {
        scopes.insert(api_version, kind, Scope::Namespaced);
    }
    for kind in ["HorizontalPodAutoscaler", "Shop"] {
        scopes.insert("autoscaling/v1", kind, Scope::Namespaced);
        scopes.insert("autoscaling/v2", kind, Scope::Namespaced);
    }
    scopes.insert("v1", "Namespace", Scope::Cluster);
    scopes.insert("apiextensions.k8s.io/v1", "CustomResourceDefinition", Scope::Cluster);
    scopes
}

fn compose(text: &str) -> Result<Vec<Manifest>, Vec<Problem>> {
    render::compose(read(text), &Bounds { namespace: "shop", scopes: &scopes(), allow_profiles: false })
}

fn ids(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().map(|manifest| manifest.id.to_string()).collect()
}

#[test]
fn a_file_is_its_objects_with_their_lines() {
    let text = format!(
        "{CONFIG}---\n# nothing\n---\n{{\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"metadata\": {{\"name\": \"b\", \"namespace\": \"n\"}}}}\n"
    );
    let manifests = read(&text);
    assert_eq!(ids(&manifests), ["ConfigMap a", "Deployment n/b"]);
    assert_eq!(manifests.iter().map(|m| (&*m.file, m.line)).collect::<Vec<_>>(), [("a.yaml", 1), ("a.yaml", 7)]);
    assert_eq!(manifests[1].id.group(), "apps");
    assert_eq!(manifests[1].object()["metadata"], json!({"name": "b", "namespace": "n"}));
}

#[test]
fn a_digest_is_of_the_content_alone() {
    let same = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1', y: '2'}",
        "metadata: {namespace: n, name: a}\ndata: {y: '2', x: '1'}\nkind: ConfigMap\napiVersion: v1",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: u, resourceVersion: '1', creationTimestamp: null}\ndata: {x: '1', y: '2'}\nstatus: {}",
    ];
    let digests = same.map(|text| read(text)[0].digest.clone());
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
    assert_ne!(digests[0], read(CONFIG)[0].digest);
    assert_eq!(digest(&json!({"b": [1, {"d": 1, "c": 2}], "a": null})), "bjtszv569pnzpz4ljhgc");
}

#[test]
fn an_object_needs_what_the_api_server_knows_it_by() {
    for (text, line) in [
        ("kind: A\nmetadata: {name: a}", 1),
        ("apiVersion: a/b/c\nkind: A\nmetadata: {name: a}", 1),
        ("apiVersion: ../v1\nkind: A\nmetadata: {name: a}", 1),
        ("apiVersion: v1\nmetadata: {name: a}", 1),
        ("apiVersion: v1\nkind: a b\nmetadata: {name: a}", 2),
        ("apiVersion: v1\nkind: A", 1),
        ("apiVersion: v1\nkind: A\nmetadata: {name: 1}", 3),
        ("apiVersion: v1\nkind: A\nmetadata:\n  name: ../secrets/x", 4),
        ("apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  namespace: a/b", 5),
        ("apiVersion: v1\nkind: A\nmetadata:\n  name: a/b\n  generateName: a", 4),
        ("just a text", 1),
        ("- 1", 1),
    ] {
        assert_eq!(told(&problems(text)), [format!("a.yaml:{line} NotAnObject -")], "{text}");
    }
    let generated = problems("apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: a-\n");
    assert_eq!(told(&generated), ["a.yaml:4 GeneratedName Pod"]);
    assert_eq!(ids(&read("apiVersion: v1\nkind: ClusterRole\nmetadata: {name: 'system:a'}")), ["ClusterRole system:a"]);
}

#[test]
fn everything_that_is_wrong_with_a_file_is_said_at_once() {
    let both = problems("kind: A\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a}\n");
    assert_eq!(told(&both), ["a.yaml:1 NotAnObject -", "a.yaml:5 GeneratedName Pod"]);
    assert_eq!(told(&problems("a: [")), ["a.yaml:1 NotYaml -"]);
    let bytes = render::file("a.yaml", b"a: \xff", &Settings::default()).unwrap_err();
    assert_eq!(told(&bytes), ["a.yaml:1 NotYaml -"]);
}

#[test]
fn encrypted_objects_are_refused_where_nobody_has_a_key() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {p: 'ENC[AES256_GCM,data:xyz]'}\nsops:\n  mac: ENC[x]\n";
    let refused = problems(text);
    assert_eq!(told(&refused), ["a.yaml:5 DecryptionNotConfigured -"]);
    assert!(!refused[0].message.contains("xyz"));
    assert_eq!(read(&format!("{CONFIG}sops: {{a: 1}}\n")).len(), 1);
}

#[test]
fn values_go_only_into_files_that_ask_for_them() {
    let settings = Settings {
        substitute: BTreeMap::from([("NAME".into(), "shop".into()), ("EMPTY".into(), String::new())]),
        ..Settings::default()
    };
    let of = |text: &str| render::file("a.yaml", text.as_bytes(), &settings);
    let config = |data: &str| format!("{CONFIG}  # landfall: substitute \ndata: {{x: \"{data}\"}}\n");
    let value = |data: &str| of(&config(data)).unwrap()[0].object()["data"]["x"].as_str().unwrap().to_owned();
    assert_eq!(value("a-${NAME}-${NAME}"), "a-shop-shop");
    assert_eq!(value("${NAME:=x}${GONE:=y}${EMPTY:=z}${EMPTY}${GONE:=}"), "shopyz");
    assert_eq!(value("$${NAME} $NAME $$ $(NAME)"), "${NAME} $NAME $$ $(NAME)");
    assert_eq!(of(&format!("{CONFIG}data: {{x: \"${{GONE}}\"}}")).unwrap()[0].object()["data"]["x"], "${GONE}");
    for (data, word) in [
        ("${GONE}", "GONE"),
        ("${}", "write"),
        ("${a-b}", "write"),
        ("${NAME", "write"),
        ("${NAME\n}", "no `}`"),
        ("${1A}", "write"),
    ] {
        let refused = of(&config(data)).unwrap_err();
        assert_eq!(told(&refused), ["a.yaml:5 ValueMissing -"], "{data}");
        assert!(refused[0].message.contains(word), "{}", refused[0].message);
    }
    assert_eq!(of(&config("${A}\\\n ${B} ${C}")).unwrap_err().len(), 3);
    let lines =
        Settings { substitute: BTreeMap::from([("NAME".into(), "hunter2\nkind: X".into())]), ..Settings::default() };
    let refused = render::file("a.yaml", config("${NAME}").as_bytes(), &lines).unwrap_err();
    assert!(refused[0].message.contains("more than one line") && !refused[0].message.contains("hunter2"));
}

#[test]
fn what_has_a_namespace_goes_into_the_one_of_the_source() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: shop}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, namespace: ignored}\n";
    let composed = compose(text).unwrap();
    assert_eq!(ids(&composed), ["ConfigMap shop/a", "ConfigMap shop/b", "Namespace other"]);
    assert_eq!(composed[0].object()["metadata"], json!({"name": "a", "namespace": "shop"}));
    assert_eq!(composed[2].object()["metadata"], json!({"name": "other"}));
    assert!(!composed[1].text().contains("namespace"));
    let refused = compose("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}").unwrap_err();
    assert_eq!(told(&refused), ["a.yaml:1 NamespaceNotAllowed ConfigMap other/a"]);
}

#[test]
fn a_kind_is_known_by_the_cluster_or_by_a_definition_of_the_same_commit() {
    let custom = "apiVersion: example.test/v1\nkind: Sample\nmetadata: {name: a}\n";
    assert_eq!(told(&compose(custom).unwrap_err()), ["a.yaml:1 UnknownKind Sample a"]);
    for (scope, id) in [("Cluster", "Sample a"), ("Namespaced", "Sample shop/a")] {
        let definition = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: samples.example.test}}\nspec: {{group: example.test, scope: {scope}, names: {{kind: Sample}}, versions: [{{name: v1}}, {{name: v2}}]}}\n"
        );
        let composed = compose(&format!("{custom}---\n{definition}")).unwrap();
        assert_eq!(ids(&composed), [id, "CustomResourceDefinition samples.example.test"]);
    }
    let kinds = render::kinds(&read(&format!("{custom}---\n{CONFIG}---\n{CONFIG}")));
    let own = |version: &str, kind: &str| (version.to_owned(), kind.to_owned());
    assert_eq!(kinds, [own("example.test/v1", "Sample"), own("v1", "ConfigMap")].into());
}

#[test]
fn the_same_object_twice_is_refused_with_both_places_in_whatever_version() {
    let refused = compose(&format!("{CONFIG}---\n{CONFIG}---\n{CONFIG}")).unwrap_err();
    assert_eq!(told(&refused), ["a.yaml:5 ObjectTwice ConfigMap shop/a", "a.yaml:9 ObjectTwice ConfigMap shop/a"]);
    assert!(refused.iter().all(|p| p.message.starts_with("a.yaml:1 has this object too")), "{refused:?}");
    let versions = |kind: &str| {
        ["v1", "v2"]
            .map(|v| format!("apiVersion: autoscaling/{v}\nkind: {kind}\nmetadata: {{name: a}}\n"))
            .join("---\n")
    };
    assert_eq!(compose(&versions("Shop")).unwrap_err().len(), 1);
    let spaces = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n---\n".to_owned() + CONFIG;
    assert_eq!(compose(&spaces).unwrap_err().len(), 1);
    let kinds = format!("{CONFIG}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\n");
    assert_eq!(compose(&kinds).unwrap().len(), 2);
}

#[test]
fn profiles_come_only_where_they_may() {
    let profile = "apiVersion: landfall.dev/v1alpha1\nkind: Profile\nmetadata: {name: a}\n";
    assert_eq!(told(&compose(profile).unwrap_err()), ["a.yaml:1 ProfileNotAllowed Profile a"]);
    let bounds = Bounds { namespace: "shop", scopes: &scopes(), allow_profiles: true };
    assert_eq!(ids(&render::compose(read(profile), &bounds).unwrap()), ["Profile shop/a"]);
}

#[test]
fn what_a_manifest_contains_is_not_shown() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: other}\nstringData: {password: hunter2}\n";
    assert_eq!(format!("{:?}", read(secret)), "[Manifest(Secret other/a of a.yaml:1)]");
    let all = [compose(secret).unwrap_err(), problems(&secret.replace("{name: a, namespace: other}", "{}"))].concat();
    assert!(all.len() == 2 && all.iter().all(|problem| !format!("{problem:?}").contains("hunter2")));
}

#[test]
fn a_problem_fits_into_a_status() {
    let long = Problem::new("a.yaml", 3, "NotYaml", "ä".repeat(2000)).of(&"x".repeat(600));
    let failure = SyncFailure::from(long);
    assert_eq!((failure.file.as_deref(), failure.line, failure.reason.as_str()), (Some("a.yaml"), Some(3), "NotYaml"));
    assert!(failure.message.len() <= 1024 && failure.message.len() > 1000 && failure.message.ends_with('…'));
    assert_eq!(failure.object.map(|object| object.len()), Some(512));
    let id = Id::of(&json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "namespace": ""}})).unwrap();
    assert_eq!(id.to_string(), "A a");
}

//! `landfall lint` as a person runs it: files, lines, exit codes, and what only it can see.

use std::{fs, path::PathBuf};

use landfall::{
    cli::lint::{lint, lint_all},
    gitops::document,
};

use crate::cli::{landfall, run};

fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

const GOOD: &str = "\
apiVersion: landfall.dev/v1alpha1
kind: Deployment
metadata: {name: web}
spec:
  package: {name: web, version: 1.0.0}
  profile: production
";

const BAD: &str = "\
# A comment, and a document of another kind.
apiVersion: v1
kind: ConfigMap
---
apiVersion: landfall.dev/v1alpha1
kind: Deployment
metadata:
  name: web
spec:
  package: {name: web, version: 1.0.0}
  profile: production
  strategy:
    canary:
      steps:
        - weight: 10
        - weight: 0.5
  dryrun: true
";

#[test]
fn good_files_are_passed_in_silence_and_other_kinds_with_a_note() {
    let (code, out, err) = run(&mut landfall(&["lint", &file("good.yaml", GOOD)]));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let other = file("other.yaml", "apiVersion: v1\nkind: ConfigMap\n");
    let (code, out, err) = run(&mut landfall(&["lint", &other]));
    assert_eq!((code, out), (0, String::new()));
    assert_eq!(err, format!("note: {other}:1: v1 ConfigMap is not a kind of Landfall and was not checked\n"));
}

#[test]
fn a_finding_names_file_line_field_and_remedy() {
    let bad = file("bad.yaml", BAD);
    let (code, out, _) = run(&mut landfall(&["lint", &bad]));
    assert_eq!(code, 1);
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            format!("{bad}:16: Deployment web: spec.strategy.canary.steps[1].weight: 0.5 is a float: put it in quotes"),
            format!("{bad}:17: Deployment web: spec.dryrun: unknown field: remove it, or correct its name"),
        ]
    );
}

#[test]
fn json_is_read_too_and_what_is_neither_is_named() {
    let json = r#"{"apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": "p"}, "spec": {}}"#;
    let report = lint("p.json", json).unwrap();
    assert_eq!(report.findings, ["p.json:1: Profile p: spec: \"environment\" is a required property"]);
    let broken = lint("b.yaml", "a: [1, 2").unwrap();
    assert!(broken.findings[0].starts_with("b.yaml: this is not YAML: "), "{:?}", broken.findings);
    let (code, _, err) = run(&mut landfall(&["lint", "no-such-file.yaml"]));
    assert_eq!(code, 1);
    assert!(err.starts_with("error: cannot read no-such-file.yaml"), "{err}");
}

#[test]
fn a_wrong_group_version_kind_or_no_kind_is_named() {
    let said = |text: &str| lint("f", text).unwrap().findings.join("\n");
    assert_eq!(
        said("apiVersion: landfall.dev/v1\nkind: Package\nmetadata: {name: x}"),
        "f:1: Package x: apiVersion: write landfall.dev/v1alpha1"
    );
    assert_eq!(
        said("apiVersion: landfall.dev/v1alpha1\nkind: Rollout"),
        "f:2: Rollout : kind: write one of Package, Profile, Deployment"
    );
    assert_eq!(said("a: 1"), "f:1: document: apiVersion and kind are missing: every document needs both");
}

fn package(manifests: &str, more: &str) -> String {
    format!(
        "apiVersion: landfall.dev/v1alpha1\nkind: Package\nmetadata: {{name: p-1.0.0}}\nspec:\n  name: p\n  version: 1.0.0\n{more}\n  \
         workload:\n    manifests:\n{manifests}\n"
    )
}

const RUNS: &str = "      - {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, \
                    template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}}}\n";

/// The rules themselves are tested where packages are rendered; this is about finding them by file and line.
#[test]
fn the_objects_inside_a_package_are_held_against_the_rules_of_rendering() {
    let said = |manifests: &str, more: &str| {
        lint("f", &package(&format!("{RUNS}{manifests}"), more)).unwrap().findings.join("\n")
    };
    let map = "      - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
    assert_eq!(said(map, ""), "");
    assert_eq!(
        said(&map.repeat(2), ""),
        "f:12: Package p-1.0.0: spec.workload.manifests[2]: ConfigMap a is here twice: remove one"
    );
    let inside = "      - apiVersion: v1\n        kind: Pod\n        metadata: {name: a}\n";
    assert_eq!(
        said(inside, ""),
        "f:12: Package p-1.0.0: spec.workload.manifests[1].kind: Pod is not supported yet: use a Deployment of apps/v1"
    );
    assert!(said("      - text", "").contains("a manifest is an object with apiVersion, kind and metadata.name"));
    let secret = "      - {apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: Yg==}}\n";
    assert!(said(secret, "").contains("a Secret in plain text is readable by everybody who may read Packages"));
    assert_eq!(said(&format!("{secret}    allowPlainSecrets: true"), ""), "");
    let elsewhere = "      - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}\n";
    assert_eq!(said(elsewhere, ""), "");
    assert!(
        said(map, "  dependsOn: [{name: db, version: \"1.2.3.4\"}]")
            .contains("spec.dependsOn[0].version: \"1.2.3.4\" is not a range")
    );
}

#[test]
fn an_expression_over_health_that_cannot_be_read_is_found() {
    let profile = |current: &str| {
        let text = format!(
            "apiVersion: landfall.dev/v1alpha1\nkind: Profile\nmetadata: {{name: p}}\nspec:\n  environment: p\n  source:\n    \
             git: {{url: \"https://git.example.test/a.git\"}}\n    healthChecks:\n      \
             - {{apiVersion: example.test/v1, kind: Pipe, current: \"{current}\"}}\n"
        );
        lint("f", &text).unwrap().findings.join("\n")
    };
    assert_eq!(profile("has(object.status) && object.status.ok"), "");
    let found = profile("status.ok");
    assert!(found.contains("spec.source.healthChecks[0].current: there is no variable status: use object"), "{found}");
}

#[test]
fn scalars_are_those_of_yaml_1_1_and_aliases_are_followed() {
    let read =
        document::read("mode: 0644\non: yes\nhex: 0x10\nnothing: ~\ntext: \"0644\"\na: &a {b: 1}\nc: *a\n").unwrap();
    let value = &read[0].value;
    assert_eq!((&value["mode"], &value["hex"], &value["text"]), (&420.into(), &16.into(), &"0644".into()));
    assert_eq!((&value["c"]["b"], read[0].line("/c"), read[0].line("/a/b")), (&1.into(), 7, 6));
    assert!(document::read("").unwrap().is_empty());
    assert_eq!(document::read("---\na: 1\n---\n---\nb: 2\n").unwrap().len(), 2);
}

#[test]
fn checks_exist_and_their_expressions_are_cel() {
    let said = |checks: &str, named: &str| {
        let text = format!(
            "apiVersion: landfall.dev/v1alpha1\nkind: Profile\nmetadata: {{name: p}}\nspec:\n  environment: p\n  checks: [{checks}]\n  \
             strategy: {{canary: {{steps: [{{weight: 5}}, {{checks: [{named}]}}]}}}}\n"
        );
        lint("f", &text).unwrap().findings.join("\n")
    };
    let up = |success: &str| format!("{{name: up, http: {{url: 'http://x'}}, success: '{success}'}}");
    assert_eq!(said(&up("status == 200 && json.ok"), "up"), "");
    let missing =
        "spec.strategy.canary.steps[1].checks: there is no check down: add it to spec.checks, or correct the name";
    assert!(said(&up("true"), "down").contains(missing));
    assert!(
        said(&up("status =="), "up").contains("spec.checks[0].success: \"status ==\" is not CEL: write one such as")
    );
    assert!(said(&up("ready"), "up").contains("spec.checks[0].success: there is no variable ready"));
    let braces = "{name: up, http: {url: 'http://{{candidate.svc}}'}}";
    let known = "spec.checks[0].http: url: there is no placeholder {{candidate.svc}}: use {{candidate.service}}";
    assert!(said(braces, "up").contains(known), "{}", said(braces, "up"));
}

#[test]
fn a_health_check_url_is_one_that_can_be_asked() {
    let said = |url: &str| {
        let text = format!(
            "apiVersion: landfall.dev/v1alpha1\nkind: Profile\nmetadata: {{name: p}}\nspec:\n  environment: p\n  \
             strategy: {{canary: {{healthCheckUrl: '{url}'}}}}\n"
        );
        lint("f", &text).unwrap().findings.join("\n")
    };
    assert_eq!(said("http://{{ candidate.service }}/healthz"), "");
    let refused = "spec.strategy.canary.healthCheckUrl: a user and password may not stand in it";
    assert!(said("http://me:hush@x/").contains(refused), "{}", said("http://me:hush@x/"));
}

/// Findings of a Deployment in one file beside other objects in another one.
fn together(deployment: &str, others: &[String]) -> Vec<String> {
    let header = "apiVersion: landfall.dev/v1alpha1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n";
    let files = [("d.yaml".to_owned(), format!("{header}{deployment}")), ("o.yaml".to_owned(), others.join("---\n"))];
    lint_all(&files).unwrap().findings
}

fn profile_of(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: landfall.dev/v1alpha1\nkind: Profile\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         environment: e\n  checks: [{{name: up, http: {{url: 'http://x'}}}}]\n"
    )
}

fn package_of(namespace: &str, version: &str, state: &str) -> String {
    format!(
        "apiVersion: landfall.dev/v1alpha1\nkind: Package\nmetadata: {{name: web-{version}, namespace: {namespace}}}\nspec:\n  \
         name: web\n  version: {version}\n  state: {state}\n  workload:\n    manifests:\n      \
         - {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}, spec: {{selector: {{matchLabels: {{a: b}}}}, \
         template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: a, image: a}}]}}}}}}}}\n"
    )
}

const WANTS: &str = "  package: {name: web, version: 1.0.0}\n  profile: production\n";

#[test]
fn a_deployment_names_a_profile_of_the_files_where_they_have_any() {
    assert!(together(WANTS, &[]).is_empty());
    assert!(together(WANTS, &[profile_of("shop", "production")]).is_empty());
    assert!(together(WANTS, &[profile_of("elsewhere", "staging")]).is_empty());
    let expected = "d.yaml:6: Deployment web: spec.profile: there is no Profile production in these files, only staging: \
                    correct the name, or add the Profile";
    assert_eq!(together(WANTS, &[profile_of("shop", "staging")]), [expected]);
}

#[test]
fn a_deployment_names_a_package_of_the_files_where_they_have_any() {
    let said =
        |wanted: &str, others: &[String]| together(&format!("  package: {wanted}\n  profile: p\n"), others).join("\n");
    let two = [package_of("shop", "1.0.0", "Active"), package_of("shop", "1.1.0", "Deleted")];
    assert_eq!(said("{name: web, version: 1.0.0}", &two), "");
    assert_eq!(said("{name: web, range: ~1.0}", &two), "");
    assert_eq!(said("{name: web, version: 9.9.9}", &[package_of("elsewhere", "1.0.0", "Active")]), "");
    let missing =
        "spec.package.version: there is no Package web 2.0.0 in these files, only 1.0.0, 1.1.0: correct the version";
    assert!(said("{name: web, version: 2.0.0}", &two).contains(missing));
    assert!(said("{name: web, version: 1.1.0}", &two).contains("Package web 1.1.0 has the state Deleted"));
    assert!(
        said("{name: web, range: ~1.1}", &two).contains("spec.package.range: no active Package web in these files")
    );
    assert!(
        said("{name: wep, version: 1.0.0}", &two)
            .contains("spec.package.name: there is no Package wep in these files, only web")
    );
}

#[test]
fn the_checks_of_a_deployments_steps_may_be_those_of_its_profile() {
    let said = |name: &str, others: &[String]| {
        let steps = format!("  strategy: {{canary: {{steps: [{{weight: 5}}, {{checks: [{name}]}}]}}}}\n");
        together(&format!("{WANTS}{steps}"), others).join("\n")
    };
    let profile = [profile_of("shop", "production")];
    assert_eq!((said("up", &profile), said("down", &[])), (String::new(), String::new()));
    let missing = "d.yaml:7: Deployment web: spec.strategy.canary.steps[1].checks: there is no check down: add it to \
                   spec.strategy.checks or to Profile production, or correct the name";
    assert_eq!(said("down", &profile), missing);
}

//! `landfall diff` on a real cluster: by the repository, and by a working copy.

use std::{path::Path, process::Command};

use serde_json::json;

use super::forge::{Forge, PROFILE, map};

/// What `landfall diff` says, and how it ends.
fn diff(forge: &Forge, arguments: &[&str]) -> (Option<i32>, String, String) {
    let namespace = forge.stage.world.namespace.as_str();
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    let output = command.args(["diff", PROFILE, "-n", namespace]).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], selector: {app: web}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_sync_would_change_is_shown_before_it_does() {
    let secret =
        |value: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{k: {value}}}\n");
    let (one, first) = (map("one", "1"), secret("former"));
    let forge = Forge::with(
        "diff",
        "prune: true",
        &[("one.yaml", &one), ("gone.yaml", &map("gone", "1")), ("key.yaml", &first), ("web.yaml", SERVICE)],
    )
    .await;
    forge.in_force(&forge.head()).await;
    let (code, out, err) = diff(&forge, &[]);
    assert_eq!((code, out.as_str()), (Some(0), "0 created, 0 changed, 0 deleted\n"), "{err}");
    assert!(err.contains("branch main is at ") && err.contains(", first, by Bob"), "{err}");

    forge.patch(json!({"spec": {"source": {"suspend": true}}})).await;
    let (changed, second) = (map("one", "2"), secret("later"));
    let files =
        [("one.yaml", changed.as_str()), ("key.yaml", &second), ("web.yaml", SERVICE), ("z.yaml", &map("new", "1"))];
    let commit = forge.commit("second", &files);
    let (code, out, err) = diff(&forge, &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    let namespace = &forge.stage.world.namespace;
    for words in [
        format!("ConfigMap {namespace}/gone is deleted"),
        format!("ConfigMap {namespace}/new is created"),
        format!("ConfigMap {namespace}/one is changed"),
        format!("Secret {namespace}/key is changed"),
        "-  k: \"*** (before)\"\n+  k: \"*** (after)\"".to_owned(),
        "-  a: \"1\"\n+  a: \"2\"".to_owned(),
        "1 created, 2 changed, 1 deleted\n".to_owned(),
    ] {
        assert!(out.contains(&words), "no {words} in\n{out}");
    }
    for value in ["bGF0ZXI", "Zm9ybWVy", "later", "former"] {
        assert!(!out.contains(value), "{value} is in\n{out}");
    }
    assert_eq!(forge.names().await, ["gone", "one"], "nothing was written");

    // The same from a working copy, with what was not committed yet.
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("copy-{namespace}"));
    std::fs::create_dir_all(&copy).unwrap();
    for (path, content) in files {
        std::fs::write(copy.join(path), content).unwrap();
    }
    let path = ["--path", copy.to_str().unwrap()];
    assert_eq!(diff(&forge, &path).1, out);
    std::fs::write(copy.join("one.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndatum: {a: b}\n")
        .unwrap();
    let (code, _, err) = diff(&forge, &path);
    assert!(code == Some(2) && err.contains("error: one.yaml:1: ConfigMap") && err.contains("datum"), "{err}");
    std::fs::remove_dir_all(&copy).unwrap();

    forge.patch(json!({"spec": {"source": {"suspend": false}}})).await;
    forge.in_force(&commit).await;
    let (code, out, err) = diff(&forge, &[]);
    assert_eq!((code, out.as_str()), (Some(0), "0 created, 0 changed, 0 deleted\n"), "{err}");
    forge.end().await;
}

/// A working copy with these files.
fn copy(forge: &Forge, files: &[(&str, &str)]) -> std::path::PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("copy-{}", forge.stage.world.namespace));
    drop(std::fs::remove_dir_all(&copy));
    for (path, content) in files {
        let path = copy.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    copy
}

const SAME: &str = "0 created, 0 changed, 0 deleted\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_kustomize_makes_is_compared_as_the_operator_makes_it() {
    let forge = Forge::new("diff-kustomize").await;
    let (base, later) = (map("settings", "1"), map("settings", "2"));
    let files = |settings| {
        [
            ("production/kustomization.yaml", "resources: [../base, secret.yaml]\nnamePrefix: shop-\n"),
            ("production/secret.yaml", SEALED),
            ("base/kustomization.yaml", "resources: [settings.yaml]\n"),
            ("base/settings.yaml", settings),
        ]
    };
    let first = forge.commit("first", &files(&base));
    forge.give("age", json!({"one.agekey": include_str!("../../sops/one.agekey")})).await;
    forge.follow_at("/production", "prune: true, decryption: {secretRef: {name: age}}").await;
    forge.in_force(&first).await;
    let (code, out, err) = diff(&forge, &[]);
    assert_eq!((code, out.as_str()), (Some(0), SAME), "{err}");

    // From a working copy, with the key of whoever calls.
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sops/one.agekey");
    let copied = copy(&forge, &files(&later));
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.args(["diff", PROFILE, "-n", &forge.stage.world.namespace, "--path"]).arg(&copied);
    let output = command.env("SOPS_AGE_KEY_FILE", key).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("ConfigMap") && out.contains("/shop-settings is changed"), "{out}");
    assert!(
        out.ends_with(
            "-  a: \"1\"\n+  a: \"2\"\n kind: ConfigMap\n metadata:\n   labels:\n0 created, 1 changed, 0 deleted\n"
        ),
        "{out}"
    );
    assert_eq!(output.stderr, b"", "no version is named where it is the operator's");

    std::fs::write(copied.join("base/kustomization.yaml"), "resources:\n- settings.yaml\n- absent.yaml\n").unwrap();
    let (code, _, err) = diff(&forge, &["--path", copied.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(err.starts_with("error: base/kustomization.yaml:3: the commit has nothing at this path"), "{err}");
    std::fs::remove_dir_all(&copied).unwrap();
    forge.end().await;
}

/// A `ConfigMap` with one value that SOPS encrypted.
const SEALED: &str = include_str!("../../sops/suffix.yaml");

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-settings}\ndata:\n  \
                        a: {{ .Values.first }}\n  namespace: {{ .Release.Namespace }}\n  \
                        routes: {{ .Capabilities.APIVersions.Has \"gateway.networking.k8s.io/v1/HTTPRoute\" | quote }}\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_helm_makes_is_compared_for_this_cluster_and_a_broken_template_has_its_line() {
    let forge = Forge::new("diff-helm").await;
    let files = |values, template| {
        [
            ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
            ("chart/values.yaml", values),
            ("chart/templates/settings.yaml", template),
        ]
    };
    let first = forge.commit("first", &files("first: own\n", TEMPLATE));
    forge.follow_at("/chart", "prune: true, helm: {releaseName: blue}").await;
    forge.in_force(&first).await;
    let (code, out, err) = diff(&forge, &[]);
    assert_eq!((code, out.as_str()), (Some(0), SAME), "{err}");

    let copied = copy(&forge, &files("first: other\n", TEMPLATE));
    let path = ["--path", copied.to_str().unwrap()];
    let (code, out, err) = diff(&forge, &path);
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    assert!(out.contains("-  a: own\n+  a: other\n") && out.ends_with("0 created, 1 changed, 0 deleted\n"), "{out}");
    drop(copy(&forge, &files("first: own\n", "a: 1\nb: {{ .Values.first.second }}\n")));
    let (code, _, err) = diff(&forge, &path);
    assert_eq!(code, Some(2));
    assert!(err.starts_with("error: chart/templates/settings.yaml:2: ") && err.contains("(RendererFailed)"), "{err}");
    std::fs::remove_dir_all(&copied).unwrap();
    forge.end().await;
}

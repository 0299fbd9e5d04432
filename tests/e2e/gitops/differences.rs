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

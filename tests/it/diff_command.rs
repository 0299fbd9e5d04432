//! `landfall diff` as a process: a working copy on the disk against a pretended API server.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    cli::{run, scratch},
    fake_cluster::FakeCluster,
    picture::on_a_terminal,
};

const PROFILE: &str = "/apis/landfall.dev/v1alpha1/namespaces/shop/profiles/production";
const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

/// A cluster whose Profile looks after the `ConfigMap`s one and old, and a working copy with one, as it is.
struct Desk {
    cluster: FakeCluster,
    root: PathBuf,
}

impl Desk {
    fn new(name: &str) -> Self {
        let root = scratch(&format!("working-copy-{name}"));
        drop(fs::remove_dir_all(&root));
        fs::create_dir_all(root.join("production/deep")).unwrap();
        let cluster = FakeCluster::start(&format!("diff-{name}"));
        cluster.put(
            PROFILE,
            json!({
                "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile",
                "metadata": {"name": "production", "namespace": "shop", "generation": 1},
                "spec": {"environment": "production", "source": {
                    "git": {"url": "https://git.example.test/acme/shop.git", "path": "/production", "secretRef": {"name": "git"}},
                    "prune": true, "substitute": {"COLOUR": "green"},
                }},
                "status": {"source": {"inventory": {"count": 2, "entries": [
                    "v1 ConfigMap shop/old 0a1b uid-old", "v1 ConfigMap shop/one 0a1b uid-one",
                ]}}},
            }),
        );
        cluster.put(&format!("{MAPS}/one"), map("one", "1"));
        cluster.put(&format!("{MAPS}/old"), map("old", "1"));
        let desk = Self { cluster, root };
        desk.file("production/one.yaml", &text("one", "1"));
        desk
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn keep_old(&self) {
        self.file("production/old.yaml", &text("old", "1"));
    }

    fn command(&self) -> Command {
        self.cluster.landfall(&["diff", "production", "--path", self.root.to_str().unwrap()])
    }

    fn diff(&self) -> (i32, String, String) {
        run(&mut self.command())
    }

    /// How it ends in trouble, and what is said.
    fn trouble(&self) -> String {
        let (code, out, err) = self.diff();
        assert_eq!(code, 2, "{out}{err}");
        err
    }
}

fn map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
                     "labels": {"landfall.dev/profile": "production"}},
        "data": {"a": value},
    })
}

fn text(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  a: \"{value}\"\n")
}

#[test]
fn a_working_copy_is_compared_with_the_cluster_and_nothing_is_written() {
    let desk = Desk::new("changes");
    desk.file("production/one.yaml", &format!("# landfall: substitute\n{}", text("one", "${COLOUR}")));
    desk.file("production/deep/new.yaml", &text("new", "1"));
    // None of these is what the Profile follows.
    desk.file("staging/other.yaml", "not: [even yaml");
    desk.file("production/.landfallignore", "drafts/\n");
    desk.file("production/drafts/bad.yaml", "not: [even yaml");
    desk.file("production/.git/config.yaml", "not: [even yaml");
    desk.file("production/README.md", "words");
    let (code, out, err) = desk.diff();
    let expected = "\
ConfigMap shop/new is created
@@ -0,0 +1,9 @@
+apiVersion: v1
+data:
+  a: \"1\"
+kind: ConfigMap
+metadata:
+  labels:
+    landfall.dev/profile: production
+  name: new
+  namespace: shop
ConfigMap shop/old is deleted
@@ -1,9 +0,0 @@
-apiVersion: v1
-data:
-  a: \"1\"
-kind: ConfigMap
-metadata:
-  labels:
-    landfall.dev/profile: production
-  name: old
-  namespace: shop
ConfigMap shop/one is changed
@@ -1,6 +1,6 @@
 apiVersion: v1
 data:
-  a: \"1\"
+  a: green
 kind: ConfigMap
 metadata:
   labels:
1 created, 1 changed, 1 deleted
";
    assert_eq!((code, out.as_str(), err.as_str()), (1, expected, ""));
    let written = desk.cluster.written();
    assert_eq!(written.len(), 2);
    for write in written {
        assert!(
            write.query.contains("dryRun=All") && write.query.contains("fieldManager=landfall-source"),
            "{write:?}"
        );
    }
    assert_eq!(desk.cluster.object(&format!("{MAPS}/one")).unwrap()["data"]["a"], "1");
    assert_eq!(desk.cluster.object(&format!("{MAPS}/new")), None);
}

#[test]
fn it_ends_with_0_where_nothing_would_change() {
    let desk = Desk::new("same");
    desk.keep_old();
    let (code, out, err) = desk.diff();
    assert_eq!((code, out.as_str(), err.as_str()), (0, "0 created, 0 changed, 0 deleted\n", ""));
}

#[test]
fn what_stays_although_it_left_is_said_and_is_no_difference() {
    let desk = Desk::new("stays");
    desk.cluster.edit(&format!("{MAPS}/old"), |old| {
        old["metadata"]["annotations"] = json!({"landfall.dev/prune": "Disabled"});
    });
    let (code, out, err) = desk.diff();
    assert_eq!((code, out.as_str()), (0, "0 created, 0 changed, 0 deleted\n"));
    assert_eq!(err, "note: ConfigMap shop/old stays: it has the annotation landfall.dev/prune: Disabled\n");
    desk.cluster.edit(PROFILE, |profile| profile["spec"]["source"]["prune"] = json!(false));
    let (code, _, err) = desk.diff();
    assert_eq!((code, err.as_str()), (0, "note: ConfigMap shop/old is no longer looked after, and stays\n"));
}

#[test]
fn what_an_autoscaler_set_and_what_drift_leaves_alone_is_no_difference() {
    let desk = Desk::new("drift");
    desk.keep_old();
    desk.cluster.edit(&format!("{MAPS}/one"), |one| one["data"]["a"] = json!("of somebody"));
    assert_eq!(desk.diff().0, 1);
    // The digest of what is in force, so that the repository has not changed it.
    let digest = landfall::gitops::object::digest(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"},
    }));
    desk.cluster.edit(PROFILE, |profile| {
        profile["spec"]["source"]["drift"] = json!("Report");
        profile["status"]["source"]["inventory"]["entries"][1] =
            json!(format!("v1 ConfigMap shop/one {digest} uid-one"));
    });
    let (code, _, err) = desk.diff();
    assert!(code == 0 && err.contains("not compared because spec.source.drift is Report: 1"), "{err}");

    let web = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"landfall.dev/profile": "production"},
                     "managedFields": [{"manager": "autoscaler", "subresource": "scale"}]},
        "spec": {"replicas": 7, "paused": false},
    });
    desk.cluster.put("/apis/apps/v1/namespaces/shop/replicasets/web", web);
    desk.file(
        "production/web.yaml",
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec: {replicas: 1, paused: false}\n",
    );
    let (code, out, err) = desk.diff();
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn values_of_secrets_are_compared_and_never_shown() {
    let desk = Desk::new("secret");
    desk.keep_old();
    let mut live = map("key", "x");
    (live["kind"], live["data"]) = (json!("Secret"), json!({"same": "c2FtZQ==", "other": "b3RoZXI="}));
    desk.cluster.put("/api/v1/namespaces/shop/secrets/key", live);
    let file = |other: &str| {
        let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\n";
        desk.file("production/key.yaml", &format!("{head}data: {{same: c2FtZQ==, other: {other}}}\n"));
    };
    file("b3RoZXI=");
    assert_eq!(desk.diff().0, 0);
    file("bmV3ZXI=");
    let (code, out, err) = desk.diff();
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.contains("-  other: \"*** (before)\"\n+  other: \"*** (after)\"\n   same: \"***\"\n"), "{out}");
    for value in ["c2FtZQ", "b3RoZXI", "bmV3ZXI"] {
        assert!(!out.contains(value), "{out}");
    }
    desk.cluster.refuse_writes("/secrets/key", 422);
    assert!(
        desk.trouble()
            .contains("production/key.yaml:1: Secret shop/key: the API server refuses this object; its words")
    );
}

#[test]
fn links_broken_files_and_refused_objects_are_trouble_with_their_place() {
    let desk = Desk::new("trouble");
    desk.keep_old();
    symlink("one.yaml", desk.root.join("production/link.yaml")).unwrap();
    assert!(desk.trouble().contains("error: link.yaml:1: links are not followed"));
    fs::remove_file(desk.root.join("production/link.yaml")).unwrap();

    // A link to a directory is not walked into, wherever it leads.
    symlink("/", desk.root.join("production/everything")).unwrap();
    assert!(desk.trouble().contains("everything:1: links are not followed"));
    fs::remove_file(desk.root.join("production/everything")).unwrap();

    desk.file("production/bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n");
    let words = desk.trouble();
    assert!(words.starts_with("error: production/bad.yaml:3: ") && words.ends_with("(NotYaml)\n"), "{words}");
    desk.file("production/bad.yaml", &format!("# landfall: substitute\n{}", text("x", "${NOBODY}")));
    assert!(desk.trouble().contains("production/bad.yaml:7: nothing is known of NOBODY"));
    fs::remove_file(desk.root.join("production/bad.yaml")).unwrap();

    desk.file("production/one.yaml", &text("one", "2"));
    desk.cluster.refuse_writes("/configmaps/one", 403);
    let words = desk.trouble();
    assert!(
        words.starts_with("error: production/one.yaml:1: ConfigMap shop/one: ") && words.contains("HTTP 403"),
        "{words}"
    );
    desk.cluster
        .edit(&format!("{MAPS}/one"), |one| one["metadata"]["labels"]["landfall.dev/profile"] = json!("staging"));
    desk.cluster.edit(PROFILE, |profile| profile["status"] = json!({}));
    assert!(desk.trouble().contains("it belongs to the source of the Profile staging already"));
}

#[test]
fn a_directory_without_what_the_profile_follows_is_trouble() {
    let desk = Desk::new("no-directory");
    fs::rename(desk.root.join("production"), desk.root.join("elsewhere")).unwrap();
    assert!(desk.trouble().contains("has no directory /production, which spec.source.git.path names"));
    symlink("elsewhere", desk.root.join("production")).unwrap();
    assert!(desk.trouble().contains("links are not followed"));
    desk.cluster.edit(PROFILE, |profile| profile["spec"]["source"]["git"]["path"] = json!("/../elsewhere"));
    assert!(desk.trouble().contains("has no directory /../elsewhere"));
    let nowhere = Desk { root: Path::new("/nowhere").to_owned(), cluster: desk.cluster.clone() };
    assert!(nowhere.trouble().contains("/nowhere is no directory: name the root of a working copy"));
}

#[test]
fn an_empty_directory_is_refused_unless_the_profile_allows_it() {
    let desk = Desk::new("empty");
    fs::remove_file(desk.root.join("production/one.yaml")).unwrap();
    assert!(desk.trouble().contains("the commit has no object, and 2 are looked after: set spec.source.allowEmpty"));
    desk.cluster.edit(PROFILE, |profile| profile["spec"]["source"]["allowEmpty"] = json!(true));
    let (code, out, _) = desk.diff();
    assert!(code == 1 && out.ends_with("0 created, 0 changed, 2 deleted\n"), "{out}");
}

/// A program that prints a text, whatever it is told. It needs no other file, so that it runs as contained as real ones.
#[cfg(target_arch = "x86_64")]
fn program(text: &str) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // write(1, text, length), exit(0)
    let code = [
        &[0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 16, 0, 0, 0, 0xba][..],
        &u32::try_from(text.len()).unwrap().to_le_bytes(),
        &[0x0f, 5, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 5],
        text.as_bytes(),
    ]
    .concat();
    let size = HEADERS + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0");
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

/// A directory with a program of this name that prints a text.
#[cfg(target_arch = "x86_64")]
fn programs(name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let directory = scratch(&format!("programs-{name}-{}", text.len()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join(name);
    fs::write(&file, program(text)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn a_program_that_is_missing_is_named_with_the_remedy_and_what_is_refused_is_refused_without_it() {
    let desk = Desk::new("no-kustomize");
    desk.file("production/kustomization.yaml", "resources:\n- one.yaml\n");
    let said = desk.trouble();
    let words = "error: production/kustomization.yaml:1: there is no kustomize in the PATH: install kustomize 5, or name a \
                 directory that has it with --renderers (RendererNotAvailable)\n";
    assert_eq!(said, words);
    let (code, _, err) = run(desk.command().args(["--renderers", "/nowhere"]));
    assert!(code == 2 && err.contains("there is no kustomize in the directory /nowhere: install kustomize 5"), "{err}");

    desk.file("production/kustomization.yaml", "resources:\n- one.yaml\n- https://git.example.test/x.git\n");
    let said = desk.trouble();
    assert!(said.starts_with("error: production/kustomization.yaml:3: nothing is fetched from elsewhere"), "{said}");
    desk.file("production/kustomization.yaml", "resources:\n- ../../outside\n");
    assert!(desk.trouble().contains("production/kustomization.yaml:2: this leads out of the repository"));
    desk.file("production/kustomization.yaml", "resources: [one.yaml]\n");
    desk.cluster.edit(PROFILE, |profile| profile["spec"]["source"]["helm"] = json!({"releaseName": "shop"}));
    assert!(desk.trouble().contains("spec.source.helm is for charts, and this is a kustomization"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_kustomize_and_helm_make_is_compared_and_another_version_is_named() {
    let desk = Desk::new("made");
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: b}\n";
    desk.file("production/kustomization.yaml", "resources: [../base]\n");
    desk.file("base/kustomization.yaml", "resources: [a.yaml]\n");
    desk.file("base/a.yaml", &text("a", "1"));
    let made = |path: &Path| run(desk.command().env("PATH", path));
    let (code, out, err) = made(&programs("kustomize", &format!("# v5.8.1\n{object}")));
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(
        out.contains("ConfigMap shop/made is created") && out.ends_with("1 created, 0 changed, 2 deleted\n"),
        "{out}"
    );
    let (code, _, err) = made(&programs("kustomize", &format!("# an older one, v4.5.7\n{object}")));
    let words =
        "note: this is kustomize v4.5.7, and the operator has version 5: it may make something else of these files\n";
    assert_eq!((code, err.as_str()), (1, words));
    let (code, _, err) = made(&programs("kustomize", &object.replace("v1", "w1")));
    assert!(
        code == 2 && err.contains("note: the version of kustomize cannot be told; the operator has version 5"),
        "{err}"
    );

    fs::remove_file(desk.root.join("production/kustomization.yaml")).unwrap();
    desk.file("production/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n");
    desk.file("production/templates/a.yaml", object);
    let helm = programs("helm", &format!("# v4.1.0\n---\n# Source: shop/templates/a.yaml\n{object}"));
    let helm = helm.to_str().unwrap();
    let (code, _, err) = run(desk.command().args(["--renderers", helm]));
    assert!(code == 2 && err.contains("HTTP 404"), "charts are told of the cluster: {err}");
    let version = json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.1", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "",
    });
    desk.cluster.put("/version", version);
    let (code, out, err) = run(desk.command().args(["--renderers", helm]));
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("ConfigMap shop/made is created"), "{out}");
}

#[test]
fn what_git_ignores_in_a_working_copy_is_in_no_commit() {
    let desk = Desk::new("ignored");
    desk.keep_old();
    let repository = git2::Repository::init(&desk.root).unwrap();
    desk.file(".gitignore", "drafts/\n*.local.yaml\n");
    desk.file("production/drafts/bad.yaml", "not: [even yaml");
    desk.file("production/my.local.yaml", "not: [even yaml");
    assert_eq!(desk.diff().0, 0, "{}", desk.diff().2);
    // What is tracked is in the next commit all the same.
    let mut index = repository.index().unwrap();
    index.add_path(Path::new("production/drafts/bad.yaml")).unwrap();
    index.write().unwrap();
    assert!(desk.trouble().starts_with("error: production/drafts/bad.yaml:1: "));
}

/// The content of a file that SOPS itself made.
fn vector(name: &str) -> String {
    fs::read_to_string(format!("{}/tests/sops/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn what_sops_encrypted_is_compared_with_the_callers_key_or_the_profiles_and_never_shown() {
    let desk = Desk::new("sops");
    desk.keep_old();
    desk.file("production/key.yaml", &vector("suffix.yaml"));
    let said = desk.trouble();
    assert!(said.contains("name a Secret with its age key") && said.contains("(DecryptionNotConfigured)"), "{said}");
    desk.cluster.edit(PROFILE, |profile| {
        profile["spec"]["source"]["decryption"] = json!({"secretRef": {"name": "age"}});
    });
    let said = desk.trouble();
    for words in [
        "set SOPS_AGE_KEY_FILE to a file",
        "spec.source.decryption.secretRef",
        "the Secret age: there is no such Secret in shop",
    ] {
        assert!(said.contains(words), "{said}");
    }

    let file = |name: &str| format!("{}/tests/sops/{name}", env!("CARGO_MANIFEST_DIR"));
    let with = |key: &str| run(desk.command().env("SOPS_AGE_KEY_FILE", key));
    let (code, out, err) = with(&file("one.agekey"));
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("+  open: not-secret\n+  password_secret: \"*** (after)\"\n"), "{out}");
    let (code, _, err) = with(&file("two.agekey"));
    assert!(code == 2 && err.contains("(DecryptionFailed)"), "{err}");
    let (code, _, err) = with(&file("suffix.yaml"));
    assert!(
        code == 2 && err.contains("SOPS_AGE_KEY_FILE") && err.contains("line 1: this is no identity of age"),
        "{err}"
    );
    assert!(with("/nowhere").2.contains("SOPS_AGE_KEY_FILE, /nowhere: No such file"));

    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, vector("one.agekey"));
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "age"}, "data": {"one.agekey": encoded}});
    desk.cluster.put("/api/v1/namespaces/shop/secrets/age", secret);
    let mut live = map("suffix", "x");
    live["data"] = json!({"open": "not-secret", "password_secret": "suffix-secret"});
    desk.cluster.put(&format!("{MAPS}/suffix"), live);
    assert_eq!(desk.diff().0, 0, "{}", desk.diff().1);
    desk.cluster.edit(&format!("{MAPS}/suffix"), |live| live["data"]["password_secret"] = json!("of-before"));
    let (code, out, err) = desk.diff();
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(
        out.contains("-  password_secret: \"*** (before)\"\n+  password_secret: \"*** (after)\"\n")
            && !out.contains("of-before")
            && !out.contains("suffix-secret"),
        "{out}"
    );
    desk.cluster.refuse("/secrets/age", 403);
    assert!(desk.trouble().contains("HTTP 403"));
    assert_eq!(with(&file("one.agekey")).0, 1, "whoever has the key does not need the Secret");
}

#[test]
fn without_a_working_copy_the_credentials_are_read_as_the_caller() {
    let desk = Desk::new("credentials");
    let diff = || run(&mut desk.cluster.landfall(&["diff", "production", "-n", "shop"]));
    desk.cluster.refuse("/secrets/git", 403);
    let (code, out, err) = diff();
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("the repository cannot be read from here") && err.contains("HTTP 403"), "{err}");
    assert!(err.contains("landfall diff --path DIR production -n shop"), "{err}");
    assert!(err.contains("the Secret git of spec.source.git.secretRef"), "{err}");
}

#[test]
fn a_profile_without_a_source_or_that_is_not_there_is_trouble() {
    let desk = Desk::new("no-source");
    desk.cluster.edit(PROFILE, |profile| profile["spec"] = json!({"environment": "production"}));
    assert!(desk.trouble().contains("production has no source"));
    let (code, _, err) = run(&mut desk.cluster.landfall(&["diff", "nobody"]));
    assert_eq!((code, err.as_str()), (2, "error: there is no profiles.landfall.dev nobody in namespace shop\n"));
}

#[test]
fn on_a_terminal_differences_have_colours() {
    let desk = Desk::new("colours");
    desk.file("production/one.yaml", &text("one", "2"));
    let (status, out) = on_a_terminal(&mut desk.command(), || {});
    assert_eq!(status.code(), Some(1), "{out}");
    assert!(out.contains("\u{1b}[32m+  a: \"2\"\u{1b}[0m") && out.contains("\u{1b}[31m-  a: \"1\"\u{1b}[0m"), "{out}");
    let (status, out) = on_a_terminal(desk.command().env("NO_COLOR", "1"), || {});
    assert!(status.code() == Some(1) && !out.contains('\u{1b}'), "{out}");
}

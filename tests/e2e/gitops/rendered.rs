//! Directories of which kustomize and Helm make the manifests.

use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use landfall::api::source::SourceStatus;

use super::forge::{Forge, map};
use crate::world::{LOCAL_IMAGE, World};

/// A base with an object and a generator.
fn base(value: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "base/kustomization.yaml",
            "resources: [settings.yaml]\nconfigMapGenerator:\n- name: made\n  files: [a=motto.txt]\n".to_owned(),
        ),
        ("base/settings.yaml", map("settings", value)),
        ("base/motto.txt", "slowly".to_owned()),
    ]
}

const OVERLAY: &str = "
resources: [../base]
namePrefix: shop-
patches:
- path: more.yaml
";

const PATCH: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {b: patched}}";

fn commit(forge: &Forge, message: &str, files: &[(&'static str, String)]) -> String {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    forge.commit(message, &files)
}

/// How often a renderer ran, by the operator's log.
fn runs(forge: &Forge) -> usize {
    std::fs::read_to_string(&forge.stage.log).unwrap().matches("a program ran").count()
}

fn told(status: &SourceStatus) -> Vec<(String, String, Option<i64>)> {
    let of = |failure: &landfall::api::source::SyncFailure| {
        (failure.reason.clone(), failure.file.clone().unwrap_or_default(), failure.line)
    };
    status.failures.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kustomization_with_a_base_above_it_is_in_force_and_runs_again_only_when_what_it_needs_changed() {
    let forge = Forge::new("kustomized").await;
    let overlay = [("production/kustomization.yaml", OVERLAY.to_owned()), ("production/more.yaml", PATCH.to_owned())];
    let files = |value: &str, other: &str| [&base(value)[..], &overlay, &[("other/x.yaml", map("x", other))]].concat();
    let first = commit(&forge, "first", &files("1", "1"));
    forge.follow_at("/production", "prune: true").await;
    forge.in_force(&first).await;
    let settings = forge.maps().get("shop-settings").await.unwrap();
    let data = settings.data.unwrap();
    assert_eq!((data["a"].as_str(), data["b"].as_str()), ("1", "patched"));
    assert_eq!(settings.metadata.annotations, None, "what we asked kustomize for is not written");
    let made = forge.names().await.into_iter().find(|name| name.starts_with("shop-made-")).unwrap();
    assert_eq!(forge.value(&made).await.as_deref(), Some("slowly"));
    let before = runs(&forge);

    // Nothing that is needed changed.
    let second = commit(&forge, "second", &files("1", "2"));
    forge.in_force(&second).await;
    assert_eq!(runs(&forge), before, "kustomize ran for nothing");

    // Only the base changed.
    let third = commit(&forge, "third", &files("3", "2"));
    let status = forge.in_force(&third).await;
    assert_eq!(forge.value("shop-settings").await.as_deref(), Some("3"));
    assert_eq!((runs(&forge), status.last_sync.unwrap().counts.configured), (before + 1, 1));
    forge.end().await;
}

/// A chart with a template, a hook of tests and a definition of values.
fn chart(template: &str) -> Vec<(&'static str, String)> {
    vec![
        ("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n".to_owned()),
        ("chart/values.yaml", "first: own\nsecond: own\nthird: own\n".to_owned()),
        ("chart/templates/settings.yaml", template.to_owned()),
        (
            "chart/templates/try.yaml",
            format!("{}  annotations: {{helm.sh/hook: test}}\n", map("try", "1").replace("data:\n  a: \"1\"\n", "")),
        ),
        ("values/production.yaml", "second: file\nthird: file\n".to_owned()),
    ]
}

const TEMPLATE: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data:
  a: {{ .Values.first }}-{{ .Values.second }}-{{ .Values.third }}
  namespace: {{ .Release.Namespace }}
  routes: {{ .Capabilities.APIVersions.Has \"gateway.networking.k8s.io/v1/HTTPRoute\" | quote }}
  new: {{ semverCompare \">=1.31.0-0\" .Capabilities.KubeVersion.Version | quote }}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_rendered_with_its_values_and_for_this_cluster() {
    let forge = Forge::new("charted").await;
    let first = commit(&forge, "first", &chart(TEMPLATE));
    let helm =
        "prune: true, helm: {releaseName: blue, valuesFiles: [../values/production.yaml], values: {third: spec}}";
    forge.follow_at("chart", helm).await;
    forge.in_force(&first).await;
    assert_eq!(forge.names().await, ["blue-settings"], "hooks of tests are left out");
    let data = forge.maps().get("blue-settings").await.unwrap().data.unwrap();
    let texts: Vec<_> = ["a", "routes", "new"].map(|key| data[key].as_str()).to_vec();
    assert_eq!(texts, ["own-file-spec", "true", "true"]);
    assert_eq!(data["namespace"], forge.stage.world.namespace);

    let broken = commit(&forge, "broken", &chart("a: 1\nb: {{ .Values.first.second }}\n"));
    let status = forge.failed(&broken).await;
    let place = ("RendererFailed".to_owned(), "chart/templates/settings.yaml".to_owned(), Some(2));
    assert_eq!(told(&status), [place], "{:?}", status.failures);

    let hook = TEMPLATE.replace("-settings}", "-settings, annotations: {helm.sh/hook: pre-install}}");
    let hooked = commit(&forge, "hooked", &chart(&hook));
    let status = forge.failed(&hooked).await;
    assert_eq!(told(&status), [("HookNotSupported".to_owned(), "chart/templates/settings.yaml".to_owned(), None)]);
    assert_eq!(status.failures[0].object.as_deref(), Some("ConfigMap blue-settings"));
    assert_eq!(forge.names().await, ["blue-settings"], "what is refused changes nothing");
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_out_of_the_repository_or_starts_programs_is_refused_with_its_line() {
    let forge = Forge::new("outward").await;
    let cases = [
        ("resources:\n- https://git.example.test/x.git//y?ref=v1\n", "RemoteNotAllowed", 2),
        ("resources:\n- github.com/someone/something\n", "RemoteNotAllowed", 2),
        ("resources:\n- file:///etc\n", "RemoteNotAllowed", 2),
        ("namePrefix: a-\nconfigMapGenerator:\n- name: a\n  files:\n  - /etc/passwd\n", "FileMissing", 5),
        ("resources:\n- ../../../../etc\n", "FileMissing", 2),
        ("helmCharts:\n- name: a\n  repo: https://charts.example.test\n", "PluginNotAllowed", 1),
        ("generators:\n- run.yaml\n", "PluginNotAllowed", 2),
    ];
    let run = "apiVersion: v1\nkind: Run\nmetadata: {name: a, annotations: {config.kubernetes.io/function: 'exec: {path: ./a}'}}\n";
    let mut is_followed = false;
    for (text, reason, line) in cases {
        let commit = forge.commit(reason, &[("kustomization.yaml", text), ("run.yaml", run)]);
        if !std::mem::replace(&mut is_followed, true) {
            forge.follow("prune: true").await;
        }
        let status = forge.failed(&commit).await;
        let file = if reason == "PluginNotAllowed" && line == 2 { "run.yaml" } else { "kustomization.yaml" };
        assert_eq!(told(&status), [(reason.to_owned(), file.to_owned(), Some(line))], "{text}");
    }
    assert_eq!(runs(&forge), 0, "none of it is given to kustomize");
    forge.end().await;
}

/// Templates that cost, each with a word of what is said of it.
const HOSTILE: [(&str, &str); 2] = [
    (
        "{{ range until 100000 }}{{ range until 100000 }}{{ range until 1000 }}{{ end }}{{ end }}{{ end }}",
        "and was ended",
    ),
    ("{{ range until 100000 }}{{ repeat 1000000 \"x\" }}{{ end }}", "memory"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_loops_or_prints_gigabytes_is_ended_and_nobody_else_notices() {
    let forge = Forge::new("hostile").await;
    forge.follow_at("chart", "prune: true").await;
    for (template, word) in HOSTILE {
        let commit = commit(&forge, word, &chart(template));
        let status = forge.failed(&commit).await;
        let message = status.last_sync.unwrap().message.unwrap();
        assert!(message.contains(word), "{message}");
    }
    let good = commit(&forge, "good", &chart(TEMPLATE));
    forge.in_force(&good).await;
    let data = std::env::temp_dir().join(format!("landfall-{}-operator", forge.stage.world.namespace));
    let left = std::fs::read_dir(data.join("renderers")).unwrap().count();
    assert_eq!(left, 0, "scratch directories are removed");
    forge.end().await;
}

/// As the chart runs the operator, and so its renderers.
const RESTRICTED: &str =
    "securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}";
const SEALED: &str =
    "securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}";

#[tokio::test(flavor = "multi_thread")]
async fn the_image_has_the_programs_and_contains_them_in_a_pod_without_rights() {
    let world = World::new("image-renderers").await;
    let libraries = "--run, /lib64/ld-linux-x86-64.so.2, --run, /lib/ld-linux-aarch64.so.1, --read, /lib, --read, /lib64, \
                     --read, /usr/lib";
    let programs = [
        ("kustomize", "--read, /proc", "version", "v5."),
        ("helm", "--read, /proc", "version", "Version:\"v4."),
        ("sqv", libraries, "--version", "sqv 1."),
    ];
    for (program, open, question, says) in programs {
        let arguments = format!("[contain, {open}, --, /usr/libexec/landfall/{program}, {question}]");
        world
            .apply(&format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {program}}}, spec: {{restartPolicy: Never, {RESTRICTED}, \
                 containers: [{{name: main, image: '{LOCAL_IMAGE}', imagePullPolicy: IfNotPresent, args: {arguments}, {SEALED}}}]}}}}"
            ))
            .await;
        let ended = |pod: Option<&Pod>| {
            let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        world.wait_for::<Pod, _>(program, ended).await;
        let said = world.api::<Pod>().logs(program, &LogParams::default()).await.unwrap();
        assert!(said.contains(says), "{program}: {said}");
    }
    world.end().await;
}

#[test]
fn the_programs_themselves_reach_neither_the_network_nor_other_files() {
    let directory = std::env::temp_dir().join(format!("landfall-reach-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let cases = [
        ("resources: ['http://127.0.0.1:9/x.yaml']", "socket: operation not permitted"),
        ("configMapGenerator: [{name: a, files: [/etc/passwd]}]", "/etc/passwd: permission denied"),
    ];
    for (text, words) in cases {
        std::fs::write(directory.join("kustomization.yaml"), text).unwrap();
        let program = crate::stage::renderers().join("kustomize").canonicalize().unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["contain", "--read"])
            .arg(&directory)
            .arg("--")
            .arg(program)
            .args(["build", "--load-restrictor", "LoadRestrictionsNone"])
            .arg(&directory)
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

//! Packages whose manifests are in a repository.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use landfall::api::{
    condition::{ConditionReason, ConditionStatus, ConditionType},
    deployment_status::{DeploymentStatus, Phase},
    package::{Package, PackagePhase, PackageStatus},
};

use super::forge::Forge;
use crate::stage::manifests::{deployment, profile_without_router};

const STRATEGY: &str = "{scaleDownDelay: 1s, rolling: {}}";

/// The sample application of a version, as a file.
fn web(version: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
        - name: web
          image: localhost/landfall:dev
          imagePullPolicy: IfNotPresent
          args: [sample, serve, --version={version}]
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}
"
    )
}

fn packages(forge: &Forge) -> Api<Package> {
    forge.stage.world.api()
}

/// Makes the Package `web` of a version, with these fields beside the address of the repository, and more beside `git`.
async fn package(forge: &Forge, version: &str, (git, more): (&str, &str)) {
    let url = forge.server.url("basic");
    forge
        .stage
        .apply(&format!(
            "{{apiVersion: landfall.dev/v1alpha1, kind: Package, metadata: {{name: web-{version}}}, spec: {{name: web, \
             version: {version}, workload: {{git: {{url: '{url}', {git}}}{more}}}}}}}"
        ))
        .await;
}

/// Waits until the status of a Package is as it is meant.
async fn until(forge: &Forge, version: &str, is: impl Fn(&PackageStatus) -> bool) -> PackageStatus {
    let name = format!("web-{version}");
    let status = |package: &Package| package.status.clone().unwrap_or_default();
    status(&forge.stage.until_one(packages(forge), (&name, "such status"), |one| is(&status(one))).await)
}

async fn ready(forge: &Forge, version: &str) -> PackageStatus {
    until(forge, version, |status| status.phase == Some(PackagePhase::Ready)).await
}

/// Waits until a Package is not ready for this reason, and returns what it says.
async fn faulty(forge: &Forge, version: &str, reason: ConditionReason) -> String {
    let is = |status: &PackageStatus| {
        let ready = status.conditions.iter().find(|one| one.type_ == ConditionType::Ready);
        ready.is_some_and(|ready| ready.status == ConditionStatus::False && ready.reason == reason)
    };
    until(forge, version, is).await.error.unwrap()
}

/// The version that runs.
fn stable(status: &DeploymentStatus) -> Option<String> {
    status.revision.as_ref()?.stable.as_ref().map(|stable| stable.version.clone())
}

async fn runs(forge: &Forge, version: &str) {
    forge.stage.apply(&deployment(version)).await;
    let is = |status: &DeploymentStatus| {
        status.phase == Some(Phase::Succeeded) && stable(status).as_deref() == Some(version)
    };
    forge.stage.until(&format!("{version} in force"), is).await;
}

const SECRET: &str = "secretRef: {name: git}";

#[tokio::test(flavor = "multi_thread")]
async fn files_a_kustomization_and_a_chart_are_rolled_out_also_when_the_repository_is_gone() {
    let forge = Forge::new("packaged").await;
    forge.stage.apply(&profile_without_router(STRATEGY)).await;
    let (one, two, three) = (web("1.0.0"), web("2.0.0"), web("{{ .Values.version }}"));
    let hook = "apiVersion: v1\nkind: Pod\nmetadata: {name: try, annotations: {helm.sh/hook: test}}\n";
    let commit = forge.commit(
        "first",
        &[
            ("plain/web.yaml", &one),
            ("kustomized/kustomization.yaml", "resources: [web.yaml]\nlabels: [{pairs: {team: shop}}]\n"),
            ("kustomized/web.yaml", &two),
            ("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            ("chart/templates/web.yaml", &three),
            ("chart/templates/try.yaml", hook),
        ],
    );
    forge.server.repository.git(&["tag", "v1", "main"], b"");
    package(&forge, "1.0.0", (&format!("tag: v1, path: /plain, {SECRET}"), "")).await;
    package(&forge, "2.0.0", (&format!("commit: {commit}, path: /kustomized, {SECRET}"), "")).await;
    package(&forge, "3.0.0", (&format!("tag: v1, path: chart, {SECRET}"), ", helm: {values: {version: 3.0.0}}")).await;
    let first = ready(&forge, "1.0.0").await;
    assert_eq!((first.commit.as_deref(), first.objects), (Some(commit.as_str()), Some(1)));
    assert_eq!(ready(&forge, "2.0.0").await.objects, Some(1));
    assert_eq!(ready(&forge, "3.0.0").await.objects, Some(1), "hooks of tests are left out");
    runs(&forge, "1.0.0").await;
    runs(&forge, "2.0.0").await;

    // A tag that moves is nothing to a Package, and what was kept and lost is made again from its commit.
    forge.commit("second", &[("plain/web.yaml", &web("6.6.6"))]);
    forge.server.repository.git(&["tag", "--force", "v1", "main"], b"");
    let secrets: Api<Secret> = forge.stage.world.api();
    secrets.delete("landfall-pkg-web-1.0.0", &DeleteParams::default()).await.unwrap();
    runs(&forge, "1.0.0").await;
    assert_eq!(ready(&forge, "1.0.0").await, first);

    std::fs::rename(&forge.server.repository.0, forge.server.scratch.0.join("away")).unwrap();
    runs(&forge, "3.0.0").await;
    forge.end().await;
}

/// A repository with directories that are good and bad, and its commit.
async fn repository(test: &str) -> (Forge, String) {
    let forge = Forge::new(test).await;
    forge.stage.apply(&profile_without_router(STRATEGY)).await;
    let good = web("1.0.0");
    let commit = forge.commit(
        "first",
        &[
            ("good/web.yaml", &good),
            ("empty/README.md", "no manifest"),
            ("bad/web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n"),
            ("secret/a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: word}\n"),
            ("pod/a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"),
        ],
    );
    (forge, commit)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said_with_its_place() {
    let (forge, commit) = repository("unpackaged").await;
    let at = |path: &str| format!("commit: {commit}, path: {path}, {SECRET}");
    let refused = ConditionReason::RenderFailed;
    for (version, path, words) in [
        ("2.0.0", "empty", "there is no manifest here"),
        ("2.0.1", "bad", "bad/web.yaml:3: "),
        ("2.0.2", "secret", "secret/a.yaml:1: a Secret in plain text"),
        ("2.0.3", "nowhere", "no directory nowhere: correct spec.workload.git.path"),
    ] {
        package(&forge, version, (&at(path), "")).await;
        let error = faulty(&forge, version, refused).await;
        assert!(error.contains(words), "{error}");
    }
    package(&forge, "2.1.0", (&format!("tag: none, {SECRET}"), "")).await;
    faulty(&forge, "2.1.0", ConditionReason::FetchFailed).await;
    package(&forge, "2.2.0", (&format!("commit: {commit}, secretRef: {{name: other}}"), "")).await;
    faulty(&forge, "2.2.0", ConditionReason::AccessDenied).await;
    forge.give("keys", serde_json::json!({"a.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"})).await;
    let verified = format!("{}, verify: {{secretRef: {{name: keys}}}}", at("good"));
    package(&forge, "2.3.0", (&verified, "")).await;
    faulty(&forge, "2.3.0", ConditionReason::VerificationFailed).await;

    // A Secret that comes is noticed.
    forge
        .give(
            "other",
            serde_json::json!({"ca.crt": forge.server.identity.authority, "username": "ann", "password": "right"}),
        )
        .await;
    faulty(&forge, "2.2.0", refused).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_says_what_it_waits_for_and_what_runs_goes_on() {
    let (forge, commit) = repository("unready").await;
    let at = |path: &str| format!("commit: {commit}, path: {path}, {SECRET}");
    package(&forge, "1.0.0", (&at("good"), "")).await;
    ready(&forge, "1.0.0").await;
    runs(&forge, "1.0.0").await;

    package(&forge, "2.0.1", (&at("bad"), "")).await;
    package(&forge, "2.1.0", (&format!("tag: none, {SECRET}"), "")).await;
    forge.stage.apply(&deployment("2.1.0")).await;
    forge
        .stage
        .until("the wait for the Package", |status| {
            let waits = status.waiting_for.as_deref().unwrap_or_default();
            waits.contains("Package web-2.1.0") && waits.contains("tag none")
        })
        .await;
    package(&forge, "2.4.0", (&at("pod"), "")).await;
    ready(&forge, "2.4.0").await;
    for (version, words) in [("2.0.1", "bad/web.yaml:3"), ("2.4.0", "pod/a.yaml:1: kind: Pod is not supported yet")] {
        forge.stage.apply(&deployment(version)).await;
        let told = |status: &DeploymentStatus| {
            let stalled = status.conditions.iter().find(|one| one.type_ == ConditionType::Stalled);
            stalled.is_some_and(|one| one.status == ConditionStatus::True && one.message.contains(words))
        };
        let status = forge.stage.until(words, told).await;
        assert_eq!(stable(&status).as_deref(), Some("1.0.0"));
    }
    forge.end().await;
}

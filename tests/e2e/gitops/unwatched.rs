//! Kinds that the operator may not watch, as Secrets with the rights of the chart: compared at each interval as the account that writes.

use std::{fs, path::PathBuf, process::Command};

use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Secret, ServiceAccount},
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};

use super::forge::{Forge, map};
use crate::{git::server::Server, stage::Stage};

/// A role with all that these tests' operators need, and of Secrets the right to read single ones: no list, no watch.
const ROLE: &str = "landfall-e2e-without-secrets";

fn role() -> Value {
    let groups = [
        "apps",
        "batch",
        "landfall.dev",
        "gateway.networking.k8s.io",
        "discovery.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
        "networking.k8s.io",
        "policy",
        "autoscaling",
    ];
    let core = ["configmaps", "services", "pods", "events", "namespaces", "persistentvolumeclaims", "serviceaccounts"];
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": ROLE},
        "rules": [
            {"apiGroups": groups, "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": core, "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        ],
    })
}

/// A stage whose operator has that role, and a repository with a Secret and a `ConfigMap`.
async fn forge(test: &str) -> Forge {
    let mut stage = Stage::without_operator(test).await;
    let (client, namespace) = (stage.world.client.clone(), stage.world.namespace.clone());
    let roles: Api<ClusterRole> = Api::all(client.clone());
    roles.patch(ROLE, &PatchParams::apply("e2e").force(), &Patch::Apply(role())).await.unwrap();
    let accounts: Api<ServiceAccount> = stage.world.api();
    let account = serde_json::from_value(json!({"metadata": {"name": "operator"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let binding = json!({
        "metadata": {"name": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    });
    let bindings: Api<ClusterRoleBinding> = Api::all(client);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let answer = accounts.create_token_request("operator", &PostParams::default(), &request).await.unwrap();
    stage.kubeconfig = Some(kubeconfig(&namespace, &answer.status.unwrap().token.unwrap()));
    stage.start_operator();
    let forge = Forge { stage, server: Server::start(test) };
    forge.secret().await;
    forge.commit("first", &[("one.yaml", &map("one", "1")), ("pass.yaml", &secret("1"))]);
    forge
}

/// The kubeconfig of these tests, for somebody else.
fn kubeconfig(namespace: &str, token: &str) -> PathBuf {
    let arguments = ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"];
    let output = Command::new("kubectl").args(arguments).output().unwrap();
    let mut config: Value = serde_json::from_slice(&output.stdout).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    let path = std::env::temp_dir().join(format!("{namespace}.kubeconfig"));
    fs::write(&path, config.to_string()).unwrap();
    path
}

async fn end(forge: Forge) {
    let bindings: Api<ClusterRoleBinding> = Api::all(forge.stage.world.client.clone());
    bindings.delete(&forge.stage.world.namespace, &DeleteParams::default()).await.unwrap();
    fs::remove_file(forge.stage.kubeconfig.as_ref().unwrap()).unwrap();
    forge.end().await;
}

/// What nobody may read in a log or a status.
const HIDDEN: &str = "swordfish";

fn secret(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pass\nstringData:\n  a: \"{HIDDEN}-{value}\"\n  b: \"{HIDDEN}-kept\"\n"
    )
}

fn secrets(forge: &Forge) -> Api<Secret> {
    forge.stage.world.api()
}

fn value<'s>(secret: &'s Secret, key: &str) -> Option<&'s [u8]> {
    secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice())
}

async fn until_set_back(forge: &Forge) {
    let is_back = |secret: Option<&Secret>| {
        let is = |key, text: &str| {
            secret.is_some_and(|secret| value(secret, key) == Some(format!("{HIDDEN}-{text}").as_bytes()))
        };
        is("a", "1") && is("b", "kept")
    };
    let back = await_condition(secrets(forge), "pass", is_back);
    forge.stage.world.patiently("the Secret set back", back).await.unwrap();
}

fn somebody() -> PatchParams {
    PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() }
}

async fn change(forge: &Forge) {
    let patch = Patch::Merge(json!({"stringData": {"a": "caught"}}));
    secrets(forge).patch("pass", &somebody(), &patch).await.unwrap();
}

/// Takes rights to Secrets from the account that writes, but for these.
async fn leave(forge: &Forge, verbs: &[&str]) {
    let roles: Api<Role> = forge.stage.world.api();
    let mut role = roles.get("landfall-deployer").await.unwrap();
    for rule in role.rules.iter_mut().flatten() {
        if let Some(resources) = &mut rule.resources {
            resources.retain(|resource| resource != "secrets");
        }
    }
    role.rules.get_or_insert_default().retain(|rule| rule.resources.as_ref().is_none_or(|named| !named.is_empty()));
    let rest = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["git"], "verbs": ["get"]},
    ]);
    role.rules.get_or_insert_default().extend(serde_json::from_value::<Vec<_>>(rest).unwrap());
    roles.replace("landfall-deployer", &PostParams::default(), &role).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_somebody_changes_or_deletes_is_set_back_at_the_next_interval() {
    let mut forge = forge("unwatched").await;
    forge.follow("prune: true").await;
    let first = forge.head();
    forge.in_force(&first).await;
    change(&forge).await;
    until_set_back(&forge).await;
    secrets(&forge).delete("pass", &DeleteParams::default()).await.unwrap();
    until_set_back(&forge).await;
    // Whoever takes a key away leaves no time in managedFields.
    let patch: Patch<()> = Patch::Json(serde_json::from_value(json!([{"op": "remove", "path": "/data/b"}])).unwrap());
    secrets(&forge).patch("pass", &somebody(), &patch).await.unwrap();
    until_set_back(&forge).await;
    // The same while no operator runs.
    forge.stage.kill_operator();
    change(&forge).await;
    forge.stage.start_operator();
    until_set_back(&forge).await;
    forge.tells_nothing_of(&[HIDDEN, "caught"]).await;
    end(forge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_compares_at_once_and_a_report_names_the_secret_and_nothing_in_it() {
    let forge = forge("unwatched-asked").await;
    forge.follow_every("1h", "prune: true").await;
    forge.in_force(&forge.head()).await;
    let ask = async |request: &str| {
        forge.patch(json!({"metadata": {"annotations": {"landfall.dev/sync": request}}})).await;
    };
    change(&forge).await;
    ask("one").await;
    until_set_back(&forge).await;

    forge.patch(json!({"spec": {"source": {"drift": "Report"}}})).await;
    change(&forge).await;
    ask("two").await;
    let status = forge.until("the report", |_, status| !status.drift.is_empty()).await;
    let [drift] = status.drift.as_slice() else { panic!("{status:#?}") };
    let name = format!("Secret {}/pass", forge.stage.world.namespace);
    assert_eq!((drift.object.as_str(), drift.manager.as_deref()), (name.as_str(), Some("somebody")));
    assert_eq!(drift.message, "different: /data/a");
    assert_eq!(value(&secrets(&forge).get("pass").await.unwrap(), "a"), Some(b"caught".as_slice()), "only told");
    forge.tells_nothing_of(&[HIDDEN, "caught"]).await;

    forge.patch(json!({"spec": {"source": {"drift": "Correct"}}})).await;
    until_set_back(&forge).await;
    forge.until("nothing to tell", |_, status| status.drift.is_empty()).await;
    end(forge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_list_gets_and_one_that_may_do_neither_is_named_once() {
    let forge = forge("unwatched-denied").await;
    forge.follow("prune: true").await;
    let first = forge.head();
    forge.in_force(&first).await;
    leave(&forge, &["get", "create", "patch"]).await;
    change(&forge).await;
    until_set_back(&forge).await;

    leave(&forge, &["create", "patch"]).await;
    let note = super::drift::event(&forge, "DriftNotCompared").await;
    assert!(
        note.contains("objects of the kind Secret in ") && note.contains("the service account landfall-deployer"),
        "{note}"
    );
    let profile = forge.profiles().get(super::forge::PROFILE).await.unwrap();
    assert!(super::forge::holds(&profile, landfall::api::condition::ConditionType::Synced), "{profile:#?}");
    // What is watched is none the worse for it.
    forge.maps().delete("one", &DeleteParams::default()).await.unwrap();
    forge.until_map("one", |map| map.is_some()).await;
    end(forge).await;
}

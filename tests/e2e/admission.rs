//! Commands and who may give them, records and who may write them: the admission policies of the chart, asked as the people
//! that they judge.

use std::time::Duration;

use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicy,
    core::v1::Secret,
    rbac::v1::{Role, RoleBinding, RoleRef, Subject},
};
use kube::{
    Api, Client, Config, Error, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use landfall::api::{
    command::{ACTOR_ANNOTATION, Verb},
    deployment::Deployment,
};
use serde_json::{Value, json};

use crate::{
    helm::Release,
    world::{World, install_definitions},
};

const EDITOR: &str = "editor@example.test";
const OPERATOR: &str = "operator@example.test";
const APPROVER: &str = "approver@example.test";
const TENANT: &str = "tenant@example.test";
const GUIDE: &str = include_str!("../../docs/install.md");

/// A release without pods, whose policies judge the namespace of the test alone. It looks after all namespaces, so its hook would let go the
/// Profiles of other tests that wait for an operator.
fn policies(world: &World, suffix: &str, mutating: &str) -> Release {
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": world.namespace}});
    let admission = json!({"mutating": mutating, "namespaceSelector": selector});
    let values = json!({
        "replicas": 0, "crds": {"install": false}, "uninstallHook": {"enabled": false}, "admission": admission,
    });
    Release::install("helm", world, suffix, &values)
}

/// A namespace with a Deployment, an editor who gives no commands, an operator who does, and policies that judge them.
async fn world(test: &str, mutating: &str) -> (World, Release) {
    let world = World::new(test).await;
    install_definitions(&world.client).await;
    let release = policies(&world, "", mutating);
    for (user, role) in [(EDITOR, "edit"), (OPERATOR, "operate")] {
        bind(&world, user, ("ClusterRole", &format!("{}-{role}", release.full_name()))).await;
    }
    granted(&world, &[EDITOR, OPERATOR]).await;
    as_user(&world, EDITOR).await.create(&PostParams::default(), &deployment("web")).await.unwrap();
    judged_by(&world, &release).await;
    (world, release)
}

async fn bind(world: &World, user: &str, (kind, role): (&str, &str)) {
    let group = "rbac.authorization.k8s.io".to_owned();
    let binding = RoleBinding {
        metadata: ObjectMeta { name: Some(role.to_owned()), ..ObjectMeta::default() },
        role_ref: RoleRef { api_group: Some(group.clone()), kind: kind.to_owned(), name: role.to_owned() },
        subjects: Some(vec![Subject {
            api_group: Some(group),
            kind: "User".to_owned(),
            name: user.to_owned(),
            namespace: None,
        }]),
    };
    world.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
}

/// The Deployments of the namespace, as somebody else.
async fn as_user(world: &World, user: &str) -> Api<Deployment> {
    Api::namespaced(client_of(user).await, &world.namespace)
}

async fn client_of(user: &str) -> Client {
    let mut config = Config::infer().await.unwrap();
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).unwrap()
}

fn deployment(name: &str) -> Deployment {
    let object = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"package": {"name": "web", "version": "1.0.0"}, "profile": "production"},
    });
    serde_json::from_value(object).unwrap()
}

/// Annotations with the prefix of commands; null takes one away.
fn commands(of: &[(&str, Option<&str>)]) -> Value {
    let annotations: serde_json::Map<_, _> =
        of.iter().map(|(name, value)| (format!("command.landfall.dev/{name}"), json!(value))).collect();
    json!({"metadata": {"annotations": annotations}})
}

/// A merge patch, as the command line and `kubectl annotate` send it.
async fn give(world: &World, user: &str, of: &[(&str, Option<&str>)]) -> kube::Result<Deployment> {
    let patch = commands(of);
    as_user(world, user).await.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await
}

#[track_caller]
fn refused<K: std::fmt::Debug>(result: kube::Result<K>, words: &str) {
    match result {
        Err(Error::Api(status)) => assert!(status.message.contains(words), "{words:?} is not in {:?}", status.message),
        other => panic!("not refused for {words:?}: {other:?}"),
    }
}

#[track_caller]
fn actor(result: kube::Result<Deployment>) -> Option<String> {
    result.unwrap().annotations().get(ACTOR_ANNOTATION).cloned()
}

/// Waits until the authorizer has heard of the bindings.
async fn granted(world: &World, users: &[&str]) {
    world
        .patiently("the rights", async {
            for user in users {
                let deployments = as_user(world, user).await;
                while deployments.get_opt("web").await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        })
        .await;
}

/// Waits until the policy of this release judges: it is in force some moments after it is there.
async fn judged_by(world: &World, release: &Release) {
    let policy = format!("'{}-commands'", release.full_name());
    let how = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = commands(&[("promote", Some("probe"))]);
    let editor = as_user(world, EDITOR).await;
    world
        .patiently("the policy", async {
            loop {
                match editor.patch("web", &how, &Patch::Merge(&patch)).await {
                    Err(Error::Api(status)) if status.message.contains(&policy) => break,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        })
        .await;
}

/// Waits until names are stamped.
async fn stamped(world: &World) {
    let how = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = commands(&[("promote", Some("probe"))]);
    let operator = as_user(world, OPERATOR).await;
    world
        .patiently("the stamp", async {
            while operator.patch("web", &how, &Patch::Merge(&patch)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_edit_a_deployment_may_not_thereby_give_it_a_command() {
    let (world, release) = world("adm-edit", "auto").await;
    stamped(&world).await;
    for verb in Verb::ALL {
        let command = verb.word();
        let right = format!("it needs the verb create on deployments/{command} of landfall.dev in the namespace");
        refused(give(&world, EDITOR, &[(command, Some("run"))]).await, &right);
        refused(give(&world, EDITOR, &[(command, Some("run")), ("actor", Some(EDITOR))]).await, &right);
    }
    refused(give(&world, EDITOR, &[("promot", Some("run"))]).await, "there is no such command");

    let editor = as_user(&world, EDITOR).await;
    let mut promoted = deployment("other");
    promoted.annotations_mut().insert(Verb::Promote.annotation(), "run".to_owned());
    refused(editor.create(&PostParams::default(), &promoted).await, "deployments/promote");
    let mut named = deployment("other");
    named.annotations_mut().insert(ACTOR_ANNOTATION.to_owned(), OPERATOR.to_owned());
    refused(editor.create(&PostParams::default(), &named).await, "so it must be editor@example.test");

    // All else stays theirs, also while a command stands.
    assert_eq!(actor(give(&world, OPERATOR, &[("pause", Some("run"))]).await).as_deref(), Some(OPERATOR));
    let spec = json!({"spec": {"replicas": 3}, "metadata": {"annotations": {"note": "mine"}}});
    let edited = editor.patch("web", &PatchParams::default(), &Patch::Merge(&spec)).await.unwrap();
    assert_eq!(edited.annotations()[ACTOR_ANNOTATION], OPERATOR);
    editor.patch_scale("web", &PatchParams::default(), &Patch::Merge(&json!({"spec": {"replicas": 2}}))).await.unwrap();

    refused(give(&world, EDITOR, &[("pause", None)]).await, "deployments/pause");
    refused(give(&world, EDITOR, &[("actor", Some(EDITOR))]).await, "deployments/pause");
    refused(give(&world, EDITOR, &[("actor", None)]).await, "it says who gave the commands that stand");
    release.uninstall();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_bears_the_name_of_who_gives_it_and_no_other() {
    let (world, release) = world("adm-actor", "auto").await;
    stamped(&world).await;
    let forged = format!("it says who gives the command, so it must be {OPERATOR}");
    refused(give(&world, OPERATOR, &[("promote", Some("run")), ("actor", Some("admin"))]).await, &forged);
    refused(give(&world, OPERATOR, &[("actor", Some("admin"))]).await, &forged);

    // Stamped, written by the giver, and given as several commands at once.
    assert_eq!(actor(give(&world, OPERATOR, &[("promote", Some("run"))]).await).as_deref(), Some(OPERATOR));
    let own = [("promote", Some("run-2")), ("actor", Some(OPERATOR))];
    assert_eq!(actor(give(&world, OPERATOR, &own).await).as_deref(), Some(OPERATOR));
    let all: Vec<_> = Verb::ALL.iter().map(|verb| (verb.word(), Some("run-3"))).collect();
    assert_eq!(actor(give(&world, OPERATOR, &all).await).as_deref(), Some(OPERATOR));
    refused(give(&world, OPERATOR, &[("actor", Some("admin"))]).await, &forged);

    // Another one with the right takes the name over with a command, and may take all of it away.
    let admin = |of: &[(&str, Option<&str>)]| commands(of);
    let everybody: Api<Deployment> = world.api();
    let second =
        everybody.patch("web", &PatchParams::default(), &Patch::Merge(&admin(&[("abort", Some("run-4"))]))).await;
    assert!(actor(second).is_some_and(|actor| actor != OPERATOR));
    let mut none: Vec<_> = Verb::ALL.iter().map(|verb| (verb.word(), None)).collect();
    none.push(("actor", None));
    assert_eq!(actor(give(&world, OPERATOR, &none).await), None);

    // From a repository: the whole object, with the command in it, applied by a controller.
    let mut whole = deployment("web");
    whole.annotations_mut().insert(Verb::Resume.annotation(), "run-5".to_owned());
    let how = PatchParams::apply("repository").force();
    let applied = as_user(&world, OPERATOR).await.patch("web", &how, &Patch::Apply(&whole)).await;
    assert_eq!(actor(applied).as_deref(), Some(OPERATOR));
    let again = as_user(&world, OPERATOR).await.patch("web", &how, &Patch::Apply(&whole)).await;
    assert_eq!(actor(again).as_deref(), Some(OPERATOR));

    // From a backup: with the name in it, by somebody who may act under every name.
    let mut backup = deployment("restored");
    backup.annotations_mut().insert(Verb::Promote.annotation(), "run".to_owned());
    backup.annotations_mut().insert(ACTOR_ANNOTATION.to_owned(), OPERATOR.to_owned());
    assert_eq!(actor(everybody.create(&PostParams::default(), &backup).await).as_deref(), Some(OPERATOR));
    let forged = "so it must be";
    let by_admin = commands(&[("promote", Some("run-6")), ("actor", Some(EDITOR))]);
    refused(everybody.patch("web", &PatchParams::default(), &Patch::Merge(&by_admin)).await, forged);

    // Whoever writes the status cannot give a command with it.
    let status =
        json!({"metadata": commands(&[("abort", Some("run-7"))])["metadata"], "status": {"observedGeneration": 1}});
    let written = everybody.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!(written.annotations().get(&Verb::Abort.annotation()), None);

    no_warnings(&world, &release, "commands").await;
    release.uninstall();
    world.end().await;
}

/// The API server has looked at the expressions of a policy and has nothing to say against their types.
async fn no_warnings(world: &World, release: &Release, policy: &str) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(world.client.clone());
    let name = format!("{}-{policy}", release.full_name());
    let checked = world.patiently("the types of the policy", async {
        loop {
            if let Some(checked) = policies.get(&name).await.unwrap().status.and_then(|status| status.type_checking) {
                break checked;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(checked.await.expression_warnings, None);
}

/// A Secret that says what Landfall carries out, as the operator writes it.
fn record(name: &str, kind: &str, owner: &Deployment) -> Secret {
    let owners = json!([{
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "controller": true,
        "name": owner.name_any(), "uid": owner.metadata.uid,
    }]);
    let labels = json!({"landfall.dev/deployment": owner.name_any(), "landfall.dev/role": "record"});
    let metadata = json!({"name": name, "labels": labels, "ownerReferences": owners});
    let secret = json!({"metadata": metadata, "type": kind, "immutable": true, "data": {"release": "YQ=="}});
    serde_json::from_value(secret).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_operator_writes_a_record_of_a_revision() {
    let (world, release) = world("adm-record", "never").await;
    let role = json!({"metadata": {"name": "secrets"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]});
    world.api::<Role>().create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    let account = format!("system:serviceaccount:{}:{}", world.namespace, release.full_name());
    let group = "rbac.authorization.k8s.io";
    let subject = |user: &str| json!({"apiGroup": group, "kind": "User", "name": user});
    let binding = json!({
        "metadata": {"name": "secrets"}, "roleRef": {"apiGroup": group, "kind": "Role", "name": "secrets"},
        "subjects": [subject(TENANT), subject(&account)],
    });
    world.api::<RoleBinding>().create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    let theirs: Api<Secret> = Api::namespaced(client_of(TENANT).await, &world.namespace);
    let operators: Api<Secret> = Api::namespaced(client_of(&account).await, &world.namespace);
    let web = world.api::<Deployment>().get("web").await.unwrap();
    let (create, kind, name) = (PostParams::default(), "landfall.dev/revision", "landfall-rev-web-0123456789");
    let policy = format!("'{}-records'", release.full_name());
    world
        .patiently("the policy", async {
            let how = PostParams { dry_run: true, ..PostParams::default() };
            loop {
                match theirs.create(&how, &record("probe", kind, &web)).await {
                    Err(Error::Api(status)) if status.message.contains(&policy) => break,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        })
        .await;

    // Forged: made whole, applied, or under another type of the operator's.
    let right = format!("{TENANT} may not write them, it needs the verb create on deployments/record of landfall.dev");
    refused(theirs.create(&create, &record(name, kind, &web)).await, &right);
    refused(theirs.create(&create, &record(name, "landfall.dev/other", &web)).await, &right);
    let mut whole = serde_json::to_value(record(name, kind, &web)).unwrap();
    (whole["apiVersion"], whole["kind"]) = (json!("v1"), json!("Secret"));
    let applied = theirs.patch(name, &PatchParams::apply("tenant"), &Patch::Apply(&whole)).await;
    refused(applied, &right);
    // A Secret of another type is nobody's business, whatever else it says of itself.
    theirs.create(&create, &record("plain", "Opaque", &web)).await.unwrap();

    operators.create(&create, &record(name, kind, &web)).await.unwrap();
    let merge = async |secrets: &Api<Secret>, metadata: Value| {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        secrets.patch(name, &PatchParams::default(), &patch).await
    };
    let other = json!({"apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "other", "uid": "1"});
    let before = serde_json::to_value(&web.metadata.uid).unwrap();
    let own = json!({"apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": "web", "uid": before});
    refused(merge(&theirs, json!({"ownerReferences": [own, other]})).await, &right);
    refused(merge(&theirs, json!({"annotations": {"landfall.dev/parts": "2"}})).await, &right);
    refused(merge(&theirs, json!({"labels": {"landfall.dev/deployment": "other"}})).await, &right);
    merge(&theirs, json!({"annotations": {"note": "mine"}})).await.unwrap();
    merge(&operators, json!({"annotations": {"landfall.dev/parts": "1"}})).await.unwrap();
    merge(&theirs, json!({"annotations": {"landfall.dev/parts": null}})).await.unwrap();

    // The garbage collector takes the owner away from what is to outlive it, and collects what is not.
    let left = record(
        "landfall-rev-other-0123456789",
        kind,
        &world.api::<Deployment>().create(&create, &deployment("other")).await.unwrap(),
    );
    operators.create(&create, &left).await.unwrap();
    world.api::<Deployment>().delete("web", &DeleteParams::orphan()).await.unwrap();
    world.api::<Deployment>().delete("other", &DeleteParams::background()).await.unwrap();
    world
        .patiently("the garbage collector", async {
            let orphaned = async || operators.get(name).await.unwrap().owner_references().is_empty();
            let collected = async || operators.get_opt(&left.name_any()).await.unwrap().is_none();
            let gone = async || world.api::<Deployment>().get_opt("web").await.unwrap().is_none();
            while !(orphaned().await && collected().await && gone().await) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
    // What has lost its owner is not taken by somebody else, and may be deleted.
    refused(merge(&theirs, json!({"ownerReferences": [other]})).await, &right);
    theirs.delete(name, &DeleteParams::default()).await.unwrap();

    no_warnings(&world, &release, "records").await;
    release.uninstall();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stamp_a_command_needs_the_name_of_its_giver_beside_it() {
    let (world, release) = world("adm-plain", "never").await;
    refused(give(&world, OPERATOR, &[("promote", Some("run"))]).await, "so it must be operator@example.test");
    let own = [("promote", Some("run")), ("actor", Some(OPERATOR))];
    assert_eq!(actor(give(&world, OPERATOR, &own).await).as_deref(), Some(OPERATOR));
    release.uninstall();
    world.end().await;
}

/// The Role that the installation guide shows, bound to somebody who has no other right.
#[tokio::test(flavor = "multi_thread")]
async fn one_right_is_enough_for_one_command_and_for_no_other() {
    let (world, release) = world("adm-one", "auto").await;
    stamped(&world).await;
    let mut blocks = GUIDE.split("```").filter_map(|block| block.strip_prefix("yaml\n"));
    let role = blocks.find(|block| block.contains("name: approve-releases")).unwrap();
    let mut role: Role = serde_saphyr::from_str(role).unwrap();
    role.metadata.namespace = Some(world.namespace.clone());
    let name = role.name_any();
    world.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
    bind(&world, APPROVER, ("Role", &name)).await;
    granted(&world, &[APPROVER]).await;

    assert_eq!(actor(give(&world, APPROVER, &[("promote", Some("run"))]).await).as_deref(), Some(APPROVER));
    refused(give(&world, APPROVER, &[("skip", Some("run"))]).await, "deployments/skip");
    refused(give(&world, APPROVER, &[("promote", Some("run-2")), ("abort", Some("run-2"))]).await, "deployments/abort");
    assert_eq!(actor(give(&world, APPROVER, &[("promote", None), ("actor", None)]).await), None);
    release.uninstall();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_release_judges_alike_and_goes_on_when_the_first_is_gone() {
    let (world, first) = world("adm-two", "auto").await;
    let second = policies(&world, "-b", "auto");
    stamped(&world).await;
    assert_eq!(actor(give(&world, OPERATOR, &[("promote", Some("run"))]).await).as_deref(), Some(OPERATOR));
    // The rights of people come from the roles of the first; the second has the same ones.
    for (user, role) in [(EDITOR, "edit"), (OPERATOR, "operate")] {
        bind(&world, user, ("ClusterRole", &format!("{}-{role}", second.full_name()))).await;
    }
    first.uninstall();
    judged_by(&world, &second).await;
    stamped(&world).await;
    refused(give(&world, EDITOR, &[("promote", Some("run-2"))]).await, "deployments/promote");
    assert_eq!(actor(give(&world, OPERATOR, &[("promote", Some("run-2"))]).await).as_deref(), Some(OPERATOR));
    second.uninstall();
    world.end().await;
}

//! What belongs to others, what stays, and what has to come first.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::forge::{Forge, map};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_is_refused_and_one_of_nobody_is_taken_over() {
    let forge = Forge::new("others").await;
    let owner = forge.maps();
    let make = |name: &str, labels: serde_json::Value| {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "data": {"a": "old", "b": "old"}}))
            .unwrap()
    };
    let how = PostParams::default();
    owner.create(&how, &make("theirs", json!({"landfall.dev/profile": "another"}))).await.unwrap();
    owner.create(&how, &make("free", json!({}))).await.unwrap();
    let commit = forge.commit("both", &[("free.yaml", &map("free", "1")), ("theirs.yaml", &map("theirs", "1"))]);
    forge.follow("prune: true").await;
    let status = forge.failed(&commit).await;
    let [failure] = status.failures.as_slice() else { panic!("{status:#?}") };
    assert_eq!((failure.file.as_deref(), failure.reason.as_str()), (Some("theirs.yaml"), "ObjectNotOwned"));
    assert!(failure.message.contains("another"), "{failure:?}");
    assert_eq!(forge.value("free").await.as_deref(), Some("old"), "nothing of the commit was written");

    let commit = forge.commit("free", &[("free.yaml", &map("free", "1"))]);
    forge.in_force(&commit).await;
    let data = forge.maps().get("free").await.unwrap().data.unwrap();
    assert_eq!((data["a"].as_str(), data["b"].as_str()), ("1", "old"));
    assert_eq!(forge.value("theirs").await.as_deref(), Some("old"), "a commit that was refused deletes nothing later");
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_stays_where_it_says_so_and_where_nothing_is_to_be_deleted() {
    let files = [("one.yaml", map("one", "1")), ("two.yaml", map("two", "1")), ("three.yaml", map("three", "1"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let forge = Forge::with("kept-objects", "prune: true", &files).await;
    forge.in_force(&forge.head()).await;
    let keep = Patch::Merge(json!({"metadata": {"annotations": {"landfall.dev/prune": "Disabled"}}}));
    forge.maps().patch("two", &PatchParams::default(), &keep).await.unwrap();
    let second = forge.commit("second", &files[..1]);
    let status = forge.in_force(&second).await;
    assert_eq!(status.last_sync.unwrap().counts.pruned, 1);
    assert_eq!(forge.names().await, ["one", "two"]);

    forge.patch(json!({"spec": {"source": {"prune": false}}})).await;
    let third = forge.commit("third", &[("four.yaml", &map("four", "1"))]);
    let status = forge.in_force(&third).await;
    assert_eq!(status.inventory.unwrap().count, 1);
    assert_eq!(forge.names().await, ["four", "one", "two"]);
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_waits_for_the_profiles_that_it_depends_on() {
    let forge = Forge::with("depends", "dependsOn: [{name: base}]", &[("one.yaml", &map("one", "1"))]).await;
    let status = forge
        .until("the wait for the other Profile", |_, status| {
            status.waiting_for.as_deref().is_some_and(|sentence| sentence.contains("the Profile base"))
        })
        .await;
    assert_eq!(status.applied, None);
    forge
        .stage
        .apply("{apiVersion: landfall.dev/v1alpha1, kind: Profile, metadata: {name: base}, spec: {environment: base}}")
        .await;
    forge.in_force(&forge.head()).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_waits_for_any_object_that_it_depends_on() {
    let settings =
        "dependsOn: [{apiVersion: v1, kind: ConfigMap, name: schema, ready: \"object.data.version == '2'\"}]";
    let forge = Forge::with("needs", settings, &[("one.yaml", &map("one", "1"))]).await;
    let waits = |sentence: &'static str| {
        forge.until(sentence, move |_, status| {
            status.waiting_for.as_deref().is_some_and(|waits| waits.contains(sentence))
        })
    };
    let schema = |version: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: schema}}, data: {{version: '{version}'}}}}")
    };
    waits("/schema is not there yet").await;
    forge.stage.apply(&schema("1")).await;
    assert_eq!(waits("/schema: spec.source.dependsOn[0].ready is not true yet").await.applied, None);
    forge.stage.apply(&schema("2")).await;
    forge.in_force(&forge.head()).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_may_not_read_and_circles_are_said_by_name() {
    let settings = "dependsOn: [{apiVersion: v1, kind: Node, name: node-1}]";
    let forge = Forge::with("circle", settings, &[("one.yaml", &map("one", "1"))]).await;
    let waits = |sentence: &'static str| {
        forge.until(sentence, move |_, status| {
            status.waiting_for.as_deref().is_some_and(|waits| waits.contains(sentence))
        })
    };
    waits("Node node-1 may not be read: allow landfall-deployer to get it").await;
    forge.stage.apply(
        "{apiVersion: landfall.dev/v1alpha1, kind: Profile, metadata: {name: other}, spec: {environment: other, source: {git: \
         {url: 'https://127.0.0.1:1/none.git'}, suspend: true, dependsOn: [{name: production}]}}}",
    )
    .await;
    forge.patch(json!({"spec": {"source": {"dependsOn": [{"name": "other"}]}}})).await;
    waits("production needs other needs production").await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_and_an_object_of_it_come_in_one_commit() {
    let forge = Forge::new("kinds").await;
    let namespace = forge.stage.world.namespace.clone();
    // The same name in two runs at a time would be one object.
    let group = format!("{namespace}.example.test");
    let (roles, bindings) =
        (Api::<ClusterRole>::all(forge.stage.world.client.clone()), Api::all(forge.stage.world.client.clone()));
    let verbs = ["get", "list", "create", "patch", "delete"];
    let role = json!({"metadata": {"name": namespace}, "rules": [
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": verbs},
        {"apiGroups": [group], "resources": ["cakes"], "verbs": verbs},
    ]});
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
        "subjects": [{"kind": "ServiceAccount", "name": "landfall-deployer", "namespace": namespace}],
    }))
    .unwrap();
    roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    let definition = format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: cakes.{group}
  annotations: {{landfall.dev/prune: Enabled}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Cake, plural: cakes, singular: cake, listKind: CakeList}}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{layers: {{type: integer}}}}}}}}}}}}
"
    );
    let cake = |layers: &str| {
        format!("apiVersion: {group}/v1\nkind: Cake\nmetadata: {{name: cream}}\nspec: {{layers: {layers}}}\n")
    };
    // The object is judged only when its kind is there: what came before it stays, and the next commit mends it.
    let bad = forge.commit("bad", &[("a-cake.yaml", &cake("many")), ("z-kind.yaml", &definition)]);
    forge.follow("prune: true").await;
    let status = forge.failed(&bad).await;
    assert_eq!(status.last_sync.unwrap().result, Some(landfall::api::source::SyncResult::Partial));
    assert_eq!((status.failures.len(), status.failures[0].file.as_deref()), (1, Some("a-cake.yaml")));
    let good = forge.commit("good", &[("a-cake.yaml", &cake("3")), ("z-kind.yaml", &definition)]);
    forge.in_force(&good).await;
    let none = forge.commit("none", &[("one.yaml", &map("one", "1"))]);
    let status = forge.in_force(&none).await;
    assert_eq!(status.last_sync.unwrap().counts.pruned, 2);
    drop(roles.delete(&namespace, &DeleteParams::default()).await.unwrap());
    drop(bindings.delete(&namespace, &DeleteParams::default()).await.unwrap());
    forge.end().await;
}

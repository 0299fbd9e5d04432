//! What is carried out is what was recorded, also where no policy keeps others from writing a record.

use std::io::{Read, Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use landfall::{
    api::{condition::ConditionReason, deployment_status::Phase, package::Package},
    kinds::workload::{
        release::Release,
        render::{Source, render},
    },
};
use serde_json::json;

use super::{SWIFT, package, plain_stage, runs, settled, small, stalled};
use crate::stage::{NAME, Stage};

/// The release of a record, changed by somebody.
fn forged(release: &Release) -> String {
    let text = serde_json::to_string(release).unwrap();
    let text = text.replace("--version=", "--version=forged-");
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    BASE64_STANDARD.encode(packer.finish().unwrap())
}

fn unpacked(secret: &Secret) -> Release {
    let ByteString(packed) = &secret.data.as_ref().unwrap()["release"];
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Puts a record with this content where the operator looks for it, with all its marks.
async fn plant(stage: &Stage, release: &Release) -> String {
    let name = format!("landfall-rev-{NAME}-{}", release.hash);
    let uid = stage.deployments().get(NAME).await.unwrap().uid().unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "landfall.dev/revision", "immutable": true,
        "metadata": {
            "name": name,
            "labels": {"landfall.dev/deployment": NAME, "landfall.dev/revision": release.hash, "landfall.dev/role": "record"},
            "annotations": {"landfall.dev/parts": "1"},
            "ownerReferences": [{
                "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "name": NAME, "uid": uid, "controller": true,
            }],
        },
        "data": {"release": forged(release)},
    });
    let secrets: Api<Secret> = stage.world.api();
    drop(secrets.delete(&name, &DeleteParams::default()).await);
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    name
}

/// The versions that pods of this stage are told to say.
async fn said(stage: &Stage) -> Vec<String> {
    let sets = stage.list("apps/v1", "ReplicaSet", "landfall.dev/deployment").await;
    let args =
        |set: &kube::api::DynamicObject| set.data["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    sets.iter().map(args).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_there_before_its_revision_is_refused_until_it_is_deleted() {
    let stage = plain_stage("planted", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    stage.apply(&package("2.0.0", &small("2.0.0"))).await;
    let coming: Package = stage.world.api::<Package>().get("web-2.0.0").await.unwrap();
    let namespace = &stage.world.namespace;
    let release = render(&Source { namespace, package: &coming.spec, overrides: None, env_from: &[] }).unwrap();
    let secret = plant(&stage, &release).await;
    stage.want("2.0.0").await;

    let words = stalled(&stage, ConditionReason::InvalidSpec).await;
    assert!(words.contains(&secret) && words.contains("delete it"), "{words}");
    let sets = said(&stage).await;
    assert_eq!(sets.len(), 1, "{sets:?}");

    stage.world.api::<Secret>().delete(&secret, &DeleteParams::default()).await.unwrap();
    let end = stage.until("end of the true version", |status| runs(status) == "2.0.0").await;
    assert_eq!(end.phase, Some(Phase::Succeeded), "{end:?}");
    assert!(!said(&stage).await.concat().contains("forged"));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_exchanged_is_not_rolled_back_to() {
    let mut stage = plain_stage("exchanged", SWIFT).await;
    settled(&stage, "1.0.0", &small("1.0.0")).await;
    let first = stage.stable().await;
    settled(&stage, "2.0.0", &small("2.0.0")).await;
    let second = stage.stable().await;
    // What the operator has read already, it would not read again.
    stage.kill_operator();
    let secrets: Api<Secret> = stage.world.api();
    let name = format!("landfall-rev-{NAME}-{first}");
    let true_one = secrets.get(&name).await.unwrap();
    plant(&stage, &unpacked(&true_one)).await;
    // Its pods are gone too, so that they would have to be made from it.
    for set in stage.list("apps/v1", "ReplicaSet", &format!("landfall.dev/revision={first}")).await {
        let sets: Api<k8s_openapi::api::apps::v1::ReplicaSet> = stage.world.api();
        sets.delete(&set.name_any(), &DeleteParams::default()).await.unwrap();
    }
    stage.start_operator();
    stage.annotate("rollback", &format!("{second} to={first} at=1")).await;

    let words = stalled(&stage, ConditionReason::InvalidSpec).await;
    assert!(words.contains(&name) && words.contains("somebody else wrote it"), "{words}");
    assert!(!said(&stage).await.concat().contains("forged"));
    assert_eq!(stage.stable().await, second);

    // The true one, from a backup, is as good as ever.
    secrets.delete(&name, &DeleteParams::default()).await.unwrap();
    let mut restored = true_one.clone();
    restored.metadata.resource_version = None;
    restored.metadata.uid = None;
    secrets.create(&PostParams::default(), &restored).await.unwrap();
    stage.until("end of the rollback", |status| runs(status) == "1.0.0").await;
    stage.end().await;
}

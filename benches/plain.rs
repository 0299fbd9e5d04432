//! Sources: the floor, which is a plain client that makes the writes that a first sync cannot do without and no more; and
//! many Profiles at once.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    discovery,
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::{
    condition::{ConditionStatus, ConditionType},
    profile::Profile,
};
use serde_json::json;

use super::processor_of;

/// Requests that are under way at a time: as many as the operator has.
const UNDER_WAY: usize = 32;

/// The namespace of what is written.
const NAMESPACE: &str = "plain";

type Target = (Api<DynamicObject>, DynamicObject);

/// Asks about the objects of a directory, creates them, and applies them unchanged, each in one go.
pub async fn plain(client: &Client, directory: &Path) {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let targets = targets(client, directory).await;
    let apply = PatchParams::apply("landfall-bench").force();
    for (what, how) in
        [("asks about", apply.clone().dry_run()), ("creates", apply.clone()), ("applies unchanged", apply)]
    {
        let (began, used) = (Instant::now(), processor());
        let all = targets.iter().map(|(api, object)| {
            let (api, how) = (api.clone(), how.clone());
            async move { api.patch(object.metadata.name.as_deref().unwrap(), &how, &Patch::Apply(object)).await }
        });
        stream::iter(all).buffer_unordered(UNDER_WAY).try_for_each(|_| async { Ok(()) }).await.unwrap();
        let (took, used) = (began.elapsed().as_secs_f64(), processor() - used);
        println!("| the floor: a plain client {what} {} objects | {took:.1} | {used:.2} | |", targets.len());
    }
}

/// Applies the Profiles of a file in a namespace, and waits until all are in force.
pub async fn profiles(client: &Client, file: &Path, namespace: &str) {
    let text = fs::read_to_string(file).unwrap();
    let documents = text.split("\n---\n").filter(|document| !document.trim().is_empty());
    let all: Vec<Profile> = documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    let api = Api::<Profile>::namespaced(client.clone(), namespace);
    let (how, began) = (PatchParams::apply("landfall-bench").force(), Instant::now());
    let writes = all.iter().map(|profile| {
        let (api, how) = (api.clone(), how.clone());
        async move { api.patch(&profile.name_any(), &how, &Patch::Apply(profile)).await }
    });
    let write = async {
        stream::iter(writes).buffer_unordered(UNDER_WAY).try_for_each(|_| async { Ok(()) }).await.unwrap();
        println!("| a plain client applies {} Profiles | {:.1} | | |", all.len(), began.elapsed().as_secs_f64());
    };
    tokio::join!(write, in_force(&api, all.len()));
    println!("| all of them Ready, from the first write on | {:.1} | | |", began.elapsed().as_secs_f64());
}

/// Waits until so many Profiles are in force.
async fn in_force(api: &Api<Profile>, count: usize) {
    let mut looks = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    let mut done = BTreeSet::new();
    while done.len() < count {
        let profile = looks.try_next().await.unwrap().expect("the watch goes on");
        let conditions = profile.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let is_true = |kind| conditions.iter().any(|one| one.type_ == kind && one.status == ConditionStatus::True);
        if is_true(ConditionType::Synced) && is_true(ConditionType::Ready) {
            done.insert(profile.name_any());
        }
    }
}

/// Every object of the files below a directory, with where it is written.
async fn targets(client: &Client, directory: &Path) -> Vec<Target> {
    let discovered = discovery::Discovery::new(client.clone()).run().await.unwrap();
    let mut targets = Vec::new();
    for file in files(directory) {
        let text = fs::read_to_string(file).unwrap();
        for document in text.split("\n---\n") {
            let object: DynamicObject = serde_saphyr::from_str(document).unwrap();
            let types = object.types.clone().unwrap();
            let kind = types.try_into().unwrap();
            let (resource, _) = discovered.resolve_gvk(&kind).unwrap();
            targets.push((Api::namespaced_with(client.clone(), NAMESPACE, &resource), object));
        }
    }
    targets
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Seconds of processor time that this process has used.
fn processor() -> f64 {
    processor_of(std::process::id())
}

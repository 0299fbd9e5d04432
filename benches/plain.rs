//! The floor of a source: a plain client that makes the writes that its first sync cannot do without, and no more.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    discovery,
};
use serde_json::json;

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
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

//! Pods, where they themselves are asked for: which of a revision are old, and their eviction one by one.

use serde_json::{Value, json};

use super::{
    call::CallError,
    execute::{ExecuteError, Site, explain},
    write::{Account, Place, Writer},
};
use crate::{
    api::{DEPLOYMENT_LABEL, POD_HASH_LABEL, names::label_value},
    engine::{moment::Moment, observed::Revision},
};

/// Evicts pods that are older than this: of each workload one at a time, and only while all the others are ready.
pub(super) async fn renew(site: &Site<'_>, revision: &Revision, before: Moment) -> Result<(), ExecuteError> {
    let of = (&*label_value(&site.owner.name), revision);
    let pods = pods_by(site.writer, site.namespace, of).await?;
    for set in site.owned.replica_sets.values().filter(|set| set.revision == *revision) {
        let own: Vec<&Value> = pods.iter().filter(|pod| is_of(pod, &set.name)).collect();
        let ready = own.iter().filter(|pod| is_ready(pod)).count();
        if own.len() != ready || ready < set.replicas as usize {
            continue;
        }
        let old = own.into_iter().filter(|pod| born(pod).is_some_and(|born| born < before));
        if let Some(name) = old.filter_map(|pod| pod.pointer("/metadata/name")?.as_str()).min() {
            match site.writer.evict(site.account, site.namespace, name).await {
                // A disruption budget says: later.
                Err(CallError::Refused { code: 429, .. }) | Ok(()) => {}
                Err(error) => return Err(explain(site, &Place::named("v1", "Pod", site.namespace, name), error)),
            }
        }
    }
    Ok(())
}

/// The pods of a revision that are older than this.
///
/// # Errors
/// They could not be listed.
pub async fn old_pods(
    writer: &Writer,
    namespace: &str,
    of: (&str, &Revision),
    before: Moment,
) -> Result<Vec<Value>, ExecuteError> {
    let mut pods = pods_by(writer, namespace, of).await?;
    pods.retain(|pod| born(pod).is_some_and(|born| born < before));
    Ok(pods)
}

async fn pods_by(
    writer: &Writer,
    namespace: &str,
    (deployment, revision): (&str, &Revision),
) -> Result<Vec<Value>, ExecuteError> {
    let place = Place::named("v1", "Pod", namespace, "");
    let labels = format!("{DEPLOYMENT_LABEL}={deployment},{POD_HASH_LABEL}={revision}");
    writer
        .list(&Account::Own, &place, &labels, |pod| slim(&pod))
        .await
        .map_err(|error| ExecuteError::Call(place, error))
}

/// Of a pod what a restart asks for: there may be many.
fn slim(pod: &Value) -> Value {
    let [name, born, ended, owners] = ["name", "creationTimestamp", "deletionTimestamp", "ownerReferences"]
        .map(|field| pod.pointer("/metadata").and_then(|metadata| metadata.get(field)).cloned());
    let conditions = pod.pointer("/status/conditions").cloned();
    let mut metadata = json!({"name": name, "creationTimestamp": born, "ownerReferences": owners});
    if let Some(ended) = ended {
        metadata["deletionTimestamp"] = ended;
    }
    json!({"metadata": metadata, "status": {"conditions": conditions}})
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
    let ready = conditions.into_iter().flatten().any(|condition| {
        text(condition, "type").as_deref() == Some("Ready") && text(condition, "status").as_deref() == Some("True")
    });
    ready && pod.pointer("/metadata/deletionTimestamp").is_none()
}

fn is_of(pod: &Value, replica_set: &str) -> bool {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("name").and_then(Value::as_str) == Some(replica_set))
}

/// When a pod was made.
fn born(pod: &Value) -> Option<Moment> {
    let text = pod.pointer("/metadata/creationTimestamp")?.as_str()?;
    let at: k8s_openapi::jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Moment)
}

//! The objects of a Profile that is deleted.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{
    apply, prepare,
    work::{AT_ONCE, Job},
};
use crate::{
    api::profile::Profile,
    cluster::{
        store::Key,
        write::{Account, Place},
    },
    controller::operator::Operator,
    gitops::{
        inventory::Entry,
        leave::{Ground, Way, waiting, way},
        stage::prune_stages,
        sync::Trouble,
    },
};

/// Brings a Profile that is deleted nearer to its end. None: nothing keeps it any more; else what it waits for.
pub async fn leave(operator: &Arc<Operator>, key: &Key, profile: &Profile) -> Option<String> {
    let Some(source) = &profile.spec.source else { return None };
    let ground = ground(operator, key).await;
    let missing = super::account(operator, key, profile).await.map(|Trouble { message, .. }| message);
    match way(profile, ground, missing.as_deref()) {
        Way::Free => None,
        Way::Wait(sentence) => Some(sentence),
        Way::Withdraw => withdraw(&Job::of(operator, key, (profile, source))).await,
    }
}

/// Whether the namespace stays. Where that cannot be told, it does.
async fn ground(operator: &Operator, key: &Key) -> Ground {
    let (api_version, kind) = ("v1".to_owned(), "Namespace".to_owned());
    let place = Place { api_version, kind, namespace: None, name: key.namespace.to_string() };
    match operator.writer.get(&Account::Own, &place).await {
        Ok(Some(namespace)) if namespace.pointer("/metadata/deletionTimestamp").is_none() => Ground::Stays,
        Ok(_) => Ground::Goes,
        Err(_) => Ground::Stays,
    }
}

/// Deletes what is looked after, stage by stage, each when nothing is left of the one before. Whatever is gone already costs a
/// question; so it can be begun anew at any time.
async fn withdraw(job: &Job) -> Option<String> {
    let inventory = match prepare::read(job).await {
        Ok(inventory) => inventory,
        Err(trouble) => return Some(trouble.message),
    };
    let may = |entry: &&Entry| job.source.allow_profiles || !entry.id.is_profile();
    let entries: Vec<Entry> = inventory.entries().filter(may).cloned().collect();
    for stage in prune_stages(&entries) {
        let own: Vec<Entry> = stage.into_iter().filter_map(|index| entries.get(index).cloned()).collect();
        let left = stream::iter(own.into_iter().map(|entry| async move { apply::remove(job, &entry).await }));
        let left = left.buffered(AT_ONCE);
        let left: Vec<String> = left.filter_map(std::future::ready).collect().await;
        if let Some(sentence) = waiting(&left) {
            return Some(sentence);
        }
    }
    None
}

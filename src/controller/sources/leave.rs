//! The objects of a Profile that is deleted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, stream};

use super::{
    apply, asked, prepare,
    target::{Known, Target, Where},
    work::{AT_ONCE, Job},
};
use crate::{
    api::profile::Profile,
    cluster::{
        store::Key,
        write::{Account, Place},
    },
    controller::{background::Running, operator::Operator},
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
    let mut missing = super::account(operator, key, profile).await.map(|Trouble { message, .. }| message);
    let withdrawals = &operator.sources.withdrawals;
    // Whoever is asked already has a kubeconfig.
    let known =
        if missing.is_none() && !withdrawals.is_under_way(key, profile.metadata.uid.as_deref().unwrap_or_default()) {
            let known = Known::read(operator, key, (profile, source), (None, asked(profile))).await;
            known.map_err(|(_, Trouble { message, .. })| missing = Some(message)).ok().flatten()
        } else {
            None
        };
    match way(profile, ground, missing.as_deref()) {
        Way::Free => {
            withdrawals.forget(key);
            None
        }
        Way::Wait(sentence) => Some(sentence),
        Way::Withdraw => {
            let target = Target::of(operator, key, profile, known.as_ref());
            match target.at {
                Where::Here => withdraw(&Job::of(operator, key, (profile, source), target)).await,
                Where::There => withdrawals.go_on(operator, key, || Job::of(operator, key, (profile, source), target)),
            }
        }
    }
}

/// Objects in other clusters that are being deleted, beside the looks: a cluster that does not answer is not to hold one up.
#[derive(Default)]
pub struct Withdrawals(Mutex<HashMap<Key, Withdrawal>>);

/// What a withdrawal waits for, once it has ended.
type Ended = Arc<Mutex<Option<Option<String>>>>;

/// Objects of one Profile that are being deleted.
struct Withdrawal {
    /// The uid of the Profile: another one may have its name.
    owner: String,
    /// What came of it.
    ended: Ended,
    /// It ends with this.
    _running: Running,
}

impl Withdrawals {
    /// Whether the objects of this Profile are being deleted. What was begun for another one of its name ends.
    fn is_under_way(&self, key: &Key, owner: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(key).is_some_and(|one| one.owner != owner) {
            all.remove(key);
        }
        all.contains_key(key)
    }

    /// Drops what is under way for a Profile.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// What the last one waits for; begins one where there is none.
    fn go_on(&self, operator: &Arc<Operator>, key: &Key, job: impl FnOnce() -> Job) -> Option<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(key) {
            let ended = known.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(ended) = ended {
                all.remove(key);
                return ended;
            }
        } else {
            let (job, ended, key) = (job(), Ended::default(), key.clone());
            let owner = job.owner.clone();
            let (post, queue, name) = (Arc::clone(&ended), operator.profiles.clone(), key.clone());
            let running = operator.background.begin(async move {
                let waiting = withdraw(&job).await;
                *post.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting);
                queue.add(name);
            });
            all.insert(key, Withdrawal { owner, ended, _running: running });
        }
        Some(
            waiting(&["the objects in the cluster of spec.target.kubeconfig to be deleted".to_owned()])
                .unwrap_or_default(),
        )
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

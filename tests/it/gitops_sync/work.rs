//! What the process does beside its looks, a tick at a time.

use std::collections::VecDeque;

use landfall::{
    api::{
        condition::ConditionReason,
        source::{Drift, Rollout, SyncCounts, SyncFailure},
    },
    gitops::{
        inventory::{Inventory, Mark, consent},
        object::{Id, Manifest},
        plan::{Terms, plan},
        stage::{prune_stages, stages},
        sync::{Action, Applied, Corrected, Found, Health, Prepared, Recalled},
    },
};
use serde_json::json;

use super::{
    laws::Laws,
    world::{Live, Loaded, Owner, Verdict, World, commit, digest_of, failure, read, shown, trouble},
};

/// The label by which the source knows its objects.
const LABEL: Mark<'static> = Mark { key: "landfall.dev/profile", value: "production" };

/// Something that is under way.
#[derive(Debug, Clone)]
pub struct Work {
    pub action: Action,
    /// The commit, for what is not about the one in force.
    pub commit: String,
    pub settings: String,
    /// Whether the spec allowed deletion when this began.
    pub prunes: bool,
    /// What is still to be written or deleted, stage by stage.
    todo: VecDeque<Vec<usize>>,
    ids: Vec<Id>,
    /// Those that were taken to be compared: all of them again, where that is not brought to its end.
    taken: Vec<Id>,
    inventory: Inventory,
    counts: SyncCounts,
    failures: Vec<SyncFailure>,
    corrected: Corrected,
    /// How many objects were written or deleted.
    pub done: usize,
}

/// Whether the API server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Given,
    None,
}

impl World {
    pub fn begin(&mut self, action: Action) {
        let Loaded { manifests, plan, inventory, .. } = self.process.fresh.clone();
        let stored = self.process.status.as_ref().and_then(|status| status.inventory.as_ref()).map(read);
        let (todo, inventory) = match action {
            Action::Apply => (applied_in(&manifests, &plan.apply), inventory),
            Action::Prune => (prune_stages(&plan.prune), stored.unwrap_or_default()),
            _ => (Vec::new(), Inventory::default()),
        };
        let ids: Vec<Id> = match action {
            Action::Correct => std::mem::take(&mut self.process.touched).into_iter().collect(),
            _ => Vec::new(),
        };
        let target = self.process.state.target.clone();
        self.tell(format!("begin {action:?} {}", target.commit));
        Laws::at_a_beginning(self, action);
        self.process.work = Some(Work {
            action,
            commit: target.commit,
            settings: target.settings,
            prunes: self.source.prune,
            todo: todo.into(),
            taken: ids.clone(),
            ids,
            inventory,
            counts: SyncCounts::default(),
            failures: Vec::new(),
            corrected: Corrected::default(),
            done: 0,
        });
    }

    /// What is under way goes on by one object, or comes to its end.
    pub fn go_on(&mut self) {
        if self.goes_wrong(self.faults.slow) {
            return;
        }
        let Some(mut work) = self.process.work.take() else { return };
        match self.advance(&mut work) {
            None => self.process.work = Some(work),
            Some(found) => {
                self.tell(format!("end {:?}: {found:.300?}", work.action));
                self.process.delivered = Some(found);
            }
        }
    }

    fn advance(&mut self, work: &mut Work) -> Option<Found> {
        let answer = if self.goes_wrong(self.faults.unreached) { Answer::None } else { Answer::Given };
        match work.action {
            Action::Apply => self.write(work, answer),
            Action::Prune => self.delete(work, answer),
            Action::Correct => self.correct(work, answer),
            _ if answer == Answer::None => Some(Found::Unreached(trouble(ConditionReason::NoAnswer))),
            Action::Prepare => Some(self.prepare(work)),
            Action::Check => Some(self.check()),
            Action::Look => Some(self.health()),
            Action::Recall => Some(self.recall(work)),
        }
    }

    /// Reads what is in force, as it reads now. Only what is known to be in force is compared later.
    fn recall(&mut self, work: &Work) -> Found {
        let content = self.commits[&work.commit].clone();
        if self.gone.contains(&work.commit) {
            return Found::Unreached(trouble(ConditionReason::FetchFailed));
        }
        if content.verdict == Verdict::Unreadable {
            return Found::Refused(ConditionReason::RenderFailed, vec![failure("a file")]);
        }
        let inventory = self.status.inventory.as_ref().map(read).unwrap_or_default();
        let (manifests, others): (Vec<_>, Vec<_>) =
            content.manifests().into_iter().partition(|manifest| inventory.has(manifest));
        let recalled = Recalled { digest: digest_of(&content, &work.settings), others: others.len() };
        self.process.fresh = Loaded { commit: work.commit.clone(), content, manifests, ..Loaded::default() };
        Found::Recalled(recalled)
    }

    fn prepare(&mut self, work: &Work) -> Found {
        let content = self.commits[&work.commit].clone();
        if content.verdict == Verdict::Unreadable {
            return Found::Refused(ConditionReason::RenderFailed, vec![failure("a file")]);
        }
        let manifests = content.manifests();
        let status = self.process.status.as_ref().unwrap_or(&self.status);
        let inventory = status.inventory.as_ref().map(read).unwrap_or_default();
        let terms = Terms { prune: work.prunes, allow_empty: self.source.allow_empty, ..Terms::default() };
        let Ok(plan) = plan(&manifests, &inventory, &terms) else {
            return Found::Refused(ConditionReason::RenderFailed, vec![failure("Empty")]);
        };
        let inventory = inventory.cut(plan.forget.iter().map(|entry| &entry.id)).union(&manifests);
        let prepared = Prepared {
            commit: commit(&work.commit),
            digest: digest_of(&content, &work.settings),
            inventory: shown(&inventory),
            applies: plan.apply.len(),
            unchanged: plan.unchanged.len(),
            prunes: plan.prune.len(),
        };
        self.process.fresh = Loaded { commit: work.commit.clone(), content, manifests, plan, inventory };
        Found::Prepared(Box::new(prepared))
    }

    fn check(&self) -> Found {
        let Loaded { content, manifests, plan, .. } = &self.process.fresh;
        let is_theirs =
            |index: &usize| self.cluster.get(&manifests[*index].id).is_some_and(|live| live.owner == Owner::Somebody);
        if content.verdict == Verdict::Refused || plan.apply.iter().any(is_theirs) {
            return Found::Refused(ConditionReason::ValidationFailed, vec![failure("an object")]);
        }
        Found::Checked
    }

    fn health(&self) -> Found {
        if let Some(code) = self.process.fresh.content.rolled_back {
            let rollouts = vec![Rollout {
                deployment: "shop/web".into(),
                phase: "RolledBack".into(),
                message: Some("check errors failed".into()),
                code: Some(code.into()),
                details: Some("last failing value 0.5".into()),
            }];
            let failures = vec![failure("Deployment shop/web")];
            return Found::Health(Box::new(Health { failures, rollouts, waiting_for: None }));
        }
        let waits = |manifest: &&Manifest| {
            let live = self.cluster.get(&manifest.id);
            live.is_none_or(|live| live.healthy_at.is_none_or(|at| at > self.now))
        };
        let waiting_for = self.process.fresh.manifests.iter().find(waits).map(|manifest| manifest.id.to_string());
        Found::Health(Box::new(Health { waiting_for, ..Health::default() }))
    }

    fn write(&mut self, work: &mut Work, answer: Answer) -> Option<Found> {
        if answer == Answer::None {
            if self.random.percent(50) {
                return Some(Found::Unreached(trouble(ConditionReason::NoAnswer)));
            }
            work.failures.push(failure("no answer"));
            return Some(Found::Applied(Box::new(Self::applied(work))));
        }
        let Some(stage) = work.todo.front_mut() else { return Some(Found::Applied(Box::new(Self::applied(work)))) };
        let index = stage.pop().unwrap();
        let (is_last_of_stage, is_last) = (stage.is_empty(), stage.is_empty() && work.todo.len() == 1);
        let Loaded { content, manifests, .. } = self.process.fresh.clone();
        if content.verdict == Verdict::RefusedLate && is_last {
            work.failures.push(failure("the last object"));
        } else {
            let uid = self.put(&manifests[index], content.healthy_after.map(|after| self.now + after));
            work.inventory.applied(&manifests[index], Some(uid));
            (work.done, work.counts.configured) = (work.done + 1, work.counts.configured + 1);
        }
        if is_last_of_stage {
            work.todo.pop_front();
        }
        (!work.failures.is_empty()).then(|| Found::Applied(Box::new(Self::applied(work))))
    }

    fn applied(work: &Work) -> Applied {
        Applied { counts: work.counts, failures: work.failures.clone(), inventory: shown(&work.inventory) }
    }

    fn put(&mut self, manifest: &Manifest, healthy_at: Option<u64>) -> String {
        Laws::at_a_write(self, manifest);
        let known = self.cluster.get(&manifest.id).map(|live| live.uid.clone());
        let uid = known.unwrap_or_else(|| self.uid());
        let digest = manifest.digest.clone();
        let live = Live { uid: uid.clone(), digest, healthy_at, owner: Owner::Source, touched: false };
        self.cluster.insert(manifest.id.clone(), live);
        self.process.touched.remove(&manifest.id);
        uid
    }

    fn delete(&mut self, work: &mut Work, answer: Answer) -> Option<Found> {
        if answer == Answer::None && self.random.percent(50) {
            return Some(Found::Unreached(trouble(ConditionReason::NoAnswer)));
        }
        while work.todo.front().is_some_and(Vec::is_empty) {
            work.todo.pop_front();
        }
        let Some(index) = work.todo.front_mut().and_then(Vec::pop) else {
            return Some(Found::Pruned(Box::new(Self::applied(work))));
        };
        let entry = self.process.fresh.plan.prune[index].clone();
        if answer == Answer::None {
            work.failures.push(failure("no answer"));
            return None;
        }
        if let Some(live) = self.cluster.get(&entry.id) {
            let profile = if live.owner == Owner::Source { "production" } else { "another" };
            let object = json!({"metadata": {"uid": live.uid, "labels": {"landfall.dev/profile": profile}}});
            if consent(&entry, &object, LABEL).is_ok() {
                Laws::at_a_deletion(self, work, &entry.id);
                self.cluster.remove(&entry.id);
                (work.done, work.counts.pruned) = (work.done + 1, work.counts.pruned + 1);
            }
        }
        work.inventory = work.inventory.cut([&entry.id]);
        None
    }

    fn correct(&mut self, work: &mut Work, answer: Answer) -> Option<Found> {
        if answer == Answer::None {
            self.process.touched.extend(work.taken.iter().cloned());
            return Some(Found::Unreached(trouble(ConditionReason::NoAnswer)));
        }
        let Some(id) = work.ids.pop() else { return Some(Found::Corrected(work.corrected.clone())) };
        let loaded = self.process.loaded.clone().unwrap();
        work.corrected.compared.push(id.to_string());
        let manifest = loaded.manifests.iter().find(|manifest| manifest.id == id)?;
        if self.source.drift == landfall::api::source::DriftPolicy::Report {
            let drift = Drift { object: id.to_string(), manager: None, message: "different".into() };
            work.corrected.drift.push(drift);
        } else {
            Laws::at_a_correction(self, &loaded.commit);
            self.put(manifest, loaded.content.healthy_after.map(|after| self.now + after));
        }
        None
    }

    /// Drops what is under way, as an operator does. What was not compared is compared later.
    pub fn drop_work(&mut self) {
        if let Some(work) = self.process.work.take() {
            self.process.touched.extend(work.taken);
        }
    }
}

fn applied_in(manifests: &[Manifest], indices: &[usize]) -> Vec<Vec<usize>> {
    let wanted = stages(manifests).into_iter();
    let wanted = wanted.map(|stage| stage.into_iter().filter(|index| indices.contains(index)).collect::<Vec<_>>());
    wanted.filter(|stage| !stage.is_empty()).collect()
}

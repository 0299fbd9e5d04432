//! What somebody else changed, compared with what is wanted and set back.

use tracing::{info, warn};

use super::{
    fight::News,
    work::{Job, Loaded, MESSAGE_MAX, place},
};
use crate::{
    api::{
        SOURCE_FIELD_MANAGER,
        source::{Drift, DriftPolicy},
    },
    cluster::{bring::passes, call::CallError, write::Claim},
    controller::operator::now,
    gitops::{
        drift::{batch, differs, manager},
        object::{Id, Manifest},
        sync::{Corrected, Found},
        words::cut,
    },
    rollout::describe::{Event, Kind},
};

/// The most differences that are named.
const NAMED: usize = 5;

/// The most bytes of an object's name, and of a field manager's.
const NAME_MAX: usize = 500;
const MANAGER_MAX: usize = 120;

/// What is being compared. Where that is not brought to its end, all of it is compared again.
struct Taken<'j> {
    job: &'j Job,
    ids: Vec<Id>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.job.target.touched.put_back(&self.job.key, std::mem::take(&mut self.ids));
    }
}

/// What became of an object that somebody else may have changed.
enum Became {
    /// It is as it is wanted.
    Same,
    /// It is so again.
    SetBack,
    /// It is different, and that is only said.
    Reported(Drift),
    /// It is different, and left to whoever changes it again and again.
    Contested(Drift),
}

impl Became {
    fn reported(drift: Option<Drift>) -> Self {
        drift.map_or(Self::Same, Self::Reported)
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::SetBack => "corrected",
            Self::Reported(_) => "reported",
            Self::Contested(_) => "contested",
        }
    }
}

/// Objects that were set back together. People are told once, also where it was not brought to its end.
struct Batch<'j> {
    job: &'j Job,
    objects: Vec<String>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let Some(words) = batch(&self.objects) else { return };
        let note = cut(&format!("what somebody else changed is set back: {words}"), MESSAGE_MAX);
        info!(reason = "DriftCorrected", "{note}");
        event(self.job, Event { reason: "DriftCorrected", kind: Kind::Normal, note });
    }
}

/// Tells people something about the Profile, if it is still there.
pub fn event(job: &Job, event: Event) {
    if let Some(profile) = job.operator.store.profile(&job.key.namespace, &job.key.name) {
        job.operator.events.tell(&*profile, event);
    }
}

/// Sees to everything that was touched, and finds what is different from what is wanted and stays so.
pub async fn correct(job: &Job, loaded: &Loaded) -> Found {
    let mut taken = Taken { job, ids: job.target.touched.take(&job.key, now()) };
    let mut corrected = Corrected::default();
    let mut back = Batch { job, objects: Vec::new() };
    for id in &taken.ids {
        corrected.compared.push(shown(id));
        let Some(manifest) = loaded.manifests.iter().find(|manifest| manifest.id == *id) else { continue };
        let seen = match job.source.drift {
            DriftPolicy::Correct => set_back(job, manifest).await,
            DriftPolicy::Report => compare(job, manifest).await.map(Became::reported),
            DriftPolicy::Ignore => Ok(Became::Same),
        };
        if let Ok(became) = &seen {
            job.operator.metrics.drifted(became.word());
        }
        match seen {
            Ok(Became::Same) => {}
            Ok(Became::SetBack) => back.objects.push(shown(id)),
            Ok(Became::Reported(drift) | Became::Contested(drift)) => corrected.drift.push(drift),
            Err(error) if passes(&error) || error.is_unauthorized() => {
                return Found::Unreached(job.target.unreached(&error));
            }
            Err(error) => {
                let error = error.to_string();
                let error = manifest.refusal(&error);
                warn!(object = %id, error, "what was touched could not be compared");
                corrected.drift.push(drift(id, None, &format!("it could not be compared: {error}")));
            }
        }
    }
    taken.ids.clear();
    Found::Corrected(corrected)
}

/// The name of an object in the list of differences.
fn shown(id: &Id) -> String {
    cut(&id.to_string(), NAME_MAX)
}

fn drift(id: &Id, manager: Option<&str>, message: &str) -> Drift {
    Drift { object: shown(id), manager: manager.map(|name| cut(name, MANAGER_MAX)), message: cut(message, MESSAGE_MAX) }
}

async fn set_back(job: &Job, manifest: &Manifest) -> Result<Became, CallError> {
    let touched = &job.target.touched;
    if touched.fight(&job.key, &manifest.id, |fight| fight.is_contested(now())) {
        return Ok(leave(job, manifest).await?.map_or(Became::Same, Became::Contested));
    }
    let before = touched.sight(&job.key, &manifest.id).map(|sight| sight.version);
    let (place, text) = (place(&manifest.id), job.text(manifest));
    let answer = job.target.bringer.apply(&job.target.account, &place, &text, Claim::Firm).await?.metadata;
    touched.wrote(&job.key, &manifest.id, &answer);
    if before.as_ref() == Some(&answer.resource_version) {
        return Ok(Became::Same);
    }
    touched.fight(&job.key, &manifest.id, |fight| fight.note(now()));
    Ok(Became::SetBack)
}

/// Leaves an object to whoever changes it again and again, and says who that is.
async fn leave(job: &Job, manifest: &Manifest) -> Result<Option<Drift>, CallError> {
    let Some(different) = compare(job, manifest).await? else { return Ok(None) };
    let news = job.target.touched.leave(&job.key, &manifest.id, now());
    let message = format!("set back three times in ten minutes and left alone for ten: {}", different.message);
    let drift = Drift { message: cut(&message, MESSAGE_MAX), ..different };
    if news == News::New {
        tell(job, &drift);
    }
    Ok(Some(drift))
}

fn tell(job: &Job, drift: &Drift) {
    let who = drift.manager.as_deref().unwrap_or("somebody");
    let note = format!("{who} changes {} again and again: {}", drift.object, drift.message);
    warn!(reason = "DriftContested", "{note}");
    event(job, Event { reason: "DriftContested", kind: Kind::Warning, note: cut(&note, MESSAGE_MAX) });
}

/// What is different, and by whom; none where nothing is.
async fn compare(job: &Job, manifest: &Manifest) -> Result<Option<Drift>, CallError> {
    let (place, text, who) = (place(&manifest.id), job.text(manifest), job.target.account.clone());
    let Some(live) = job.target.writer.get(&who, &place).await? else {
        return Ok(Some(drift(&manifest.id, None, "it was deleted")));
    };
    let wanted = job.target.writer.apply_as_source(&who, &place, &text, Claim::DryRun).await?;
    let fields = differs(&live, &wanted);
    let Some(first) = fields.first() else { return Ok(None) };
    let mut message = fields.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = fields.len().saturating_sub(NAMED);
    if more > 0 {
        message = format!("{message} and {more} more");
    }
    let manager = manager(&live, first, SOURCE_FIELD_MANAGER);
    Ok(Some(drift(&manifest.id, manager, &format!("different: {message}"))))
}

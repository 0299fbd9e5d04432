//! What is carried out for a source beside the looks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::value::RawValue;

use super::{account_name, apply, correct, deliver::Delivery, health, prepare, recall, target::Target};
use crate::{
    api::{
        condition::ConditionReason,
        profile::Profile,
        source::{self, Source, SyncFailure},
    },
    cluster::{
        call::CallError,
        store::Key,
        write::{Account, Place},
    },
    controller::operator::Operator,
    git::mirror::{Remote, Wanted},
    gitops::{
        custom::Checks,
        inventory::Inventory,
        object::{Id, Manifest},
        owner::{Owner, Replicas},
        plan::Plan,
        renderer::output::Hooks,
        sops::age::Identities,
        sync::{Action, Found, Trouble},
        values::Values,
        words::cut,
    },
    renderer::manifests::Read,
    telemetry::chain,
};

/// The calls of one Profile that are prepared at a time. How many are under way is decided for all Profiles together.
pub const AT_ONCE: usize = 32;

/// The most bytes of a message.
pub const MESSAGE_MAX: usize = 1000;

/// What is to be carried out, and for whom.
pub struct Job {
    /// What all looks share.
    pub operator: Arc<Operator>,
    /// The Profile.
    pub key: Key,
    /// Its uid.
    pub owner: String,
    /// The name of the service account that reads what is needed here.
    pub account: String,
    /// Where the objects are.
    pub target: Target,
    /// The source.
    pub source: Source,
    /// The repository and what of it is wanted.
    pub repository: Option<(Remote, Wanted)>,
    /// The commit.
    pub commit: String,
    /// The digest of the settings.
    pub settings: String,
    /// The values for its files.
    pub values: Arc<Values>,
    /// Whom files may be encrypted for.
    pub identities: Arc<Identities>,
    /// The kinds that the source judges itself.
    pub checks: Arc<Checks>,
    /// The inventory as the status has it.
    pub inventory: source::Inventory,
    /// The commit as it was read, or for a correction the one that is in force.
    pub loaded: Option<Arc<Loaded>>,
    /// What becomes of hooks of a chart.
    pub hooks: Hooks,
}

/// A commit that was read.
pub struct Loaded {
    /// The settings that it was read with.
    pub settings: String,
    /// The objects of each file by its path, with the hash of its content: a file that is the same is not read again.
    pub files: Read,
    /// Its objects.
    pub manifests: Vec<Manifest>,
    /// What is to be done with them.
    pub plan: Plan,
    /// The objects that are looked after, before and after.
    pub inventory: Inventory,
    /// What the API server said of them when it was asked, by their number.
    pub asked: Mutex<HashMap<usize, Before>>,
}

/// What was there before an object is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// The object, in this version.
    Version(String),
    /// It can only be told when it is written: its kind or its namespace comes with the commit.
    Unknown,
    /// An object that has to be deleted first, of this uid.
    Replaced(String),
}

impl Loaded {
    /// The objects.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.manifests.iter().map(|manifest| manifest.id.clone())
    }

    /// What was there before.
    pub fn before(&self, index: usize) -> Option<Before> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&index).cloned()
    }
}

impl Job {
    /// For a Profile as it stands, with nothing that is fetched or was read.
    pub fn of(operator: &Arc<Operator>, key: &Key, (profile, source): (&Profile, &Source), target: Target) -> Self {
        let status = profile.status.as_ref().and_then(|status| status.source.as_ref());
        Self {
            operator: Arc::clone(operator),
            key: key.clone(),
            owner: profile.metadata.uid.clone().unwrap_or_default(),
            account: account_name(profile),
            target,
            source: source.clone(),
            repository: None,
            commit: String::new(),
            settings: String::new(),
            values: Arc::default(),
            identities: Arc::default(),
            checks: Arc::default(),
            inventory: status.and_then(|status| status.inventory.clone()).unwrap_or_default(),
            loaded: None,
            hooks: Hooks::Refused,
        }
    }

    /// Who reads Secrets here, and keeps the inventory.
    pub fn account(&self) -> Account {
        Account::Service { namespace: self.key.namespace.to_string(), name: self.account.clone() }
    }

    /// Whose objects they are.
    pub fn whose(&self) -> Owner<'_> {
        Owner { namespace: &self.key.namespace, profile: &self.key.name }
    }

    /// An object as it is sent.
    pub fn text(&self, manifest: &Manifest) -> Box<RawValue> {
        let scaled = self.target.touched.sight(&self.key, &manifest.id).is_some_and(|sight| sight.scaled);
        let replicas = if scaled { Replicas::Scaled } else { Replicas::Wanted };
        // The text of a value is always JSON.
        RawValue::from_string(self.whose().sent(manifest, replicas).to_string()).unwrap_or_default()
    }
}

/// Where an object is.
pub fn place(id: &Id) -> Place {
    let Id { api_version, kind, namespace, name } = id.clone();
    Place { api_version, kind, namespace, name }
}

/// Carries an action out.
pub async fn carry_out(action: Action, job: Job) -> Delivery {
    let found = match (action, job.loaded.clone()) {
        (Action::Prepare, _) => return prepare::prepare(&job).await,
        (Action::Recall, _) => return recall::recall(&job).await,
        (_, None) => Found::Unreached(lost()),
        (Action::Check, Some(loaded)) => Box::pin(apply::check(&job, &loaded)).await,
        (Action::Apply, Some(loaded)) => Box::pin(apply::apply(&job, &loaded)).await,
        (Action::Look, Some(loaded)) => match health::look(&job, &loaded).await {
            Ok(health) => Found::Health(Box::new(health)),
            Err(error) => Found::Unreached(job.target.unreached(&error)),
        },
        (Action::Prune, Some(loaded)) => Box::pin(apply::prune(&job, &loaded)).await,
        (Action::Correct, Some(loaded)) => Box::pin(correct::correct(&job, &loaded)).await,
    };
    found.into()
}

/// No action but the first is begun before a commit was read.
fn lost() -> Trouble {
    Trouble {
        reason: ConditionReason::FetchFailed,
        message: "what was read of the commit is lost: it is read again".to_owned(),
    }
}

/// Why an object is refused, with the place where it stands.
pub fn failure(manifest: &Manifest, reason: &str, message: &str) -> SyncFailure {
    SyncFailure {
        object: Some(manifest.id.to_string()),
        file: Some(manifest.file.to_string()),
        line: i64::try_from(manifest.line).ok().filter(|line| *line > 0),
        reason: reason.to_owned(),
        message: cut(message, MESSAGE_MAX),
    }
}

/// A call that failed for a reason that is nobody's fault.
pub fn unreached(error: &CallError) -> Trouble {
    Trouble { reason: ConditionReason::NoAnswer, message: cut(&chain(error), MESSAGE_MAX) }
}

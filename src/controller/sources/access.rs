//! How a repository is reached: its address, and the credentials of its Secret.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::repositories::Followed;
use crate::{
    api::{
        condition::ConditionReason,
        source::{GitSource, Source},
    },
    cluster::{
        bring::passes,
        secret::Secret,
        store::Key,
        write::{Account, Place},
    },
    controller::operator::Operator,
    git::{
        mirror::{Remote, Wanted},
        secret::{Credentials, SecretError, Way},
    },
    gitops::sync::Trouble,
};

/// How long what a Secret says is taken for what it says now.
const FRESH: Duration = Duration::from_mins(1);

/// The field that names the Secret.
const FIELD: &str = "spec.source.git.secretRef";

/// How a repository is reached.
pub struct Access {
    git: GitSource,
    read: Instant,
    remote: Remote,
    wanted: Wanted,
}

impl Access {
    /// Reads how the source's repository is reached, unless that is known and fresh.
    ///
    /// # Errors
    /// What is missing, with the remedy.
    pub async fn read(
        operator: &Operator,
        account: &Account,
        (key, source): (&Key, &Source),
        known: Option<Self>,
    ) -> Result<Self, Trouble> {
        let git = &source.git;
        let known = known.filter(|known| known.git == *git);
        if let Some(known) = known {
            if known.read.elapsed() < FRESH || git.secret_ref.is_none() {
                return Ok(known);
            }
            return match Self::anew(operator, account, (key, git), Some(&known)).await {
                // What was read a moment ago is better than nothing.
                Err(Trouble { reason: ConditionReason::NoAnswer, .. }) => Ok(known),
                anew => anew,
            };
        }
        Self::anew(operator, account, (key, git), None).await
    }

    async fn anew(
        operator: &Operator,
        account: &Account,
        (key, git): (&Key, &GitSource),
        known: Option<&Self>,
    ) -> Result<Self, Trouble> {
        let wanted = wanted(git)?;
        let credentials = match &git.secret_ref {
            Some(secret) => {
                let place = (&*key.namespace, secret.name.as_str());
                let data = secret_data(operator, account, place, FIELD).await?;
                credentials((FIELD, &secret.name), Way::of(&git.url), data, known).await?
            }
            None => Arc::default(),
        };
        let remote = Remote { url: git.url.clone(), credentials };
        Ok(Self { git: git.clone(), read: Instant::now(), remote, wanted })
    }

    /// What is followed.
    pub fn followed(&self, source: &Source) -> Followed {
        Followed {
            remote: self.remote.clone(),
            wanted: self.wanted.clone(),
            interval: source.git.every(),
            timeout: source.git.limit(),
        }
    }
}

fn wanted(git: &GitSource) -> Result<Wanted, Trouble> {
    Wanted::of(git).map_err(|error| Trouble { reason: ConditionReason::InvalidSpec, message: error.to_string() })
}

/// What a Secret says, read anew only where it says something new: a passphrase costs as much each time as its owner chose.
async fn credentials(
    (field, name): (&str, &str),
    way: Way,
    data: BTreeMap<String, Vec<u8>>,
    known: Option<&Access>,
) -> Result<Arc<Credentials>, Trouble> {
    let known = known.map(|known| &known.remote.credentials);
    if let Some(same) = known.filter(|known| known.fingerprint() == Credentials::fingerprint_of(way, &data)) {
        return Ok(Arc::clone(same));
    }
    let message = |error: SecretError| format!("{field} {name}: {error}");
    let denied = |message| Trouble { reason: ConditionReason::AccessDenied, message };
    let read = tokio::task::spawn_blocking(move || match way {
        Way::Https => Credentials::read(&data),
        Way::Ssh => Credentials::read_ssh(&data),
    });
    let read = read.await.map_err(|_| denied(format!("{field} {name}: it cannot be read")))?;
    read.map(Arc::new).map_err(|error| denied(message(error)))
}

/// The credentials of the Secret for pushing, as it is now.
///
/// # Errors
/// What is missing, with the remedy.
pub async fn opens(
    operator: &Operator,
    account: &Account,
    (namespace, name): (&str, &str),
    url: &str,
) -> Result<Arc<Credentials>, Trouble> {
    let field = "spec.source.revert.secretRef";
    let data = secret_data(operator, account, (namespace, name), field).await?;
    credentials((field, name), Way::of(url), data, None).await
}

/// What a Secret holds, read as the account that writes: whoever may not read a Secret cannot have it sent to a server of theirs.
///
/// # Errors
/// It is not there, or cannot be read; the field that names it is in the message.
pub async fn secret_data(
    operator: &Operator,
    account: &Account,
    (namespace, name): (&str, &str),
    field: &str,
) -> Result<BTreeMap<String, Vec<u8>>, Trouble> {
    let place = Place::named("v1", "Secret", namespace, name);
    let denied = |message| Trouble { reason: ConditionReason::AccessDenied, message };
    let secret: Option<Secret> = operator.writer.get_as(account, &place).await.map_err(|error| {
        let reason = if passes(&error) { ConditionReason::NoAnswer } else { ConditionReason::AccessDenied };
        Trouble { reason, message: format!("{field}: the Secret {name} cannot be read: {error}") }
    })?;
    let secret = secret.ok_or_else(|| {
        denied(format!("{field}: there is no Secret {name} in {namespace}: make it, or name another one"))
    })?;
    secret.into_data().map_err(|key| denied(format!("the key {key} of the Secret {name} is not base64")))
}

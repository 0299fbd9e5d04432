//! The keys to what SOPS encrypted, as they were read last.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::access::secret_data;
use crate::{
    api::{
        condition::ConditionReason,
        source::{Decryption, Source},
    },
    cluster::{store::Key, write::Account},
    controller::operator::Operator,
    gitops::{sops::age::Identities, sync::Trouble},
};

/// How long what a Secret says is taken for what it says now.
const FRESH: Duration = Duration::from_mins(1);

/// The field that names the Secret.
const FIELD: &str = "spec.source.decryption.secretRef";

/// Keys as they were read.
pub struct Keys {
    decryption: Decryption,
    /// The request by annotation that they were read for.
    asked: Option<String>,
    read: Instant,
    identities: Arc<Identities>,
}

impl Keys {
    /// Reads the keys, unless they are known and fresh, as the account that writes: whoever may not read a Secret cannot have
    /// it used. None where none are wanted.
    ///
    /// # Errors
    /// What is missing, with the remedy.
    pub async fn read(
        operator: &Operator,
        account: &Account,
        (key, source): (&Key, &Source),
        (known, asked): (Option<&Self>, Option<&str>),
    ) -> Result<Option<Self>, Trouble> {
        let Some(decryption) = &source.decryption else { return Ok(None) };
        let known = known.filter(|known| known.decryption == *decryption);
        let again = |known: &Self, read| Self {
            decryption: decryption.clone(),
            asked: asked.map(ToOwned::to_owned),
            read,
            identities: Arc::clone(&known.identities),
        };
        if let Some(known) = known.filter(|known| known.asked.as_deref() == asked && known.read.elapsed() < FRESH) {
            return Ok(Some(again(known, known.read)));
        }
        let name = &decryption.secret_ref.name;
        let data = match secret_data(operator, account, (&key.namespace, name), FIELD).await {
            Ok(data) => data,
            Err(trouble) => {
                // What was read a moment ago is better than nothing.
                let known = known.filter(|_| trouble.reason == ConditionReason::NoAnswer);
                return known.map(|known| Some(again(known, Instant::now()))).ok_or(trouble);
            }
        };
        let identities = Identities::read(&data).map_err(|error| Trouble {
            reason: ConditionReason::AccessDenied,
            message: format!("{FIELD} {name}: {error}"),
        })?;
        let asked = asked.map(ToOwned::to_owned);
        let identities = Arc::new(identities);
        Ok(Some(Self { decryption: decryption.clone(), asked, read: Instant::now(), identities }))
    }

    /// Whom files may be encrypted for.
    pub fn identities(&self) -> Arc<Identities> {
        Arc::clone(&self.identities)
    }
}

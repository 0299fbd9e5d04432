//! The keys to what SOPS encrypted, as they were read last.

use std::{sync::Arc, time::Duration};

use super::{access::secret_data, reading::Reading};
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
    read: Reading,
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
            read,
            identities: Arc::clone(&known.identities),
        };
        if let Some(known) = known.filter(|known| known.read.is_fresh(asked, FRESH)) {
            return Ok(Some(again(known, known.read.clone())));
        }
        let name = &decryption.secret_ref.name;
        let data = match secret_data(operator, account, (&key.namespace, name), FIELD).await {
            Ok(data) => data,
            Err(trouble) => {
                // What was read a moment ago is better than nothing.
                let known = known.filter(|_| trouble.reason == ConditionReason::NoAnswer);
                return known.map(|known| Some(again(known, Reading::now(asked)))).ok_or(trouble);
            }
        };
        let identities = Identities::read(&data).map_err(|error| Trouble {
            reason: ConditionReason::AccessDenied,
            message: format!("{FIELD} {name}: {error}"),
        })?;
        let identities = Arc::new(identities);
        Ok(Some(Self { decryption: decryption.clone(), read: Reading::now(asked), identities }))
    }

    /// Whom files may be encrypted for.
    pub fn identities(&self) -> Arc<Identities> {
        Arc::clone(&self.identities)
    }
}

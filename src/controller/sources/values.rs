//! What objects of the namespace bring for `${NAME}`, as it was read last.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::reading::Reading;
use crate::{
    api::{
        condition::ConditionReason,
        source::{Source, ValuesFrom},
    },
    cluster::{
        bring::passes,
        store::Key,
        values::{ValuesError, read},
        write::Account,
    },
    controller::operator::Operator,
    gitops::{sync::Trouble, values::Values},
};

/// Values as they were read.
pub struct Known {
    from: Vec<ValuesFrom>,
    own: BTreeMap<String, String>,
    read: Reading,
    values: Arc<Values>,
}

impl Known {
    /// Reads the values, unless they are known and fresh: not older than the interval, and of the request that stands there now.
    ///
    /// # Errors
    /// What is missing, with the remedy.
    pub async fn read(
        operator: &Operator,
        account: &Account,
        (key, source): (&Key, &Source),
        (known, asked): (Option<Self>, Option<&str>),
    ) -> Result<Self, Trouble> {
        let from = &source.substitute_from;
        let known = known.filter(|known| known.from == *from && known.own == source.substitute);
        let is_fresh = |known: &Self| known.read.is_fresh(asked, source.git.every());
        let known = match known {
            Some(known) if from.is_empty() || is_fresh(&known) => return Ok(known),
            other => other,
        };
        let brought = match read(&operator.writer, account, &key.namespace, from).await {
            Ok(brought) => brought,
            Err(error) => {
                let trouble = trouble(&error);
                // What was read a moment ago is better than nothing.
                let known = known.filter(|_| trouble.reason == ConditionReason::NoAnswer);
                return known.map(|known| Self { read: known.read.renewed(), ..known }).ok_or(trouble);
            }
        };
        let values = Values::of(&brought, &source.substitute)
            .map_err(|error| Trouble { reason: ConditionReason::InvalidSpec, message: error.to_string() })?;
        let own = source.substitute.clone();
        Ok(Self { from: from.clone(), own, read: Reading::now(asked), values: Arc::new(values) })
    }

    /// The values.
    pub fn values(&self) -> Arc<Values> {
        Arc::clone(&self.values)
    }

    /// When they are to be read again: nobody tells of it when they change.
    pub fn due(&self, source: &Source) -> Option<Duration> {
        (!self.from.is_empty()).then(|| self.read.due(source.git.every()))
    }
}

fn trouble(error: &ValuesError) -> Trouble {
    let reason = match error {
        ValuesError::Absent { .. } => ConditionReason::Pending,
        ValuesError::Unread { cause, .. } if passes(cause) => ConditionReason::NoAnswer,
        ValuesError::Unread { .. } => ConditionReason::AccessDenied,
    };
    Trouble { reason, message: error.to_string() }
}

//! Deployments that an operator of another installation looks after are left alone, and that is said once.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::{info, warn};

use crate::{
    api::deployment::Deployment,
    cluster::{
        lease::rivals::{Rivals, Standing},
        store::Key,
    },
    controller::operator::Operator,
    rollout::describe::{Event, Kind},
};

/// The other installations, and what was said of them.
pub struct Others {
    rivals: Rivals,
    told: Mutex<HashMap<Key, String>>,
}

impl Others {
    /// Nothing was said yet.
    pub fn new(rivals: Rivals) -> Self {
        Self { rivals, told: Mutex::default() }
    }

    /// The Lease of this installation.
    pub fn own(&self) -> &str {
        self.rivals.own()
    }

    /// Notes what is said of a Deployment. Where that is news, the number of Deployments of which something is said.
    fn note(&self, key: &Key, said: Option<&str>) -> Option<usize> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match said {
            Some(said) => told.insert(key.clone(), said.to_owned()),
            None => told.remove(key),
        };
        (before.as_deref() != said).then(|| told.len())
    }
}

/// Whether a Deployment is to be left to the holder of the Lease that its record names, and for how long.
pub async fn left(
    operator: &Operator,
    key: &Key,
    (deployment, claim): (&Deployment, Option<&str>),
) -> Option<Duration> {
    let others = &operator.others;
    let standing = match claim {
        Some(claim) => others.rivals.standing(claim, &key.namespace).await,
        None => Standing::Gone,
    };
    let said = sentence(claim.unwrap_or_default(), others.own(), &standing);
    if let Some(count) = others.note(key, said.as_deref()) {
        operator.metrics.left_to_others(count);
        tell(operator, deployment, said.as_deref());
    }
    said.map(|_| others.rivals.pause())
}

/// A Deployment that is gone is nobody's.
pub fn forget(operator: &Operator, key: &Key) {
    if let Some(count) = operator.others.note(key, None) {
        operator.metrics.left_to_others(count);
    }
}

fn sentence(claim: &str, own: &str, standing: &Standing) -> Option<String> {
    let alone =
        format!("the operator with the Lease {claim} looks after it, and the one with the Lease {own} leaves it alone");
    match standing {
        Standing::Gone => None,
        Standing::Alive => Some(format!("{alone}: let only one of them watch this namespace")),
        Standing::Unknown(cause) => Some(format!("{alone}, as that Lease cannot be read: {cause}")),
    }
}

fn tell(operator: &Operator, deployment: &Deployment, said: Option<&str>) {
    let Some(said) = said else {
        info!("no other operator looks after this Deployment any more");
        return;
    };
    warn!("{said}");
    let event = Event { kind: Kind::Warning, reason: "ManagedElsewhere", note: said.to_owned() };
    operator.events.tell(deployment, event);
}

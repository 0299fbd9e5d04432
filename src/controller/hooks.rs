//! What webhooks need of the operator: the secret of a Profile, and somebody to tell.

use std::sync::{Arc, OnceLock, Weak};

use super::operator::Operator;
use crate::{
    api::check::SecretKey,
    cluster::{
        secret::Secret,
        write::{Account, Place},
    },
    gitops::hook::{Key, Push},
    server::hooks::{Hooked, Hooks},
};

/// The Secret that is looked for where there is no Profile, so that it takes as long.
const NOBODY: &str = "landfall-no-such-webhook";

/// Takes webhooks for the operator, once this replica leads.
#[derive(Clone, Default)]
pub struct Reception(Arc<OnceLock<Weak<Operator>>>);

impl Reception {
    /// Says who is told.
    pub fn open(&self, operator: &Arc<Operator>) {
        // A process leads once.
        drop(self.0.set(Arc::downgrade(operator)));
    }

    fn operator(&self) -> Option<Arc<Operator>> {
        self.0.get()?.upgrade()
    }
}

impl Hooks for Reception {
    async fn secret(&self, namespace: &str, profile: &str) -> Option<Hooked> {
        let operator = self.operator()?;
        let source = operator.store.profile(namespace, profile).and_then(|profile| profile.spec.source.clone());
        let webhook = source.as_ref().and_then(|source| source.webhook.clone());
        let SecretKey { name, key } =
            webhook.unwrap_or_else(|| SecretKey { name: NOBODY.to_owned(), key: String::new() });
        let place = Place::named("v1", "Secret", namespace, &name);
        let secret: Secret = operator.writer.get_as(&Account::Own, &place).await.ok()??;
        let key = Key::new(&secret.get(&key)?)?;
        Some(Hooked { key, url: source?.git.url })
    }

    fn changed(&self, namespace: &str, profile: &str, _: &Push) {
        let Some(operator) = self.operator() else { return };
        let source = operator.store.profile(namespace, profile).and_then(|profile| profile.spec.source.clone());
        if let Some(source) = source {
            operator.sources.repositories.changed(&source.git.url);
        }
    }
}

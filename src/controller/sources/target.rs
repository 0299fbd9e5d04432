//! Where the objects of a source are: here, or in the cluster of a kubeconfig.
//!
//! Everything that is asked, written, watched and deleted of objects goes by a [`Target`]. What a Profile needs beside them
//! (Secrets, values, its status and its inventory) is in its own cluster, whatever the target.

use std::{sync::Arc, time::Duration};

use kube::Client;
use sha2::{Digest, Sha256};

use super::{
    access::secret_data,
    account_name,
    drift::{Outlook, Touched},
    reading::Reading,
    work::unreached as here,
};
use crate::{
    api::{PROFILE_LABEL, check::SecretKey, condition::ConditionReason, profile::Profile, source::Source},
    cluster::{
        bring::Bringer,
        call::CallError,
        capabilities::Asked,
        remote,
        store::Key,
        write::{Account, Writer},
    },
    controller::operator::Operator,
    gitops::{kubeconfig, sync::Trouble},
    rollout::words::hexadecimal,
};

/// The field that names the Secret.
const FIELD: &str = "spec.target.kubeconfig";

/// The digits of a digest.
const DIGITS: usize = 64;

/// The most kinds that are watched in another cluster for one Profile. A watch is a connection.
const KINDS_MAX: usize = 30;

/// Which cluster it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// The operator's own.
    Here,
    /// The one of a kubeconfig.
    There,
}

/// Where the objects of a source are, and who writes them.
#[derive(Clone)]
pub struct Target {
    /// Which cluster it is.
    pub at: Where,
    /// Reads and writes.
    pub writer: Writer,
    /// Brings objects. Each other cluster has its own, so that one that does not answer keeps nobody waiting.
    pub bringer: Bringer,
    /// Who asks and writes.
    pub account: Account,
    /// The namespace of the objects.
    pub namespace: String,
    /// What the cluster offers.
    pub capabilities: Arc<Asked>,
    /// Who touched what.
    pub touched: Arc<Touched>,
}

impl Target {
    /// Where a Profile without a kubeconfig writes.
    fn here(operator: &Operator, key: &Key, profile: &Profile) -> Self {
        Self::own(operator, key, account(key, profile))
    }

    /// The namespace of a key in this cluster, where an account writes.
    pub fn own(operator: &Operator, key: &Key, account: Account) -> Self {
        Self {
            at: Where::Here,
            writer: operator.writer.clone(),
            bringer: operator.bringer.clone(),
            account,
            namespace: key.namespace.to_string(),
            capabilities: Arc::clone(&operator.capabilities),
            touched: Arc::clone(&operator.sources.touched),
        }
    }

    fn there(client: Client, key: &Key, profile: &Profile, touched: Arc<Touched>) -> Self {
        let writer = Writer::new(client);
        Self {
            at: Where::There,
            bringer: Bringer::alone(writer.clone()),
            writer,
            // Whoever the kubeconfig says.
            account: Account::Own,
            namespace: namespace(key, profile),
            capabilities: Arc::default(),
            touched,
        }
    }

    /// Where a Profile writes. One whose kubeconfig could not be read writes nowhere, and never here.
    pub fn of(operator: &Operator, key: &Key, profile: &Profile, known: Option<&Known>) -> Self {
        match (kubeconfig_of(profile), known) {
            (None, _) => Self::here(operator, key, profile),
            (Some(_), Some(known)) => known.target.clone(),
            (Some(_), None) => nowhere(key, profile, Arc::default()),
        }
    }

    /// A call to it that failed for a reason that is nobody's fault.
    pub fn unreached(&self, error: &CallError) -> Trouble {
        let trouble = here(error);
        match self.at {
            Where::Here => trouble,
            Where::There => Trouble { message: format!("the cluster of {FIELD}: {}", trouble.message), ..trouble },
        }
    }
}

/// A target of which every call says that it has no kubeconfig.
fn nowhere(key: &Key, profile: &Profile, touched: Arc<Touched>) -> Target {
    Target::there(remote::nowhere("its kubeconfig cannot be used"), key, profile, touched)
}

fn account(key: &Key, profile: &Profile) -> Account {
    Account::Service { namespace: key.namespace.to_string(), name: account_name(profile) }
}

fn kubeconfig_of(profile: &Profile) -> Option<&SecretKey> {
    profile.spec.target.as_ref()?.kubeconfig.as_ref()
}

fn namespace(key: &Key, profile: &Profile) -> String {
    let named = profile.spec.target.as_ref().and_then(|target| target.namespace.clone());
    named.unwrap_or_else(|| key.namespace.to_string())
}

/// What is wrong with a target in this cluster.
pub fn refused(key: &Key, profile: &Profile) -> Option<Trouble> {
    let target = profile.spec.target.as_ref()?;
    if target.kubeconfig.is_some() || target.namespace.as_deref().is_none_or(|namespace| namespace == &*key.namespace) {
        return None;
    }
    let message = "without target.kubeconfig, spec.source is written to the Profile's own namespace: remove target.namespace, \
                   or make the Profile there";
    Some(Trouble { reason: ConditionReason::InvalidSpec, message: message.to_owned() })
}

/// A kubeconfig as it was read, and what leads where it says.
pub struct Known {
    secret: SecretKey,
    read: Reading,
    /// The digest of the kubeconfig; none where it is not to be used.
    content: Option<String>,
    target: Target,
}

impl Known {
    /// Reads the kubeconfig of a Profile, unless it is known and fresh, as the account of its namespace: whoever may not read a
    /// Secret cannot have it used. None where the target is this cluster. What is known counts on where nothing answers.
    ///
    /// # Errors
    /// What is missing or refused, with the remedy; and what is known, with which nothing more is to be done.
    pub async fn read(
        operator: &Operator,
        key: &Key,
        (profile, source): (&Profile, &Source),
        (known, asked): (Option<Self>, Option<&str>),
    ) -> Result<Option<Self>, (Option<Self>, Trouble)> {
        let Some(secret) = kubeconfig_of(profile) else { return Ok(None) };
        let known = known.filter(|known| known.secret == *secret);
        let is_fresh = |known: &Self| known.content.is_some() && known.read.is_fresh(asked, source.git.every());
        if known.as_ref().is_some_and(is_fresh) {
            return Ok(known);
        }
        let data = secret_data(operator, &account(key, profile), (&key.namespace, &secret.name), FIELD).await;
        let content = match data.and_then(|mut data| data.remove(&secret.key).ok_or_else(|| absent(key, secret))) {
            Ok(content) => content,
            // What was read a moment ago is better than nothing.
            Err(Trouble { reason: ConditionReason::NoAnswer, .. })
                if known.as_ref().is_some_and(|known| known.content.is_some()) =>
            {
                return Ok(known.map(|known| Self { read: Reading::now(asked), ..known }));
            }
            Err(trouble) => return Err((known.map(|known| known.without(key, profile)), trouble)),
        };
        let digest = Some(hexadecimal(&Sha256::digest(&content), DIGITS));
        if let Some(same) = known.as_ref().filter(|known| known.content.is_some() && known.content == digest) {
            let (target, secret) = (same.target.clone(), secret.clone());
            return Ok(Some(Self { secret, read: Reading::now(asked), content: digest, target }));
        }
        match client(operator, &content) {
            Ok(client) => {
                // What is wanted and seen there stays known; what watches it does so as somebody else from now on.
                let touched = Arc::new(known.map_or_else(Touched::default, |known| known.target.touched.renewed()));
                let target = Target::there(client, key, profile, touched);
                let known = Self { secret: secret.clone(), read: Reading::now(asked), content: digest, target };
                known.watch_again(operator, key);
                Ok(Some(known))
            }
            Err(why) => {
                let message = format!("{FIELD}: the key {} of the Secret {}: {why}", secret.key, secret.name);
                let trouble = Trouble { reason: ConditionReason::KubeconfigRefused, message };
                Err((known.map(|known| known.without(key, profile)), trouble))
            }
        }
    }

    /// The same with no way to the cluster.
    fn without(self, key: &Key, profile: &Profile) -> Self {
        let touched = Arc::new(self.target.touched.renewed());
        Self { content: None, target: nowhere(key, profile, touched), ..self }
    }

    /// Watches what was watched before with other credentials.
    fn watch_again(&self, operator: &Operator, key: &Key) {
        let (target, outlook) = (self.target.clone(), self.target.outlook(operator, key));
        self.target.touched.begin(&operator.background, async move { target.touched.watch_again(&outlook).await });
    }

    /// When it is to be read again: nobody tells of it when it changes.
    pub fn due(&self, source: &Source) -> Duration {
        self.read.due(source.git.every())
    }
}

impl Target {
    /// How objects are watched there.
    pub fn outlook(&self, operator: &Operator, key: &Key) -> Outlook {
        let (background, profiles) = (operator.background.clone(), operator.profiles.clone());
        match self.at {
            Where::Here => Outlook {
                client: operator.watcher.clone(),
                writer: self.writer.clone(),
                scopes: operator.scopes.clone(),
                labels: PROFILE_LABEL.to_owned(),
                kinds_max: super::drift::KINDS_MAX,
                at: self.at,
                background,
                profiles,
            },
            Where::There => Outlook {
                client: self.writer.client().clone(),
                writer: self.writer.clone(),
                scopes: vec![self.namespace.clone()],
                labels: format!("{PROFILE_LABEL}={}", key.name),
                kinds_max: KINDS_MAX,
                at: self.at,
                background,
                profiles,
            },
        }
    }
}

fn absent(key: &Key, secret: &SecretKey) -> Trouble {
    let SecretKey { name, key: field } = secret;
    let message =
        format!("{FIELD}: the Secret {name} in {} has no key {field}: add it, or name another one", key.namespace);
    Trouble { reason: ConditionReason::AccessDenied, message }
}

fn client(operator: &Operator, content: &[u8]) -> Result<Client, String> {
    let read = kubeconfig::read(content).map_err(|refused| refused.to_string())?;
    remote::client(&read, &operator.forbidden).map_err(|error| error.to_string())
}

//! The keys to what SOPS encrypted: those of whoever calls, or those of the operator, if the caller may read them.

use std::{env, fs, sync::Arc};

use anyhow::Context;

use super::files::secret_data;
use crate::{
    api::source::Decryption,
    cluster::write::Writer,
    gitops::{
        problem::Problem,
        sops::{NOT_CONFIGURED, age::Identities},
    },
};

/// The file with identities, as sops itself looks for it.
const VARIABLE: &str = "SOPS_AGE_KEY_FILE";

/// Whom files may be encrypted for.
#[derive(Default)]
pub struct Keys {
    identities: Arc<Identities>,
    /// Why there are none although the Profile names a Secret with them.
    missing: Option<String>,
}

impl Keys {
    /// Reads the file that the environment names, or else the Secret that the Profile names. Nothing is read where the Profile
    /// names none: the operator would have no key either.
    ///
    /// # Errors
    /// What there is cannot be used.
    pub async fn read(writer: &Writer, namespace: &str, decryption: Option<&Decryption>) -> anyhow::Result<Self> {
        let Some(Decryption { secret_ref, .. }) = decryption else { return Ok(Self::default()) };
        if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            let words = || format!("{VARIABLE}, {}", path.display());
            let identities = Identities::read_file(&fs::read(&path).with_context(words)?).with_context(words)?;
            return Ok(Self { identities: Arc::new(identities), missing: None });
        }
        let name = &secret_ref.name;
        match secret_data(writer, namespace, name).await {
            Ok(data) => {
                let identities = Identities::read(&data);
                let identities = identities.with_context(|| format!("spec.source.decryption.secretRef {name}"))?;
                Ok(Self { identities: Arc::new(identities), missing: None })
            }
            Err(error) => Ok(Self { missing: Some(format!("the Secret {name}: {error:#}")), ..Self::default() }),
        }
    }

    /// The identities.
    pub fn identities(&self) -> Arc<Identities> {
        Arc::clone(&self.identities)
    }

    /// A problem with what can be done about it from here.
    pub fn explain(&self, problem: Problem) -> Problem {
        match &self.missing {
            Some(missing) if problem.reason == NOT_CONFIGURED => {
                let message = format!(
                    "SOPS encrypted this, and its key is not here: set {VARIABLE} to a file with its identity of age, or have \
                     somebody allow you to read what spec.source.decryption.secretRef names ({missing})"
                );
                Problem { message, ..problem }
            }
            _ => problem,
        }
    }
}

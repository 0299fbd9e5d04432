//! Signatures verified, some of them by a program of somebody else, which is run contained like those that make manifests.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::{
    openpgp::{
        Question, SQV,
        verdict::{names_a_key, refusal},
    },
    signature::{Flaw, Signed, Signers, Verdict},
};
use crate::program::run::{Programs, RunError};

/// Why a signature is not taken for good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// It is not.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// It cannot be told now.
    #[error("has a signature that could not be verified: {0}")]
    Unable(String),
}

/// Whoever verifies.
#[derive(Debug)]
pub struct Verifier(Programs);

impl Verifier {
    /// With the programs of an operator.
    pub fn new(programs: Programs) -> Self {
        Self(programs)
    }

    /// Whether one of the keys has signed.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn verify(&self, signers: &Arc<Signers>, signed: Option<Signed>) -> Result<(), VerifyError> {
        let signers = Arc::clone(signers);
        let judged = spawn_blocking(move || signers.verify(signed.as_ref())).await;
        match judged.map_err(|_| VerifyError::Unable("the operator failed at it".to_owned()))?? {
            Verdict::Good => Ok(()),
            Verdict::Asks(question) => self.ask(&question).await,
        }
    }

    async fn ask(&self, question: &Question) -> Result<(), VerifyError> {
        match self.0.run(question.order(Timestamp::now())).await {
            Ok(printed) if names_a_key(&printed, &question.keyring) => Ok(()),
            Ok(_) => Err(unable("it named no key of the Secret")),
            Err(RunError::Failed { code, said }) => {
                Err(refusal(code, &said).map_or_else(|| unable("it failed"), VerifyError::Flawed))
            }
            Err(error @ (RunError::Absent { .. } | RunError::NotInstalled { .. })) => {
                Err(VerifyError::Unable(error.to_string()))
            }
            Err(error) => Err(unable(&error.words())),
        }
    }
}

fn unable(why: &str) -> VerifyError {
    VerifyError::Unable(format!("{}: {why}", SQV.file))
}

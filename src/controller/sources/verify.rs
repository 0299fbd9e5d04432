//! Whether a commit is signed by somebody who is trusted, before anything of it is read.

use std::sync::Arc;

use super::{
    access::secret_data,
    prepare::refusal,
    trouble::trouble,
    work::{Job, MESSAGE_MAX},
};
use crate::{
    api::{
        condition::ConditionReason,
        source::{SyncFailure, Verify, VerifyMode},
    },
    git::{
        mirror::{Remote, Wanted},
        signature::{Flaw, Signed, Signers, of_tag},
        verifier::VerifyError,
    },
    gitops::{
        sync::Trouble,
        words::{cut, short},
    },
};

/// Why a commit is not gone on with.
pub enum Unverified {
    /// Something did not answer.
    Unreached(Trouble),
    /// It is not signed as it has to be.
    Refused(SyncFailure),
}

/// Verifies a commit that was fetched, as the source asks for it.
///
/// # Errors
/// See [`Unverified`].
pub async fn verify(job: &Job, remote: &Remote, wanted: &Wanted) -> Result<(), Unverified> {
    let Some(verify) = &job.source.git.verify else { return Ok(()) };
    let signers = Arc::new(signers(job, verify).await?);
    let mut checks = Vec::new();
    let commit = short(&job.commit);
    if matches!(verify.mode, VerifyMode::Head | VerifyMode::TagAndHead) {
        let mirrors = job.operator.sources.repositories.mirrors();
        let signed = mirrors.signature(remote, &job.commit).await;
        let signed = signed.map_err(|error| Unverified::Unreached(trouble(&error)))?;
        checks.push((format!("commit {commit}"), signed));
    }
    if matches!(verify.mode, VerifyMode::Tag | VerifyMode::TagAndHead) {
        checks.push(tag(job, remote, wanted).await?);
    }
    for (what, signed) in checks {
        let found = job.operator.verifier.verify(&signers, signed).await;
        found.map_err(|error| unverified(&error, &format!("{what} {error}")))?;
    }
    Ok(())
}

/// A signature that could not be verified refuses nothing and lets nothing through: it is tried again.
fn unverified(error: &VerifyError, message: &str) -> Unverified {
    match error {
        VerifyError::Flawed(_) => refused(message),
        VerifyError::Unable(_) => {
            Unverified::Unreached(Trouble { reason: ConditionReason::NoAnswer, message: cut(message, MESSAGE_MAX) })
        }
    }
}

/// The tag that leads to the commit, and its signature.
async fn tag(job: &Job, remote: &Remote, wanted: &Wanted) -> Result<(String, Option<Signed>), Unverified> {
    let mirrors = job.operator.sources.repositories.mirrors();
    let found = mirrors.tag(remote, wanted, &job.commit, job.source.git.limit()).await;
    let tag = found.map_err(|error| Unverified::Unreached(trouble(&error)))?;
    let what = format!("the tag {}", cut(&tag.name, 100));
    let flawed = |flaw: Flaw| refused(&format!("{what} {flaw}"));
    // A tag without a message of its own is a name and nothing else.
    let text = tag.text.ok_or_else(|| flawed(Flaw::Unsigned))?;
    let signed = of_tag(&text, &tag.name, &job.commit).map_err(flawed)?;
    Ok((what, signed))
}

async fn signers(job: &Job, verify: &Verify) -> Result<Signers, Unverified> {
    let name = &verify.secret_ref.name;
    let place = (&*job.key.namespace, name.as_str());
    let data = secret_data(&job.operator, &job.account(), place, "spec.source.git.verify.secretRef").await;
    let data = data.map_err(Unverified::Unreached)?;
    Signers::read(&data)
        .map_err(|error| refused(&format!("spec.source.git.verify.secretRef: the Secret {name} {error}")))
}

fn refused(message: &str) -> Unverified {
    Unverified::Refused(refusal(ConditionReason::VerificationFailed.as_str(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_that_could_not_be_verified_is_tried_again_and_a_flawed_one_is_refused() {
        let unable = VerifyError::Unable("sqv: it did not end".to_owned());
        let Unverified::Unreached(Trouble { reason, message }) = unverified(&unable, &format!("commit 1 {unable}"))
        else {
            unreachable!("it is refused");
        };
        assert_eq!(reason, ConditionReason::NoAnswer);
        assert_eq!(message, "commit 1 has a signature that could not be verified: sqv: it did not end");
        let flawed = VerifyError::Flawed(Flaw::Unsigned);
        assert!(matches!(unverified(&flawed, "x"), Unverified::Refused(failure) if failure.message == "x"));
    }
}

//! Whether a commit is signed by somebody who is trusted, before anything of it is read.

use super::{access::secret_data, prepare::refusal, trouble::trouble, work::Job};
use crate::{
    api::{
        condition::ConditionReason,
        source::{SyncFailure, Verify, VerifyMode},
    },
    git::{
        mirror::{Remote, Wanted},
        signature::{Flaw, Signed, Signers, of_tag},
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
    let signers = signers(job, verify).await?;
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
    let judged = tokio::task::spawn_blocking(move || judge(&signers, &checks)).await;
    judged.unwrap_or_else(|_| Err(refused("the signature cannot be verified")))
}

fn judge(signers: &Signers, checks: &[(String, Option<Signed>)]) -> Result<(), Unverified> {
    for (what, signed) in checks {
        signers.verify(signed.as_ref()).map_err(|flaw| refused(&format!("{what} {flaw}")))?;
    }
    Ok(())
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

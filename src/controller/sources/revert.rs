//! A commit undone in its repository: looked up, made, pushed.

use super::{access, trouble::trouble, work::Job};
use crate::{
    api::source::Revert,
    git::{
        error::GitError,
        mirror::{Remote, Wanted},
        push::{Answer, Push},
    },
    gitops::{
        revert::{NOTHING_DIFFERS, PUSH_REFUSED, Proposal, Pushed, Setback, Way, moved, way},
        sync::Trouble,
        words::short,
    },
};

/// Lets the branch lead to the revert, unless it does already.
pub async fn push(job: &Job, proposal: &Proposal) -> Pushed {
    match carry_out(job, proposal).await {
        Ok(commit) => Pushed::Done(commit),
        Err(setback) => Pushed::Not(setback),
    }
}

impl From<GitError> for Setback {
    fn from(error: GitError) -> Self {
        trouble(&error).into()
    }
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Self { reason: trouble.reason.as_str(), message: trouble.message }
    }
}

async fn carry_out(job: &Job, proposal: &Proposal) -> Result<String, Setback> {
    let Some((remote, _)) = &job.repository else {
        let message = "the repository is not followed any more".to_owned();
        return Err(Setback { reason: "FetchFailed", message });
    };
    let from = match lead(job, remote, proposal).await? {
        Way::Done(commit) => return Ok(commit),
        Way::Push(from) => from,
    };
    let (mirrors, limit) = (job.operator.sources.repositories.mirrors(), job.source.git.limit());
    for commit in [&proposal.of, &proposal.to] {
        mirrors.fetch(remote, &Wanted::Commit(commit.clone()), commit, limit).await?;
    }
    let made = mirrors.undo(remote, proposal).await?.ok_or_else(|| same(proposal))?;
    // A followed branch that is pushed to has to lead to the commit anyway.
    let other = proposal.followed.clone().filter(|_| !proposal.is_on_followed());
    let push = Push {
        branch: proposal.branch.clone(),
        from,
        to: made.id.clone(),
        provided: other.map(|branch| (branch, proposal.of.clone())),
        pack: made.pack,
    };
    match mirrors.push(&opener(job, remote).await?, &push, limit).await? {
        Answer::Moved => {
            // It is not waited for the next look.
            job.operator.sources.repositories.changed(&remote.url);
            Ok(made.id)
        }
        Answer::Elsewhere => Err(moved(proposal)),
        Answer::Refused(why) => {
            let message = format!("the server refuses the push to {}: {why}", proposal.branch);
            Err(Setback { reason: PUSH_REFUSED, message })
        }
    }
}

/// What the branch leads to now, and what follows from that.
async fn lead(job: &Job, remote: &Remote, proposal: &Proposal) -> Result<Way, Setback> {
    let (mirrors, limit) = (job.operator.sources.repositories.mirrors(), job.source.git.limit());
    let id = match mirrors.look(remote, &Wanted::Branch(proposal.branch.clone()), limit).await {
        Ok(id) => id,
        Err(GitError::NoSuchReference { .. }) => return way(proposal, None),
        Err(error) => return Err(error.into()),
    };
    mirrors.fetch(remote, &Wanted::Commit(id.clone()), &id, limit).await?;
    let head = mirrors.head(remote, &id).await?.ok_or(GitError::Damaged)?;
    way(proposal, Some(&head))
}

/// The repository, for whoever may push.
async fn opener(job: &Job, remote: &Remote) -> Result<Remote, Setback> {
    let secret = job.source.revert.as_ref().and_then(|Revert { secret_ref, .. }| secret_ref.as_ref());
    let Some(secret) = secret else { return Ok(remote.clone()) };
    let place = (&*job.key.namespace, secret.name.as_str());
    let credentials = access::opens(&job.operator, &job.account(), place, &remote.url).await?;
    Ok(Remote { url: remote.url.clone(), credentials })
}

fn same(proposal: &Proposal) -> Setback {
    let Proposal { of, to, directory, .. } = proposal;
    let message = format!("{directory} is the same in {} and {}: there is nothing to bring back", short(of), short(to));
    Setback { reason: NOTHING_DIFFERS, message }
}

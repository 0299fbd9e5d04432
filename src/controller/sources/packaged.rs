//! The content of a Package that a repository has: fetched, verified and rendered as the source of a Profile is, once.

use std::sync::Arc;

use super::{
    access::Access,
    prepare::{self, Halt},
    repositories::Followed,
    target::Target,
    trouble::trouble,
    verify::verify,
    work::{Job, MESSAGE_MAX},
};
use crate::{
    api::{
        DEFAULT_SERVICE_ACCOUNT,
        condition::ConditionReason,
        package::Workload,
        source::{self, Source, SyncFailure},
    },
    cluster::{
        content::{ContentError, Keeper, save},
        store::Key,
        write::Account,
    },
    controller::operator::Operator,
    git::mirror::{Remote, Wanted},
    gitops::{
        object::Manifest, renderer::output::Hooks, sops::NOT_CONFIGURED, sync::Trouble, values::Values, words::cut,
    },
    kinds::workload::brought::Content,
    telemetry::chain,
};

/// A Package whose content is wanted.
pub struct Asked {
    /// The Package, by its namespace and the name of what is released.
    pub key: Key,
    /// The Package as an owner.
    pub keeper: Keeper,
    /// Its content as the spec has it.
    pub workload: Arc<Workload>,
    /// The digest of that.
    pub spec: String,
    /// The commit that was found before.
    pub pinned: Option<String>,
    /// The digest of what was kept before.
    pub remembered: Option<String>,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The commit.
    pub commit: String,
    /// The digest.
    pub checksum: String,
    /// Its size in bytes.
    pub size: usize,
    /// The number of objects.
    pub objects: usize,
}

/// Why nothing was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The word for it.
    pub reason: ConditionReason,
    /// What is wrong, and the remedy.
    pub message: String,
    /// Whether somebody has to do something about it.
    pub is_stalled: bool,
    /// The commit, if it was found.
    pub commit: Option<String>,
}

/// Fetches, renders and keeps.
///
/// # Errors
/// See [`Fault`].
pub async fn bring(operator: Arc<Operator>, asked: Asked) -> Result<Kept, Fault> {
    let mut commit = asked.pinned.clone();
    let kept = work(&operator, &asked, &mut commit).await;
    kept.map_err(|halt| Fault { commit, ..fault(halt) })
}

async fn work(operator: &Arc<Operator>, asked: &Asked, found: &mut Option<String>) -> Result<Kept, Halt> {
    let Some(source) = asked.workload.source() else { return Err(Halt::from(Vec::new())) };
    let access =
        Access::read(operator, &account(&asked.key), (&asked.key, &source), None).await.map_err(Halt::Unreached)?;
    let Followed { remote, wanted, timeout, .. } = access.followed(&source);
    // A tag is looked up once. Where it leads later is nothing to the Package.
    let commit = match found.clone() {
        Some(commit) => commit,
        None => operator.sources.repositories.mirrors().look(&remote, &wanted, timeout).await?,
    };
    *found = Some(commit.clone());
    let job = job(operator, asked, (source, &commit))?;
    let manifests = manifests(&job, (&remote, &wanted), asked).await?;
    let content = Content::new(asked.spec.clone(), commit.clone(), &manifests);
    let problems = content.problems(&asked.workload);
    if !problems.is_empty() {
        return Err(Halt::from(problems));
    }
    let size = serde_json::to_vec(&content).map_or(0, |text| text.len());
    let checksum = save(&operator.writer, &asked.keeper, &content, asked.remembered.as_deref()).await;
    let checksum = checksum.map_err(|error| match error {
        ContentError::Call(..) => {
            Halt::Unreached(Trouble { reason: ConditionReason::NoAnswer, message: chain(&error) })
        }
        error => Halt::Refused(vec![prepare::refusal(reason(&error).as_str(), &error.to_string())]),
    })?;
    Ok(Kept { commit, checksum, size, objects: content.objects.len() })
}

fn job(operator: &Arc<Operator>, asked: &Asked, (source, commit): (Source, &str)) -> Result<Job, Halt> {
    let values = Values::of(&[], &source.substitute).map_err(|error| {
        Halt::Refused(vec![prepare::refusal(ConditionReason::InvalidSpec.as_str(), &error.to_string())])
    })?;
    let is_object = |helm: &source::HelmSource| helm.values.as_ref().is_none_or(serde_json::Value::is_object);
    if !source.helm.as_ref().is_none_or(is_object) {
        let message = "spec.workload.helm.values: this is no object: write values by their names";
        return Err(Halt::Refused(vec![prepare::refusal(ConditionReason::InvalidSpec.as_str(), message)]));
    }
    Ok(Job {
        operator: Arc::clone(operator),
        key: asked.key.clone(),
        owner: asked.keeper.uid.clone(),
        account: DEFAULT_SERVICE_ACCOUNT.to_owned(),
        target: Target::own(operator, &asked.key, account(&asked.key)),
        source,
        repository: None,
        commit: commit.to_owned(),
        settings: String::new(),
        values: Arc::new(values),
        identities: Arc::default(),
        checks: Arc::default(),
        inventory: source::Inventory::default(),
        loaded: None,
        hooks: Hooks::Jobs,
    })
}

/// Who reads and keeps.
fn account(key: &Key) -> Account {
    Account::Service { namespace: key.namespace.to_string(), name: DEFAULT_SERVICE_ACCOUNT.to_owned() }
}

async fn manifests(job: &Job, (remote, wanted): (&Remote, &Wanted), asked: &Asked) -> Result<Vec<Manifest>, Halt> {
    // A commit that was found before is wanted wherever its tag leads now.
    let exactly = Wanted::Commit(job.commit.clone());
    prepare::fetch(job, remote, if asked.pinned.is_some() { &exactly } else { wanted }).await?;
    // What is made again has to be what was verified when it was first kept: its digest says so.
    if asked.remembered.is_none() {
        verify(job, remote, wanted).await?;
    }
    // What is read lies in memory until it is kept.
    let _turn = job.target.bringer.turn().await;
    let files = prepare::files(job, remote).await?;
    Ok(files.into_values().flat_map(|(_, manifests)| manifests).collect())
}

/// The word for what keeps content from being stored.
fn reason(error: &ContentError) -> ConditionReason {
    match error {
        ContentError::Call(..) | ContentError::Lost(_) => ConditionReason::NoAnswer,
        ContentError::Foreign(_) => ConditionReason::ObjectNotOwned,
        ContentError::Changed(_) => ConditionReason::ContentChanged,
        ContentError::TooLarge => ConditionReason::RenderFailed,
    }
}

/// The reasons that a whole Package is refused for, beside what is wrong with files.
const WHOLE: [ConditionReason; 4] = [
    ConditionReason::InvalidSpec,
    ConditionReason::ObjectNotOwned,
    ConditionReason::ContentChanged,
    ConditionReason::VerificationFailed,
];

/// What kept the work from its end, in words about a Package: what is shared with sources names the fields of a Profile, and
/// a Package has the same ones under `spec.workload`.
fn fault(halt: Halt) -> Fault {
    let (reason, message, is_stalled) = match halt {
        Halt::Unreached(Trouble { reason, message }) => (reason, message, false),
        Halt::Unfetched(error) => {
            let Trouble { reason, message } = trouble(&error);
            (reason, message, false)
        }
        Halt::Unverified(failure) => (ConditionReason::VerificationFailed, failure.message, true),
        Halt::Refused(failures) => {
            let mut first = failures.first().cloned().unwrap_or_default();
            if first.reason == NOT_CONFIGURED {
                first.message = String::from(
                    "SOPS encrypted this file, and a Package has no keys: leave it out, and name an \
                                 existing Secret",
                );
            }
            let reason = WHOLE.into_iter().find(|whole| whole.as_str() == first.reason);
            let more = match failures.len() {
                0 | 1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            (reason.unwrap_or(ConditionReason::RenderFailed), format!("{}{more}", told(&first)), true)
        }
    };
    let message = message.replace("spec.source.", "spec.workload.");
    Fault { reason, message: cut(&message, MESSAGE_MAX), is_stalled, commit: None }
}

/// A failure with its place.
fn told(failure: &SyncFailure) -> String {
    let SyncFailure { object, file, line, reason: _, message } = failure;
    let file = file.as_ref().map(|file| line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")));
    let parts = [file, object.clone(), Some(message.clone()).filter(|message| !message.is_empty())];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "the manifests cannot be read".to_owned() } else { parts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitops::problem::Problem;

    #[test]
    fn a_fault_names_the_place_and_the_fields_of_a_package() {
        let problem = |line| Problem::new("shop/web.yaml", line, "ValueMissing", "add it to spec.source.substitute");
        let one = fault(Halt::from(vec![problem(7).of(&"ConfigMap a"), problem(9)]));
        assert_eq!(one.message, "shop/web.yaml:7: ConfigMap a: add it to spec.workload.substitute (and 1 more)");
        assert_eq!((one.reason, one.is_stalled), (ConditionReason::RenderFailed, true));
        assert_eq!(fault(Halt::from(vec![problem(0)])).message, "shop/web.yaml: add it to spec.workload.substitute");
        let whole = fault(Halt::Refused(vec![prepare::refusal("ContentChanged", "other")]));
        assert_eq!((whole.reason, whole.message.as_str()), (ConditionReason::ContentChanged, "other"));
        let encrypted = fault(Halt::from(vec![Problem::new("a.yaml", 2, NOT_CONFIGURED, "spec.source.decryption")]));
        assert!(
            !encrypted.message.contains("decryption") && encrypted.message.starts_with("a.yaml:2: "),
            "{encrypted:?}"
        );
        let silent =
            Trouble { reason: ConditionReason::AccessDenied, message: "spec.source.git.secretRef: no".to_owned() };
        let silent = fault(Halt::Unreached(silent));
        assert_eq!((silent.is_stalled, silent.message.as_str()), (false, "spec.workload.git.secretRef: no"));
    }
}

//! What a Deployment wants: its Profile, its Package, and the revision that they make.
//!
//! A revision is rendered when something that it is made of changes, and recorded before anybody hears of it. What is
//! missing or wrong is a sentence, never an error of the process.

use std::{sync::Arc, time::Duration};

use crate::{
    api::{condition::ConditionReason, deployment::Deployment, package::Package, profile::Profile, version::Version},
    cluster::{
        call::CallError,
        content::{ContentError, load},
        revision::{self, Digests, RevisionError},
        store::{table::Item, view::PackageView},
        write::{Account, Place},
    },
    controller::operator::Operator,
    kinds::workload::{
        brought::Content,
        hash::{self, inputs_digest},
        objects::Owner,
        release::Release,
        render::{Refusal, Source, render},
    },
    rollout::{
        aim::{
            self, Chosen, Offer, content, intent, invalid, no_profile, not_brought, pending, pick, refused_target,
            rehearses,
        },
        plan::Intent,
        record::{Record, Rendered},
        status::Problem,
    },
};

/// What is wanted, as far as it can be told.
#[derive(Debug, Clone, Default)]
pub struct Aim {
    /// The Profile.
    pub profile: Option<Arc<Profile>>,
    /// The wanted revision.
    pub rendered: Option<Rendered>,
    /// How to bring it.
    pub intent: Option<Intent>,
    /// The Package's version that was chosen.
    pub pinned: Option<Version>,
    /// What the chosen Package depends on.
    pub depends_on: Vec<crate::api::package::Dependency>,
    /// What stands against it.
    pub problem: Option<Problem>,
    /// What was rendered only to be rehearsed, and is recorded nowhere.
    pub release: Option<Arc<Release>>,
    /// When to look again, where nobody tells that what stands against it is gone.
    pub again: Option<Duration>,
}

/// How long after somebody else's Secret was found in the place of a record it is looked at again.
const AGAIN: Duration = Duration::from_secs(30);

/// Where objects of a Deployment go, and as whom they are written.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The Deployment as an owner.
    pub owner: Owner,
    /// The namespace of the objects.
    pub namespace: String,
    /// Who writes them.
    pub account: Account,
}

/// Finds out what is wanted. What stays the same as at the look before is taken from the record.
///
/// # Errors
/// The API server could not be asked.
pub async fn aim(
    operator: &Operator,
    deployment: &Deployment,
    record: Option<&Record>,
    ground: &Ground,
) -> Result<Aim, CallError> {
    let namespace = &ground.owner.namespace;
    let spec = &deployment.spec;
    let mut aim = Aim { profile: operator.store.profile(namespace, &spec.profile), ..Aim::default() };
    let Some(profile) = aim.profile.clone() else {
        aim.problem = Some(no_profile(&spec.profile, namespace));
        aim.rendered = record.and_then(|record| record.wanted.clone());
        return Ok(aim);
    };
    if let Some(problem) = refused_target(&profile.spec, namespace) {
        aim.problem = Some(problem);
        aim.rendered = record.and_then(|record| record.wanted.clone());
        return Ok(aim);
    }
    match package(operator, deployment, record) {
        Ok(Found::New(view)) => {
            aim.pinned = Some(view.version.clone());
            aim.depends_on.clone_from(&view.depends_on);
            match rendered(operator, deployment, &view, record, ground).await? {
                Ok((rendered, release)) => (aim.rendered, aim.release) = (Some(rendered), release),
                Err((problem, again)) => (aim.problem, aim.again) = (Some(problem), again),
            }
        }
        Ok(Found::Kept(version)) => aim.pinned = Some(version),
        Err(problem) => aim.problem = Some(problem),
    }
    if rehearses(spec) {
        // A range never moves down from what it picked: what was only rehearsed is not picked.
        aim.pinned = deployment.status.as_ref().and_then(|status| status.pinned_version.clone());
    }
    if aim.rendered.is_none() {
        // What ran before goes on, whatever stands against what is wanted now.
        aim.rendered = record.and_then(|record| record.wanted.clone());
    }
    if let Some(rendered) = &aim.rendered {
        match intent(spec, &profile.spec, rendered) {
            Ok(intent) => aim.intent = Some(intent),
            Err(problem) => {
                aim.problem.get_or_insert(problem);
            }
        }
    }
    Ok(aim)
}

enum Found {
    New(Arc<PackageView>),
    Kept(Version),
}

fn package(operator: &Operator, deployment: &Deployment, record: Option<&Record>) -> Result<Found, Problem> {
    let reference = &deployment.spec.package;
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let views = operator.store.packages(namespace, &reference.name);
    let pinned = deployment.status.as_ref().and_then(|status| status.pinned_version.as_ref());
    let offers = views.values().map(|view| Offer {
        version: view.version.clone(),
        state: view.state,
        // What a repository gave is proven when it is read.
        content: content(view.status.checksum.as_deref().filter(|_| view.repository.is_none()), &view.digest),
    });
    match pick(reference, pinned, record, offers)? {
        Chosen::Kept(version) => Ok(Found::Kept(version)),
        Chosen::New(version) => match views.values().find(|view| view.version == version) {
            Some(view) => Ok(Found::New(Arc::clone(view))),
            None => Err(pending(format!("Package {}-{version}", reference.name))),
        },
    }
}

/// What was rendered, and the whole of it where it is recorded nowhere.
type Fresh = (Rendered, Option<Arc<Release>>);

/// What stands against it, and when to look again by ourselves.
type Against = (Problem, Option<Duration>);

/// The revision of a Package, from the record or rendered now.
async fn rendered(
    operator: &Operator,
    deployment: &Deployment,
    view: &PackageView,
    record: Option<&Record>,
    ground: &Ground,
) -> Result<Result<Fresh, Against>, CallError> {
    let spec = &deployment.spec;
    let name = format!("{}-{}", spec.package.name, view.version);
    let Some(carried) = view.carried() else { return Ok(Err((not_brought(&name, &view.status), None))) };
    let inputs = inputs_digest(carried, &ground.namespace, spec.overrides.as_ref(), &spec.env_from);
    if let Some(known) = record.and_then(|record| record.wanted.as_ref()).filter(|known| known.inputs == inputs) {
        return Ok(Ok((known.clone(), None)));
    }
    let place = Place::named("landfall.dev/v1alpha1", "Package", &ground.owner.namespace, &name);
    let Some(object) = operator.writer.get(&Account::Own, &place).await? else {
        return Ok(Err((pending(format!("Package {name}")), None)));
    };
    let Ok(package) = serde_json::from_value::<Package>(object) else {
        return Ok(Err((invalid(format!("Package {name}: it cannot be read")), None)));
    };
    let brought = match brought(operator, view, &package).await? {
        Ok(brought) => brought,
        Err(problem) => return Ok(Err((problem, Some(AGAIN)))),
    };
    let filled = brought.as_ref().map(|brought| brought.package(&package.spec));
    let source = Source {
        namespace: &ground.namespace,
        package: filled.as_ref().unwrap_or(&package.spec),
        overrides: spec.overrides.as_ref(),
        env_from: &spec.env_from,
    };
    match render(&source) {
        Err(refusals) => {
            let told = |one: &Refusal| brought.as_ref().map_or_else(|| one.to_string(), |brought| brought.told(one));
            let all: Vec<String> = refusals.iter().map(told).collect();
            Ok(Err((invalid(format!("Package {name}: {}", all.join("; "))), None)))
        }
        Ok(release) if rehearses(spec) => Ok(Ok((aim::rendered(inputs, &release), Some(Arc::new(release))))),
        Ok(release) => keep(operator, ground, (inputs, release), record).await,
    }
}

/// What a repository gave for a Package; none where that has its content itself.
async fn brought(
    operator: &Operator,
    view: &PackageView,
    package: &Package,
) -> Result<Result<Option<Content>, Problem>, CallError> {
    let (true, Some(checksum)) = (view.repository.is_some(), view.status.checksum.as_deref()) else {
        return Ok(Ok(None));
    };
    let name = view.name();
    match load(&operator.writer, &view.keeper(), checksum).await {
        Ok(content) if content.spec == hash::content(&package.spec).digest => Ok(Ok(Some(content))),
        Ok(_) => {
            let message =
                format!("Package {name} has another spec than was recorded of it: make a Package of a new version");
            Ok(Err(Problem::Stalled { reason: ConditionReason::ContentChanged, message }))
        }
        Err(ContentError::Call(_, error)) => Err(error),
        Err(error) => {
            // It is made again from its commit, and has to be the same.
            operator.contents.lost(view);
            operator.packages.add(view.owner());
            Ok(Err(lost(name, view, &error)))
        }
    }
}

/// That what was kept of a Package is gone, and why it is not there again.
fn lost(name: &str, view: &PackageView, error: &ContentError) -> Problem {
    if view.status.error.is_some() {
        not_brought(name, &view.status)
    } else {
        pending(format!("Package {name}: {error}"))
    }
}

/// Records a release, so that nothing is carried out that a restart would not find again.
async fn keep(
    operator: &Operator,
    ground: &Ground,
    (inputs, release): (String, Release),
    record: Option<&Record>,
) -> Result<Result<Fresh, Against>, CallError> {
    let rendered = aim::rendered(inputs, &release);
    match revision::save(&operator.writer, &ground.owner, release, digests(record)).await {
        Ok(recorded) => {
            let digest = Some(recorded.digest.clone());
            operator.releases.put(&ground.owner, recorded);
            Ok(Ok((Rendered { digest, ..rendered }, None)))
        }
        Err(RevisionError::Call(_, error)) if !error.is_forbidden() && !error.is_invalid() => Err(error),
        Err(error) => {
            let is_there = matches!(error, RevisionError::Foreign(..) | RevisionError::Altered(..));
            Ok(Err((invalid(sentence(&error)), is_there.then_some(AGAIN))))
        }
    }
}

/// What proves the records of revisions.
pub fn digests(record: Option<&Record>) -> &Digests {
    static NONE: Digests = Digests::new();
    record.map_or(&NONE, |record| &record.digests)
}

/// An error with its cause.
fn sentence(error: &RevisionError) -> String {
    match error {
        RevisionError::Call(_, cause) => format!("{error}: {cause}"),
        other => other.to_string(),
    }
}

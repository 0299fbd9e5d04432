//! What a Deployment wants: its Profile, its Package, and the revision that they make.
//!
//! A revision is rendered when something that it is made of changes, and recorded before anybody hears of it. What is
//! missing or wrong is a sentence, never an error of the process.

use std::sync::Arc;

use crate::{
    api::{
        condition::ConditionReason, deployment::Deployment, deployment_status::DeploymentStatus, package::Package,
        profile::Profile, version::Version,
    },
    cluster::{
        call::CallError,
        revision::{self, RevisionError},
        store::view::PackageView,
        write::{Account, Place},
    },
    controller::operator::Operator,
    engine::{observed::Revision, plan::Ability, plan::Capabilities},
    kinds::workload::{
        hash::inputs_digest,
        objects::Owner,
        release::Release,
        render::{Source, render},
    },
    rollout::{
        choose::{Candidate, Choice, Content, Standing, choose},
        plan::{Given, Intent, Routing, intend},
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
}

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
        aim.problem = Some(pending(format!("Profile {} in namespace {namespace}", spec.profile)));
        aim.rendered = record.and_then(|record| record.wanted.clone());
        return Ok(aim);
    };
    if let Some(problem) = refused_target(&profile, namespace) {
        aim.problem = Some(problem);
        return Ok(aim);
    }
    let before = deployment.status.as_ref();
    match package(operator, deployment, before, record) {
        Ok(Chosen::New(view)) => {
            aim.pinned = Some(view.version.clone());
            aim.depends_on.clone_from(&view.depends_on);
            match rendered(operator, deployment, &view, record, ground).await? {
                Ok(rendered) => aim.rendered = Some(rendered),
                Err(problem) => aim.problem = Some(problem),
            }
        }
        Ok(Chosen::Kept(version)) => aim.pinned = Some(version),
        Err(problem) => aim.problem = Some(problem),
    }
    if aim.rendered.is_none() {
        // What ran before goes on, whatever stands against what is wanted now.
        aim.rendered = record.and_then(|record| record.wanted.clone());
    }
    if let Some(rendered) = &aim.rendered {
        match intend(spec, &profile.spec, given(deployment, &profile, rendered)) {
            Ok(intent) => aim.intent = Some(intent),
            Err(invalid) => {
                aim.problem.get_or_insert(Problem::Stalled {
                    reason: ConditionReason::InvalidSpec,
                    message: invalid.to_string(),
                });
            }
        }
    }
    Ok(aim)
}

fn pending(message: String) -> Problem {
    Problem::Pending { message }
}

fn invalid(message: String) -> Problem {
    Problem::Stalled { reason: ConditionReason::InvalidSpec, message }
}

/// Targets that no rollout can be carried to yet.
fn refused_target(profile: &Profile, namespace: &str) -> Option<Problem> {
    let target = profile.spec.target.as_ref()?;
    if target.kubeconfig.is_some() {
        let what = "spec.target.kubeconfig of the Profile: other clusters cannot be reached yet: leave it out";
        return Some(invalid(what.to_owned()));
    }
    let elsewhere = target.namespace.as_deref().filter(|target| *target != namespace)?;
    Some(invalid(format!(
        "spec.target.namespace of the Profile: {elsewhere} is another namespace, which is not possible yet: put Profile, \
         Packages and Deployments into {elsewhere}"
    )))
}

/// What the plan rests on beside the specs.
fn given<'a>(deployment: &Deployment, profile: &Profile, rendered: &'a Rendered) -> Given<'a> {
    let gateway = profile.spec.traffic.as_ref().is_some_and(|traffic| traffic.gateway.is_some());
    let routed = rendered.services > 0 && (gateway || rendered.routes > 0);
    Given {
        routing: if routed { Routing::Weights } else { Routing::Instances },
        capabilities: Capabilities { traffic: Ability::Can, pause: Ability::Can, reverse: Ability::Can },
        desired: desired(deployment, rendered),
        alone: rendered.alone.as_deref(),
    }
}

/// How many instances the whole traffic needs.
pub fn desired(deployment: &Deployment, rendered: &Rendered) -> u32 {
    deployment.spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(rendered.replicas)
}

enum Chosen {
    New(Arc<PackageView>),
    Kept(Version),
}

fn package(
    operator: &Operator,
    deployment: &Deployment,
    before: Option<&DeploymentStatus>,
    record: Option<&Record>,
) -> Result<Chosen, Problem> {
    let reference = &deployment.spec.package;
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let views = operator.store.packages(namespace, &reference.name);
    let pinned = before.and_then(|status| status.pinned_version.as_ref());
    let candidates = views.values().map(|view| Candidate {
        version: view.version.clone(),
        state: view.state,
        content: content(view),
        standing: standing(record, &view.version),
    });
    match choose(reference, pinned, candidates) {
        Choice::Use(version) => match views.values().find(|view| view.version == version) {
            Some(view) => Ok(Chosen::New(Arc::clone(view))),
            None => Err(pending(format!("Package {}-{version}", reference.name))),
        },
        Choice::Keep(version) => Ok(Chosen::Kept(version)),
        Choice::Pending(message) => Err(pending(message)),
        Choice::Stalled { reason, message } => Err(Problem::Stalled { reason, message }),
    }
}

/// Whether a Package still is what was recorded of it.
pub fn content(view: &PackageView) -> Content {
    match &view.status.checksum {
        Some(checksum) if *checksum != view.digest => Content::Changed,
        _ => Content::Same,
    }
}

/// Whether a revision of this version was rejected, and no other one was wanted since.
fn standing(record: Option<&Record>, version: &Version) -> Standing {
    let text = version.to_string();
    let rejected = record.is_some_and(|record| {
        let of = |revision: &Revision| record.versions.get(revision).is_some_and(|shown| *shown == text);
        record.state.rejected.iter().any(of)
    });
    if rejected { Standing::Quarantined } else { Standing::Free }
}

/// The revision of a Package, from the record or rendered now.
async fn rendered(
    operator: &Operator,
    deployment: &Deployment,
    view: &PackageView,
    record: Option<&Record>,
    ground: &Ground,
) -> Result<Result<Rendered, Problem>, CallError> {
    let spec = &deployment.spec;
    let digest = inputs_digest(&view.digest, &ground.namespace, spec.overrides.as_ref(), &spec.env_from);
    // What is only rehearsed is not recorded, so a run must not take it for recorded.
    let inputs = if rehearses(deployment) { format!("rehearsed-{digest}") } else { digest };
    if let Some(known) = record.and_then(|record| record.wanted.as_ref()).filter(|known| known.inputs == inputs) {
        return Ok(Ok(known.clone()));
    }
    let name = format!("{}-{}", spec.package.name, view.version);
    let place = Place::named("landfall.dev/v1alpha1", "Package", &ground.owner.namespace, &name);
    let Some(object) = operator.writer.get(&Account::Own, &place).await? else {
        return Ok(Err(pending(format!("Package {name}"))));
    };
    let package = match serde_json::from_value::<Package>(object) {
        Ok(package) => package,
        Err(_) => return Ok(Err(invalid(format!("Package {name}: it cannot be read")))),
    };
    let source = Source {
        namespace: &ground.namespace,
        package: &package.spec,
        overrides: spec.overrides.as_ref(),
        env_from: &spec.env_from,
    };
    match render(&source) {
        Err(refusals) => {
            let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            Ok(Err(invalid(format!("Package {name}: {}", all.join("; ")))))
        }
        Ok(release) => keep(operator, deployment, ground, (inputs, release)).await,
    }
}

fn rehearses(deployment: &Deployment) -> bool {
    deployment.spec.dry_run == Some(true) || deployment.spec.validate_only == Some(true)
}

/// Records a release, so that nothing is carried out that a restart would not find again.
async fn keep(
    operator: &Operator,
    deployment: &Deployment,
    ground: &Ground,
    (inputs, release): (String, Release),
) -> Result<Result<Rendered, Problem>, CallError> {
    let rendered = Rendered {
        inputs,
        revision: Revision(release.hash.clone()),
        replicas: release.instances(),
        version: release.version.clone(),
        services: release.services.len(),
        routes: release.routes.len(),
        alone: release.workloads.iter().find_map(|workload| workload.alone.clone()),
    };
    if rehearses(deployment) {
        return Ok(Ok(rendered));
    }
    match revision::save(&operator.writer, &ground.owner, &release).await {
        Ok(()) => {
            operator.releases.put(&ground.owner, Arc::new(release));
            Ok(Ok(rendered))
        }
        Err(RevisionError::Call(_, error)) if !error.is_forbidden() && !error.is_invalid() => Err(error),
        Err(error) => Ok(Err(invalid(sentence(&error)))),
    }
}

/// An error with its cause.
fn sentence(error: &RevisionError) -> String {
    match error {
        RevisionError::Call(_, cause) => format!("{error}: {cause}"),
        other => other.to_string(),
    }
}

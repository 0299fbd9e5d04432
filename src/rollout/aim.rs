//! What a Deployment wants, from what is known of its Package and its Profile: which version, how it is brought, and what
//! stands against it. The operator and `landfall plan` both ask here, so that they cannot differ.

use std::collections::BTreeSet;

use crate::{
    api::{
        DEFAULT_SERVICE_ACCOUNT,
        condition::{ConditionReason, ConditionType},
        deployment::{DeploymentSpec, PackageRef},
        package::{PackagePhase, PackageState, PackageStatus},
        profile::ProfileSpec,
        version::Version,
    },
    engine::{
        observed::Revision,
        plan::{Ability, Capabilities, Plan, Reach},
        state::{Attempted, State},
        step::{Pace, Power, Wanted},
    },
    kinds::workload::release::Release,
    rollout::{
        choose::{Candidate, Choice, Content, Standing, choose},
        plan::{Given, Intent, Routing, intend},
        record::{Record, Rendered},
        status::Problem,
    },
};

/// A Package of the name that a Deployment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its version.
    pub version: Version,
    /// Whether new runs may use it.
    pub state: PackageState,
    /// Whether its content is what was recorded of it.
    pub content: Content,
}

/// The version that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// Its Package is there.
    New(Version),
    /// Its Package is gone: what was rendered of it serves.
    Kept(Version),
}

/// Something that is not there yet.
pub fn pending(message: String) -> Problem {
    Problem::Pending { message }
}

/// Something that somebody has to change.
pub fn invalid(message: String) -> Problem {
    Problem::Stalled { reason: ConditionReason::InvalidSpec, message }
}

/// That a Profile is not there yet.
pub fn no_profile(name: &str, namespace: &str) -> Problem {
    pending(format!("Profile {name} in namespace {namespace}"))
}

/// That the account is not there yet which packages are written as.
pub fn no_account(namespace: &str, name: &str) -> String {
    format!("service account {name} in namespace {namespace}: make it with `landfall init {namespace}`")
}

/// Targets that no rollout can be carried to yet.
pub fn refused_target(profile: &ProfileSpec, namespace: &str) -> Option<Problem> {
    let target = profile.target.as_ref()?;
    if target.kubeconfig.is_some() {
        let what = "spec.target.kubeconfig of the Profile: only its source is carried to another cluster: make the \
                    Deployment there, or bring it there by spec.source";
        return Some(invalid(what.to_owned()));
    }
    let elsewhere = target.namespace.as_deref().filter(|target| *target != namespace)?;
    Some(invalid(format!(
        "spec.target.namespace of the Profile: {elsewhere} is another namespace, which is not possible yet: put Profile, \
         Packages and Deployments into {elsewhere}"
    )))
}

/// What stands against a Package whose content is in a repository, and not in the cluster yet.
pub fn not_brought(name: &str, status: &PackageStatus) -> Problem {
    let error = status.error.as_deref();
    if status.phase != Some(PackagePhase::Failed) {
        return pending(format!("Package {name}: {}", error.unwrap_or("its repository is to be read")));
    }
    let ready = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready);
    let reason = ready.map_or(ConditionReason::InvalidSpec, |ready| ready.reason);
    let message = format!("Package {name} cannot be used: {}", error.unwrap_or("its content cannot be read"));
    Problem::Stalled { reason, message }
}

/// Whether a Package still is what was recorded of it.
pub fn content(recorded: Option<&str>, digest: &str) -> Content {
    if recorded.is_some_and(|recorded| recorded != digest) { Content::Changed } else { Content::Same }
}

/// Which version is meant. `pinned` is the one of the look before.
///
/// # Errors
/// Says what is missing or wrong.
pub fn pick(
    reference: &PackageRef,
    pinned: Option<&Version>,
    record: Option<&Record>,
    offers: impl Iterator<Item = Offer>,
) -> Result<Chosen, Problem> {
    let candidates = offers.map(|Offer { version, state, content }| Candidate {
        standing: standing(record, &version),
        version,
        state,
        content,
    });
    match choose(reference, pinned, candidates) {
        Choice::Use(version) => Ok(Chosen::New(version)),
        Choice::Keep(version) => Ok(Chosen::Kept(version)),
        Choice::Pending(message) => Err(pending(message)),
        Choice::Stalled { reason, message } => Err(Problem::Stalled { reason, message }),
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

/// What is remembered of a release.
pub fn rendered(inputs: String, release: &Release) -> Rendered {
    Rendered {
        inputs,
        revision: Revision(release.hash.clone()),
        replicas: release.instances(),
        version: release.version.clone(),
        services: release.services.len(),
        routes: release.routes.len(),
        alone: release.workloads.iter().find_map(|workload| workload.alone.clone()),
        digest: None,
    }
}

/// How many instances the whole traffic needs.
pub fn desired(spec: &DeploymentSpec, rendered: &Rendered) -> u32 {
    spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(rendered.replicas)
}

/// How a revision is to be brought.
///
/// # Errors
/// Names the field that stands against it.
pub fn intent(spec: &DeploymentSpec, profile: &ProfileSpec, rendered: &Rendered) -> Result<Intent, Problem> {
    intend(spec, profile, given(spec, profile, rendered)).map_err(|wrong| invalid(wrong.to_string()))
}

/// What the plan rests on beside the specs.
fn given<'a>(spec: &DeploymentSpec, profile: &ProfileSpec, rendered: &'a Rendered) -> Given<'a> {
    let gateway = profile.traffic.as_ref().is_some_and(|traffic| traffic.gateway.is_some());
    let routed = rendered.services > 0 && (gateway || rendered.routes > 0);
    Given {
        routing: if routed { Routing::Weights } else { Routing::Instances },
        capabilities: Capabilities { traffic: Ability::Can, pause: Ability::Can, reverse: Ability::Can },
        desired: desired(spec, rendered),
        alone: rendered.alone.as_deref(),
    }
}

/// What the engine is to bring; none where that has never been known.
pub fn wanted(
    spec: &DeploymentSpec,
    rendered: &Rendered,
    intent: Option<&Intent>,
    record: Option<&Record>,
) -> Option<Wanted> {
    // What is only rehearsed does not say how many instances run meanwhile.
    let runs = record.and_then(|record| record.wanted.as_ref()).filter(|_| rehearses(spec));
    let desired = desired(spec, runs.unwrap_or(rendered));
    if let Some(intent) = intent {
        return Some(intent.wanted(rendered.revision.clone(), desired));
    }
    // The spec cannot be carried out: what is under way goes on as it was started, and nothing new begins. The last run may
    // have been a rehearsal, and the same revision is not to be rehearsed once more.
    let state = &record?.state;
    let plan = Plan { reach: Reach::Deploy, ..state.run.as_ref()?.plan.clone() };
    let attempted = state.attempted.clone()?;
    Some(Wanted {
        revision: attempted.revision,
        plan,
        request: attempted.request,
        desired,
        pace: if spec.paused == Some(true) { Pace::Hold } else { Pace::Go },
        power: if spec.stopped == Some(true) { Power::Down } else { Power::Up },
        keep: state.kept.len().max(1),
    })
}

/// What the Service of a package without Services would select; none where the package has Services.
pub fn front<'a>(rendered: Option<&Rendered>, record: Option<&'a Record>) -> Option<&'a BTreeSet<Revision>> {
    static NOTHING: BTreeSet<Revision> = BTreeSet::new();
    let has = rendered.is_some_and(|rendered| rendered.services > 0);
    (!has).then(|| record.map_or(&NOTHING, |record| &record.front))
}

/// Whether a spec only asks what would happen.
pub fn rehearses(spec: &DeploymentSpec) -> bool {
    spec.dry_run == Some(true) || spec.validate_only == Some(true)
}

/// Whether a rehearsal of this revision is the next thing to happen.
pub fn is_due(intent: &Intent, revision: &Revision, state: Option<&State>) -> bool {
    let this = Attempted { revision: revision.clone(), request: intent.request.clone() };
    intent.plan.reach != Reach::Deploy
        && state.is_none_or(|state| state.active().is_none() && state.rehearsed.as_ref() != Some(&this))
}

/// The name of the service account that packages of a Profile are written as.
pub fn account(profile: Option<&ProfileSpec>) -> &str {
    let named = profile.and_then(|profile| profile.target.as_ref()?.service_account.as_deref());
    named.unwrap_or(DEFAULT_SERVICE_ACCOUNT)
}

//! Carries actions out: each becomes a few idempotent writes.
//!
//! It decides nothing. What an action rests on is read again from the API server, and where it has changed the action is
//! left out; what belongs to somebody else is never touched.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::{join_all, try_join, try_join_all};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::warn;

use super::{
    call::CallError,
    pods::renew,
    releases::Releases,
    revision::{self, Digests, RevisionError},
    store::{
        Owned, Store,
        view::{ReplicaSetObject, ReplicaSetView, RouteView, ServiceObject, ServiceView},
    },
    write::{Account, Claim, Place, Writer},
};
use crate::{
    api::{ADOPT_ANNOTATION, LEFT_ANNOTATION, POD_HASH_LABEL, Role, SELECTS_ANNOTATION},
    engine::{
        action::{Action, Planned},
        observed::Revision,
        share::Share,
    },
    kinds::workload::{
        objects::{Owner, Selection, candidate_name, candidate_service, pods_of, shared_object, stable_service},
        release::{ApplyAt, Release, Shared},
    },
    traffic::{
        Pair,
        read::matches,
        service::Selector,
        weigh::{weigh, weigh_again},
    },
};

/// Why an action was not carried out.
#[derive(Debug, Error)]
pub enum ExecuteError {
    /// What it rests on has changed, or somebody else wrote first. The next look decides again.
    #[error("{0} has changed meanwhile")]
    Changed(String),
    /// The object is somebody else's.
    #[error(
        "{place} exists and is not of this Deployment: delete or rename it, or hand it over with `kubectl annotate {} {} {ADOPT_ANNOTATION}={adoption}`",
        place.kind.to_lowercase(), place.name
    )]
    NotOwned {
        /// The object.
        place: Place,
        /// The annotation's value by which the Deployment may take it.
        adoption: String,
    },
    /// The API server refuses the object, however often it is asked.
    #[error("{0}: {1}")]
    Refused(Place, String),
    /// The account may not do it.
    #[error("the service account {account} may not write {place}: {message}")]
    Forbidden {
        /// The account.
        account: String,
        /// The object.
        place: Place,
        /// The API server's words.
        message: String,
    },
    /// The router cannot carry the weights.
    #[error("{0}")]
    Route(String),
    /// The record of the revision is not to be had.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The API server could not be asked.
    #[error("{0}: {1}")]
    Call(Place, #[source] CallError),
}

impl ExecuteError {
    /// Whether another try of the same can end otherwise without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Changed(_) | Self::Call(..) | Self::Revision(RevisionError::Call(..)) => true,
            Self::NotOwned { .. } | Self::Refused(..) | Self::Forbidden { .. } | Self::Route(_) | Self::Revision(_) => {
                false
            }
        }
    }
}

/// Everything that writes of one Deployment need.
pub struct Site<'a> {
    /// Reads and writes.
    pub writer: &'a Writer,
    /// Takes the answers.
    pub store: &'a Store,
    /// The releases of revisions.
    pub releases: &'a Releases,
    /// What proves their records.
    pub digests: &'a Digests,
    /// The Deployment that owns what is written.
    pub owner: &'a Owner,
    /// Where objects are written.
    pub namespace: &'a str,
    /// As whom.
    pub account: &'a Account,
    /// What was seen.
    pub owned: &'a Owned,
    /// The stable revision, if there is one.
    pub stable: Option<&'a Revision>,
    /// The revision that a run is about, if one is under way.
    pub candidate: Option<&'a Revision>,
    /// The routes of a release: the package's own, or the one that is made from the profile.
    pub routes: &'a (dyn Fn(&Release) -> Result<Vec<Value>, String> + Sync),
}

impl<'a> Site<'a> {
    /// The revision whose routes are in force: what the stable Services select, else the stable one, else the first.
    fn fronted(&self) -> Option<&'a Revision> {
        let mut stable = self.owned.services.values().filter(|service| service.role == Role::Stable);
        let selected = stable.find_map(|service| match &service.selector {
            Selector::One(revision) => Some(revision).filter(|revision| self.knows(revision)),
            Selector::Nothing | Selector::Every(_) => None,
        });
        selected.or(self.stable).or(self.candidate)
    }

    /// What a revision consists of.
    async fn release(&self, revision: &Revision) -> Result<Arc<Release>, RevisionError> {
        self.releases.get(self.writer, self.owner, revision, self.digests).await
    }

    /// Whether it is a revision at all, and not what somebody wrote into a selector.
    fn knows(&self, revision: &Revision) -> bool {
        let made = self.owned.replica_sets.values().any(|set| set.revision == *revision);
        made || [self.stable, self.candidate].contains(&Some(revision))
    }
}

/// Carries out all actions of a step, side by side, and says what became of each that was not carried out.
pub async fn execute(site: &Site<'_>, actions: &[Planned]) -> Vec<ExecuteError> {
    let rests = actions.iter().any(|planned| planned.given.is_some());
    let unchanged = if rests { check(site).await } else { Ok(()) };
    let carried = actions.iter().filter(|planned| planned.given.is_none() || unchanged.is_ok());
    let results = join_all(carried.map(|planned| carry_out(site, &planned.action))).await;
    unchanged.err().into_iter().chain(results.into_iter().filter_map(Result::err)).collect()
}

/// Reads again what actions rest on: both Services and the routes must be as they were when it was decided.
async fn check(site: &Site<'_>) -> Result<(), ExecuteError> {
    let services =
        site.owned.services.values().map(|service| (place(site, "v1", "Service", &service.name), service.version));
    let routes = site.owned.routes.iter().map(|route| (Place::of(&route.object), route.version));
    let all = services.chain(routes).map(|(place, version)| unchanged(site, place, version));
    try_join_all(all).await.map(|_| ())
}

async fn unchanged(site: &Site<'_>, place: Place, version: u64) -> Result<(), ExecuteError> {
    let found = site.writer.get(&Account::Own, &place).await.map_err(|error| explain(site, &place, error))?;
    let now = found.as_ref().and_then(|object| object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok());
    if now == Some(version) { Ok(()) } else { Err(ExecuteError::Changed(place.to_string())) }
}

async fn carry_out(site: &Site<'_>, action: &Action) -> Result<(), ExecuteError> {
    match action {
        Action::Create(revision, pods) => create(site, revision, *pods).await,
        Action::Scale { revision, to, .. } => scale(site, revision, *to).await,
        Action::Delete(revision) => delete(site, revision).await,
        Action::Front { from, to } => front(site, from, to).await,
        Action::Preview { to, .. } => preview(site, to).await,
        Action::Weigh { to, .. } => weigh_routes(site, *to).await,
        Action::Renew(revision, before) => renew(site, revision, *before).await,
        // Measurements are taken by whoever drives this: they change nothing.
        Action::Measure(_) => Ok(()),
    }
}

/// Makes a revision's objects: first what its pods read, then the Jobs, then the pods.
async fn create(site: &Site<'_>, revision: &Revision, pods: u32) -> Result<(), ExecuteError> {
    let release = site.release(revision).await?;
    try_join_all(release.shared.iter().map(|shared| share(site, shared))).await?;
    let configs = release.config_objects(site.owner);
    try_join_all(configs.iter().map(|object| make::<IgnoredAny>(site, object))).await?;
    // What has been stable has done its Jobs, even if they are gone.
    let jobs = if site.stable == Some(revision) { Vec::new() } else { release.job_objects(site.owner) };
    try_join_all(jobs.iter().map(|object| make::<IgnoredAny>(site, object))).await?;
    let desired = release.desired();
    let sets = release.workloads.iter().map(|workload| {
        let object = release.replica_set(workload, site.owner, pods_of(release.base(workload), pods, desired));
        async move { make_pods(site, &object).await }
    });
    try_join_all(sets).await.map(|_| ())
}

/// A shared object is made where it is missing; a change of it waits for the promotion unless it says otherwise.
async fn share(site: &Site<'_>, shared: &Shared) -> Result<(), ExecuteError> {
    let object = shared_object(shared, site.owner);
    match (found(site, &object).await?, shared.at) {
        (Found::Ours, ApplyAt::Promotion) => Ok(()),
        (found, _) => apply(site, &object, found.claim()).await.map(|IgnoredAny| ()),
    }
}

/// Makes an object of a revision, which is never changed, and returns the answer. One that is there is left as it is.
async fn make<T: DeserializeOwned>(site: &Site<'_>, object: &Value) -> Result<Option<T>, ExecuteError> {
    let place = Place::of(object);
    match site.writer.create(site.account, object).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_taken() => found(site, object).await.map(|_| None),
        Err(error) => Err(explain(site, &place, error)),
    }
}

async fn make_pods(site: &Site<'_>, object: &Value) -> Result<(), ExecuteError> {
    if let Some(answer) = make(site, object).await? {
        remember_pods(site, &answer);
    }
    Ok(())
}

fn remember_pods(site: &Site<'_>, answer: &ReplicaSetObject) {
    if let Some(view) = ReplicaSetView::of(answer) {
        site.store.put_replica_set(view);
    }
}

async fn scale(site: &Site<'_>, revision: &Revision, pods: u32) -> Result<(), ExecuteError> {
    let sets: Vec<_> = site.owned.replica_sets.values().filter(|set| set.revision == *revision).collect();
    let desired = sets.iter().map(|set| set.base).max().unwrap_or(1).max(1);
    let writes = sets.iter().map(|set| async move {
        let replicas = pods_of(set.base, pods, desired);
        if set.replicas == replicas {
            return Ok(());
        }
        let place = place(site, "apps/v1", "ReplicaSet", &set.name);
        // A write that was delayed must not undo a later one.
        let values = (&json!(set.replicas), &json!(replicas));
        let answer = site.writer.replace_value(site.account, &place, "/spec/replicas", values).await;
        remember_pods(site, &answer.map_err(|error| explain_known(site, &place, error))?);
        Ok(())
    });
    try_join_all(writes).await.map(|_: Vec<()>| ())
}

/// Lets the stable Services select these revisions. Where they select one alone it is being promoted, and what waits for
/// that is applied too.
async fn front(site: &Site<'_>, from: &BTreeSet<Revision>, to: &BTreeSet<Revision>) -> Result<(), ExecuteError> {
    let old = site.stable.filter(|stable| to.contains(stable)).or_else(|| to.first());
    let Some(revision) = old else { return Ok(()) };
    let release = site.release(revision).await?;
    let selection = match to.len() {
        1 => Selection::One(revision.0.clone()),
        _ => Selection::Several(to.iter().map(|revision| revision.0.clone()).collect()),
    };
    let applied = if to.len() == 1 && from != to { promote(site, &release).await } else { Ok(()) };
    // On the way back nothing that all revisions share may keep traffic from its revision, unless another try may do.
    if applied.as_ref().is_err_and(|error| error.is_transient() || site.stable != Some(revision)) {
        return applied;
    }
    turn(site, Role::Stable, &release, &selection).await?;
    applied
}

/// Applies what all revisions share as this revision wants it.
async fn promote(site: &Site<'_>, release: &Release) -> Result<(), ExecuteError> {
    let writes = release.shared.iter().map(|shared| async move {
        let object = shared_object(shared, site.owner);
        let claim = found(site, &object).await?.claim();
        apply(site, &object, claim).await.map(|IgnoredAny| ())
    });
    try_join_all(writes).await.map(|_| ())
}

async fn preview(site: &Site<'_>, revision: &Revision) -> Result<(), ExecuteError> {
    let release = site.release(revision).await?;
    turn(site, Role::Candidate, &release, &Selection::One(revision.0.clone())).await
}

/// Writes the Services of a role. Those that the release has no more are only turned.
async fn turn(site: &Site<'_>, role: Role, release: &Release, selection: &Selection) -> Result<(), ExecuteError> {
    let objects = services(site, role, release, selection);
    let names: BTreeSet<String> = objects.iter().map(|object| Place::of(object).name).collect();
    try_join_all(objects.iter().map(|object| write_service(site, object))).await?;
    let left = site.owned.services.values().filter(|service| service.role == role && !names.contains(&*service.name));
    try_join_all(left.map(|service| turn_only(site, service, selection))).await.map(|_| ())
}

fn services(site: &Site<'_>, role: Role, release: &Release, selection: &Selection) -> Vec<Value> {
    let object = |service| match role {
        Role::Candidate => candidate_service(service, site.owner, selection),
        _ => stable_service(service, site.owner, selection),
    };
    release.services.iter().map(object).collect()
}

async fn write_service(site: &Site<'_>, object: &Value) -> Result<(), ExecuteError> {
    let known = site.owned.services.get(Place::of(object).name.as_str());
    let mut object = object.clone();
    let claim = match known {
        // Nobody else's write in between is written over.
        Some(known) if known.controller.as_deref() == Some(&site.owner.uid) => {
            object["metadata"]["resourceVersion"] = json!(known.version.to_string());
            Claim::Firm
        }
        _ => found(site, &object).await?.claim(),
    };
    remember_service(site, &apply(site, &object, claim).await?);
    Ok(())
}

async fn turn_only(site: &Site<'_>, service: &ServiceView, selection: &Selection) -> Result<(), ExecuteError> {
    let place = place(site, "v1", "Service", &service.name);
    let change = json!({
        "metadata": {
            "resourceVersion": service.version.to_string(),
            "annotations": {SELECTS_ANNOTATION: selection.listed(), LEFT_ANNOTATION: selection.label()},
        },
        "spec": {"selector": {POD_HASH_LABEL: selection.label()}},
    });
    let answer = site.writer.merge(site.account, &place, &change).await;
    remember_service(site, &answer.map_err(|error| explain_known(site, &place, error))?);
    Ok(())
}

fn remember_service(site: &Site<'_>, answer: &ServiceObject) {
    if let Some(view) = ServiceView::of(answer) {
        site.store.put_service(view);
    }
}

/// Gives the candidate Services their share of every route. The Services that the routes name are made where they are
/// missing, selecting nothing: a route to a Service that does not exist is refused by routers.
async fn weigh_routes(site: &Site<'_>, share: Share) -> Result<(), ExecuteError> {
    let revision = site.fronted().ok_or_else(|| ExecuteError::Changed("the stable revision".to_owned()))?;
    let release = site.release(revision).await?;
    for role in [Role::Stable, Role::Candidate] {
        let missing = services(site, role, &release, &Selection::Nothing);
        let missing =
            missing.iter().filter(|object| !site.owned.services.contains_key(Place::of(object).name.as_str()));
        try_join_all(missing.map(|object| write_service(site, object))).await?;
    }
    let routes = rendered_routes(site, revision, &release).map_err(ExecuteError::Route)?;
    let pairs = pairs(&release);
    let writes = routes.iter().map(|route| {
        let weighed = weigh(route, &pairs, share).map_err(|error| ExecuteError::Route(error.to_string()));
        async { write_route(site, weighed?).await }
    });
    let live = site.owned.routes.iter();
    let left = live.filter(|live| !routes.iter().any(|route| Place::of(route) == Place::of(&live.object)));
    let pairs = all_pairs(site, &release);
    let again = left.map(|live| weigh_live(site, live, &pairs, share));
    try_join(try_join_all(writes), try_join_all(again)).await.map(|_| ())
}

/// The routes of a revision as they should be. On the way back to the stable one, what is there already has to do where
/// they cannot be made: a Profile may have been changed meanwhile, and nothing of that may keep traffic where it is.
fn rendered_routes(site: &Site<'_>, revision: &Revision, release: &Release) -> Result<Vec<Value>, String> {
    match (site.routes)(release) {
        Err(cause) if site.stable == Some(revision) && !site.owned.routes.is_empty() => {
            warn!(cause, "routes cannot be made as they should be: those that are there are weighed");
            Ok(Vec::new())
        }
        routes => routes,
    }
}

/// Gives a route that is not rendered any more its share all the same: otherwise it would never have it.
async fn weigh_live(site: &Site<'_>, live: &RouteView, pairs: &[Pair], share: Share) -> Result<(), ExecuteError> {
    let weighed = weigh_again(&live.object, pairs, share).map_err(|error| ExecuteError::Route(error.to_string()))?;
    let Some(weighed) = weighed.filter(|weighed| !matches(&live.object, weighed)) else { return Ok(()) };
    let place = Place::of(&live.object);
    let change = json!({
        "metadata": {"resourceVersion": live.version.to_string()},
        "spec": {"rules": weighed["spec"]["rules"]},
    });
    let answer = site.writer.merge(site.account, &place, &change).await;
    if let Some(view) = RouteView::of(answer.map_err(|error| explain_known(site, &place, error))?) {
        site.store.put_route(view);
    }
    Ok(())
}

async fn write_route(site: &Site<'_>, mut object: Value) -> Result<(), ExecuteError> {
    let place = Place::of(&object);
    let known = site.owned.routes.iter().find(|route| Place::of(&route.object) == place);
    let claim = match known {
        Some(known) if known.controller.as_deref() == Some(&site.owner.uid) => {
            if matches(&known.object, &object) {
                return Ok(());
            }
            object["metadata"]["resourceVersion"] = json!(known.version.to_string());
            Claim::Firm
        }
        _ => found(site, &object).await?.claim(),
    };
    let answer = apply(site, &object, claim).await?;
    if let Some(view) = RouteView::of(answer) {
        site.store.put_route(view);
    }
    Ok(())
}

/// Deletes a revision's objects and, last, its record. What it shares with no other revision goes with it, but for what
/// holds data.
async fn delete(site: &Site<'_>, revision: &Revision) -> Result<(), ExecuteError> {
    let release = match site.release(revision).await {
        Ok(release) => Some(release),
        Err(RevisionError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(release) = &release {
        prune(site, release).await?;
    }
    let sets = site.owned.replica_sets.values().filter(|set| set.revision == *revision);
    let sets: Vec<Place> = sets.map(|set| place(site, "apps/v1", "ReplicaSet", &set.name)).collect();
    let made = release.iter().flat_map(|release| {
        let objects = release.config_objects(site.owner).into_iter().chain(release.job_objects(site.owner));
        objects.map(|object| Place::of(&object)).collect::<Vec<_>>()
    });
    for place in made {
        delete_own(site, &place).await?;
    }
    for place in sets {
        site.writer.delete(site.account, &place, None).await.map_err(|error| explain(site, &place, error))?;
    }
    revision::delete(site.writer, site.owner, revision).await?;
    site.releases.forget(site.owner, revision);
    Ok(())
}

/// Deletes what only this release has of what revisions share: first routes, which name Services, then the rest.
async fn prune(site: &Site<'_>, release: &Release) -> Result<(), ExecuteError> {
    let mut kept = BTreeSet::new();
    // A revision about to be made has no pods yet, and its objects are there already.
    let under_way = site.stable.into_iter().chain(site.candidate);
    let others: BTreeSet<&Revision> =
        site.owned.replica_sets.values().map(|set| &set.revision).chain(under_way).collect();
    for other in others.into_iter().filter(|other| other.0 != release.hash) {
        match site.release(other).await {
            Ok(other) => kept.extend(lasting(&other)),
            // What cannot be read may want anything: nothing is deleted then.
            Err(_) => return Ok(()),
        }
    }
    for place in lasting(release) {
        if kept.contains(&place) || HOLDS_DATA.contains(&place.kind.as_str()) {
            continue;
        }
        delete_own(site, &place).await?;
    }
    Ok(())
}

/// Deletes what is at a place, if it is of this Deployment: a name says nothing, as another one of the same package has the
/// same.
async fn delete_own(site: &Site<'_>, place: &Place) -> Result<(), ExecuteError> {
    let found = site.writer.get(site.account, place).await.map_err(|error| explain(site, place, error))?;
    let Some(object) = found.filter(|object| site.owner.owns(object)) else { return Ok(()) };
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).map(ToOwned::to_owned);
    site.writer.delete(site.account, place, uid).await.map_err(|error| explain(site, place, error))
}

/// The objects of a release that outlive a revision.
fn lasting(release: &Release) -> Vec<Place> {
    let routes = release.routes.iter().map(Place::of);
    let services = release.services.iter().flat_map(|service| {
        let stable = Place::of(&service.object);
        let candidate = Place { name: candidate_name(&service.name), ..stable.clone() };
        [stable, candidate]
    });
    routes.chain(services).chain(release.shared.iter().map(|shared| Place::of(&shared.object))).collect()
}

/// What is never deleted with a revision.
const HOLDS_DATA: [&str; 3] = ["PersistentVolumeClaim", "CustomResourceDefinition", "Namespace"];

/// Whether an object is there; that of somebody else is an error.
pub(super) enum Found {
    Absent,
    Ours,
}

impl Found {
    /// How it may be written.
    fn claim(&self) -> Claim {
        match self {
            Self::Ours => Claim::Firm,
            Self::Absent => Claim::Polite,
        }
    }
}

/// Whether an object exists and may be written.
pub(super) async fn found(site: &Site<'_>, object: &Value) -> Result<Found, ExecuteError> {
    let place = Place::of(object);
    match site.writer.get(site.account, &place).await.map_err(|error| explain(site, &place, error))? {
        None => Ok(Found::Absent),
        Some(live) if site.owner.owns(&live) => Ok(Found::Ours),
        // The garbage collector has not come by yet.
        Some(live) if is_of_former(&live, site.owner) => Err(ExecuteError::Changed(place.to_string())),
        Some(live) => Err(ExecuteError::NotOwned { place, adoption: site.owner.adoption(&live) }),
    }
}

/// Whether an object was left by a Deployment of the same name that is gone.
pub(super) fn is_of_former(live: &Value, owner: &Owner) -> bool {
    let owners = live.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|reference| {
        let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        text("apiVersion").starts_with("landfall.dev/")
            && text("kind") == "Deployment"
            && text("name") == owner.name
            && text("uid") != owner.uid
    })
}

async fn apply<T: DeserializeOwned>(site: &Site<'_>, object: &Value, claim: Claim) -> Result<T, ExecuteError> {
    let place = Place::of(object);
    site.writer.apply(site.account, object, claim).await.map_err(|error| explain(site, &place, error))
}

/// As [`explain`], for an object that was there at the look.
fn explain_known(site: &Site<'_>, place: &Place, error: CallError) -> ExecuteError {
    if error.is_absent() { ExecuteError::Changed(place.to_string()) } else { explain(site, place, error) }
}

pub(super) fn explain(site: &Site<'_>, place: &Place, error: CallError) -> ExecuteError {
    match (error, site.account) {
        (error, _) if error.is_conflict() => ExecuteError::Changed(place.to_string()),
        (CallError::Refused { code: 403, message, .. }, Account::Service { namespace, name }) => {
            ExecuteError::Forbidden { account: format!("{namespace}/{name}"), place: place.clone(), message }
        }
        (CallError::Refused { message, code: 400 | 404 | 413 | 422, .. }, _) => {
            ExecuteError::Refused(place.clone(), message)
        }
        (error, _) => ExecuteError::Call(place.clone(), error),
    }
}

fn place(site: &Site<'_>, api_version: &str, kind: &str, name: &str) -> Place {
    Place::named(api_version, kind, site.namespace, name)
}

/// The pairs of a release, and those of Services that it has no more.
fn all_pairs(site: &Site<'_>, release: &Release) -> Vec<Pair> {
    let mut all = pairs(release);
    let stable = site.owned.services.values().filter(|service| service.role == Role::Stable);
    all.extend(
        stable.map(|service| Pair { stable: service.name.to_string(), candidate: candidate_name(&service.name) }),
    );
    all.dedup();
    all
}

/// The Services of a release and their candidates.
pub(super) fn pairs(release: &Release) -> Vec<Pair> {
    let pair = |service: &crate::kinds::workload::release::RoutedService| Pair {
        stable: service.name.clone(),
        candidate: candidate_name(&service.name),
    };
    release.services.iter().map(pair).collect()
}

//! Where and with what actions are carried out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Scene, aim::digests};
use crate::{
    api::{Role, profile::Gateway},
    cluster::{
        execute::{ExecuteError, Site, execute},
        pods::old_pods,
        rehearse,
        write::Account,
    },
    controller::memory::Mind,
    engine::{action::Planned, moment::Moment, observed::Revision},
    kinds::workload::release::Release,
    rollout::{
        record::Record,
        terms::{Route as Written, Terms},
    },
    traffic::{
        claim::{claims, conflict},
        made::{Backend, Made, backend, made},
    },
};

/// Carries actions out, and returns what went wrong.
pub async fn carry_out(scene: &Scene<'_>, mind: &Mind, actions: &[Planned]) -> Vec<ExecuteError> {
    let record = mind.record.as_ref();
    let terms = record.and_then(|record| record.terms.clone()).unwrap_or_else(|| scene.wish());
    let account = account(scene, &terms);
    let routes = |release: &Release| routes(scene, &terms, release);
    execute(&site(scene, record, &account, &routes), actions).await
}

/// What would be refused of a release that is only to be rehearsed.
pub async fn rehearse(scene: &Scene<'_>, release: &Release) -> Vec<ExecuteError> {
    let terms = scene.wish();
    let account = account(scene, &terms);
    let routes = |release: &Release| routes(scene, &terms, release);
    rehearse::rehearse(&site(scene, scene.prior.as_ref(), &account, &routes), release).await
}

/// Who writes on these terms.
fn account(scene: &Scene<'_>, terms: &Terms) -> Account {
    Account::Service { namespace: scene.ground.namespace.clone(), name: terms.account.clone() }
}

/// How the routes of a release are found.
type Routes<'a> = dyn Fn(&Release) -> Result<Vec<Value>, String> + Sync + 'a;

fn site<'a>(
    scene: &'a Scene<'_>,
    record: Option<&'a Record>,
    account: &'a Account,
    routes: &'a Routes<'a>,
) -> Site<'a> {
    let state = record.map(|record| &record.state);
    Site {
        writer: &scene.operator.writer,
        store: &scene.operator.store,
        releases: &scene.operator.releases,
        digests: digests(record),
        owner: &scene.ground.owner,
        namespace: &scene.ground.namespace,
        account,
        owned: &scene.owned,
        stable: state.and_then(|state| state.stable.as_ref()),
        candidate: state.and_then(|state| state.run.as_ref()).map(|run| &run.revision),
        routes,
    }
}

/// How many pods of a revision are older than a restart.
///
/// # Errors
/// They could not be listed.
pub async fn outdated(scene: &Scene<'_>, revision: &Revision, before: Moment) -> Result<u32, ExecuteError> {
    let writer = &scene.operator.writer;
    let pods = old_pods(writer, &scene.ground.namespace, (&scene.key.name, revision), before).await?;
    Ok(u32::try_from(pods.len()).unwrap_or(u32::MAX))
}

/// The routes of a release: its own, else the one that is made for the gateway of the run's terms.
fn routes(scene: &Scene<'_>, terms: &Terms, release: &Release) -> Result<Vec<Value>, String> {
    let own = release.routes.iter().cloned();
    let made = if release.routes.is_empty() { from_terms(scene, terms, release)? } else { None };
    let mut routes: Vec<Value> = own.chain(made).collect();
    for route in &mut routes {
        scene.ground.owner.mark(route, Role::Route, None);
    }
    contested(scene, &routes).map_or(Ok(routes), Err)
}

/// Whether a live route has all that these terms ask for.
pub fn written(scene: &Scene<'_>, terms: Option<&Terms>) -> Written {
    let Some((terms, gateway)) = terms.and_then(|terms| Some((terms, terms.gateway.as_ref()?))) else {
        return Written::Written;
    };
    // Where requests go is no part of the terms.
    let nowhere = Backend { service: String::new(), port: 0 };
    let held: Vec<_> = scene.owned.routes.iter().flat_map(|route| claims(&route.object)).collect();
    match made(&wish(scene, terms, gateway, &nowhere)) {
        Ok(route) if claims(&route).iter().all(|claim| held.contains(claim)) => Written::Written,
        _ => Written::Open,
    }
}

/// What these routes would take from another Deployment. What they hold already is not asked for: nobody's later claim may
/// keep traffic from going back.
fn contested(scene: &Scene<'_>, routes: &[Value]) -> Option<String> {
    let held: Vec<_> = scene.owned.routes.iter().flat_map(|route| claims(&route.object)).collect();
    let asked: Vec<_> = routes.iter().flat_map(claims).filter(|claim| !held.contains(claim)).collect();
    if asked.is_empty() {
        return None;
    }
    let mut others: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (owner, route) in scene.operator.store.routes() {
        if owner != *scene.key {
            others.entry(owner.to_string()).or_default().extend(claims(&route.object));
        }
    }
    conflict(&asked, &others)
}

fn from_terms(scene: &Scene<'_>, terms: &Terms, release: &Release) -> Result<Option<Value>, String> {
    let Some(gateway) = terms.gateway.as_ref().filter(|_| !release.services.is_empty()) else { return Ok(None) };
    let services: Vec<&Value> = release.services.iter().map(|service| &service.object).collect();
    let backend = backend(&services).map_err(|refused| refused.to_string())?;
    made(&wish(scene, terms, gateway, &backend)).map(Some).map_err(|refused| refused.to_string())
}

fn wish<'a>(scene: &'a Scene<'_>, terms: &'a Terms, gateway: &'a Gateway, backend: &'a Backend) -> Made<'a> {
    Made {
        deployment: &scene.ground.owner.name,
        namespace: &scene.ground.namespace,
        gateway,
        traffic: terms.traffic.as_ref(),
        backend,
    }
}

//! Asks the API server what it would say to a release, and stores nothing.
//!
//! Every object is sent as the account that would write it and in the form in which it would be written, so that what
//! admission, schemas and rights refuse is known before anything is touched.

use futures::{StreamExt, stream};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    execute::{ExecuteError, Found, Site, explain, found, pairs},
    write::{Claim, Place},
};
use crate::{
    engine::share::Share,
    kinds::workload::{
        objects::{Selection, candidate_service, shared_object, stable_service},
        release::Release,
    },
    traffic::weigh::weigh,
};

/// How many objects are asked about at a time.
const AT_ONCE: usize = 8;

/// What would be refused of a release, in the order of its objects; nothing where all would be taken.
pub async fn rehearse(site: &Site<'_>, release: &Release) -> Vec<ExecuteError> {
    let routes = match routes(site, release) {
        Ok(routes) => routes,
        Err(refused) => return vec![ExecuteError::Route(refused)],
    };
    let applied: Vec<Value> = shared(site, release).into_iter().chain(routes).collect();
    let made = made(site, release);
    let applied: Vec<_> = applied.iter().map(|object| apply(site, object)).collect();
    let made: Vec<_> = made.iter().map(|object| create(site, object)).collect();
    let answers: Vec<_> =
        stream::iter(applied).buffered(AT_ONCE).chain(stream::iter(made).buffered(AT_ONCE)).collect().await;
    answers.into_iter().filter_map(Result::err).collect()
}

/// What is applied: what revisions share, and the Services.
fn shared(site: &Site<'_>, release: &Release) -> Vec<Value> {
    let shared = release.shared.iter().map(|shared| shared_object(shared, site.owner));
    let services = release.services.iter().flat_map(|service| {
        let selection = Selection::One(release.hash.clone());
        [stable_service(service, site.owner, &selection), candidate_service(service, site.owner, &selection)]
    });
    shared.chain(services).collect()
}

/// The routes before any weight has moved.
fn routes(site: &Site<'_>, release: &Release) -> Result<Vec<Value>, String> {
    let pairs = pairs(release);
    let routes = (site.routes)(release)?;
    let weighed = routes.iter().map(|route| weigh(route, &pairs, Share::NONE));
    weighed.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// What exists once per revision.
fn made(site: &Site<'_>, release: &Release) -> Vec<Value> {
    let sets = release.workloads.iter().map(|workload| release.replica_set(workload, site.owner, workload.replicas));
    let configs = release.config_objects(site.owner);
    configs.into_iter().chain(release.job_objects(site.owner)).chain(sets).collect()
}

async fn apply(site: &Site<'_>, object: &Value) -> Result<(), ExecuteError> {
    let (Found::Absent | Found::Ours) = found(site, object).await?;
    let answer = site.writer.apply(site.account, object, Claim::DryRun).await;
    answer.map(|IgnoredAny| ()).map_err(|error| explain(site, &Place::of(object), error))
}

async fn create(site: &Site<'_>, object: &Value) -> Result<(), ExecuteError> {
    match site.writer.create_dry(site.account, object).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_taken() => found(site, object).await.map(drop),
        Err(error) => Err(explain(site, &Place::of(object), error)),
    }
}

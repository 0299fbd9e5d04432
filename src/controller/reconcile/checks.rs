//! Measurements: each is taken beside the looks, and the look after it takes the answer in.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use serde_json::Value;

use super::Scene;
use crate::{
    analysis::{
        http::{Names, Request, ServiceAddress, request},
        pods::{Trouble, summary, trouble},
    },
    api::{DEPLOYMENT_LABEL, POD_HASH_LABEL, Role, check::Check},
    cluster::{
        probe::secrets::Secrets,
        secret::Secret,
        write::{Account, Place, Writer},
    },
    controller::{memory::Mind, queue::Turn},
    engine::{
        action::{Action, Planned},
        observed::{Measured, Revision},
        verdict::Measurement,
    },
    traffic::backend::services_of,
};

/// Begins a measurement, unless it has begun already.
pub fn measure(scene: &Scene<'_>, mind: &Mind, planned: &Planned) {
    let Action::Measure(name) = &planned.action else { return };
    if !scene.operator.measured.begin(scene.key, &planned.key) {
        return;
    }
    let check = mind.record.iter().flat_map(|record| &record.checks).find(|check| check.name == *name).cloned();
    let asked = check.map(|check| (prepare(scene, &check), check));
    let (operator, key) = (Arc::clone(scene.operator), scene.key.clone());
    let (account, namespace) = (scene.ground.account.clone(), scene.ground.namespace.clone());
    let planned_key = planned.key.clone();
    tokio::spawn(async move {
        let taken = async {
            match asked {
                None => Measurement::Unknown("the check is not part of the run's record".to_owned()),
                Some((Err(invalid), _)) => Measurement::Failure(invalid),
                Some((Ok(request), check)) => match secrets(&operator.writer, &account, &namespace, &request).await {
                    Ok(secrets) => operator.prober.measure(&check, &request, &secrets).await,
                    Err(cause) => Measurement::Unknown(cause),
                },
            }
        };
        // An answer that never comes would keep the check from ever being taken again.
        let result = AssertUnwindSafe(taken).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Measurement::Unknown("the measurement failed by itself".to_owned()));
        operator.metrics.measured(word(&result));
        operator.measured.give(&key, Measured { key: planned_key, result });
        operator.rollouts.add_in(Turn::First, key);
    });
}

fn prepare(scene: &Scene<'_>, check: &Check) -> Result<Request, String> {
    let service = candidate(scene);
    request(check, &Names { candidate: service.as_ref() }).map_err(|invalid| invalid.to_string())
}

/// The candidate's Service as a check reaches it: the one that routes name, else the first.
fn candidate(scene: &Scene<'_>) -> Option<ServiceAddress> {
    let named: BTreeSet<&str> = scene.owned.routes.iter().flat_map(|route| services_of(&route.object)).collect();
    let candidates = || scene.owned.services.values().filter(|service| service.role == Role::Candidate);
    let service = candidates().find(|service| named.contains(&*service.name)).or_else(|| candidates().next())?;
    Some(ServiceAddress {
        host: format!("{}.{}.svc", service.name, scene.ground.namespace),
        address: service.address,
        port: service.port,
    })
}

/// The values of headers, read as the account that writes the package: whoever may not read a Secret cannot have it sent.
async fn secrets(writer: &Writer, account: &Account, namespace: &str, request: &Request) -> Result<Secrets, String> {
    let mut secrets = Secrets::default();
    for (header, wanted) in &request.headers {
        let place = Place::named("v1", "Secret", namespace, &wanted.name);
        let found = writer.get_as::<Secret>(account, &place).await;
        let found = found.map_err(|error| format!("Secret {}: {error}", wanted.name))?;
        let data = found.and_then(|secret| secret.get(&wanted.key));
        let data = data.ok_or_else(|| format!("Secret {} has no key {}", wanted.name, wanted.key))?;
        secrets.add(header, &data).map_err(|cause| cause.to_string())?;
    }
    Ok(secrets)
}

fn word(measurement: &Measurement) -> &'static str {
    match measurement {
        Measurement::Success => "success",
        Measurement::Failure(_) => "failure",
        Measurement::NoData => "no_data",
        Measurement::Unknown(_) => "unknown",
    }
}

/// What the pods of a revision say of themselves. That they cannot be asked is nothing against them.
pub async fn pods(scene: &Scene<'_>, revision: &Revision) -> Trouble {
    let place = Place::named("v1", "Pod", &scene.ground.namespace, "");
    let labels = format!("{DEPLOYMENT_LABEL}={},{POD_HASH_LABEL}={revision}", scene.key.name);
    let told = |pod: Value| serde_json::from_value(pod).ok().map(|pod| summary(&pod));
    let listed = scene.operator.writer.list(&Account::Own, &place, &labels, told).await.unwrap_or_default();
    trouble(&listed.into_iter().flatten().collect::<Vec<_>>())
}

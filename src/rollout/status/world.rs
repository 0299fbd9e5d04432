//! What runs: instances, shares of the traffic, and whether all is well.

use super::Scene;
use crate::{
    api::deployment_status::{CheckPhase, CheckStatus, Health, Instances, Traffic},
    engine::{
        observed::{Known, Revision, Service},
        plan::Router,
        share::Share,
    },
    rollout::words::{number, percent},
};

/// The word for what runs, and the sentence.
pub(super) struct Judgement {
    /// The word; none where nothing is to run, or nothing was promoted yet.
    pub(super) word: Option<Health>,
    /// Why.
    pub(super) message: String,
}

/// The instances of all revisions; none where they were not seen.
pub(super) fn instances(scene: &Scene<'_>) -> Option<Instances> {
    let known = scene.known.as_ref().ok()?;
    let wanted = if scene.state().stopped.is_some() { 0 } else { scene.view.desired };
    let scale: u32 = known.revisions.values().map(|pods| pods.scale).sum();
    let ready: u32 = known.revisions.values().map(|pods| pods.ready).sum();
    Some(Instances { desired: number(scale.max(wanted)), ready: number(ready) })
}

/// The number that an autoscaler sees: the instances that exist or are being made.
pub(super) fn replicas(scene: &Scene<'_>) -> Option<i32> {
    match &scene.known {
        Ok(known) => Some(number(known.revisions.values().map(|pods| pods.scale).sum::<u32>())),
        Err(_) => scene.view.prior.and_then(|prior| prior.replicas),
    }
}

/// The shares of the traffic; none before there is any.
pub(super) fn traffic(scene: &Scene<'_>) -> Option<Traffic> {
    let Ok(known) = &scene.known else {
        let before = scene.view.prior.and_then(|prior| prior.traffic.clone());
        return before.map(|before| Traffic { verified: false, ..before });
    };
    let share = scene.candidate().map_or(Share::NONE, |revision| share(scene, known, revision));
    if scene.state().stable.is_none() && share == Share::NONE {
        return None;
    }
    let verified = match scene.router() {
        Router::Split { .. } => scene.state().traffic.in_force,
        Router::Replicas => true,
    };
    Some(Traffic { stable: percent(share.rest()), candidate: percent(share), verified })
}

/// A revision's share over both Services. Behind one Service the ready endpoints divide it.
fn share(scene: &Scene<'_>, known: &Known, revision: &Revision) -> Share {
    let split = match scene.router() {
        Router::Split { .. } => known.route.as_ref().map_or(Share::NONE, |route| route.split),
        Router::Replicas => Share::NONE,
    };
    let of = |service: &Option<Service>, share: Share| share.points() * part(service.as_ref(), revision);
    let points = (of(&known.candidate, split) + of(&known.stable, split.rest())) / Share::WHOLE.points();
    Share::of_points(points).unwrap_or(Share::WHOLE)
}

/// A revision's part of what arrives at a Service, in hundredths of a percent.
fn part(service: Option<&Service>, revision: &Revision) -> u32 {
    let Some(service) = service else { return 0 };
    let ready = u64::from(service.ready());
    let (own, all) = if ready > 0 {
        (u64::from(service.endpoints.get(revision).copied().unwrap_or_default()), ready)
    } else {
        (u64::from(service.selects.contains(revision)), service.selects.len().max(1) as u64)
    };
    u32::try_from(own * u64::from(Share::WHOLE.points()) / all).unwrap_or_default()
}

/// Whether all is well with what has traffic, or had it last.
pub(super) fn health(scene: &Scene<'_>, checks: &[CheckStatus]) -> Judgement {
    let judged = |word, message| Judgement { word, message };
    let known = match &scene.known {
        Ok(known) => known,
        Err(cause) => return judged(scene.view.prior.and_then(|prior| prior.health), Scene::unseen(cause)),
    };
    let state = scene.state();
    if state.stopped.is_some() {
        return judged(None, "it is stopped".to_owned());
    }
    if scene.view.desired == 0 {
        return judged(None, "no instances are wanted".to_owned());
    }
    let (ready, desired) = (in_traffic(scene, known), scene.view.desired);
    let count = format!("{ready} instances with traffic are ready, {desired} are wanted");
    let failed = checks.iter().find(|check| check.phase == CheckPhase::Failed && scene.active().is_some());
    match (ready, failed) {
        (0, _) if state.stable.is_none() && (state.run.is_none() || scene.active().is_some() || scene.is_dry_run()) => {
            judged(None, "nothing runs yet".to_owned())
        }
        (0, _) => judged(Some(Health::Unhealthy), count),
        (_, Some(check)) => judged(Some(Health::Degraded), format!("check {} failed", check.name)),
        _ if ready < desired => judged(Some(Health::Degraded), count),
        _ => judged(Some(Health::Healthy), count),
    }
}

/// The ready instances of the stable revision, and of the candidate where it has a share.
fn in_traffic(scene: &Scene<'_>, known: &Known) -> u32 {
    let candidate = scene.candidate().filter(|revision| share(scene, known, revision) > Share::NONE);
    let revisions = scene.state().stable.iter().chain(candidate);
    revisions.map(|revision| known.pods(revision).ready).sum()
}

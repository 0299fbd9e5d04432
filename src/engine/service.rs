//! Selectors: a Service changes what it selects only while no routed request can arrive at it.

use std::collections::BTreeSet;

use crate::engine::{
    action::{Action, list},
    observed::{Revision, Service},
    steer::{Steering, View},
    target::{Care, Target},
};

/// Turns both Services to what the target says.
pub fn steer(view: View<'_>, target: &Target, steering: &mut Steering) {
    if !target.front.is_empty() {
        front(view, target, steering);
    }
    if let Some(revision) = &target.preview {
        preview(view, revision, steering);
    }
}

fn preview(view: View<'_>, revision: &Revision, steering: &mut Steering) {
    let to: BTreeSet<Revision> = [revision.clone()].into();
    match &view.known.candidate {
        Some(service) if service.is_turned_to(&to) => followed(service, "candidate", steering),
        _ if !view.known.is_whole(revision) => steering.wait(format!("revision {revision} to exist")),
        // What lost its turn has no endpoints that a request could arrive at.
        Some(service) if service.selects == to => {
            steering.act(Action::Preview { from: service.selects.clone(), to: revision.clone() });
        }
        _ if view.candidate_is_quiet() => {
            let from = view.known.candidate.as_ref().map(|service| service.selects.clone()).unwrap_or_default();
            steering.act(Action::Preview { from, to: revision.clone() });
        }
        _ => steering.wait("the candidate Service to have no traffic"),
    }
}

fn followed(service: &Service, name: &str, steering: &mut Steering) {
    if !service.has_followed() {
        steering.wait(format!("the endpoints of the {name} Service to follow its selector"));
    }
}

fn front(view: View<'_>, target: &Target, steering: &mut Steering) {
    let Some(service) = &view.known.stable else {
        return turn(view, target, &Service::default(), steering);
    };
    if service.is_turned_to(&target.front) {
        return settled(view, service, target, steering);
    }
    // What lost its turn has no endpoints that a request could arrive at.
    let moves = service.selects != target.front;
    if moves && view.splits() && service.ready() > 0 && !view.stable_is_quiet() {
        return steering.wait("the stable Service to have no traffic");
    }
    turn(view, target, service, steering);
}

fn settled(view: View<'_>, service: &Service, target: &Target, steering: &mut Steering) {
    followed(service, "stable", steering);
    let any = view.size.any();
    let enough = if target.care == Care::Full && target.awaited.as_ref().is_some_and(|r| service.selects.contains(r)) {
        if target.front.len() == 1 { target.enough } else { any }
    } else {
        any
    };
    if service.ready() < enough {
        steering.wait(format!("{} of {enough} endpoints of the stable Service ready", service.ready()));
    }
}

fn turn(view: View<'_>, target: &Target, service: &Service, steering: &mut Steering) {
    match missing(view, target) {
        Some(wait) => steering.wait(wait),
        None => steering.act(Action::Front { from: service.selects.clone(), to: target.front.clone() }),
    }
}

/// What stands against the turn of a Service without routed traffic.
fn missing(view: View<'_>, target: &Target) -> Option<String> {
    if target.front.len() > 1 {
        // One that selects several selects all of them already: only what is meant by it changes.
        let several = view.known.stable.as_ref().is_some_and(|service| service.selects.len() > 1);
        return if several { None } else { other_pods(view, target) };
    }
    let revision = target.front.first()?;
    let enough = if target.care == Care::Escape { view.size.any() } else { target.enough };
    let ready = view.known.pods(revision).ready;
    (ready < enough).then(|| format!("{ready} of {enough} pods of revision {} ready", list(&target.front)))
}

/// A Service that selects two revisions selects every other one too: its selector only drops the label that tells them
/// apart. So no other may have pods.
fn other_pods(view: View<'_>, target: &Target) -> Option<String> {
    let other = view
        .known
        .revisions
        .iter()
        .find(|(revision, pods)| !target.front.contains(*revision) && (pods.scale > 0 || pods.ready > 0));
    other.map(|(revision, _)| format!("revision {revision} to have no pods"))
}

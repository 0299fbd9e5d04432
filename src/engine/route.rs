//! Weights: raised only to enough endpoints, from a split that is in force; lowered at once where it is an escape.

use crate::engine::{
    action::Action,
    observed::{Acknowledged, Revision, Route, Service},
    plan::Router,
    share::Share,
    steer::{Steering, View},
    target::{Care, Target},
};

/// Brings the candidate Service to its share.
pub fn steer(view: View<'_>, target: &Target, steering: &mut Steering) {
    let Some(route) = &view.known.route else {
        return steering.act(Action::Weigh { from: None, to: Share::NONE });
    };
    let (wanted, care) = wanted(view, target, route, steering);
    if wanted == route.split && route.is_even() {
        acknowledged(view, route, steering);
        if wanted != target.split {
            steering.wait(format!("the weight to become {}", target.split));
        }
        return;
    }
    match against(view, target, route, (wanted, care)) {
        Some(wait) => steering.wait(wait),
        None => steering.act(Action::Weigh { from: Some(route.split), to: wanted }),
    }
}

/// What stands against writing a share. Routes that differ may have it raised for one and lowered for another.
fn against(view: View<'_>, target: &Target, route: &Route, (wanted, care): (Share, Care)) -> Option<String> {
    let raised = if wanted > route.least { raise(view, route, wanted, care) } else { None };
    let lowered = if wanted < route.split { lower(view, target, wanted, care) } else { None };
    raised.or(lowered)
}

/// The share to go for now: the target's, unless the candidate cannot serve, or the stable Service has to be emptied
/// because it is to select something else.
fn wanted(view: View<'_>, target: &Target, route: &Route, steering: &mut Steering) -> (Share, Care) {
    let front = view.known.stable.as_ref().map_or(0, Service::ready);
    let preview = view.known.candidate.as_ref().map_or(0, Service::ready);
    if route.split > Share::NONE && preview == 0 && front > 0 {
        steering.notes.push("the candidate Service lost all its endpoints: its traffic goes back at once".to_owned());
        return (Share::NONE, Care::Escape);
    }
    let turns = view.known.stable.as_ref().is_some_and(|service| service.selects != target.front);
    if !target.front.is_empty() && turns && front > 0 {
        return (Share::WHOLE, target.care);
    }
    (target.split, target.care)
}

fn acknowledged(view: View<'_>, route: &Route, steering: &mut Steering) {
    if view.traffic.in_force {
        return;
    }
    match &route.acknowledged {
        Acknowledged::Refused(why) => steering.wait(format!("the router to accept the route: {why}")),
        Acknowledged::At(generation) if *generation == route.generation => {
            let Router::Split { settle } = view.router else { return };
            steering.next = view.traffic.settles_at(settle);
            steering.wait(format!("weight {} to settle", route.split));
        }
        Acknowledged::At(_) | Acknowledged::Silent => {
            steering.wait(format!("the router to acknowledge weight {}", route.split));
        }
    }
}

fn raise(view: View<'_>, route: &Route, to: Share, care: Care) -> Option<String> {
    let Some(service) = &view.known.candidate else { return Some("the candidate Service".to_owned()) };
    // The rest of a write that was cut off half-way rests on nothing new.
    if !view.traffic.in_force && to > route.split {
        return Some(format!("weight {} to be in force", route.split));
    }
    if !service.has_followed() {
        return Some("the endpoints of the candidate Service to follow its selector".to_owned());
    }
    let alone = service.selects.first().is_some_and(|revision| has_all(view, revision));
    let enough = if alone || care == Care::Escape { view.size.any() } else { view.size.need(to) };
    short(service, enough, "candidate")
}

/// Whether both Services reach only this revision, so that no weight changes its share.
fn has_all(view: View<'_>, revision: &Revision) -> bool {
    let only = |service: &Service| service.has_followed() && service.selects.iter().eq([revision]);
    view.known.stable.as_ref().is_some_and(only)
}

fn lower(view: View<'_>, target: &Target, to: Share, care: Care) -> Option<String> {
    let Some(service) = &view.known.stable else {
        // Before the first revision serves nobody is behind the stable Service, and nobody is to be served.
        return (!target.front.is_empty()).then(|| "the stable Service".to_owned());
    };
    if care == Care::Escape {
        return short(service, view.size.any(), "stable");
    }
    if !service.has_followed() {
        return Some("the endpoints of the stable Service to follow its selector".to_owned());
    }
    let whole = target.front.len() == 1 && to == Share::NONE;
    short(service, if whole { target.enough } else { view.size.need(to.rest()) }, "stable")
}

fn short(service: &Service, enough: u32, name: &str) -> Option<String> {
    let ready = service.ready();
    (ready < enough).then(|| format!("{ready} of {enough} endpoints of the {name} Service ready"))
}

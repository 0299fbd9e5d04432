//! Revisions that no run and no Service is about: their pods go, and then they do.

use crate::engine::{
    action::Action,
    moment::Moment,
    observed::{Known, Pods, Revision},
    plan::Plan,
    share::Share,
    state::{Hold, Run, State},
    steer::{Steering, View},
    step::{Look, Wanted},
    target,
};

/// Lets go of what is left over. It is nothing that anything waits for.
pub fn leftovers(state: &mut State, look: Look<'_>, known: &Known, steering: &mut Steering) {
    if state.active().is_some_and(|run| run.hold == Some(Hold::Recovered)) {
        return;
    }
    let plan = state.run.as_ref().map_or(&look.wanted.plan, |run| &run.plan).clone();
    for (revision, pods) in &known.revisions {
        if is_wanted(state, revision) || is_used(state, look.wanted, known, &plan, revision) {
            state.leftovers.remove(revision);
        } else if pods.scale > 0 && is_done_with(state, revision) {
            shrink(revision, pods.scale, steering, (look.now, look.now));
        } else {
            let since = *state.leftovers.entry(revision.clone()).or_insert(look.now);
            if pods.scale > 0 {
                shrink(revision, pods.scale, steering, (look.now, since.after(plan.scale_down_delay)));
            } else {
                state.leftovers.remove(revision);
                delete(state, look.wanted, revision, *pods, steering);
            }
        }
    }
    state.leftovers.retain(|revision, _| known.revisions.contains_key(revision));
}

fn is_wanted(state: &State, revision: &Revision) -> bool {
    state.stable.as_ref() == Some(revision) || state.active().is_some_and(|run| run.revision == *revision)
}

fn is_used(state: &State, wanted: &Wanted, known: &Known, plan: &Plan, revision: &Revision) -> bool {
    let size = target::size(plan, wanted.desired);
    let view = View { known, traffic: &state.traffic, router: plan.router, size };
    view.floor(revision) > 0 && !is_spare(view, revision)
}

/// Whether it stands with others behind a Service that no router divides, was never meant to, and the others are enough. Its
/// pods came there by a write that was delayed, and they would keep the Service from ever turning.
fn is_spare(view: View<'_>, revision: &Revision) -> bool {
    let Some(service) = view.known.stable.as_ref().filter(|_| !view.splits()) else { return false };
    let others = service.endpoints.iter().filter(|(other, _)| *other != revision).map(|(_, ready)| ready).sum::<u32>();
    let previewed = view.known.candidate.as_ref().is_some_and(|service| service.selects.contains(revision));
    service.selects.len() > 1 && !previewed && others >= view.size.need(Share::WHOLE)
}

/// Whether the last run went all its way and left this revision behind: it has had its time, and its pods go at once.
fn is_done_with(state: &State, revision: &Revision) -> bool {
    let through = |run: &Run| run.at >= run.stages.len() && run.outcome.is_some();
    state.run.as_ref().is_some_and(through) && state.kept.first().is_none_or(|former| former == revision)
}

/// Takes its pods after the delay.
fn shrink(revision: &Revision, pods: u32, steering: &mut Steering, (now, until): (Moment, Moment)) {
    if now >= until {
        steering.actions.push(Action::Scale { revision: revision.clone(), from: pods, to: 0 });
    } else {
        steering.next = Some(steering.next.map_or(until, |next| next.min(until)));
    }
}

/// Takes the revision itself when its pods are gone, unless it is kept or wanted.
fn delete(state: &State, wanted: &Wanted, revision: &Revision, pods: Pods, steering: &mut Steering) {
    if pods.ready == 0 && !state.kept.contains(revision) && wanted.revision != *revision {
        steering.actions.push(Action::Delete(revision.clone()));
    }
}

/// All pods of all revisions go.
pub fn all(known: &Known, steering: &mut Steering) {
    for (revision, pods) in known.revisions.iter().filter(|(_, pods)| pods.scale > 0) {
        steering.act(Action::Scale { revision: revision.clone(), from: pods.scale, to: 0 });
    }
}

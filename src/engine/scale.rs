//! Pods: up at once, down only where nothing rests on them.

use crate::engine::{
    action::Action,
    observed::Revision,
    steer::{Steering, View},
    target::Target,
};

/// Brings every revision of the target to its number of pods.
pub fn steer(view: View<'_>, target: &Target, steering: &mut Steering) {
    for (revision, wanted) in &target.scale {
        one(view, target, (revision, *wanted), steering);
    }
    if let Some(revision) = &target.awaited {
        await_pods(view, target, revision, steering);
    }
}

fn one(view: View<'_>, target: &Target, (revision, wanted): (&Revision, u32), steering: &mut Steering) {
    // A run to no pods makes its revision all the same.
    let made = wanted > 0 || target.awaited.as_ref() == Some(revision);
    if made && !view.known.is_whole(revision) {
        return steering.act(Action::Create(revision.clone(), wanted));
    }
    let Some(pods) = view.known.revisions.get(revision) else { return };
    // What a share needs keeps pods from being taken; it is no reason to add any.
    let floor = view.floor(revision).min(pods.scale);
    if wanted == 0 && floor > 0 {
        return steering.wait(format!("revision {revision} to lose its traffic"));
    }
    let to = wanted.max(floor);
    if to != pods.scale {
        steering.act(Action::Scale { revision: revision.clone(), from: pods.scale, to });
    }
}

fn await_pods(view: View<'_>, target: &Target, revision: &Revision, steering: &mut Steering) {
    let wanted = target.scale.get(revision).copied().unwrap_or_default();
    let ready = view.known.pods(revision).ready;
    if ready < wanted {
        steering.waits.insert(0, format!("{ready} of {wanted} pods of revision {revision} ready"));
    }
}

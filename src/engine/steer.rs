//! From the world as it was seen to the world as it is to be: the next writes, each safe by itself, and what is waited for.
//!
//! Nothing here knows stages or strategies. The parts are [`crate::engine::scale`] for pods, [`crate::engine::service`] for
//! selectors and [`crate::engine::route`] for weights; each looks at the whole world before it writes its own part.

use crate::engine::{
    action::Action,
    moment::Moment,
    observed::{Known, Revision, Service},
    plan::Router,
    route, scale, service,
    share::Share,
    target::{Size, Target},
    traffic::Traffic,
};

/// The world, and how to read it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What was seen.
    pub known: &'a Known,
    /// Which splits may be in force.
    pub traffic: &'a Traffic,
    /// What divides the traffic.
    pub router: Router,
    /// How pods are counted.
    pub size: Size,
}

/// The next writes, and why the target is not reached yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Steering {
    /// What to do now.
    pub actions: Vec<Action>,
    /// What is missing, the most telling first; empty where the target is reached.
    pub waits: Vec<String>,
    /// When to look again at the latest, where only time is missing.
    pub next: Option<Moment>,
    /// What happened that a person should hear of.
    pub notes: Vec<String>,
}

impl Steering {
    /// Something to do, and that it is waited for.
    pub fn act(&mut self, action: Action) {
        self.waits.push(format!("{action}"));
        self.actions.push(action);
    }

    /// Something that is missing.
    pub fn wait(&mut self, what: impl Into<String>) {
        self.waits.push(what.into());
    }
}

/// The next writes toward a target.
pub fn steer(view: View<'_>, target: &Target) -> Steering {
    let mut steering = Steering::default();
    scale::steer(view, target, &mut steering);
    if view.splits() {
        route::steer(view, target, &mut steering);
    }
    service::steer(view, target, &mut steering);
    steering
}

impl View<'_> {
    /// Whether a router divides the traffic.
    pub fn splits(&self) -> bool {
        matches!(self.router, Router::Split { .. })
    }

    /// The candidate Service's share as written; none where there is no route.
    pub fn written(&self) -> Share {
        self.known.route.as_ref().map_or(Share::NONE, |route| route.split)
    }

    /// The smallest share that the candidate Service is written to have.
    fn least(&self) -> Share {
        self.known.route.as_ref().map_or(Share::NONE, |route| route.least)
    }

    /// Whether no routed request can arrive at the candidate Service.
    pub fn candidate_is_quiet(&self) -> bool {
        !self.splits() || (self.traffic.in_force && self.traffic.high == Share::NONE && self.written() == Share::NONE)
    }

    /// Whether no routed request can arrive at the stable Service.
    pub fn stable_is_quiet(&self) -> bool {
        self.traffic.in_force && self.traffic.low == Share::WHOLE && self.least() == Share::WHOLE
    }

    /// The largest share of the traffic that a revision may have now, over both Services and all possible splits.
    pub fn observed_share(&self, revision: &Revision) -> Share {
        let reaches = |service: &Option<Service>| service.as_ref().is_some_and(|service| service.reaches(revision));
        let front = if reaches(&self.known.stable) { self.front_share() } else { Share::NONE };
        let preview = if self.splits() && reaches(&self.known.candidate) { self.traffic.high } else { Share::NONE };
        front.plus(preview)
    }

    fn front_share(&self) -> Share {
        if self.splits() { self.traffic.low.rest() } else { Share::WHOLE }
    }

    /// The fewest pods that a revision may be scaled to now. Who wants no pods at all gets none.
    pub fn floor(&self, revision: &Revision) -> u32 {
        if self.size.desired == 0 {
            return 0;
        }
        let share = self.observed_share(revision);
        if self.shares_front(revision) {
            return 1;
        }
        let selected = u32::from(self.known.is_selected(revision));
        self.size.need(share).max(selected)
    }

    /// Whether it stands with another revision behind the stable Service and the number of pods divides the traffic.
    fn shares_front(&self, revision: &Revision) -> bool {
        let among = |service: &Service| service.selects.contains(revision) && service.selects.len() > 1;
        !self.splits() && self.known.stable.as_ref().is_some_and(among)
    }
}

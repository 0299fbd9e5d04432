//! Newer versions that arrive while another one is on its way, and nobody holds anything still for them.

use std::collections::BTreeMap;

use landfall::api::deployment_status::{DeploymentStatus, Phase, StepAction};
use serde_json::{Value, json};

use super::{SETTLE, assert_ended, begin, is_candidate, is_paused, is_stable};
use crate::stage::{
    Stage,
    load::Load,
    manifests,
    witness::{Event, Sight, Witness},
};

/// Enough requests for a share to be told within the tolerance, and enough a second that counting does not take long.
const COUNTED: u64 = 5_000;
const RATE: u32 = 400;

/// A step in which nothing is written is shown within a second, so it lasts longer here.
const STRATEGY: &str = "{scaleDownDelay: 2s, canary: {initialPercentage: 30, increment: 40, interval: 2s}}";

/// The step that gives the first weight; before it there are only pods.
const PREPARED: i32 = 3;

/// How many versions are made at a time.
const AHEAD: u32 = 12;

/// How often a version may come too late for its moment, on a machine that is busy with something else.
const LATE: usize = 10;

/// Where a run is when a newer version arrives. It goes on meanwhile, so the version can come too late; when it came, the
/// object tells that it was written into.
struct Moment {
    name: &'static str,
    /// No step after this one has it.
    last: i32,
    is: fn(&DeploymentStatus) -> bool,
}

impl Moment {
    const fn new(name: &'static str, last: i32, is: fn(&DeploymentStatus) -> bool) -> Self {
        Self { name, last, is }
    }
}

/// Up to the whole of the traffic. The way back is that of the run before it.
const RISING: [Moment; 7] = [
    Moment::new("pods start", 2, |status| stands(status, 2)),
    Moment::new("30 % is given and settles", 3, |status| stands(status, 3)),
    Moment::new("30 % passes its time", 4, |status| stands(status, 4)),
    Moment::new("the traffic is on its way back", i32::MAX, returns),
    Moment::new("70 % is given and settles", 5, |status| stands(status, 5)),
    Moment::new("70 % passes its time", 6, |status| stands(status, 6)),
    Moment::new("100 % is given and settles", 7, |status| stands(status, 7)),
];

/// From there to the end. The first of these steps and the last take hardly any time: a version that arrives right after one is
/// as good here. `newer` holds the operator still to arrive in the first.
const ARRIVING: [Moment; 4] = [
    Moment::new("the Service turns", 9, |status| stands(status, 8) || stands(status, 9)),
    Moment::new("the traffic returns and settles", 9, |status| stands(status, 9)),
    Moment::new("the former revision drains", 10, |status| stands(status, 10)),
    Moment::new("the former revision gives up its pods", 11, |status| {
        stands(status, 11) || status.phase == Some(Phase::Succeeded)
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn newer_versions_that_arrive_at_every_step_of_one_another_fail_no_request() {
    tokio::join!(preempt("rising", &RISING), preempt("arriving", &ARRIVING));
}

/// Wants a newer version at each of these moments, and lets the newest arrive.
async fn preempt(test: &str, moments: &[Moment]) {
    let stage = Stage::new(test).await;
    stage.apply(&manifests::profile_settling(STRATEGY, SETTLE)).await;
    begin(&stage).await;
    let load = Load::start(&stage.host(), RATE).await;
    let mut chain = Chain { witness: Witness::new(&stage), stage, version: 1, prepared: 2, arrivals: Vec::new() };
    chain.prepare_ahead().await;
    chain.witness.until(|status| is_stable(status, "1.0.0")).await;
    chain.newer(json!({})).await;
    for moment in moments {
        chain.arrive_at(moment).await;
    }
    chain.newest(&load).await;

    let seen = load.finish_without_failure().await;
    let log = chain.witness.log().await;
    let ends = ends(&log);
    for arrival in &chain.arrivals {
        arrival.assert_told_by(&ends);
        arrival.assert_answers(seen.by_version.get(&arrival.candidate).copied().unwrap_or(0));
    }
    assert_stable_keeps_its_pods(&log);
    assert_no_weight_is_left_out(&chain.witness.weights().await);
    chain.stage.end().await;
}

/// Versions, each of which takes the place of the one before it.
struct Chain {
    stage: Stage,
    witness: Witness,
    /// The one that is wanted.
    version: u32,
    /// The newest one that can be.
    prepared: u32,
    arrivals: Vec<Arrival>,
}

impl Chain {
    /// The next version can be wanted, and some more: a moment does not wait for a Package to be applied.
    async fn prepare(&mut self) {
        if self.version == self.prepared {
            self.prepare_ahead().await;
        }
    }

    async fn prepare_ahead(&mut self) {
        for _ in 0..AHEAD {
            self.prepared += 1;
            self.stage.package(&named(self.prepared)).await;
        }
    }

    /// Wants the next version, and returns the status that the object had when it arrived.
    async fn newer(&mut self, mut spec: Value) -> DeploymentStatus {
        self.version += 1;
        spec["package"] = json!({"version": named(self.version)});
        self.stage.patch(spec).await
    }

    /// Wants a newer version at this moment of a run.
    async fn arrive_at(&mut self, moment: &Moment) {
        for _ in 0..LATE {
            self.prepare().await;
            let wanted = named(self.version);
            // On its way back is the one before it.
            let is_about = |status: &DeploymentStatus| {
                is_candidate(status, &wanted) || is_stable(status, &wanted) || returns(status)
            };
            // A step without writes may be over before it is shown.
            let is_over = |status: &DeploymentStatus| {
                let step = status.current_step.as_ref().map_or(0, |current| current.number);
                status.phase == Some(Phase::Succeeded) || (!returns(status) && step > moment.last)
            };
            self.witness.until_now(|status| is_about(status) && ((moment.is)(status) || is_over(status))).await;
            let found = self.newer(json!({})).await;
            self.arrivals.extend(Arrival::at(&found));
            if (moment.is)(&found) {
                return;
            }
        }
        panic!("{LATE} versions came too late for the moment when {}", moment.name);
    }

    /// The newest version gets its share when it waits for a person, and then arrives.
    async fn newest(&mut self, load: &Load) {
        let steps = json!({"scaleDownDelay": "1s", "canary": {"steps": [{"weight": 30}, {"pause": {}}]}});
        self.prepare().await;
        self.newer(json!({"strategy": steps})).await;
        let newest = named(self.version);
        self.stage.until("the newest at its gate", |status| is_candidate(status, &newest) && is_paused(status)).await;
        load.mark();
        load.answers(COUNTED).await.assert_share(&newest, 0.3);
        assert_eq!(self.stage.command("promote", "").await, "Done");
        let end = self.stage.ended().await;
        assert_ended(&end, Phase::Succeeded, None);
        assert!(is_stable(&end, &newest), "{end:#?}");
        assert_eq!(end.rejected, [], "what is pre-empted is not bad");
        load.mark();
        load.answers(400).await.assert_all(&newest);
    }
}

/// A newer version came upon a candidate in this step.
struct Arrival {
    candidate: String,
    step: i32,
    has_arrived: bool,
}

impl Arrival {
    fn at(status: &DeploymentStatus) -> Option<Self> {
        let candidate = status.revision.as_ref()?.candidate.as_ref()?.version.clone();
        let step = status.current_step.as_ref()?.number;
        Some(Self { candidate, step, has_arrived: has_arrived(status) })
    }

    /// Fails unless the run ended as one that had arrived, or had not.
    fn assert_told_by(&self, ends: &BTreeMap<String, Phase>) {
        let end = if self.has_arrived { Phase::Succeeded } else { Phase::Cancelled };
        assert_eq!(ends.get(&self.candidate), Some(&end), "{} left in step {}", self.candidate, self.step);
    }

    /// Fails where clients got to see what had no weight yet, or saw nothing of what had one for a while.
    fn assert_answers(&self, answers: u64) {
        let fits = match self.step {
            ..PREPARED => answers == 0,
            PREPARED => true,
            _ => answers > 0,
        };
        assert!(fits, "{answers} answers of {}, left in step {}", self.candidate, self.step);
    }
}

fn named(version: u32) -> String {
    format!("{version}.0.0")
}

/// Whether a run goes forward in this step.
fn stands(status: &DeploymentStatus, step: i32) -> bool {
    !returns(status) && status.current_step.as_ref().is_some_and(|current| current.number == step)
}

fn returns(status: &DeploymentStatus) -> bool {
    status.phase == Some(Phase::RollingBack)
}

/// Whether the candidate has all the traffic, and only the former revision's pods are left to go.
fn has_arrived(status: &DeploymentStatus) -> bool {
    status.current_step.as_ref().is_some_and(|step| step.action == StepAction::ScaleDown)
}

/// How the run of each version ended.
fn ends(log: &[Event]) -> BTreeMap<String, Phase> {
    let statuses =
        log.iter().filter_map(|event| if let Sight::Status(status) = &event.sight { Some(status) } else { None });
    let runs = statuses.flat_map(|status| &status.history);
    runs.map(|run| (run.revision.version.clone(), run.phase)).collect()
}

/// Fails where a stable revision was asked to have fewer pods than all before another one had arrived.
fn assert_stable_keeps_its_pods(log: &[Event]) {
    let (mut stable, mut may_go) = (None, false);
    for event in log {
        match &event.sight {
            Sight::Status(status) => {
                let revisions = status.revision.as_ref();
                stable = revisions.and_then(|revisions| revisions.stable.as_ref()).map(|stable| stable.hash.clone());
                may_go = has_arrived(status);
            }
            Sight::Scale { revision, pods } if stable.as_ref() == Some(revision) && !may_go => {
                assert_eq!(*pods, 3, "pods of the stable revision {revision}");
            }
            Sight::Scale { .. } | Sight::Weight(_) | Sight::Selects { .. } => {}
        }
    }
}

/// Fails where a weight was left out. A candidate behind the stable Service already has the whole of the traffic there,
/// and goes back by way of its own.
fn assert_no_weight_is_left_out(weights: &[u64]) {
    for pair in weights.windows(2) {
        let fits = matches!(pair, [_, 0] | [0, 30] | [30, 70] | [30 | 70 | 0, 100]);
        assert!(fits, "{pair:?} in {weights:?}");
    }
}

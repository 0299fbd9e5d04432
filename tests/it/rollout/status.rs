//! Statuses of particular situations.

use std::collections::BTreeMap;

use landfall::{
    api::{
        condition::{Condition, ConditionReason as Reason, ConditionStatus as Is, ConditionType as Type},
        deployment_status::{DeploymentStatus, Health, Phase, StepAction},
        run::FinishedRun,
    },
    engine::{
        moment::Moment,
        observed::{Observed, Pods, Revision, Seen, Service},
        plan::{Ability, Capabilities},
        state::State,
        step::{Look, step},
    },
    rollout::{
        commands::{Actors, Asked, Current, read},
        plan::{Given, Intent, Routing, intend},
        record::{Record, run_id},
        status::{Problem, Subject, View, report},
    },
};
use serde_json::{Value, json};

use super::{
    UID, conditions, deployment, profile, record,
    told::{statuses, statuses_of},
};

const ALL: Capabilities = Capabilities { traffic: Ability::Can, pause: Ability::Can, reverse: Ability::Can };

/// A Deployment whose looks are made by hand.
struct Desk {
    spec: Value,
    observed: Observed,
    problem: Option<Problem>,
    annotations: BTreeMap<String, String>,
    record: Option<Record>,
    status: Option<DeploymentStatus>,
    wanted: &'static str,
    now: u64,
}

impl Desk {
    fn new(spec: Value) -> Self {
        let observed = Observed {
            revisions: Seen::Absent,
            stable: Seen::Absent,
            candidate: Seen::Absent,
            route: Seen::Absent,
            missing: Seen::Absent,
            trouble: None,
            measured: Vec::new(),
            commands: Vec::new(),
        };
        let (annotations, wanted) = (BTreeMap::new(), "v1");
        Self { spec, observed, problem: None, annotations, record: None, status: None, wanted, now: 1_000 }
    }

    fn intent(&self) -> Intent {
        let given = Given { routing: Routing::Instances, capabilities: ALL, desired: 2, alone: None };
        intend(&deployment(&self.spec), &profile(&json!({})), given).unwrap()
    }

    fn asked(&self) -> Asked {
        let number = self.record.as_ref().and_then(|record| record.state.run.as_ref()).map(|run| run.number);
        let id = self.status.as_ref().and_then(|status| status.run.as_ref()).map(|run| run.id.clone());
        let current = id.as_deref().zip(number).map(|(id, number)| Current { id, number });
        read(&self.annotations, Actors::Unverified, current)
    }

    /// A look with a decision.
    fn look(&mut self) -> DeploymentStatus {
        let intent = self.intent();
        let asked = self.asked();
        self.observed.commands.clone_from(&asked.commands);
        let wanted = intent.wanted(Revision(self.wanted.to_owned()), 2);
        let prior = self.record.as_ref().map(|record| record.state.clone());
        let look = Look { wanted: &wanted, prior: prior.as_ref(), observed: &self.observed, now: Moment(self.now) };
        let state = step(look).state;
        self.tell(state, Some(&intent), &asked)
    }

    /// A look at which the engine is not asked.
    fn look_without(&mut self) -> DeploymentStatus {
        let state = self.record.as_ref().map(|record| record.state.clone()).unwrap_or_default();
        let asked = self.asked();
        self.tell(state, None, &asked)
    }

    fn tell(&mut self, state: State, intent: Option<&Intent>, asked: &Asked) -> DeploymentStatus {
        let mut record = record(state, &Revision(self.wanted.to_owned()));
        record.checks = intent.map(|intent| intent.checks.clone()).unwrap_or_default();
        let before = self.record.as_ref().and_then(|before| before.terms.clone());
        record.terms = before.or_else(|| intent.map(|intent| intent.terms.clone()));
        record.started = self.record.as_ref().and_then(|before| before.started);
        record.stamp(Moment(self.now));
        let spec = deployment(&self.spec);
        let status = report(&View {
            subject: Subject { uid: UID, generation: 7, label: "shop", spec: &spec },
            prior: self.status.as_ref(),
            record: &record,
            observed: &self.observed,
            intent,
            problem: self.problem.as_ref(),
            trouble: None,
            asked,
            pinned: None,
            desired: 2,
            now: Moment(self.now),
        });
        (self.record, self.status) = (Some(record), Some(status.clone()));
        status
    }

    /// Pods that are ready, all behind the stable Service.
    fn serve(&mut self, revision: &str, ready: u32) {
        let name = Revision(revision.to_owned());
        let mut pods = match &self.observed.revisions {
            Seen::Present(pods) => pods.clone(),
            _ => BTreeMap::new(),
        };
        pods.insert(name.clone(), Pods { scale: 2, ready, ..Pods::default() });
        self.observed.revisions = Seen::Present(pods);
        let endpoints = [(name.clone(), ready)].into();
        let service = Service { selects: [name].into(), endpoints, partial: false, version: 1 };
        self.observed.stable = Seen::Present(service.clone());
        self.observed.candidate = Seen::Present(service);
    }
}

fn condition(status: &DeploymentStatus, about: Type) -> &Condition {
    status.conditions.iter().find(|condition| condition.type_ == about).unwrap()
}

fn stands(status: &DeploymentStatus) -> [(Is, Reason); 3] {
    [Type::Ready, Type::Reconciling, Type::Stalled].map(|about| {
        let condition = condition(status, about);
        (condition.status, condition.reason)
    })
}

fn stalled() -> Problem {
    Problem::Stalled { reason: Reason::InvalidSpec, message: "spec.strategy: no".to_owned() }
}

#[test]
fn the_first_look_sets_every_condition() {
    let status = Desk::new(json!({})).look();
    assert_eq!(status.conditions.iter().map(|condition| condition.type_).collect::<Vec<_>>(), conditions());
    assert_eq!(status.phase, Some(Phase::Progressing));
    assert_eq!(
        stands(&status),
        [(Is::Unknown, Reason::Progressing), (Is::True, Reason::Progressing), (Is::False, Reason::Progressing)]
    );
    assert_eq!((status.observed_generation, status.selector.as_deref()), (7, Some("landfall.dev/deployment=shop")));
    assert_eq!((status.health, status.traffic.clone()), (None, None));
    let run = status.run.unwrap();
    assert_eq!((run.id, run.attempt, run.completed_at), (run_id(UID, 1, Moment(1_000)), 1, None));
    let step = status.current_step.unwrap();
    assert_eq!(
        (step.number, step.action, step.details.as_deref()),
        (2, StepAction::Prepare, Some("instances of v1.0.0 for 100 % of the traffic"))
    );
}

#[test]
fn what_is_not_there_yet_is_waited_for_and_a_bad_spec_is_stalled() {
    let mut desk = Desk::new(json!({}));
    desk.problem = Some(Problem::Pending { message: "Profile production, which does not exist yet".to_owned() });
    let status = desk.look_without();
    assert_eq!(
        (status.phase, status.waiting_for.as_deref()),
        (Some(Phase::Pending), Some("Profile production, which does not exist yet"))
    );
    assert_eq!(
        stands(&status),
        [(Is::Unknown, Reason::Pending), (Is::True, Reason::Pending), (Is::False, Reason::Pending)]
    );
    assert_eq!((status.run, status.error), (None, None));

    desk.problem = Some(stalled());
    let status = desk.look_without();
    assert_eq!((status.phase, status.waiting_for.as_deref()), (Some(Phase::Pending), Some("spec.strategy: no")));
    assert_eq!(
        stands(&status),
        [(Is::False, Reason::InvalidSpec), (Is::False, Reason::InvalidSpec), (Is::True, Reason::InvalidSpec)]
    );
    let error = status.error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("INVALID_SPEC", "spec.strategy: no"));
}

#[test]
fn what_runs_does_not_move_for_a_bad_spec() {
    let mut desk = Desk::new(json!({}));
    desk.look();
    desk.problem = Some(stalled());
    let status = desk.look_without();
    assert_eq!(status.phase, Some(Phase::Progressing));
    assert_eq!(status.error, None);
    assert_eq!(stands(&status)[1..], [(Is::True, Reason::Progressing), (Is::False, Reason::InvalidSpec)]);
    for about in [Type::Reconciling, Type::Stalled] {
        assert!(condition(&status, about).message.contains("spec.strategy: no"), "{status:?}");
    }
}

#[test]
fn a_stable_revision_goes_on_being_shown_while_the_next_one_waits() {
    let mut desk = Desk::new(json!({}));
    settle(&mut desk);
    desk.problem = Some(Problem::Pending { message: "Package shop-2.0.0, which does not exist yet".to_owned() });
    let status = desk.look_without();
    assert_eq!((status.phase, status.health), (Some(Phase::Pending), Some(Health::Healthy)));
    assert_eq!(status.revision.unwrap().stable.unwrap().version, "v1.0.0");
    assert_eq!(serde_json::to_value(status.traffic).unwrap(), json!({"stable": 100, "candidate": 0, "verified": true}));
}

/// The first run of v1 to its end.
fn settle(desk: &mut Desk) -> DeploymentStatus {
    for _ in 0..4 {
        desk.look();
        desk.serve(desk.wanted, 2);
        desk.now += 1_000;
    }
    desk.look()
}

#[test]
fn a_finished_run_is_in_the_history_with_its_milliseconds() {
    let mut desk = Desk::new(json!({"requestId": "r1"}));
    desk.now = 1_250;
    let status = settle(&mut desk);
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(
        stands(&status),
        [(Is::True, Reason::Succeeded), (Is::False, Reason::Succeeded), (Is::False, Reason::Succeeded)]
    );
    let FinishedRun { run, revision, phase, by, message } = status.history[0].clone();
    assert_eq!(
        (revision.hash.as_str(), phase, by, message.as_deref()),
        ("v1", Phase::Succeeded, None, Some("v1.0.0 is stable"))
    );
    assert_eq!((run.request_id.as_deref(), run.duration_ms), (Some("r1"), Some(1_000)));
    assert_eq!(status.current_step, None);
}

#[test]
fn what_was_not_seen_is_told_as_it_was() {
    let mut desk = Desk::new(json!({}));
    let before = settle(&mut desk);
    desk.observed.revisions = Seen::Unknown("no answer".to_owned());
    let status = desk.look();
    assert_eq!(
        (&status.instances, status.replicas, status.health),
        (&before.instances, before.replicas, before.health)
    );
    assert_eq!(condition(&status, Type::Healthy).reason, Reason::NoAnswer);
    assert_eq!(condition(&status, Type::TrafficVerified).status, Is::Unknown);
    for about in [Type::Healthy, Type::TrafficVerified] {
        let said = "the cluster was not seen completely: the revisions: no answer";
        assert_eq!(condition(&status, about).message, said);
    }
    assert!(!status.traffic.unwrap().verified);
}

/// A route that cannot be seen may send requests somewhere, whether the package has one or not.
#[test]
fn nothing_begins_before_the_routes_were_seen_and_it_is_said_why() {
    let mut desk = Desk::new(json!({}));
    desk.observed.route = Seen::Unknown("the GRPCRoutes may not be listed: forbidden".to_owned());
    let status = desk.look();
    let waits = status.waiting_for.clone().unwrap();
    assert_eq!(waits, "a complete view of the cluster: the route: the GRPCRoutes may not be listed: forbidden");
    assert_eq!((status.phase, status.run.is_none()), (Some(Phase::Pending), true));
    assert!(condition(&status, Type::Healthy).message.ends_with("the GRPCRoutes may not be listed: forbidden"));
}

#[test]
fn missing_instances_are_degraded_and_none_is_unhealthy() {
    let mut desk = Desk::new(json!({}));
    settle(&mut desk);
    for (ready, health) in [(1, Health::Degraded), (0, Health::Unhealthy), (2, Health::Healthy)] {
        desk.serve("v1", ready);
        assert_eq!(desk.look().health, Some(health));
    }
}

#[test]
fn without_a_router_the_share_is_the_real_one() {
    let mut desk = Desk::new(json!({"strategy": {"canary": {"initialPercentage": 50}}}));
    settle(&mut desk);
    desk.wanted = "v2";
    desk.look();
    let [v1, v2] = ["v1", "v2"].map(|name| Revision(name.to_owned()));
    let pods = Pods { scale: 2, ready: 2, ..Pods::default() };
    let new = Pods { scale: 1, ready: 1, ..Pods::default() };
    desk.observed.revisions = Seen::Present([(v1.clone(), pods), (v2.clone(), new)].into());
    let endpoints = [(v1.clone(), 2), (v2.clone(), 1)].into();
    desk.observed.stable = Seen::Present(Service { selects: [v1, v2].into(), endpoints, partial: false, version: 2 });
    let status = desk.look();
    let traffic = serde_json::to_value(status.traffic).unwrap();
    assert_eq!(traffic, json!({"stable": "66.67", "candidate": "33.33", "verified": true}));
    assert_eq!(status.replicas, Some(3));
}

#[test]
fn a_change_of_the_plan_waits_for_the_next_run() {
    let mut desk = Desk::new(json!({}));
    settle(&mut desk);
    desk.wanted = "v2";
    assert_eq!(desk.look().pending_changes, None);
    desk.spec = json!({"traffic": {"path": "/elsewhere"}});
    assert_eq!(desk.look().pending_changes, Some(true));
    desk.spec = json!({});
    assert_eq!(desk.look().pending_changes, None);
    desk.spec = json!({"strategy": {"rolling": {}}});
    assert_eq!(desk.look().pending_changes, Some(true));
}

#[test]
fn a_dry_run_says_its_steps_and_a_validation_does_not() {
    let mut desk = Desk::new(json!({"dryRun": true, "requestId": "r1"}));
    let status = desk.look();
    let plan = status.plan.clone().unwrap();
    assert_eq!(plan.steps[..2], ["start", "prepare pods for 100 %"]);
    assert_eq!(stands(&status)[0], (Is::True, Reason::DryRunFinished));
    assert_eq!((status.phase, status.run.unwrap().request_id.as_deref()), (Some(Phase::Succeeded), Some("r1")));

    desk.spec = json!({"validateOnly": true});
    let status = desk.look();
    assert_eq!((status.plan, status.phase, status.history.len()), (None, Some(Phase::Succeeded), 2));

    desk.spec = json!({});
    let status = desk.look();
    assert_eq!((status.plan, status.phase), (None, Some(Phase::Progressing)));
}

#[test]
fn a_plan_of_many_steps_is_cut() {
    let mut desk = Desk::new(json!({}));
    settle(&mut desk);
    desk.wanted = "v2";
    desk.spec =
        json!({"dryRun": true, "strategy": {"canary": {"initialPercentage": 1, "increment": 1, "interval": "10s"}}});
    let plan = desk.look().plan.unwrap();
    assert_eq!((plan.steps.len(), plan.steps[99].as_str()), (100, "and 105 more"));
    assert_eq!(plan.estimated_seconds, Some(99 * 10 + 30));
}

#[test]
fn commands_are_answered_in_the_status() {
    let mut desk = Desk::new(json!({}));
    let id = desk.look().run.unwrap().id;
    desk.annotations = [("pause", id.as_str()), ("promote", id.as_str()), ("skip", "full"), ("promte", "x")]
        .map(|(word, value)| (format!("command.landfall.dev/{word}"), value.to_owned()))
        .into();
    let status = desk.look();
    let answers: Vec<_> =
        status.commands.iter().map(|(word, answer)| (word.as_str(), answer.result.as_str())).collect();
    assert_eq!(answers, [("pause", "Done"), ("promote", "Refused"), ("promte", "Refused"), ("skip", "Refused")]);
    assert_eq!(status.phase, Some(Phase::Paused));
    assert_eq!(
        stands(&status),
        [(Is::Unknown, Reason::Paused), (Is::False, Reason::Paused), (Is::False, Reason::Paused)]
    );
    desk.now += 60_000;
    assert_eq!(desk.look(), status);
}

#[test]
fn a_person_who_ends_a_run_is_named_in_the_history() {
    let aborted = statuses("abort-at-40").pop().unwrap();
    assert_eq!((aborted.history[0].by.as_deref(), aborted.history[0].phase), (Some("jane"), Phase::RolledBack));
    assert_eq!(aborted.error.unwrap().code, "ABORTED");
    assert_eq!(aborted.rejected[0].reason, "ABORTED: aborted by command at 00:00:13Z");
    let back = statuses("rollback-to-kept").pop().unwrap();
    assert_eq!((back.history[0].by.as_deref(), back.history[0].phase), (Some("jane"), Phase::Succeeded));
    assert_eq!(back.rejected[0].reason, "a rollback left it");
    assert_eq!(
        stands(&back),
        [(Is::False, Reason::Quarantined), (Is::False, Reason::Quarantined), (Is::True, Reason::Quarantined)]
    );
}

#[test]
fn a_retry_is_the_next_attempt_and_another_revision_the_first() {
    let attempts: Vec<_> = statuses("retry").pop().unwrap().history.iter().map(|run| run.run.attempt).collect();
    assert_eq!(attempts, [2, 1, 1]);
}

#[test]
fn an_error_says_which_check_which_value_and_which_limit() {
    let status = statuses("check-fails-at-40").pop().unwrap();
    let error = status.error.unwrap();
    assert_eq!((error.code.as_str(), error.step), ("CHECK_FAILED", Some(7)));
    assert_eq!(error.message, "check health found status 500: 2 failed, at most 1 may");
    let details = error.details.unwrap();
    assert!(details.contains("2 failures, limit 1; 0 successes of 2 needed"), "{details}");
    let late = statuses("progress-deadline").pop().unwrap();
    let error = late.error.clone().unwrap();
    assert_eq!(error.code, "PROGRESS_DEADLINE");
    assert!(error.details.unwrap().starts_with("it waited for 0 of "), "{late:?}");
    assert_eq!(condition(&late, Type::Stalled).reason, Reason::DeadlineExceeded);
}

#[test]
fn every_text_is_cut_to_what_the_schema_takes() {
    let mut desk = Desk::new(json!({}));
    desk.problem = Some(Problem::Stalled { reason: Reason::InvalidSpec, message: "ä".repeat(5_000) });
    let status = desk.look_without();
    for text in [status.waiting_for.unwrap(), status.error.unwrap().message, status.conditions[0].message.clone()] {
        assert_eq!((text.chars().count(), text.ends_with('…')), (1_024, true));
    }
}

#[test]
fn a_written_weight_is_not_verified_before_it_is_in_force() {
    let told = statuses("canary");
    let at = |share: &str, verified: bool| {
        told.iter().any(|status| {
            status
                .traffic
                .as_ref()
                .is_some_and(|traffic| traffic.candidate.to_string() == share && traffic.verified == verified)
        })
    };
    assert!(at("20", false) && at("20", true) && at("60", false) && at("60", true) && at("100", true));
    assert!(!at("40", true));
}

/// How the runs of a story ended, the first one first, as revision, phase and message.
fn ends(events: &str) -> Vec<(String, Phase, String)> {
    let text = format!(
        "title: x\nplan: {{canary: {{initial: 40, increment: 40, interval: 4}}}}\nevents:\n  - {{want: v1}}\n  \
         - {{when: phase Succeeded, want: v2}}\n{events}\nexpect: {{phase: Succeeded, stable: v3, after: 150}}"
    );
    let told = statuses_of(&serde_saphyr::from_str(&text).unwrap());
    let history = told.last().unwrap().history.clone();
    let end = |run: FinishedRun| (run.revision.hash, run.phase, run.message.unwrap_or_default());
    history.into_iter().rev().map(end).collect()
}

#[test]
fn a_run_that_one_look_replaces_by_the_next_is_in_the_history_as_it_ended() {
    let stable = |name: &str| (name.to_owned(), Phase::Succeeded, format!("{name}.0.0 is stable"));
    let superseded = ("v2".to_owned(), Phase::Cancelled, "revision v3 is wanted now".to_owned());
    assert_eq!(ends("  - {when: stage 3, want: v3}"), [stable("v1"), superseded, stable("v3")]);
    // It has all traffic already: only the pods of the old revision are left to go.
    assert_eq!(ends("  - {when: stage 9, want: v3}"), [stable("v1"), stable("v2"), stable("v3")]);
}

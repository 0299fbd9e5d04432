//! Every scenario, in order and with faults, told as a status at every look: what is told is what the schema allows, what
//! other programs understand, and never takes anything back.

use std::collections::BTreeMap;

use jsonschema::Validator;
use landfall::{
    api::{
        condition::{ConditionStatus as Is, ConditionType as Type},
        crd,
        deployment_status::{DeploymentStatus, HISTORY_MAX, Phase},
    },
    cli::lint::{Judgement, judge},
    engine::{
        action::Action,
        moment::Moment,
        observed::Observed,
        state::State,
        step::{Look, Step, Wanted},
    },
    rollout::{
        describe::events,
        record::Record,
        status::{Subject, View, report},
    },
    simulation::{scenario::Scenario, story::play, witness::Witness, world::World},
};
use serde_json::{Value, json};

use super::{UID, asked, conditions, deployment, record};
use crate::scenarios::scenarios;

/// In order, and with faults.
const SEEDS: [Option<u64>; 2] = [None, Some(1)];

#[test]
fn every_scenario_is_told_truly_at_every_look() {
    let validator = validator();
    for (path, scenario) in scenarios() {
        for seed in SEEDS {
            let looks = played(&scenario, seed);
            let (mut teller, mut last) = (Teller::default(), None);
            for looked in &looks {
                let told = teller.tell(looked);
                let what = format!("{} (seed {seed:?}) at {}", path.display(), looked.now);
                let bare = DeploymentStatus { record: None, ..told.clone() };
                if last.as_ref() != Some(&bare) {
                    valid(&validator, &told, &what);
                    understood(&told, &what);
                    last = Some(bare);
                }
                teller.believe(told, &what);
            }
            teller.ended(&looks, &path.display().to_string());
        }
    }
}

#[test]
fn every_last_status_passes_the_rules_of_its_schema_too() {
    for (path, scenario) in scenarios() {
        let mut teller = Teller::default();
        for looked in &played(&scenario, None) {
            let told = teller.tell(looked);
            teller.believe(told, "");
        }
        let spec = serde_json::to_value(deployment(&json!({}))).unwrap();
        let object = json!({
            "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "shop"},
            "spec": spec, "status": teller.before.unwrap(),
        });
        let Judgement::Own { findings, .. } = judge(&object).unwrap() else { panic!("it is of another kind") };
        assert_eq!(findings, [], "{}", path.display());
    }
}

/// The statuses of a scenario without faults, look after look.
pub fn statuses(name: &str) -> Vec<DeploymentStatus> {
    let (_, scenario) = scenarios().into_iter().find(|(path, _)| path.ends_with(format!("{name}.yaml"))).unwrap();
    statuses_of(&scenario)
}

pub fn statuses_of(scenario: &Scenario) -> Vec<DeploymentStatus> {
    let mut teller = Teller::default();
    let mut told = Vec::new();
    for looked in &played(scenario, None) {
        told.push(teller.tell(looked));
        teller.before = told.last().cloned();
    }
    told
}

/// One look whose decision was stored.
struct Looked {
    wanted: Wanted,
    observed: Observed,
    /// Whether there was a status to start from.
    remembered: bool,
    state: State,
    now: Moment,
}

/// Writes down every look.
#[derive(Default)]
struct Recorder(Vec<Looked>);

impl Witness for Recorder {
    fn decision(&mut self, look: Look<'_>, made: &Step, _: &World) {
        self.0.push(Looked {
            wanted: look.wanted.clone(),
            observed: look.observed.clone(),
            remembered: look.prior.is_some(),
            state: made.state.clone(),
            now: look.now,
        });
    }

    fn write(&mut self, _: &World, _: &State, _: &Action, _: u32) {}
    fn served(&mut self, _: &World) {}
    fn forgotten(&mut self) {}
}

fn played(scenario: &Scenario, seed: Option<u64>) -> Vec<Looked> {
    let mut recorder = Recorder::default();
    assert_eq!(play(scenario, seed, &mut recorder).unexpected, None, "{}", scenario.title);
    recorder.0
}

/// The schema of a status, in the words of JSON Schema.
fn validator() -> Validator {
    let definition = crd::definition("Deployment").unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let mut schema = schema.clone();
    close(&mut schema);
    Validator::new(&schema).unwrap()
}

/// Fields that the schema does not name are refused.
fn close(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
        schema["additionalProperties"] = json!(false);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner).filter(|inner| inner.is_object()) {
            close(inner);
        }
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("format");
        schema.remove("default");
    }
}

fn valid(validator: &Validator, told: &DeploymentStatus, what: &str) {
    let json = serde_json::to_value(told).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(&json).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}\n{json:#}");
    let read: DeploymentStatus = serde_json::from_value(json).unwrap();
    assert_eq!(&read, told, "{what}: it does not come back as it was written");
}

/// The table that kstatus readers and `kubectl wait` go by.
fn understood(told: &DeploymentStatus, what: &str) {
    let types: Vec<_> = told.conditions.iter().map(|condition| condition.type_).collect();
    assert_eq!(types, conditions(), "{what}");
    let phase = told.phase.unwrap();
    let [ready, reconciling, stalled] = [Type::Ready, Type::Reconciling, Type::Stalled].map(|about| is(told, about));
    let expected = match phase {
        Phase::Paused => [(Is::Unknown, Is::False, Is::False)].to_vec(),
        Phase::Stopped => [(Is::True, Is::False, Is::False)].to_vec(),
        // A rollback that succeeded left what is wanted.
        Phase::Succeeded => [(Is::True, Is::False, Is::False), (Is::False, Is::False, Is::True)].to_vec(),
        Phase::Failed | Phase::Cancelled | Phase::RolledBack => [(Is::False, Is::False, Is::True)].to_vec(),
        _ => [(Is::Unknown, Is::True, Is::False), (Is::False, Is::False, Is::True)].to_vec(),
    };
    assert!(expected.contains(&(ready, reconciling, stalled)), "{what}: {phase} {ready} {reconciling} {stalled}");
    assert_eq!(told.waiting_for.is_some(), !phase.is_terminal(), "{what}");
    assert!(told.conditions.iter().all(|condition| condition.observed_generation == told.observed_generation));
    if let Some(traffic) = &told.traffic {
        assert_eq!(traffic.stable, traffic.candidate.rest(), "{what}");
    }
}

fn is(told: &DeploymentStatus, about: Type) -> Is {
    told.conditions.iter().find(|condition| condition.type_ == about).unwrap().status
}

/// Tells look after look, each from what the one before left.
#[derive(Default)]
struct Teller {
    before: Option<DeploymentStatus>,
    record: Option<Record>,
    /// The runs that were over, and how often each was found at the top of the history.
    finished: BTreeMap<String, u32>,
}

impl Teller {
    fn tell(&mut self, looked: &Looked) -> DeploymentStatus {
        if !looked.remembered {
            *self = Self::default();
        }
        let mut record = record(looked.state.clone(), &looked.wanted.revision);
        record.started = self.record.as_ref().and_then(|before| before.started);
        record.stamp(looked.now);
        let told = self.at(looked, &record, looked.now);
        // What was told once is told again later, as long as nothing happens.
        let mut again = Self { before: Some(told.clone()), ..Self::default() };
        again.record = Some(record.clone());
        assert_eq!(again.at(looked, &record, Moment(looked.now.0 + 3_600_000)), told);
        assert_eq!(events(&told, &told), []);
        self.record = Some(record);
        told
    }

    fn at(&self, looked: &Looked, record: &Record, now: Moment) -> DeploymentStatus {
        let spec = deployment(&json!({}));
        report(&View {
            subject: Subject { uid: UID, generation: 3, label: "shop", spec: &spec },
            prior: self.before.as_ref(),
            record,
            observed: &looked.observed,
            intent: None,
            problem: None,
            trouble: None,
            asked: &asked(&looked.observed.commands, "jane"),
            pinned: None,
            desired: looked.wanted.desired,
            now,
        })
    }

    /// Compares with the look before, and remembers it as an object would.
    fn believe(&mut self, told: DeploymentStatus, what: &str) {
        if let Some(before) = &self.before {
            monotonic(before, &told, what);
            kept_times(before, &told, what);
            let known = |id: &str| before.history.iter().any(|run| run.run.id == id);
            for run in told.history.iter().filter(|run| !known(&run.run.id)) {
                *self.finished.entry(run.run.id.clone()).or_default() += 1;
            }
        } else {
            self.finished.extend(told.history.iter().map(|run| (run.run.id.clone(), 1)));
        }
        let ids: Vec<_> = told.history.iter().map(|run| &run.run.id).collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!((ids.len() <= HISTORY_MAX, unique.len()), (true, ids.len()), "{what}: {ids:?}");
        let over = told.run.as_ref().is_some_and(|run| run.completed_at.is_some());
        if over {
            assert_eq!(told.history[0].run, told.run.clone().unwrap(), "{what}");
        }
        self.before = Some(told);
    }

    /// Every run that came to its end since the status was last lost is in the history once.
    fn ended(&self, looks: &[Looked], what: &str) {
        assert!(self.finished.values().all(|times| *times == 1), "{what}: {:?}", self.finished);
        let since = looks.iter().rposition(|looked| !looked.remembered).unwrap_or_default();
        let mut runs = BTreeMap::new();
        for state in looks[since..].iter().map(|looked| &looked.state) {
            runs.extend(state.run.iter().map(|run| (run.number, run.outcome.is_some())));
        }
        let last = runs.keys().last().copied();
        let over = runs.iter().filter(|(number, over)| **over || Some(**number) != last).count();
        assert_eq!(self.finished.len(), over, "{what}: {runs:?} {:?}", self.finished);
        for run in &self.before.as_ref().unwrap().history {
            assert!(run.phase.is_terminal() && run.run.completed_at.is_some(), "{what}: {run:?}");
        }
    }
}

fn monotonic(before: &DeploymentStatus, told: &DeploymentStatus, what: &str) {
    let id = |status: &DeploymentStatus| status.run.as_ref().map(|run| run.id.clone());
    if id(before) != id(told) {
        return;
    }
    let (was, is) = (before.progress.clone().unwrap_or_default(), told.progress.clone().unwrap_or_default());
    assert!(was.percentage <= is.percentage && was.completed_steps <= is.completed_steps, "{what}: {was:?} {is:?}");
    assert_eq!(before.run.as_ref().map(|run| &run.started_at), told.run.as_ref().map(|run| &run.started_at), "{what}");
    assert_eq!(before.run.as_ref().map(|run| run.attempt), told.run.as_ref().map(|run| run.attempt), "{what}");
}

fn kept_times(before: &DeploymentStatus, told: &DeploymentStatus, what: &str) {
    for (was, is) in before.conditions.iter().zip(&told.conditions) {
        let flipped = was.status != is.status;
        assert!(flipped || was.last_transition_time == is.last_transition_time, "{what}: {was:?} {is:?}");
    }
}

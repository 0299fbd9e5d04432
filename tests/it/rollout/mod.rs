//! Between the custom resources and the engine: plans from specs, statuses from states, and events from statuses.

mod choose;
mod dependencies;
mod describe;
mod plan;
mod status;
mod told;

use std::collections::BTreeMap;

use landfall::{
    api::{condition::ConditionType, deployment::DeploymentSpec, profile::ProfileSpec},
    engine::{
        command::{About, Command},
        observed::Revision,
    },
    rollout::{
        commands::Asked,
        record::{Record, Rendered},
    },
};
use serde_json::{Value, json};

pub const UID: &str = "0a1b2c3d-0000-0000-0000-000000000000";

/// A spec with these fields beside the required ones.
pub fn deployment(fields: &Value) -> DeploymentSpec {
    let mut spec = json!({"package": {"name": "shop", "version": "1.0.0"}, "profile": "production"});
    merge(&mut spec, fields);
    serde_json::from_value(spec).unwrap()
}

pub fn profile(fields: &Value) -> ProfileSpec {
    let mut spec = json!({"environment": "production"});
    merge(&mut spec, fields);
    serde_json::from_value(spec).unwrap()
}

/// What a Deployment has conditions about, in their order: all but what is said of repositories.
pub fn conditions() -> Vec<ConditionType> {
    let all = ConditionType::ALL.iter().copied();
    all.filter(|about| *about != ConditionType::Synced).collect()
}

fn merge(spec: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
}

/// The record of a state, in which every revision is its own version.
pub fn record(state: landfall::engine::state::State, wanted: &Revision) -> Record {
    let names = state.stable.iter().chain(state.run.as_ref().map(|run| &run.revision)).chain([wanted]);
    let versions: BTreeMap<_, _> = names.map(|name| (name.clone(), format!("{name}.0.0"))).collect();
    let rendered = Rendered {
        inputs: wanted.0.clone(),
        revision: wanted.clone(),
        replicas: 10,
        version: "1.0.0".to_owned(),
        services: 1,
        routes: 0,
        alone: None,
        digest: None,
    };
    Record { state, wanted: Some(rendered), versions, ..Record::default() }
}

/// What annotations with these commands ask for.
pub fn asked(commands: &[Command], by: &str) -> Asked {
    assert!(commands.iter().all(|command| matches!(command.about, About::Run(_))));
    Asked { commands: commands.to_vec(), refused: Vec::new(), by: by.to_owned() }
}

//! The health script for Argo CD, run by the interpreter that Argo CD has.

use landfall::api::deployment_status::Phase;
use serde_json::{Value, json};

use crate::helm::run;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/argocd-health.lua");

/// A value as Lua writes it.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        // Strings of the tests have no character that the two languages write differently.
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => format!("{{{}}}", items.iter().map(lua).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("[{}]={}", json!(key), lua(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}

/// What the script says of an object: its health, and the words beside it.
fn health(object: &Value) -> (String, String) {
    let program = format!(
        "obj = {}; local health = assert(loadfile({}))(); print(health.status); print(health.message)",
        lua(object),
        json!(SCRIPT)
    );
    let printed = run("glua", &["-e", &program], "").unwrap();
    let (status, message) = printed.trim_end().split_once('\n').unwrap_or_else(|| panic!("{printed:?}"));
    (status.to_owned(), message.to_owned())
}

/// A Deployment in a phase, with the conditions that go with it.
fn deployment(phase: Phase, ready: &str, stalled: &str) -> Value {
    let condition = |name: &str, status: &str, message: &str| json!({"type": name, "status": status, "reason": phase.as_str(), "message": message});
    json!({
        "metadata": {"name": "web", "generation": 3},
        "status": {
            "observedGeneration": 3, "phase": phase.as_str(), "waitingFor": "2 of 5 pods",
            "conditions": [
                condition("Reconciling", "Unknown", ""), condition("Ready", ready, "of ready"),
                condition("Stalled", stalled, "of stalled"),
            ],
        },
    })
}

/// The conditions of each phase, and the health that belongs to them.
fn expected(phase: Phase) -> (&'static str, &'static str, (&'static str, &'static str)) {
    match phase {
        Phase::Succeeded | Phase::Stopped => ("True", "False", ("Healthy", "of ready")),
        Phase::Failed | Phase::Cancelled | Phase::RolledBack => ("False", "True", ("Degraded", "of stalled")),
        Phase::Paused => ("Unknown", "False", ("Suspended", "2 of 5 pods")),
        _ => ("Unknown", "False", ("Progressing", "2 of 5 pods")),
    }
}

#[test]
fn argo_cd_sees_the_health_of_every_phase() {
    for phase in Phase::ALL {
        let (ready, stalled, (status, message)) = expected(*phase);
        let seen = health(&deployment(*phase, ready, stalled));
        assert_eq!(seen, (status.to_owned(), message.to_owned()), "{phase:?}");
    }
}

#[test]
fn argo_cd_takes_no_old_status_for_an_answer() {
    let old = ("Progressing".to_owned(), "the operator has not seen this version of the object yet".to_owned());
    let mut object = deployment(Phase::Succeeded, "True", "False");
    object["metadata"]["generation"] = json!(4);
    assert_eq!(health(&object), old);
    assert_eq!(health(&json!({"metadata": {"generation": 1}, "status": {"observedGeneration": -1}})), old);
    assert_eq!(health(&json!({"metadata": {"generation": 1}})), old);

    // An invalid spec is Stalled without ever having been ready; a reason stands in for a missing message.
    let mut object = deployment(Phase::Pending, "False", "False");
    object["status"]["conditions"][1]["message"] = json!("");
    assert_eq!(health(&object), ("Degraded".to_owned(), "Pending".to_owned()));
}

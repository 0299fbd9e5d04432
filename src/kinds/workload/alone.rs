//! Pods of which two revisions must not run beside each other, and what to do about it.

use serde_json::Value;

use super::{
    json::{list, text},
    manifest::Item,
};

/// Why two revisions of a workload must not run beside each other, with the remedy; none where they may.
pub fn reason(workload: &Item, items: &[Item]) -> Option<String> {
    let spec = workload.object.pointer("/spec/template/spec")?;
    let (name, remedy) = (workload.name(), "use the strategy `rolling` with maxSurge 0");
    let why = if text(&workload.object, "/spec/strategy/type") == "Recreate" {
        format!(
            "asks for the strategy Recreate: {remedy} and maxUnavailable 100%, or remove spec.strategy from its manifest"
        )
    } else if spec["hostNetwork"] == true {
        format!("uses the network of its node (hostNetwork): {remedy}, or remove hostNetwork")
    } else if has_host_port(spec) {
        format!("has a port of its node (hostPort): {remedy}, or remove hostPort")
    } else {
        claims(spec).find_map(|claim| exclusive(claim, items)).map(|(why, or)| format!("{why}: {remedy}, or {or}"))?
    };
    Some(format!("workload {name} {why}"))
}

fn has_host_port(spec: &Value) -> bool {
    let containers = list(spec, "/containers").iter().chain(list(spec, "/initContainers"));
    containers.flat_map(|container| list(container, "/ports")).any(|port| port["hostPort"].as_i64().unwrap_or(0) != 0)
}

fn claims(spec: &Value) -> impl Iterator<Item = &str> {
    list(spec, "/volumes").iter().filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str())
}

/// Why only one node or pod may use a claim, and what would change that. Of a claim that is not in the package nobody knows.
fn exclusive(claim: &str, items: &[Item]) -> Option<(String, &'static str)> {
    let known = items.iter().find(|item| item.is("", "PersistentVolumeClaim") && item.name() == claim);
    let Some(known) = known else {
        let why =
            format!("uses the volume claim {claim}, which is not in the package, so that its access modes are unknown");
        return Some((why, "add the claim to the package"));
    };
    let many = |mode: &Value| [Some("ReadWriteMany"), Some("ReadOnlyMany")].contains(&mode.as_str());
    let shared = list(&known.object, "/spec/accessModes").iter().any(many);
    let why = format!("uses the volume claim {claim}, which one node or pod may use at a time");
    (!shared).then_some((why, "share it ReadWriteMany"))
}

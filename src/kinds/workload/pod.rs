//! Pod templates: where objects keep them, and which `ConfigMap`s and Secrets they name.
//!
//! A test holds [`REFERENCES`] against the types of Kubernetes: a reference that is missing here would leave a pod of a
//! revision with somebody else's configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a pod can be configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Config {
    /// A `ConfigMap`.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl Config {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ConfigMap, Self::Secret];

    /// The kind of object.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// What an object of the core group with this kind is; none for other kinds.
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|config| group.is_empty() && config.kind() == kind)
    }
}

/// The lists of containers of a pod.
pub const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Every place in the spec of a pod that names a `ConfigMap` or a Secret of its namespace; `[]` stands for every item of
/// a list, and what follows `container.` is in all of [`CONTAINERS`].
pub const REFERENCES: [(Config, &str); 18] = [
    (Config::ConfigMap, "container.env[].valueFrom.configMapKeyRef.name"),
    (Config::Secret, "container.env[].valueFrom.secretKeyRef.name"),
    (Config::ConfigMap, "container.envFrom[].configMapRef.name"),
    (Config::Secret, "container.envFrom[].secretRef.name"),
    (Config::Secret, "imagePullSecrets[].name"),
    (Config::ConfigMap, "volumes[].configMap.name"),
    (Config::Secret, "volumes[].secret.secretName"),
    (Config::ConfigMap, "volumes[].projected.sources[].configMap.name"),
    (Config::Secret, "volumes[].projected.sources[].secret.name"),
    (Config::Secret, "volumes[].azureFile.secretName"),
    (Config::Secret, "volumes[].cephfs.secretRef.name"),
    (Config::Secret, "volumes[].cinder.secretRef.name"),
    (Config::Secret, "volumes[].csi.nodePublishSecretRef.name"),
    (Config::Secret, "volumes[].flexVolume.secretRef.name"),
    (Config::Secret, "volumes[].iscsi.secretRef.name"),
    (Config::Secret, "volumes[].rbd.secretRef.name"),
    (Config::Secret, "volumes[].scaleIO.secretRef.name"),
    (Config::Secret, "volumes[].storageos.secretRef.name"),
];

/// The pointer to the pod template of a kind; none where it has no such template.
pub fn template(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("apps", "Deployment") | ("batch", "Job") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

/// The `ConfigMap`s and Secrets that a template names.
pub fn named(template: &Value) -> BTreeSet<(Config, String)> {
    let mut found = BTreeSet::new();
    // The walk is written once, for changes; a template is small.
    each_reference(&mut template.clone(), &mut |config, name| {
        found.insert((config, name.clone()));
    });
    found
}

/// Gives the references of a template the names of the revision.
pub fn rename(template: &mut Value, names: &BTreeMap<(Config, String), String>) {
    each_reference(template, &mut |config, name| {
        if let Some(new) = names.get(&(config, name.clone())) {
            name.clone_from(new);
        }
    });
}

/// Calls for every container of a template, of whatever kind.
pub fn each_container(template: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    for list in CONTAINERS {
        let containers = template.pointer_mut("/spec").and_then(|spec| spec.get_mut(list));
        containers.and_then(Value::as_array_mut).into_iter().flatten().for_each(&mut *change);
    }
}

fn each_reference(template: &mut Value, visit: &mut dyn FnMut(Config, &mut String)) {
    let Some(spec) = template.get_mut("spec") else { return };
    for (config, path) in REFERENCES {
        let mut at = |name: &mut Value| {
            if let Value::String(name) = name {
                visit(config, name);
            }
        };
        match path.strip_prefix("container.") {
            Some(inside) => CONTAINERS.iter().for_each(|list| walk(spec, &format!("{list}[].{inside}"), &mut at)),
            None => walk(spec, path, &mut at),
        }
    }
}

fn walk(value: &mut Value, path: &str, visit: &mut dyn FnMut(&mut Value)) {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(inner) = value.get_mut(step.trim_end_matches("[]")) else { return };
    let mut go = |inner: &mut Value| if rest.is_empty() { visit(inner) } else { walk(inner, rest, visit) };
    if step.ends_with("[]") {
        inner.as_array_mut().into_iter().flatten().for_each(go);
    } else {
        go(inner);
    }
}

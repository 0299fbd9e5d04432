//! The objects that a namespace needs before packages can be carried to it.
//!
//! What a package contains is written as an account of its own namespace, with no right beyond it. The rights are these,
//! and the chart gives the same:
//!
//! | group | resources | verbs | what for |
//! |---|---|---|---|
//! | apps | replicasets | all of [`WRITE`] | the pods of a revision |
//! | apps | deployments, statefulsets, daemonsets | all of [`WRITE`] | what a repository contains beside packages |
//! | landfall.dev | packages, deployments | all of [`WRITE`] | what a repository contains |
//! | apps | replicasets/scale | get, update, patch | their number |
//! | core | services, configmaps, secrets, persistentvolumeclaims | all of [`WRITE`] | what a package contains |
//! | core | pods | get, list, watch | what a restart replaces |
//! | core | pods/eviction | create | replaces it within disruption budgets |
//! | batch | jobs, cronjobs | all of [`WRITE`] | what a package contains |
//! | gateway.networking.k8s.io | httproutes, grpcroutes | all of [`WRITE`] | routes and their weights |
//! | networking.k8s.io | ingresses, networkpolicies | all of [`WRITE`] | what a package contains |
//! | policy | poddisruptionbudgets | all of [`WRITE`] | what a package contains |
//! | autoscaling | horizontalpodautoscalers | all of [`WRITE`] | what a package contains |
//!
//! The operator itself gets two things: it may act as that account, and it keeps the records of revisions, which are Secrets
//! (`get`, `list`, `create`, `delete`; a Role cannot say names that start alike).
//!
//! Left out on purpose: roles and role bindings (a package could give itself anything), service accounts (one with more
//! rights could be named by a pod), pods and pods/exec (instances belong to a revision), and everything without namespace.
//! A namespace whose packages need more gets a second Role beside this one.

use serde_json::{Value, json};

use crate::api::{DEFAULT_SERVICE_ACCOUNT, GROUP, MANAGED_BY, MANAGED_BY_LABEL};

/// The Role that lets the operator act as the account, and the name of its binding.
pub const IMPERSONATE: &str = "landfall-impersonate";

/// The Role of what the operator does under its own name, and the name of its binding.
pub const OPERATOR: &str = "landfall-operator";

/// What one does with objects that one looks after.
pub const WRITE: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

/// Where the objects belong, and who the operator is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The namespace that is prepared.
    pub namespace: String,
    /// The operator's namespace.
    pub operator_namespace: String,
    /// The operator's service account there.
    pub operator_account: String,
}

/// All objects, in the order in which they are applied.
pub fn manifests(place: &Place) -> Vec<Value> {
    let deployer = json!({"kind": "ServiceAccount", "name": DEFAULT_SERVICE_ACCOUNT, "namespace": place.namespace});
    let operator =
        json!({"kind": "ServiceAccount", "name": place.operator_account, "namespace": place.operator_namespace});
    vec![
        object(
            place,
            ("v1", "ServiceAccount"),
            DEFAULT_SERVICE_ACCOUNT,
            &json!({"automountServiceAccountToken": false}),
        ),
        object(place, RBAC_ROLE, DEFAULT_SERVICE_ACCOUNT, &json!({"rules": rules()})),
        object(place, RBAC_BINDING, DEFAULT_SERVICE_ACCOUNT, &binding(DEFAULT_SERVICE_ACCOUNT, &deployer)),
        object(place, RBAC_ROLE, IMPERSONATE, &json!({"rules": [impersonation()]})),
        object(place, RBAC_BINDING, IMPERSONATE, &binding(IMPERSONATE, &operator)),
        object(
            place,
            RBAC_ROLE,
            OPERATOR,
            &json!({"rules": [rule("", &["secrets"], &["get", "list", "create", "delete"])]}),
        ),
        object(place, RBAC_BINDING, OPERATOR, &binding(OPERATOR, &operator)),
    ]
}

const RBAC_ROLE: (&str, &str) = ("rbac.authorization.k8s.io/v1", "Role");
const RBAC_BINDING: (&str, &str) = ("rbac.authorization.k8s.io/v1", "RoleBinding");

fn object(place: &Place, (api_version, kind): (&str, &str), name: &str, content: &Value) -> Value {
    let labels = json!({MANAGED_BY_LABEL: MANAGED_BY});
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": place.namespace, "labels": labels},
    });
    for (field, value) in content.as_object().into_iter().flatten() {
        object[field] = value.clone();
    }
    object
}

fn rules() -> Value {
    json!([
        rule("apps", &["replicasets", "deployments", "statefulsets", "daemonsets"], &WRITE),
        rule(GROUP, &["packages", "deployments"], &WRITE),
        rule("apps", &["replicasets/scale"], &["get", "update", "patch"]),
        rule("", &["services", "configmaps", "secrets", "persistentvolumeclaims"], &WRITE),
        rule("", &["pods"], &["get", "list", "watch"]),
        rule("", &["pods/eviction"], &["create"]),
        rule("batch", &["jobs", "cronjobs"], &WRITE),
        rule("gateway.networking.k8s.io", &["httproutes", "grpcroutes"], &WRITE),
        rule("networking.k8s.io", &["ingresses", "networkpolicies"], &WRITE),
        rule("policy", &["poddisruptionbudgets"], &WRITE),
        rule("autoscaling", &["horizontalpodautoscalers"], &WRITE),
    ])
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn impersonation() -> Value {
    json!({
        "apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [DEFAULT_SERVICE_ACCOUNT],
        "verbs": ["impersonate"],
    })
}

fn binding(role: &str, subject: &Value) -> Value {
    json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [subject],
    })
}

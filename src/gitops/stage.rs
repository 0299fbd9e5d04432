//! In which order objects are written and deleted: what others refer to comes first, and goes last.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{inventory::Entry, object::Id, object::Manifest};
use crate::api::GROUP;

/// The kinds that have a place of their own, stage by stage. Whatever is not named has the place of [`OTHERS`].
const ORDER: &[&[(&str, &str)]] = &[
    &[("", "Namespace")],
    &[("apiextensions.k8s.io", "CustomResourceDefinition")],
    // Here is whatever else has no namespace.
    &[],
    &[("", "ResourceQuota"), ("", "LimitRange"), ("networking.k8s.io", "NetworkPolicy"), ("", "ServiceAccount")],
    &[("rbac.authorization.k8s.io", "Role")],
    &[("rbac.authorization.k8s.io", "RoleBinding"), ("rbac.authorization.k8s.io", "ClusterRoleBinding")],
    &[("", "ConfigMap"), ("", "Secret"), ("", "PersistentVolumeClaim")],
    &[("", "Service")],
    &[(GROUP, "Package")],
    &[(GROUP, "Profile")],
    // Here is whatever else has one: workloads, and custom resources.
    &[],
    &[(GROUP, "Deployment"), ("autoscaling", "HorizontalPodAutoscaler"), ("keda.sh", "ScaledObject")],
    &[("gateway.networking.k8s.io", "Gateway")],
    &[
        ("networking.k8s.io", "Ingress"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
        ("gateway.networking.k8s.io", "GRPCRoute"),
        ("gateway.networking.k8s.io", "TLSRoute"),
        ("gateway.networking.k8s.io", "TCPRoute"),
        ("gateway.networking.k8s.io", "UDPRoute"),
    ],
    // What can refuse every other write, and is answered by pods.
    &[
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("apiregistration.k8s.io", "APIService"),
    ],
];

/// The stage of what has no namespace and is not named.
const CLUSTER_WIDE: usize = 2;
/// The stage of what has a namespace and is not named.
const OTHERS: usize = 10;

/// What is written as one stage: Services, Packages, Profiles, and the workloads that they are about. None of them needs another
/// one to be there before, and an API server gives addresses to new Services one after the other: whoever waits for the last of a
/// thousand before the first workload waits for nothing else meanwhile.
const TOGETHER: RangeInclusive<usize> = 7..=OTHERS;

/// The rank of an object. Smaller ones are written first, and deleted last.
pub fn rank(id: &Id) -> usize {
    let own = ORDER.iter().position(|kinds| kinds.contains(&(id.group(), &id.kind)));
    own.unwrap_or(if id.namespace.is_none() { CLUSTER_WIDE } else { OTHERS })
}

/// Whether later stages need this object to be healthy, not only to be there: a namespace, or the definition of a kind.
pub fn is_ground(id: &Id) -> bool {
    rank(id) < CLUSTER_WIDE
}

/// The indices of manifests in the stages in which they are written. No stage is empty.
pub fn stages(manifests: &[Manifest]) -> Vec<Vec<usize>> {
    let (mut stages, mut together) = (Vec::new(), Vec::new());
    for (rank, stage) in grouped(manifests.iter().map(|manifest| &manifest.id)) {
        if TOGETHER.contains(&rank) {
            together.push(stage);
            continue;
        }
        if rank > *TOGETHER.end() && !together.is_empty() {
            stages.push(in_turn(&std::mem::take(&mut together)));
        }
        stages.push(stage);
    }
    if !together.is_empty() {
        stages.push(in_turn(&together));
    }
    stages
}

/// One of each in turn, so that what is slow and what is quick are under way together.
fn in_turn(all: &[Vec<usize>]) -> Vec<usize> {
    let longest = all.iter().map(Vec::len).max().unwrap_or_default();
    (0..longest).flat_map(|at| all.iter().filter_map(move |one| one.get(at).copied())).collect()
}

/// The indices of entries in the stages in which they are deleted: the other way round.
pub fn prune_stages(entries: &[Entry]) -> Vec<Vec<usize>> {
    grouped(entries.iter().map(|entry| &entry.id)).into_values().rev().collect()
}

fn grouped<'i>(ids: impl Iterator<Item = &'i Id>) -> BTreeMap<usize, Vec<usize>> {
    let mut stages: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, id) in ids.enumerate() {
        stages.entry(rank(id)).or_default().push(index);
    }
    stages
}

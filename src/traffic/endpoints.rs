//! Where requests to a Service arrive: ready endpoints, by the revision of the pod behind them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::engine::observed::Revision;

/// The characters that the API server adds to the generated name of a pod.
const RANDOM_LENGTH: usize = 5;

/// The characters that it takes them from.
const RANDOM_FROM: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What it keeps of the name before them, the hyphen included.
const BASE_MAX: usize = 63 - RANDOM_LENGTH;

/// The name under which endpoints count that belong to no known revision.
pub const NO_KNOWN_REVISION: &str = "?";

/// One of the lists of endpoints of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is ready; absent means yes.
    pub ready: Option<bool>,
    /// Whether its pod is being deleted; absent means no.
    pub terminating: Option<bool>,
    /// The name of its pod; none where something else is behind it.
    pub pod: Option<String>,
}

impl From<&EndpointSlice> for Slice {
    fn from(slice: &EndpointSlice) -> Self {
        let endpoint = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| Endpoint {
            ready: endpoint.conditions.as_ref().and_then(|conditions| conditions.ready),
            terminating: endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating),
            pod: endpoint
                .target_ref
                .as_ref()
                .filter(|it| it.kind.as_deref() == Some("Pod"))
                .and_then(|it| it.name.clone()),
        };
        Self { endpoints: slice.endpoints.iter().flatten().map(endpoint).collect() }
    }
}

impl Endpoint {
    /// Whether requests are sent to it. One that is not ready any more, or ends, may finish those that it has.
    pub fn serves(&self) -> bool {
        self.ready.unwrap_or(true) && !self.terminating.unwrap_or(false)
    }
}

/// The ready endpoints of a Service, by revision. A pod counts once, in however many lists and address families it is.
/// One that no `ReplicaSet` could have made, or that those of two revisions could have, counts under
/// [`NO_KNOWN_REVISION`]; so does what is no pod, for requests arrive there all the same.
pub fn by_revision(slices: &[Slice], replica_sets: &[(String, Revision)]) -> BTreeMap<Revision, u32> {
    let serving = || slices.iter().flat_map(|slice| &slice.endpoints).filter(|endpoint| endpoint.serves());
    let pods: BTreeSet<&str> = serving().filter_map(|endpoint| endpoint.pod.as_deref()).collect();
    let others = serving().filter(|endpoint| endpoint.pod.is_none()).map(|_| unknown());
    let mut ready: BTreeMap<Revision, u32> = BTreeMap::new();
    for revision in pods.into_iter().map(|pod| revision(pod, replica_sets)).chain(others) {
        let count = ready.entry(revision).or_default();
        *count = count.saturating_add(1);
    }
    ready
}

fn unknown() -> Revision {
    Revision(NO_KNOWN_REVISION.to_owned())
}

fn revision(pod: &str, replica_sets: &[(String, Revision)]) -> Revision {
    let makers = replica_sets.iter().filter(|(name, _)| is_from(pod, name));
    let revisions: BTreeSet<&Revision> = makers.map(|(_, revision)| revision).collect();
    match revisions.first() {
        Some(revision) if revisions.len() == 1 => (*revision).clone(),
        _ => unknown(),
    }
}

/// Whether a pod of this name can be one of this `ReplicaSet`: the set's name and a hyphen, of which the API server
/// keeps the first 58 characters, and 5 random ones.
fn is_from(pod: &str, replica_set: &str) -> bool {
    let kept = replica_set.chars().chain(['-']).take(BASE_MAX).collect::<String>();
    pod.strip_prefix(&kept)
        .is_some_and(|random| random.len() == RANDOM_LENGTH && random.chars().all(|c| RANDOM_FROM.contains(c)))
}

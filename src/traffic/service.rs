//! What a Service selects, and the Services of a package as the engine's one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    api::{NO_REVISION, POD_HASH_LABEL, SELECTS_ANNOTATION},
    engine::observed::{Pods, Revision, Service},
    traffic::{hash, text},
};

/// The part of a Service's selector that tells revisions apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// No revision: it selects nothing, or says so.
    Nothing,
    /// One revision.
    One(Revision),
    /// Every revision that has pods. It is meant to select these.
    Every(BTreeSet<Revision>),
}

impl Selector {
    /// From the labels that a Service selects, and the value of its annotation [`SELECTS_ANNOTATION`].
    pub fn new(labels: Option<&BTreeMap<String, String>>, annotation: Option<&str>) -> Self {
        let Some(labels) = labels.filter(|labels| !labels.is_empty()) else { return Self::Nothing };
        match labels.get(POD_HASH_LABEL).map(String::as_str) {
            Some(NO_REVISION) => Self::Nothing,
            Some(hash) => Self::One(Revision(hash.to_owned())),
            None => Self::Every(listed(annotation.unwrap_or_default())),
        }
    }

    /// From a whole Service.
    pub fn read(service: &Value) -> Self {
        let selector = service.get("spec").and_then(|spec| spec.get("selector")).and_then(Value::as_object);
        let labels = selector.map(|selector| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            selector.iter().map(|(label, value)| (label.clone(), text(value))).collect()
        });
        let annotations = service.get("metadata").and_then(|metadata| metadata.get("annotations"));
        Self::new(labels.as_ref(), annotations.and_then(|annotations| text(annotations, SELECTS_ANNOTATION)))
    }
}

fn listed(annotation: &str) -> BTreeSet<Revision> {
    annotation.split(',').map(str::trim).filter(|hash| !hash.is_empty()).map(|hash| Revision(hash.to_owned())).collect()
}

/// The revisions that requests to a Service may arrive at, given the revisions that exist.
///
/// A selector that tells no revisions apart reaches every one with pods, whatever the annotation says; one that the
/// annotation names is selected even before it has pods.
pub fn selects(selector: &Selector, revisions: &BTreeMap<Revision, Pods>) -> BTreeSet<Revision> {
    match selector {
        Selector::Nothing => BTreeSet::new(),
        Selector::One(revision) => [revision.clone()].into(),
        Selector::Every(meant) => {
            let some = revisions.iter().filter(|(_, pods)| pods.scale > 0 || pods.ready > 0);
            meant.iter().chain(some.map(|(revision, _)| revision)).cloned().collect()
        }
    }
}

/// One live Service of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its resource version.
    pub resource_version: String,
    /// What it selects; see [`selects`].
    pub selects: BTreeSet<Revision>,
    /// Its ready endpoints; see [`super::endpoints::by_revision`].
    pub endpoints: BTreeMap<Revision, u32>,
}

/// The Services together, in whatever order they are given; none where there is none, see [`virtual_service`].
///
/// A revision that all of them select has as many endpoints as where it has the fewest: there must be enough in each. One
/// that selects nothing while others select something has lost its turn, and counts as one that should select the same.
/// Any other revision has as many as where it has the most: one endpoint anywhere means that requests arrive there.
pub fn combine_services(services: &[Member]) -> Option<Service> {
    let mut services: Vec<&Member> = services.iter().collect();
    services.sort_by(|left, right| left.name.cmp(&right.name));
    services.first()?;
    let selects: BTreeSet<Revision> = services.iter().flat_map(|service| service.selects.iter().cloned()).collect();
    let reached = services.iter().flat_map(|service| service.endpoints.keys());
    let revisions: BTreeSet<&Revision> = selects.iter().chain(reached).collect();
    let endpoints = revisions.into_iter().map(|revision| (revision.clone(), ready(&services, revision)));
    Some(Service {
        endpoints: endpoints.filter(|(_, ready)| *ready > 0).collect(),
        partial: !selects.is_empty() && services.iter().any(|service| service.selects.is_empty()),
        version: hash::over(services.iter().flat_map(|it| [it.name.as_str(), it.resource_version.as_str()])),
        selects,
    })
}

fn ready(services: &[&Member], revision: &Revision) -> u32 {
    let counts = services.iter().map(|service| service.endpoints.get(revision).copied().unwrap_or(0));
    let everywhere = services.iter().all(|service| service.selects.is_empty() || service.selects.contains(revision));
    if everywhere { counts.min() } else { counts.max() }.unwrap_or(0)
}

/// What stands for the Service of a package that has none: it selects what is remembered, and every ready pod of that
/// is an endpoint. Its version is always 0: nobody else writes it.
pub fn virtual_service(front: &BTreeSet<Revision>, pods: &BTreeMap<Revision, Pods>) -> Service {
    let ready = |revision: &Revision| pods.get(revision).map(|pods| (revision.clone(), pods.ready));
    let endpoints = front.iter().filter_map(ready).filter(|(_, ready)| *ready > 0).collect();
    Service { selects: front.clone(), endpoints, partial: false, version: 0 }
}

//! Objects of watches, read without what nobody here needs.
//!
//! The record of who owns which field is as large as the rest of an object, and is skipped. The client's own guard against
//! objects that cannot be read, and its generic object, both build a tree of the whole object before they look at it, which was
//! most of what a watch cost.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::{
    Resource,
    core::{Object, error_boundary::InvalidObject},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::api::{
    deployment::{Deployment, DeploymentSpec},
    deployment_status::DeploymentStatus,
    package::{Package, PackageSpec, PackageStatus},
    profile::{Profile, ProfileSpec, ProfileStatus},
};

/// An object, or why it cannot be read. One that cannot be read breaks no list and no watch.
#[derive(Debug, Clone)]
pub struct Lean<K>(pub Result<K, Box<InvalidObject>>);

/// A kind that is put together from its parts.
pub trait Parted {
    /// What is wanted.
    type Spec: DeserializeOwned;
    /// What is said of it.
    type Status: DeserializeOwned;

    /// The object of these parts.
    fn of(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self;
}

macro_rules! parted {
    ($($kind:ident: $spec:ident, $status:ident);+) => {
        $(impl Parted for $kind {
            type Spec = $spec;
            type Status = $status;

            fn of(metadata: ObjectMeta, spec: $spec, status: Option<$status>) -> Self {
                Self { metadata, spec, status }
            }
        })+
    };
}
parted!(Package: PackageSpec, PackageStatus; Profile: ProfileSpec, ProfileStatus; Deployment: DeploymentSpec, DeploymentStatus);

impl<P, U> Parted for Object<P, U>
where
    P: Clone + DeserializeOwned,
    U: Clone + DeserializeOwned,
{
    type Spec = P;
    type Status = U;

    fn of(metadata: ObjectMeta, spec: P, status: Option<U>) -> Self {
        Self { types: None, metadata, spec, status }
    }
}

#[derive(Deserialize)]
struct Parts {
    metadata: Meta,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

/// What is read of an object's metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            generation: meta.generation,
            creation_timestamp: meta.creation_timestamp,
            deletion_timestamp: meta.deletion_timestamp,
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: meta.owner_references,
            finalizers: meta.finalizers,
            ..Self::default()
        }
    }
}

impl<'de, K: Parted> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(deserializer)?;
        let metadata = ObjectMeta::from(parts.metadata);
        let spec = serde_json::from_str(parts.spec.as_ref().map_or("null", |spec| spec.get()));
        let status = parts.status.map(|status| serde_json::from_str(status.get())).transpose();
        Ok(Self(match (spec, status) {
            (Ok(spec), Ok(status)) => Ok(K::of(metadata, spec, status)),
            (Err(error), _) | (_, Err(error)) => Err(Box::new(InvalidObject { error: error.to_string(), metadata })),
        }))
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|broken| &broken.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|broken| &mut broken.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;

    use super::*;

    const PROFILE: &str = r#"{"apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": "a", "namespace": "b",
        "resourceVersion": "7", "labels": {"c": "d"}, "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
        "spec": SPEC}"#;

    fn read(spec: &str) -> Option<Lean<Profile>> {
        let event = format!(r#"{{"type": "ADDED", "object": {}}}"#, PROFILE.replace("SPEC", spec));
        match serde_json::from_str(&event) {
            Ok(WatchEvent::Added(object)) => Some(object),
            _ => None,
        }
    }

    #[test]
    fn an_object_comes_whole_but_for_the_owners_of_its_fields() {
        let spec = r#"{"environment": "test", "strategy": {"rolling": {}}}"#;
        let lean = read(spec).and_then(|lean| lean.0.ok());
        let mut plain: Option<Profile> = serde_json::from_str(&PROFILE.replace("SPEC", spec)).ok();
        if let Some(plain) = &mut plain {
            plain.metadata.managed_fields = None;
        }
        assert!(lean.is_some());
        assert_eq!(lean, plain);
    }

    #[test]
    fn an_object_that_cannot_be_read_is_known_by_its_name() {
        for spec in [r#"{"environment": 7}"#, "null", "[]"] {
            let lean = read(spec);
            assert_eq!(lean.as_ref().and_then(|lean| lean.meta().name.as_deref()), Some("a"), "{spec}");
            assert!(lean.is_some_and(|lean| lean.0.is_err()), "{spec}");
        }
    }
}

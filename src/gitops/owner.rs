//! Whose an object is: what a source marks its objects with, and by what those of others are known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    inventory::{Entry, Kept, Mark, consent},
    object::{Id, Manifest},
};
use crate::api::{DEPLOYMENT_LABEL, PROFILE_LABEL, PROFILE_NAMESPACE_LABEL};

/// The Profile whose source looks after objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub profile: &'a str,
}

/// Who sets the number of instances of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// The repository.
    Wanted,
    /// An autoscaler or a person, by the object's scale: they are left alone.
    Scaled,
}

impl Replicas {
    /// Who set them last, by the records of a live object's fields.
    pub fn of(live: &Value) -> Self {
        let records = live.pointer("/metadata/managedFields").and_then(Value::as_array);
        let scaled = records.into_iter().flatten().any(|record| record["subresource"] == "scale");
        if scaled { Self::Scaled } else { Self::Wanted }
    }
}

impl Owner<'_> {
    /// The labels of everything that the source looks after.
    pub fn labels(self, id: &Id) -> BTreeMap<&'static str, String> {
        let mut labels = BTreeMap::from([(PROFILE_LABEL, self.profile.to_owned())]);
        if id.namespace.as_deref() != Some(self.namespace) {
            labels.insert(PROFILE_NAMESPACE_LABEL, self.namespace.to_owned());
        }
        labels
    }

    /// An object as it is sent: with the labels by which it is found again, and without what an autoscaler sets.
    pub fn sent(self, manifest: &Manifest, replicas: Replicas) -> Value {
        let mut object = manifest.object();
        for (label, value) in self.labels(&manifest.id) {
            object["metadata"]["labels"][label] = value.into();
        }
        if replicas == Replicas::Scaled
            && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.remove("replicas");
        }
        object
    }

    /// Who an object belongs to, if not to this source or to nobody: by its labels, and by kind and name of its controller.
    pub fn stranger(self, labels: &BTreeMap<String, String>, controller: Option<(&str, &str)>) -> Option<String> {
        if let Some((kind, name)) = controller {
            return Some(format!("the {kind} {name}"));
        }
        if let Some(deployment) = labels.get(DEPLOYMENT_LABEL) {
            return Some(format!("the Deployment {deployment}"));
        }
        let profile = labels.get(PROFILE_LABEL)?;
        let is_own = profile == self.profile && self.is_of_namespace(labels.get(PROFILE_NAMESPACE_LABEL));
        (!is_own).then(|| format!("the source of the Profile {profile}"))
    }

    /// Whether an object that left the repository may be deleted.
    ///
    /// # Errors
    /// Why it has to stay.
    pub fn consent(self, entry: &Entry, live: &Value) -> Result<(), Kept> {
        // Profiles of two namespaces may have one name, and objects without a namespace are of all.
        let labels = live.pointer("/metadata/labels");
        let namespace = labels.and_then(|labels| labels.get(PROFILE_NAMESPACE_LABEL)?.as_str());
        if !self.is_of_namespace(namespace) {
            return Err(Kept::Owned);
        }
        consent(entry, live, Mark { key: PROFILE_LABEL, value: self.profile })
    }

    fn is_of_namespace(self, namespace: Option<impl AsRef<str>>) -> bool {
        namespace.is_none_or(|namespace| namespace.as_ref() == self.namespace)
    }
}

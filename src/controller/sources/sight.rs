//! What is seen of an object: which one it is, in which version, and who wrote what of it, by `managedFields` alone.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use crate::{
    api::{PROFILE_LABEL, PROFILE_NAMESPACE_LABEL, SOURCE_FIELD_MANAGER},
    cluster::{bring::Meta, store::Key},
    gitops::object::Id,
};

/// What is seen of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// Which of all objects of its name it is.
    pub uid: String,
    /// Its version.
    pub version: String,
    /// Whether somebody sets its number of instances by its scale.
    pub scaled: bool,
    /// Whether somebody may have changed what the source wrote.
    pub suspect: bool,
    /// How often its spec changed. Kinds without that, as Secrets, have no status either: another version is another content.
    generation: Option<i64>,
    /// The fields that are the source's, as a hash: whoever removes one leaves no time.
    own: u64,
    /// Whether something may have been taken away since the source wrote.
    lost: bool,
    /// The number of the operator's own write; 0 where it has written nothing.
    pub written: u64,
}

impl Sight {
    /// What an object's metadata says. Somebody who wrote after the source did is suspected.
    pub fn of(meta: &ObjectMeta) -> Self {
        let entries = meta.managed_fields.as_deref().unwrap_or_default();
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            scaled: is_scaled(entries),
            suspect: is_suspect(entries),
            generation: meta.generation,
            own: own(entries),
            ..Self::default()
        }
    }

    /// An object as the operator wrote it: nobody is suspected. Who sets its number of instances is what was seen before.
    pub fn written(answer: &Meta, number: u64, before: Option<&Self>) -> Self {
        Self {
            uid: answer.uid.clone(),
            version: answer.resource_version.clone(),
            scaled: before.is_some_and(|before| before.scaled),
            own: own(&answer.managed_fields),
            written: number,
            ..Self::default()
        }
    }

    /// Whether it is the same object in the same version.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.uid, &self.version) == (&other.uid, &other.version)
    }

    /// The same, after another version was seen before. Of a Secret from `stringData` the source owns no field, so that
    /// only its version tells.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.uid == self.uid);
        let lost = before.is_some_and(|before| before.lost || before.own != self.own || self.generation.is_none());
        Self { lost, suspect: self.suspect || lost, ..self }
    }
}

/// Whose object it is, and which.
pub fn name(meta: &ObjectMeta, (api_version, kind): (&str, &str)) -> Option<(Key, Id)> {
    let labels = meta.labels.as_ref()?;
    let profile = labels.get(PROFILE_LABEL)?;
    let namespace = labels.get(PROFILE_NAMESPACE_LABEL).or(meta.namespace.as_ref())?;
    let id = Id {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone()?,
    };
    Some((Key::new(namespace, profile), id))
}

/// Whether an entry is about more than what controllers report.
fn is_wish(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().is_none_or(str::is_empty)
}

fn is_own(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(SOURCE_FIELD_MANAGER)
}

/// Whether somebody else may have changed what the source wrote: somebody wrote after it.
fn is_suspect(entries: &[ManagedFieldsEntry]) -> bool {
    let own = entries.iter().filter(|entry| is_own(entry)).filter_map(|entry| entry.time.as_ref()).max();
    let mut others = entries.iter().filter(|entry| is_wish(entry) && !is_own(entry));
    others.any(|other| other.time.as_ref() >= own)
}

/// Whether an autoscaler, or a person, sets the number of instances.
fn is_scaled(entries: &[ManagedFieldsEntry]) -> bool {
    entries.iter().any(|entry| entry.subresource.as_deref() == Some("scale"))
}

/// The fields of the source, as a hash.
fn own(entries: &[ManagedFieldsEntry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in entries.iter().filter(|entry| is_own(entry)) {
        entry.fields_v1.as_ref().map(|fields| fields.0.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn meta(version: &str, fields: &[&str], other: Option<&str>) -> Value {
        let data: serde_json::Map<_, _> = fields.iter().map(|field| (format!("f:{field}"), json!({}))).collect();
        let own = json!({"manager": SOURCE_FIELD_MANAGER, "operation": "Apply", "time": "2026-01-01T00:00:05Z", "fieldsV1": {"f:data": data}});
        let other = other.map(|time| json!({"manager": "kubectl", "operation": "Update", "time": time}));
        let entries: Vec<Value> = [Some(own), other].into_iter().flatten().collect();
        json!({"name": "one", "uid": "u", "resourceVersion": version, "generation": 1, "managedFields": entries})
    }

    fn sight(version: &str, fields: &[&str], other: Option<&str>) -> Sight {
        Sight::of(&serde_json::from_value(meta(version, fields, other)).unwrap())
    }

    fn written(version: &str, fields: &[&str]) -> Sight {
        Sight::written(&serde_json::from_value(meta(version, fields, None)).unwrap(), 1, None)
    }

    #[test]
    fn whoever_wrote_after_the_source_is_suspected() {
        for (time, suspect) in [
            (None, false),
            (Some("2026-01-01T00:00:04Z"), false),
            (Some("2026-01-01T00:00:05Z"), true),
            (Some("2026-01-01T00:00:06Z"), true),
        ] {
            assert_eq!(sight("1", &["a"], time).suspect, suspect, "{time:?}");
        }
    }

    #[test]
    fn whoever_removes_a_field_leaves_no_time_and_is_suspected_until_the_source_writes() {
        let before = written("1", &["a", "b"]);
        let touched = sight("2", &["a"], None);
        assert!(!touched.suspect, "alone it tells nothing");
        let touched = touched.after(Some(&before));
        assert!(touched.suspect);
        // A controller writes its status.
        let later = sight("3", &["a"], None).after(Some(&touched));
        assert!(later.suspect);
        assert!(!sight("5", &["a", "b"], None).after(Some(&written("4", &["a", "b"]))).suspect);
        // Another object of the name was never the same.
        let another = Sight { uid: "v".to_owned(), ..sight("6", &["a"], None) };
        assert!(!another.after(Some(&before)).suspect);
    }

    #[test]
    fn of_kinds_that_nobody_reports_on_another_version_is_suspicious() {
        let mut plain = meta("2", &["a"], None);
        plain["generation"] = Value::Null;
        let plain = Sight::of(&serde_json::from_value(plain).unwrap());
        assert!(!plain.suspect);
        assert!(plain.after(Some(&written("1", &["a"]))).suspect);
    }

    #[test]
    fn what_only_a_controller_reports_is_nothing() {
        let before = written("1", &["a"]);
        assert!(!sight("2", &["a"], None).after(Some(&before)).suspect);
        assert!(written("1", &["a"]).is_same(&sight("1", &["a"], Some("2026-01-01T00:00:06Z"))));
    }
}

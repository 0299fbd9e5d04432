//! The references of a pod to `ConfigMap`s and Secrets, held against the types of Kubernetes: when those gain a place that
//! names one, a test here fails.
//!
//! The places are found by reading a `PodSpec` from an endless supply: every field is there, every list has an item, and
//! every text is the path at which it stands.

use std::{cell::RefCell, collections::BTreeSet};

use k8s_openapi::api::core::v1::PodSpec;
use landfall::kinds::workload::pod::{self, Config, REFERENCES};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        DeserializeSeed, Error, MapAccess, SeqAccess, Visitor,
        value::{Error as Failure, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Value, json};

/// Every text of the pod: its path, and the type of the object that it is a field of.
type Texts = RefCell<Vec<(String, &'static str)>>;

#[derive(Clone)]
struct Everything<'a> {
    path: String,
    owner: &'static str,
    texts: &'a Texts,
}

impl Everything<'_> {
    fn inside(&self, step: &str, owner: &'static str) -> Self {
        let dot = if step == "[]" || self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{dot}{step}", self.path), owner, texts: self.texts }
    }

    fn text(&self) -> String {
        self.texts.borrow_mut().push((self.path.clone(), self.owner));
        self.path.clone()
    }
}

impl<'de> Deserializer<'de> for Everything<'_> {
    type Error = Failure;

    /// What may be several things is a text; a type that cannot be one would fail the test.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_string(self.text())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_map(Fields { from: self, owner: name, keys: fields.iter(), key: "" })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_map(Fields { from: self, owner: "map", keys: ["key"].iter(), key: "" })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_seq(One(Some(self)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            "Time" => visitor.visit_newtype_struct(StrDeserializer::<Failure>::new("2026-01-02T03:04:05Z")),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_bool(true)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_i32(1)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_i64(1)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier
    }
}

struct Fields<'a> {
    from: Everything<'a>,
    owner: &'static str,
    keys: std::slice::Iter<'static, &'static str>,
    key: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some(key) = self.keys.next() else { return Ok(None) };
        self.key = key;
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let value = seed.deserialize(self.from.inside(self.key, self.owner));
        value.map_err(|error| Failure::custom(format!("{}.{}: {error}", self.from.path, self.key)))
    }
}

struct One<'a>(Option<Everything<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some(list) = self.0.take() else { return Ok(None) };
        seed.deserialize(list.inside("[]", list.owner)).map(Some)
    }
}

/// A pod with everything in it, and its texts.
fn everything() -> (Value, Vec<(String, &'static str)>) {
    let texts = Texts::default();
    let spec = PodSpec::deserialize(Everything { path: String::new(), owner: "", texts: &texts }).unwrap();
    (spec.serialize(serde_json::value::Serializer).unwrap(), texts.into_inner())
}

/// Texts that stand beside a reference, or have a telling name, and are none.
const NO_REFERENCES: [&str; 17] = [
    "configMapKeyRef.key",
    "secretKeyRef.key",
    "configMap.items[].key",
    "configMap.items[].path",
    "secret.items[].key",
    "secret.items[].path",
    // Files of a volume of the pod, and of the node.
    "fileKeyRef.key",
    "fileKeyRef.path",
    "fileKeyRef.volumeName",
    "cephfs.secretFile",
    // A claim or a snapshot; neither can be a ConfigMap or a Secret.
    "dataSource.kind",
    "dataSource.name",
    "dataSource.apiGroup",
    "dataSourceRef.kind",
    "dataSourceRef.name",
    "dataSourceRef.apiGroup",
    "dataSourceRef.namespace",
];

/// Whether a text looks like the name of a `ConfigMap` or a Secret.
fn is_suspect(path: &str, owner: &str) -> bool {
    let path = path.to_lowercase();
    let owner_names = ["LocalObjectReference", "SecretReference", "KeySelector", "ObjectReference"];
    path.contains("secret") || path.contains("configmap") || owner_names.iter().any(|name| owner.ends_with(name))
}

#[test]
fn every_place_of_a_pod_that_names_a_configuration_is_known() {
    let (spec, texts) = everything();
    assert!(texts.len() > 300, "only {} texts of a pod were found", texts.len());
    let suspects: BTreeSet<_> =
        texts.iter().filter(|(path, owner)| is_suspect(path, owner)).map(|(path, _)| path).collect();
    let named: BTreeSet<_> = pod::named(&json!({"spec": spec})).into_iter().map(|(_, path)| path).collect();
    let missed: Vec<_> = suspects
        .iter()
        .filter(|path| !named.contains(**path) && !NO_REFERENCES.iter().any(|end| path.ends_with(end)))
        .collect();
    assert!(missed.is_empty(), "add these to REFERENCES, or say here that they are none: {missed:#?}");
    let stale: Vec<_> = NO_REFERENCES.iter().filter(|end| !suspects.iter().any(|path| path.ends_with(**end))).collect();
    assert!(stale.is_empty(), "these are no longer there: {stale:?}");
    // Four of the references are in each of three lists of containers.
    assert_eq!(named.len(), REFERENCES.len() + 2 * 4, "a reference leads nowhere: {named:#?}");
}

#[test]
fn a_reference_is_told_by_its_kind() {
    let (spec, _) = everything();
    for (config, path) in pod::named(&json!({"spec": spec})) {
        let is_map = path.to_lowercase().contains("configmap");
        assert_eq!(config == Config::ConfigMap, is_map, "{path}");
    }
}

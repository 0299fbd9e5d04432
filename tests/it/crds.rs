//! The definitions of the custom resources: what is committed is what the program prints, and every field has its
//! description and its bound.

use std::{env, fs};

use landfall::{
    api::{crd, deployment::Deployment, package::Package, profile::Profile},
    cli::crds,
};
use serde_json::{Value, json};

use crate::cli::{landfall, run};

const UPDATE: &str = "LANDFALL_UPDATE_GOLDENS";

fn path(kind: &str) -> String {
    format!("{}/crds/{}.yaml", env!("CARGO_MANIFEST_DIR"), kind.to_lowercase())
}

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    for kind in crd::KINDS {
        let (path, now) = (path(kind), crds::one(kind).unwrap());
        if env::var_os(UPDATE).is_some() {
            fs::write(&path, &now).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == now, "{path} is not what the types say: run {UPDATE}=1 cargo test --test it crds");
    }
    assert!(crds::one("Pod").is_err());
}

#[test]
fn the_command_prints_all_definitions_and_they_read_back_as_they_are() {
    let (code, printed, _) = run(&mut landfall(&["crds"]));
    assert_eq!(code, 0);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&printed).unwrap();
    assert_eq!(documents, crd::definitions());
    let names: Vec<_> = documents.iter().map(|document| document["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["packages.landfall.dev", "profiles.landfall.dev", "deployments.landfall.dev"]);
}

#[test]
fn names_columns_and_subresources_are_those_of_the_design() {
    let version = |kind| crd::definition(kind).unwrap()["spec"]["versions"][0].take();
    for (kind, short) in [("Package", "pkg"), ("Profile", "prof"), ("Deployment", "dpl")] {
        let definition = crd::definition(kind).unwrap();
        assert_eq!(definition["spec"]["names"]["shortNames"], json!([short]));
        assert_eq!(definition["spec"]["names"]["categories"], json!(["landfall"]));
        assert_eq!(definition["spec"]["scope"], "Namespaced");
        let status = &version(kind)["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(status["default"], json!({"observedGeneration": -1}), "{kind}");
        assert_eq!(status["properties"]["conditions"]["x-kubernetes-list-map-keys"], json!(["type"]), "{kind}");
    }
    let version = version("Deployment");
    let columns: Vec<_> = version["additionalPrinterColumns"].as_array().unwrap().iter().collect();
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Phase", "Progress", "Step", "Weight", "Health", "Age", "Waiting"]);
    assert_eq!(columns[6]["priority"], 1);
    let scale = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    assert_eq!(version["subresources"]["scale"], scale);
}

/// Complaints about a schema and all schemas inside it.
fn complaints(at: &str, schema: &Value, found: &mut Vec<String>) {
    let mut complain = |text: &str| found.push(format!("{at}: {text}"));
    match schema["type"].as_str() {
        Some("string") if schema["maxLength"].is_null() && schema["enum"].is_null() => complain("no maxLength"),
        Some("array") if schema["maxItems"].is_null() => complain("no maxItems"),
        Some("object") if schema["additionalProperties"].is_object() && schema["maxProperties"].is_null() => {
            complain("no maxProperties");
        }
        Some("number") => complain("a float"),
        _ => {}
    }
    if schema["nullable"] == true {
        complain("may be null");
    }
    if schema["format"].as_str().is_some_and(|format| format.starts_with('u')) {
        complain("unsigned");
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if !rule["message"].as_str().is_some_and(|message| {
            message.contains(':') || message.contains("such as") || message.contains("looks like")
        }) {
            complain("a rule whose message does not say the remedy");
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        if inner["description"].as_str().is_none_or(str::is_empty) && !["spec", "status"].contains(&name.as_str()) {
            found.push(format!("{at}: no description: write a /// comment"));
        }
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.contains('_') {
            found.push(format!("{at}: not camelCase"));
        }
        complaints(&at, inner, found);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            complaints(&format!("{at}{mark}"), &schema[key], found);
        }
    }
}

#[test]
fn every_field_is_described_and_bounded() {
    let mut found = Vec::new();
    for kind in crd::KINDS {
        complaints(kind, &crd::schema(kind).unwrap(), &mut found);
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let bad = json!({"properties": {
        "bare": {"type": "string"},
        "list": {"type": "array", "description": "x", "items": {"type": "number"}},
        "Map": {"type": "object", "description": "x", "additionalProperties": {"type": "integer", "format": "uint32"}},
        "rule": {"nullable": true, "description": "x", "x-kubernetes-validations": [{"rule": "false", "message": "no"}]},
    }});
    complaints("", &bad, &mut found);
    assert_eq!(found.len(), 9, "{found:?}");
}

#[test]
fn a_new_object_without_status_and_one_with_unknown_words_can_both_be_read() {
    let bare = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"package": {"name": "web", "version": "1.0.0"}, "profile": "p"},
        "status": {"observedGeneration": -1},
    });
    let deployment: Deployment = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(serde_json::to_value(&deployment).unwrap(), bare);

    let mut newer = bare;
    newer["status"] = json!({
        "observedGeneration": 3, "phase": "Levitating", "health": "Splendid", "fieldOfTomorrow": 1,
        "currentStep": {"number": 1, "action": "Teleport"},
        "traffic": {"stable": "99.5", "candidate": "0.5", "verified": true},
        "conditions": [{"type": "Lucky", "status": "Perhaps", "reason": "Because", "lastTransitionTime": "2026-01-02T03:04:05Z"}],
    });
    newer["spec"]["fieldOfTomorrow"] = json!(1);
    let deployment: Deployment = serde_json::from_value(newer).unwrap();
    let status = json!(deployment.status.unwrap());
    assert_eq!((&status["phase"], &status["health"]), (&json!("Unknown"), &json!("Unknown")));
    assert_eq!(status["traffic"], json!({"stable": "99.5", "candidate": "0.5", "verified": true}));
    assert_eq!(status["conditions"][0]["reason"], "Unknown");
}

#[test]
fn the_types_write_what_they_read() {
    let package = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "metadata": {"name": "p-1.0.0"},
        "spec": {
            "name": "p", "version": "1.0.0", "state": "Archived", "tags": ["a"], "metadata": {"k": "v"},
            "dependsOn": [{"name": "db", "version": ">=1, <2"}],
            "origin": {"id": "1", "environment": "staging", "createdBy": "me"},
            "workload": {"manifests": [{"kind": "X", "data": {"a": [1, null, "b"]}}]},
        },
    });
    let read: Package = serde_json::from_value(package.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), package);
    let profile = json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": "p"},
        "spec": {
            "environment": "production", "target": {"namespace": "x"}, "deletionPolicy": "Orphan",
            "checks": [{"name": "up", "http": {"url": "http://x", "method": "HEAD"}, "noData": "Fail", "interval": "1m30s"}],
            "strategy": {"canary": {"steps": [{"weight": 5}, {"pause": {}}, {"checks": ["up"]}]}, "onFailure": "Pause"},
        },
    });
    let read: Profile = serde_json::from_value(profile.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), profile);
}

//! Changes that a Deployment makes to the objects of its package: patches first, then images, then variables.
//!
//! What changes nothing is refused: it is a mistyped name far more often than a wish.

use std::collections::BTreeSet;

use json_patch::Patch;
use serde_json::{Value, json};

use super::{
    image::Image,
    json::{push, remove, text},
    manifest::Item,
    parts::is_workload,
    pod,
    render::Refusal,
    strategic::{self, Lists, Outcome},
};
use crate::api::{
    deployment::{EnvFrom, EnvOverride, ImageOverride, Overrides, PatchOverride},
    names::check_subdomain,
};

/// Applies overrides to the objects of a package and says which of them cannot be.
pub fn apply(items: &mut Vec<Item>, overrides: Option<&Overrides>, env_from: &[EnvFrom]) -> Vec<Refusal> {
    let mut found = Vec::new();
    if let Some(Overrides { images, env, patches }) = overrides {
        for (index, wanted) in patches.iter().enumerate() {
            let at = format!("spec.overrides.patches[{index}]");
            found.extend(
                patch(items, wanted).err().map(|(field, message)| Refusal::new(format!("{at}.{field}"), message)),
            );
        }
        found.extend(set_images(items, images));
        found.extend(env.iter().enumerate().filter_map(|(index, variable)| {
            let message = "no container is there to have it: add a Deployment to the package";
            (!set_variable(items, variable)).then(|| Refusal::new(format!("spec.overrides.env[{index}]"), message))
        }));
    }
    for (index, source) in env_from.iter().enumerate() {
        match check_subdomain(&source.secret) {
            Ok(()) => add_source(items, source),
            Err(error) => found.push(Refusal::new(format!("spec.envFrom[{index}].secret"), error.to_string())),
        }
    }
    found
}

/// Every image is compared with what the package says, not with what another override has made of it.
fn set_images(items: &mut [Item], images: &[ImageOverride]) -> Vec<Refusal> {
    let mut used = BTreeSet::new();
    for template in items.iter_mut().filter_map(Item::template_mut) {
        pod::each_container(template, &mut |container| {
            let changed = container.get("image").and_then(Value::as_str).and_then(|image| {
                let image = Image::parse(image);
                let index = images.iter().position(|wanted| wanted.name == image.name)?;
                used.insert(index);
                Some(image.with(&images[index]))
            });
            if let Some(changed) = changed {
                container["image"] = json!(changed);
            }
        });
    }
    let unused = images.iter().enumerate().filter(|(index, _)| !used.contains(index));
    unused
        .map(|(index, wanted)| {
            let message =
                format!("no container has the image {}: write it as the package does, without tag", wanted.name);
            Refusal::new(format!("spec.overrides.images[{index}].name"), message)
        })
        .collect()
}

fn set_variable(items: &mut [Item], variable: &EnvOverride) -> bool {
    let entry = json!({"name": variable.name, "value": variable.value});
    let mut found = false;
    each_workload_container(items, &mut |container| {
        found = true;
        let known = container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten();
        match known.into_iter().find(|known| text(known, "/name") == variable.name) {
            // In its place: variables may refer to those before them.
            Some(known) => *known = entry.clone(),
            None => push(container, "env", entry.clone()),
        }
    });
    found
}

fn add_source(items: &mut [Item], source: &EnvFrom) {
    let mut entry = json!({"secretRef": {"name": source.secret}});
    if let Some(prefix) = &source.prefix {
        entry["prefix"] = json!(prefix);
    }
    each_workload_container(items, &mut |container| push(container, "envFrom", entry.clone()));
}

fn each_workload_container(items: &mut [Item], change: &mut dyn FnMut(&mut Value)) {
    let workloads = items.iter_mut().filter(|item| is_workload(item));
    workloads.filter_map(Item::template_mut).for_each(|template| pod::each_container(template, change));
}

/// What is wrong with a field of a patch.
type Wrong = (&'static str, String);

fn patch(items: &mut Vec<Item>, wanted: &PatchOverride) -> Result<(), Wrong> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    let patch: Value = serde_saphyr::from_str_with_options(&wanted.patch, options)
        .map_err(|error| ("patch", format!("this is neither YAML nor JSON: {error}")))?;
    let is_meant = target(wanted, &patch)?;
    let (mut found, mut result) = (false, Ok(()));
    items.retain_mut(|item| {
        if !is_meant(item) {
            return true;
        }
        found = true;
        let outcome = patched(item, &patch).map_err(|message| result = Err(("patch", message)));
        outcome != Ok(Outcome::Deleted)
    });
    if !found {
        return Err(("target", "the package has no such object: correct kind and name".to_owned()));
    }
    result
}

/// Which objects a patch is meant for.
fn target<'a>(wanted: &'a PatchOverride, patch: &'a Value) -> Result<impl Fn(&Item) -> bool + use<'a>, Wrong> {
    let named = |pointer: &str| Some(text(patch, pointer)).filter(|text| !text.is_empty());
    let (kind, name) = match &wanted.target {
        Some(target) => (target.kind.as_deref(), target.name.as_deref()),
        None if patch.is_array() => {
            return Err(("target", "a JSON patch does not say what it is for: add kind and name".to_owned()));
        }
        None => (named("/kind"), named("/metadata/name")),
    };
    if wanted.target.is_none() && (kind.is_none() || name.is_none()) {
        let message = "the patch names no object: add kind and metadata.name to it, or set `target`";
        return Err(("patch", message.to_owned()));
    }
    Ok(move |item: &Item| kind.is_none_or(|kind| item.kind() == kind) && name.is_none_or(|name| item.name() == name))
}

fn patched(item: &mut Item, patch: &Value) -> Result<Outcome, String> {
    let mut after = item.clone();
    let outcome = match patch {
        Value::Array(_) => json_patched(&mut after.object, patch)?,
        _ => strategic::apply(&mut after.object, &without_identity(patch), lists_of(item))?,
    };
    let identity = |item: &Item| [text(&item.object, "/apiVersion"), item.kind(), item.name()].map(str::to_owned);
    if outcome == Outcome::Kept && identity(&after) != identity(item) {
        return Err("apiVersion, kind and metadata.name make an object what it is: leave them as they are".to_owned());
    }
    *item = after;
    Ok(outcome)
}

/// A patch with a target may name another object, as in kustomize: that says nothing.
fn without_identity(patch: &Value) -> Value {
    let mut patch = patch.clone();
    for path in [&["apiVersion"][..], &["kind"], &["metadata", "name"]] {
        remove(&mut patch, path);
    }
    patch
}

fn json_patched(object: &mut Value, patch: &Value) -> Result<Outcome, String> {
    let patch: Patch = serde_json::from_value(patch.clone())
        .map_err(|_| "this is no JSON patch: write a list of operations with op, path and value".to_owned())?;
    json_patch::patch(object, &patch).map_err(|error| format!("the JSON patch does not fit: {error}"))?;
    Ok(Outcome::Kept)
}

fn lists_of(item: &Item) -> Lists {
    if ["", "apps", "batch"].contains(&item.group()) { Lists::BuiltIn } else { Lists::Replaced }
}

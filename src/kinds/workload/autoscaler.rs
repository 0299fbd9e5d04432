//! Autoscalers of a package: they have to scale the Deployment of Landfall, whose instances are divided among revisions.

use super::{json::text, manifest::Item, parts::is_workload, render::Refusal};
use crate::api::{GROUP, crd};

/// Kinds that scale something, with the field that names it and the kind that is meant where that does not say.
const AUTOSCALERS: [(&str, &str, &str); 3] = [
    ("autoscaling", "HorizontalPodAutoscaler", "scaleTargetRef"),
    ("keda.sh", "ScaledObject", "scaleTargetRef"),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler", "targetRef"),
];

/// A refusal of an autoscaler that would scale a workload of the package behind Landfall's back.
pub fn refusal(item: &Item, items: &[Item]) -> Option<Refusal> {
    let (_, _, field) = AUTOSCALERS.iter().find(|(group, kind, _)| item.is(group, kind))?;
    let of_target = |key: &str| text(&item.object, &format!("/spec/{field}/{key}"));
    let group = of_target("apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    let is_deployment = ["", "Deployment"].contains(&of_target("kind"));
    let name = of_target("name");
    let is_own = items.iter().any(|other| is_workload(other) && other.name() == name);
    if group == GROUP || !is_deployment || !is_own {
        return None;
    }
    let message = format!(
        "{name} becomes one ReplicaSet per revision, which nothing but Landfall may scale: target the Landfall Deployment with \
         apiVersion {} and kind Deployment",
        crd::api_version()
    );
    Some(item.refuse(&format!("spec.{field}"), message))
}

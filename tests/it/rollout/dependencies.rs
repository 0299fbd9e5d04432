//! What has to run first.

use std::collections::{BTreeMap, BTreeSet};

use landfall::{
    api::{package::Dependency, version::VersionRange},
    rollout::dependencies::{Neighbour, cycle, missing},
};

fn dependency(name: &str, range: Option<&str>) -> Dependency {
    Dependency { name: name.to_owned(), version: range.map(VersionRange::new) }
}

fn neighbour(package: &str, stable: Option<&str>) -> Neighbour {
    let stable = stable.map(|text| text.parse().unwrap());
    Neighbour { deployment: format!("my-{package}"), package: package.to_owned(), stable }
}

fn graph(edges: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in edges {
        graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
    }
    graph
}

#[test]
fn a_dependency_is_satisfied_by_a_stable_revision_in_range() {
    let wanted = [dependency("cache", Some(">=1.2, <2")), dependency("queue", None)];
    assert_eq!(missing(&wanted, &[neighbour("cache", Some("1.9.0")), neighbour("queue", Some("0.1.0"))]), [""; 0]);
    assert_eq!(missing(&[], &[]), [""; 0]);
}

#[test]
fn what_is_missing_is_said_with_names() {
    let cache = [dependency("cache", Some("^2"))];
    assert_eq!(missing(&cache, &[]), ["package cache in the range ^2: no Deployment of this Profile carries it"]);
    assert_eq!(
        missing(&cache, &[neighbour("cache", Some("1.0.0")), neighbour("cache", None)]),
        ["package cache in the range ^2: Deployment my-cache runs 1.0.0, Deployment my-cache runs nothing yet"]
    );
    assert_eq!(missing(&[dependency("cache", Some("two"))], &[neighbour("cache", Some("2.0.0"))]).len(), 1);
}

#[test]
fn a_circle_is_named_from_its_own_point_of_view() {
    let all = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "b"), ("d", "a"), ("e", "e")]);
    assert_eq!(cycle("a", &all), Some(["a", "b", "c", "a"].map(str::to_owned).into()));
    assert_eq!(cycle("b", &all), Some(["b", "c", "b"].map(str::to_owned).into()));
    assert_eq!(cycle("e", &all), Some(["e", "e"].map(str::to_owned).into()));
    assert_eq!(cycle("d", &all), None);
    assert_eq!(cycle("unknown", &all), None);
}

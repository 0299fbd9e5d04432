//! The tree as lines and as JSON. Pure.

use std::collections::BTreeMap;

use anstyle::Style;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Forest, inventory::Entry};
use crate::{
    api::{
        GROUP,
        deployment::Deployment,
        source::{Drift, SourceStatus},
    },
    cli::{
        status::{
            picture::{Line, Node},
            report as run,
        },
        sync::report,
        terminal::{BAD, BUSY, FAINT, STRONG, style_of},
    },
};

/// The whole picture.
pub fn picture(forest: &Forest) -> Vec<Line> {
    let source = forest.source();
    let mut lines = Node { line: forest.head(&source), inside: groups(forest, &source) }.lines();
    lines.extend(report::details(&forest.profile));
    if forest.entries.is_empty() && forest.notes.is_empty() {
        lines.push(Line::default().then(FAINT, "  it looks after no object yet"));
    }
    lines.extend(forest.notes.iter().map(|note| Line::default().then(FAINT, format!("note: {note}"))));
    lines
}

/// The same for programs.
pub fn object(forest: &Forest) -> Value {
    let source = forest.source();
    let profile = &forest.profile;
    json!({
        "profile": profile.name_any(), "namespace": profile.namespace(), "phase": source.phase,
        "commit": report::commit(&source).map(|commit| &commit.id), "waitingFor": source.waiting_for,
        "objects": forest.entries.iter().map(|entry| forest.entry(entry, &source)).collect::<Vec<_>>(),
        "failures": source.failures, "notes": forest.notes,
    })
}

/// The kinds with their objects: those of Landfall first, the others by name.
fn groups(forest: &Forest, source: &SourceStatus) -> Vec<Node> {
    let mut kinds: BTreeMap<(bool, String), Vec<&Entry>> = BTreeMap::new();
    for entry in &forest.entries {
        kinds.entry((entry.group != GROUP, entry.title())).or_default().push(entry);
    }
    let group = |((_, title), mut entries): ((bool, String), Vec<&Entry>)| {
        entries.sort_by_key(|entry| entry.place());
        let line = Line::default().then(STRONG, title).then(FAINT, format!(" ({})", entries.len()));
        Node { line, inside: entries.iter().map(|entry| forest.leaf(entry, source)).collect() }
    };
    kinds.into_iter().map(group).collect()
}

impl Forest {
    fn source(&self) -> SourceStatus {
        report::source(&self.profile).cloned().unwrap_or_default()
    }

    fn head(&self, source: &SourceStatus) -> Line {
        let namespace = self.profile.namespace().unwrap_or_default();
        let name = format!("Profile {namespace}/{}  ", self.profile.name_any());
        report::head(Line::default().then(STRONG, name), source)
    }

    fn deployment(&self, entry: &Entry) -> Option<&Deployment> {
        let key = (entry.namespace.clone()?, entry.name.clone());
        self.deployments.get(&key).filter(|_| entry.is_deployment())
    }

    fn leaf(&self, entry: &Entry, source: &SourceStatus) -> Node {
        let mut line = Line::new(entry.place());
        if entry.is_deployment() {
            line = match self.deployment(entry) {
                Some(deployment) => with_phase(line, deployment),
                None => line.then(BUSY, "  not seen"),
            };
        }
        if let Some(drift) = drift(entry, source) {
            let by = drift.manager.as_ref().map(|manager| format!(" by {manager}")).unwrap_or_default();
            line = line.then(BAD, format!("  changed{by}: {}", drift.message));
        }
        Node::leaf(line)
    }

    fn entry(&self, entry: &Entry, source: &SourceStatus) -> Value {
        let Entry { group, version, kind, namespace, name } = entry;
        let mut object =
            json!({"group": group, "version": version, "kind": kind, "namespace": namespace, "name": name});
        if let Some(status) = self.deployment(entry).and_then(|deployment| deployment.status.as_ref()) {
            object["phase"] = json!(status.phase);
            object["waitingFor"] = json!(status.waiting_for);
        }
        if let Some(drift) = drift(entry, source) {
            object["drift"] = json!({"manager": drift.manager, "message": drift.message});
        }
        object
    }
}

fn with_phase(line: Line, deployment: &Deployment) -> Line {
    let status = deployment.status.clone().unwrap_or_default();
    line.then(Style::new(), "  ").then(status.phase.map_or(BUSY, style_of), run::line(&status))
}

fn drift<'a>(entry: &Entry, source: &'a SourceStatus) -> Option<&'a Drift> {
    let object = format!("{} {}", entry.kind, entry.place());
    source.drift.iter().find(|drift| drift.object == object)
}

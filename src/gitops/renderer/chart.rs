//! What a chart of Helm needs: its directory, and the files with values that the Profile names.

use serde_json::Value;

use super::{
    super::{
        document::{self, Document},
        problem::Problem,
        render::NOT_YAML,
        select::NOT_A_FILE,
        tree::Kind,
    },
    MISSING, REMOTE, SETTINGS,
    files::{Closure, Found, Place, Tree},
};

/// The longest name of a release.
pub const RELEASE_MAX: usize = 53;

/// The files of a chart that name others.
pub const NAMING: [&str; 2] = ["Chart.yaml", "requirements.yaml"];

/// All files of a chart, and those with values, by their paths from the root of the repository.
///
/// # Errors
/// Everything that is refused.
pub fn closure(tree: &Tree<'_>, directory: &str, values: &[String]) -> Result<(Closure, Vec<String>), Vec<Problem>> {
    let (mut closure, mut named, mut problems) = (Closure::default(), Vec::new(), Vec::new());
    for entry in tree.below(directory) {
        if entry.kind == Kind::File {
            closure.add(entry);
        } else if !entry.path.split('/').any(|part| part.starts_with('.')) {
            let message = "a chart has no links here, and submodules only with spec.source.git.submodules: set it, or commit the files themselves";
            problems.push(Problem::new(&entry.path, 1, NOT_A_FILE, message));
        }
    }
    for (index, text) in values.iter().enumerate() {
        let field = format!("spec.source.helm.valuesFiles[{index}]");
        match tree.find(directory, text, Place { file: &field, line: 1 }) {
            Ok(Found::File(entry)) => {
                closure.add(entry);
                named.push(entry.path.clone());
            }
            Ok(Found::Directory(_)) => {
                problems.push(Problem::new(&field, 1, MISSING, "this is a directory: name a file"));
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(closure.excess(Place { file: directory, line: 1 }));
    if problems.is_empty() { Ok((closure, named)) } else { Err(problems) }
}

/// The name of a chart, and what is wrong with what one of its files names: charts that would have to be fetched.
///
/// # Errors
/// Everything that is refused.
pub fn judge(tree: &Tree<'_>, directory: &str, (path, content): (&str, &[u8])) -> Result<Option<String>, Vec<Problem>> {
    let problem = |error: document::Unreadable| vec![Problem::new(path, error.line, NOT_YAML, error.message)];
    let documents = document::text(content).and_then(document::read).map_err(problem)?;
    let Some(document) = documents.first() else { return Ok(None) };
    let name = document.value.get("name").and_then(Value::as_str).map(ToOwned::to_owned);
    let dependencies = document.value.get("dependencies").and_then(Value::as_array).map_or(0, Vec::len);
    let missing = |index| missing(tree, directory, (path, document), index);
    let problems: Vec<Problem> = (0..dependencies).filter_map(missing).collect();
    if problems.is_empty() { Ok(name) } else { Err(problems) }
}

/// Why a dependency cannot be used: it is not in the chart.
fn missing(tree: &Tree<'_>, directory: &str, (path, document): (&str, &Document), index: usize) -> Option<Problem> {
    let pointer = format!("/dependencies/{index}");
    let name = document.value.pointer(&format!("{pointer}/name")).and_then(Value::as_str).unwrap_or_default();
    let charts = if directory.is_empty() { "charts".to_owned() } else { format!("{directory}/charts") };
    let is_there = tree.below(&charts).any(|entry| {
        let inside = entry.path.get(charts.len() + 1..).unwrap_or_default();
        inside.strip_prefix(name).is_some_and(|rest| {
            rest.starts_with('/')
                || (rest.starts_with('-') && rest.strip_suffix(".tgz").is_some() && !rest.contains('/'))
        })
    });
    let message = "nothing is fetched from elsewhere: run `helm dependency build`, and commit the directory charts";
    (!is_there).then(|| Problem::new(path, document.line(&pointer), REMOTE, message))
}

/// Why this cannot be the name of a release.
pub fn release(name: &str) -> Option<Problem> {
    let is_good = name.len() <= RELEASE_MAX && crate::api::names::check_subdomain(name).is_ok();
    let message = format!(
        "the name of a release has at most {RELEASE_MAX} characters, of those that names of objects have: set \
         spec.source.helm.releaseName"
    );
    (!is_good).then(|| Problem::new("spec.source.helm.releaseName", 1, SETTINGS, message))
}

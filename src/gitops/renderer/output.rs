//! What a program wrote, as objects of the files that they are from, and why it wrote nothing.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::{
    super::{
        document::{self, Document},
        object::{Id, Manifest},
        problem::Problem,
        render,
        sops::made::Keys,
        words::cut,
    },
    FAILED, HOOK, Program,
    files::resolve,
};

/// The most bytes of a message.
const MESSAGE_MAX: usize = 900;

/// Where a program ran.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The program.
    pub program: Program,
    /// The directory, from the root of the repository.
    pub directory: &'a str,
    /// The file that it began with.
    pub root: &'a str,
    /// The name of the chart.
    pub chart: Option<&'a str>,
    /// Whether origins were asked for by us and not by the repository.
    pub origins: Origins,
    /// What becomes of the hooks of a chart.
    pub hooks: Hooks,
}

/// What becomes of hooks of Helm that run when something is installed or upgraded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hooks {
    /// They are refused: nothing would run them.
    #[default]
    Refused,
    /// Jobs are Jobs as any other: what they are brought with runs each once per revision. Other kinds are refused.
    Jobs,
}

/// What becomes of the annotation with the file that an object is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origins {
    /// We asked for it, and nobody else sees it.
    Removed,
    /// The repository says itself whether it is there.
    Kept,
}

/// The field by which kustomize says where objects are from.
const ORIGINS: &str = "\nbuildMetadata: [originAnnotations]\n";
/// The annotation that it says it in.
const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation of a hook of Helm.
const HOOKS: &str = "helm.sh/hook";

/// A kustomization that says where objects are from, where it does not say itself what it wants of that.
pub fn with_origins(text: &str) -> (Cow<'_, str>, Origins) {
    let kept = (Cow::Borrowed(text), Origins::Kept);
    let Ok(before) = document::read(text) else { return kept };
    let [one] = before.as_slice() else { return kept };
    let Some(fields) = one.value.as_object().filter(|fields| !fields.contains_key("buildMetadata")) else {
        return kept;
    };
    let longer = format!("{text}{ORIGINS}");
    let reads = document::read(&longer).ok().filter(|after| {
        let [after] = after.as_slice() else { return false };
        let is_same =
            |after: &serde_json::Map<String, Value>| fields.iter().all(|(key, value)| after.get(key) == Some(value));
        after.value.as_object().is_some_and(|after| after.len() == fields.len() + 1 && is_same(after))
    });
    if reads.is_some() { (Cow::Owned(longer), Origins::Removed) } else { kept }
}

/// The objects that a program wrote.
///
/// # Errors
/// Everything that is wrong with them.
pub fn manifests(output: &str, run: &Run<'_>) -> Result<Vec<Manifest>, Vec<Problem>> {
    opened(output, run, &Keys::default())
}

/// The objects that a program wrote, decrypted where files that it got are.
///
/// # Errors
/// Everything that is wrong with them.
pub fn opened(output: &str, run: &Run<'_>, keys: &Keys) -> Result<Vec<Manifest>, Vec<Problem>> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for text in divide(output) {
        let file = source(text, run);
        for document in document::documents(text) {
            let parts = match document {
                Ok(document) => document.parts(),
                Err(error) => {
                    problems.push(Problem::new(&file, 0, render::NOT_YAML, error.message));
                    continue;
                }
            };
            for mut part in parts {
                let file = origin(&mut part.value, run).map_or_else(|| Arc::clone(&file), Arc::from);
                if run.hooks == Hooks::Jobs && is_job_of_a_revision(&part.value) {
                    unhook(&mut part.value);
                }
                match hook(&part.value, &file, run.hooks) {
                    Hook::None => match open(part, &file, keys) {
                        Ok(mut manifest) => {
                            manifest.line = 0;
                            manifests.push(manifest);
                        }
                        Err(problem) => problems.push(Problem { line: 0, ..problem }),
                    },
                    Hook::Dropped => {}
                    Hook::Refused(problem) => problems.push(problem),
                }
            }
        }
    }
    if problems.is_empty() {
        problems = keys.unused();
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

/// The object of a document, decrypted where that is to be done.
fn open(mut document: Document, file: &Arc<str>, keys: &Keys) -> Result<Manifest, Problem> {
    let name = Id::of(&document.value);
    match keys.open(&mut document.value) {
        Ok(None) => render::manifest(document, file),
        Ok(Some(before)) => {
            let mut sealed = document.clone();
            sealed.value = before;
            render::uncovered(document, Some(sealed), file)
        }
        Err((reason, message)) => {
            let problem = Problem::new(file, 0, reason, message);
            Err(match name {
                Some(name) => problem.of(&name),
                None => problem,
            })
        }
    }
}

/// The documents of a text, each with the line that begins it.
fn divide(text: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = vec![0];
    starts.extend(text.match_indices("\n---").map(|(at, _)| at + 1).filter(|at| {
        let after = text[at + 3..].chars().next();
        after.is_none_or(char::is_whitespace)
    }));
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).filter_map(|(start, end)| text.get(start..end))
}

/// The file that Helm names for a document.
fn source(text: &str, run: &Run<'_>) -> Arc<str> {
    let named = text.lines().take(3).find_map(|line| line.strip_prefix("# Source: "));
    match named.and_then(|named| named.split_once('/')) {
        Some((_, path)) if run.program == Program::Helm => inside(run.directory, path.trim()).into(),
        _ => run.root.into(),
    }
}

fn inside(directory: &str, path: &str) -> String {
    resolve(directory, path).unwrap_or_else(|| path.to_owned())
}

/// The file that kustomize names for an object. An annotation that nobody else asked for is removed.
fn origin(object: &mut Value, run: &Run<'_>) -> Option<String> {
    if run.program != Program::Kustomize {
        return None;
    }
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let text = match run.origins {
        Origins::Removed => annotations.remove(ORIGIN)?,
        Origins::Kept => annotations.get(ORIGIN)?.clone(),
    };
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    let mut lines = text.as_str()?.lines();
    let path = lines.find_map(|line| line.strip_prefix("path: ").or_else(|| line.strip_prefix("configuredIn: ")))?;
    resolve(run.directory, path.trim())
}

/// What becomes of an object that Helm would run at certain times.
enum Hook {
    None,
    Dropped,
    Refused(Problem),
}

/// The hooks that a Job of a revision stands for: it runs once, before the revision gets traffic.
const ONCE: [&str; 4] = ["pre-install", "post-install", "pre-upgrade", "post-upgrade"];
/// The annotations by which hooks are ordered and cleared away.
const ABOUT_HOOKS: [&str; 4] =
    [HOOKS, "helm.sh/hook-weight", "helm.sh/hook-delete-policy", "helm.sh/hook-output-log-policy"];

/// The events of a hook; none for an object that is no hook.
fn events(object: &Value) -> Option<Vec<&str>> {
    let events = object.pointer("/metadata/annotations").and_then(|all| all.get(HOOKS)?.as_str())?;
    Some(events.split(',').map(str::trim).filter(|event| !event.is_empty()).collect())
}

fn is_job_of_a_revision(object: &Value) -> bool {
    let is_job =
        object["kind"] == "Job" && object["apiVersion"].as_str().is_some_and(|text| text.starts_with("batch/"));
    let events = events(object).unwrap_or_default();
    is_job && !events.is_empty() && events.iter().all(|event| ONCE.contains(event))
}

fn unhook(object: &mut Value) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| !ABOUT_HOOKS.contains(&name.as_str()));
    }
}

fn hook(object: &Value, file: &str, hooks: Hooks) -> Hook {
    let Some(events) = events(object) else { return Hook::None };
    let other = events.iter().find(|event| !event.starts_with("test") && **event != "crd-install");
    let Some(event) = other else {
        return if events.iter().any(|event| event.starts_with("test")) { Hook::Dropped } else { Hook::None };
    };
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let jobs = match hooks {
        Hooks::Refused => "",
        Hooks::Jobs => ", or a Job that installs or upgrades",
    };
    let message = format!(
        "nothing would run this hook ({}): switch it off by a value of the chart, or make it an object without {HOOKS}{jobs}",
        cut(event, 40)
    );
    let name = format!("{} {}", cut(text("/kind"), 63), cut(text("/metadata/name"), 253));
    Hook::Refused(Problem::new(file, 0, HOOK, message).of(&name))
}

/// Why a program wrote nothing, by what it said. `files` are those that it had.
pub fn failure<'f>(said: &str, run: &Run<'_>, files: impl Iterator<Item = &'f str>) -> Problem {
    let said = said.find("Error: ").map_or(said, |at| &said[at + 7..]);
    let words: Vec<&str> = said.split_whitespace().collect();
    let message = words.join(" ");
    let named = |path: &&str| !path.is_empty() && position(&message, path, run).is_some();
    // The longest one: a shorter path may be the end of it.
    let file = files.filter(named).max_by_key(|path| path.len());
    let line = file.and_then(|path| line(&message, path, run));
    let message = if message.is_empty() { "it ended without a word".to_owned() } else { cut(&message, MESSAGE_MAX) };
    Problem::new(file.unwrap_or(run.root), line.unwrap_or(0), FAILED, format!("{}: {message}", run.program.file()))
}

/// Where a message names a file, as the program names it.
fn position(message: &str, path: &str, run: &Run<'_>) -> Option<usize> {
    let prefix = if run.directory.is_empty() { String::new() } else { format!("{}/", run.directory) };
    let name = match (run.program, run.chart) {
        (Program::Helm, Some(chart)) => format!("{chart}/{}", path.strip_prefix(&prefix)?),
        _ => path.to_owned(),
    };
    message.find(&name).map(|at| at + name.len())
}

/// The line that stands right after the file.
fn line(message: &str, path: &str, run: &Run<'_>) -> Option<u64> {
    let rest = message.get(position(message, path, run)?..)?.strip_prefix(':')?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

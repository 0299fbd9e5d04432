//! `landfall lint`: says of files, without a cluster, what the API server and Landfall would refuse.

pub mod across;
mod content;
mod schema;

use std::{fs, io::Read, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use self::across::Given;
use super::terminal::{note, say};
use crate::{
    api::{GROUP, crd},
    gitops::document::{self, Document},
};

/// See the help texts.
#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// YAML or JSON files with any number of documents; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// One thing that is wrong with a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The JSON pointer of the field.
    pub pointer: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Finding {
    fn new(pointer: String, message: String) -> Self {
        Self { pointer, message }
    }

    /// The field as people write it, such as `spec.strategy.canary.steps[0].weight`.
    pub fn field(&self) -> String {
        let steps = self.pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        let written =
            steps.map(|step| if step.parse::<usize>().is_ok() { format!("[{step}]") } else { format!(".{step}") });
        written.collect::<String>().trim_start_matches('.').to_owned()
    }
}

/// What is to be said of files, as lines for people.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong.
    pub findings: Vec<String>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// Judges the documents of one file.
///
/// # Errors
/// A schema of Landfall cannot be read, which a test excludes.
pub fn lint(file: &str, text: &str) -> anyhow::Result<Report> {
    lint_all(&[(file.to_owned(), text.to_owned())])
}

/// Judges the documents of all files, by themselves and together.
///
/// # Errors
/// As [`lint`].
pub fn lint_all(files: &[(String, String)]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut read = Vec::new();
    for (file, text) in files {
        match document::read(text) {
            Ok(documents) => read.push(Given { file: file.clone(), documents }),
            Err(error) => report.findings.push(format!("{file}: this is not YAML: {error}")),
        }
    }
    for Given { file, documents } in &read {
        documents.iter().try_for_each(|document| report.add(file, document))?;
    }
    report.findings.extend(across::findings(&read));
    Ok(report)
}

impl Report {
    fn add(&mut self, file: &str, document: &Document) -> anyhow::Result<()> {
        match judge(&document.value)? {
            Judgement::Foreign(what) => {
                let line = document.line("");
                self.notes.push(format!("{file}:{line}: {what} is not a kind of Landfall and was not checked"));
            }
            Judgement::Own { title, findings } => {
                self.findings.extend(findings.iter().map(|finding| line_of(file, document, &title, finding)));
            }
        }
        Ok(())
    }
}

/// What is to be said of one object.
#[derive(Debug)]
pub enum Judgement {
    /// It is somebody else's; its kind.
    Foreign(String),
    /// It is Landfall's.
    Own {
        /// Kind and name.
        title: String,
        /// What is wrong with it; nothing if it is good.
        findings: Vec<Finding>,
    },
}

/// Judges one object.
///
/// # Errors
/// A schema of Landfall cannot be read, which a test excludes.
pub fn judge(object: &Value) -> anyhow::Result<Judgement> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let title = format!("{kind} {}", text("/metadata/name"));
    if api_version.is_empty() || kind.is_empty() {
        let message = "apiVersion and kind are missing: every document needs both".to_owned();
        return Ok(Judgement::Own {
            title: "document".to_owned(),
            findings: vec![Finding::new(String::new(), message)],
        });
    }
    if api_version.split('/').next() != Some(GROUP) {
        return Ok(Judgement::Foreign(format!("{api_version} {kind}")));
    }
    let findings = match crd::schema(kind) {
        Some(schema) if api_version == crd::api_version() => {
            let mut findings = schema::findings(&schema, object)?;
            findings.extend(content::findings(kind, object));
            findings
        }
        Some(_) => vec![Finding::new("/apiVersion".to_owned(), format!("write {}", crd::api_version()))],
        None => vec![Finding::new("/kind".to_owned(), format!("write one of {}", crd::KINDS.join(", ")))],
    };
    Ok(Judgement::Own { title, findings })
}

fn line_of(file: &str, document: &Document, title: &str, finding: &Finding) -> String {
    let (line, field) = (document.line(&finding.pointer), finding.field());
    let colon = if field.is_empty() { "" } else { ": " };
    format!("{file}:{line}: {title}: {field}{colon}{}", finding.message)
}

/// Judges all files and prints what is to be said. The exit code is 1 if anything is wrong.
///
/// # Errors
/// A file cannot be read.
pub fn run(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let texts = args.files.iter().map(|file| Ok((file.display().to_string(), read(file)?)));
    let report = lint_all(&texts.collect::<anyhow::Result<Vec<_>>>()?)?;
    report.findings.iter().try_for_each(|line| say(line))?;
    report.notes.iter().for_each(|line| note(&format!("note: {line}")));
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

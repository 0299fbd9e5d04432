//! Directories of which kustomize or Helm make the manifests: what they need is read from the mirror, and they run only
//! where any of it changed.

use std::{borrow::Cow, collections::HashMap, ffi::OsString, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    prepare::{Files, Halt, digest},
    work::Job,
};
use crate::{
    git::checkout::Checkout,
    gitops::{
        document,
        object::Manifest,
        problem::Problem,
        render::VALUE_MISSING,
        renderer::{
            self, Program, chart,
            files::{Closure, Tree},
            kustomization::Walk,
            output::{self, Origins, Run},
        },
        sops::made::Keys,
        substitute::substitute,
        tree::{Entry, Listing},
    },
    renderer::{
        run::{Order, RunError},
        scratch::REPOSITORY,
    },
    rollout::words::hexadecimal,
};

/// The digits of a digest.
const DIGITS: usize = 64;
/// The API versions that are told in one argument.
const APIS_TOGETHER: usize = 200;
/// The file with the values of the Profile.
const VALUES: &str = "values.json";

/// What is said instead of a program's words.
const NOT_REPEATED: &str = "it refuses the files; its words may quote values of a Secret and are not repeated";

/// What is to be rendered.
struct Task<'a> {
    job: &'a Job,
    checkout: &'a Checkout,
    program: Program,
    /// The directory, from the root of the repository.
    directory: String,
    /// The file that it begins with.
    root: String,
    /// The name of the chart.
    chart: Option<String>,
}

/// What a program needs.
struct Needs {
    closure: Closure,
    arguments: Vec<OsString>,
    /// Files that are not from the repository.
    added: Vec<(String, Vec<u8>)>,
}

/// Makes the manifests of a directory, or takes those of before. `root` is the file that it begins with.
pub async fn files(job: &Job, checkout: &Checkout, (root, program): (&str, Program)) -> Result<Files, Halt> {
    let directory = job.source.git.directory();
    let parts: Vec<&str> = directory.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let directory = parts.join("/");
    let shown = if directory.is_empty() { root.to_owned() } else { format!("{directory}/{root}") };
    let mut task = Task { job, checkout, program, directory, root: shown, chart: None };
    task.refuse_other_settings()?;
    let listing = checkout.list("/").await?;
    let needs = match program {
        Program::Kustomize => task.kustomization(&listing).await?,
        Program::Helm => task.chart(&listing).await?,
    };
    let identity = task.job.operator.renderers.identity(program).await.map_err(|error| task.failed(error, &needs))?;
    let id = needs.digest(&identity);
    let known = job.loaded.as_ref().filter(|loaded| loaded.settings == job.settings);
    let known = known.and_then(|known| known.files.get(root)).filter(|(known, _)| *known == id);
    let manifests = match known {
        Some((_, manifests)) => manifests.clone(),
        None => task.render(needs).await?,
    };
    let read = HashMap::from([(root.to_owned(), (id, manifests))]);
    Ok(Files { digest: digest(&read, &job.settings), read })
}

impl Needs {
    /// The digest of all that has a part in what comes out.
    fn digest(&self, identity: &str) -> String {
        let mut all = Sha256::new();
        all.update(identity);
        for argument in &self.arguments {
            all.update(b"\0");
            all.update(argument.as_encoded_bytes());
        }
        for entry in self.closure.entries() {
            all.update(format!("\n{}\0{}", entry.path, entry.id));
        }
        for (path, content) in &self.added {
            all.update(format!("\n{path}\0{}", content.len()));
            all.update(content);
        }
        hexadecimal(&all.finalize(), DIGITS)
    }
}

impl Task<'_> {
    fn refuse_other_settings(&self) -> Result<(), Halt> {
        if self.job.source.helm.is_none() || self.program == Program::Helm {
            return Ok(());
        }
        let message = "spec.source.helm is for charts, and this is a kustomization: remove spec.source.helm";
        Err(Halt::from(vec![Problem::new(&self.root, 1, renderer::SETTINGS, message)]))
    }

    async fn contents(&self, entries: &[Entry]) -> Result<Vec<Vec<u8>>, Halt> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        Ok(self.checkout.read(&ids).await?)
    }

    async fn kustomization(&self, listing: &Listing) -> Result<Needs, Halt> {
        let mut walk = Walk::new(Tree::of(listing), &self.directory);
        loop {
            let (entries, readings): (Vec<_>, Vec<_>) = walk.wants().into_iter().unzip();
            if entries.is_empty() {
                break;
            }
            for (reading, content) in readings.iter().zip(self.contents(&entries).await?) {
                walk.read(reading, &content);
            }
        }
        let arguments = ["build".to_owned(), self.here()].map(OsString::from).to_vec();
        Ok(Needs { closure: walk.end(&self.root)?, arguments, added: Vec::new() })
    }

    async fn chart(&mut self, listing: &Listing) -> Result<Needs, Halt> {
        let tree = Tree::of(listing);
        let settings = self.job.source.helm.clone().unwrap_or_default();
        let release = settings.release_name.unwrap_or_else(|| self.job.key.name.to_string());
        if let Some(problem) = chart::release(&release) {
            return Err(Halt::from(vec![problem]));
        }
        let (closure, values) = chart::closure(&tree, &self.directory, &settings.values_files)?;
        for name in chart::NAMING {
            let path = format!("{}/{name}", self.directory);
            let Some(entry) = tree.get(path.trim_start_matches('/')) else { continue };
            let content = self.contents(std::slice::from_ref(entry)).await?.pop().unwrap_or_default();
            let named = chart::judge(&tree, &self.directory, (&entry.path, &content))?;
            self.chart = self.chart.take().or(named);
        }
        let offered = self.job.operator.capabilities.get(self.job.operator.writer.client()).await?;
        let mut arguments: Vec<String> = ["template", &release, &self.here()].map(ToOwned::to_owned).to_vec();
        arguments.extend(["--include-crds", "--skip-tests", "--namespace"].map(ToOwned::to_owned));
        arguments.extend([self.job.key.namespace.to_string(), "--kube-version".to_owned(), offered.version]);
        // No single argument may be long.
        let apis = offered.apis.chunks(APIS_TOGETHER);
        arguments.extend(apis.flat_map(|apis| ["--api-versions".to_owned(), apis.join(",")]));
        arguments.extend(values.iter().flat_map(|path| ["--values".to_owned(), format!("./{path}")]));
        let mut added = Vec::new();
        if let Some(values) = settings.values {
            added.push((VALUES.to_owned(), values.to_string().into_bytes()));
            arguments.extend(["--values".to_owned(), format!("../{VALUES}")]);
        }
        Ok(Needs { closure, arguments: arguments.into_iter().map(OsString::from).collect(), added })
    }

    /// The directory as the program is told it: it is never an option.
    fn here(&self) -> String {
        format!("./{}", self.directory)
    }

    async fn render(&self, mut needs: Needs) -> Result<Vec<Manifest>, Halt> {
        let entries: Vec<Entry> = needs.closure.entries().cloned().collect();
        let contents = self.contents(&entries).await?;
        let settings = &self.job.values.settings;
        let confidential = contents.iter().any(|content| settings.may_fill(content));
        let mut keys = Keys::new(Arc::clone(&self.job.identities));
        let mut files = std::mem::take(&mut needs.added);
        let (mut origins, mut problems) = (Origins::Kept, Vec::new());
        for (entry, content) in entries.iter().zip(contents) {
            problems.extend(keys.add(&entry.path, &content).err());
            match self.fill(&entry.path, content) {
                Ok((content, asked)) => {
                    origins = if asked == Origins::Removed { asked } else { origins };
                    files.push((format!("{REPOSITORY}/{}", entry.path), content));
                }
                Err(mut found) => problems.append(&mut found),
            }
        }
        if !problems.is_empty() {
            return Err(Halt::from(problems));
        }
        let order = Order { program: self.program, files, arguments: std::mem::take(&mut needs.arguments) };
        let output = self.job.operator.renderers.run(order).await.map_err(|error| {
            let error = match error {
                RunError::Failed { .. } if confidential => RunError::Failed { said: NOT_REPEATED.to_owned() },
                error => error,
            };
            self.failed(error, &needs)
        })?;
        let (program, directory, root) = (self.program, self.directory.clone(), self.root.clone());
        let chart = self.chart.clone();
        // Thousands of objects take a while, in which others wait for their turn.
        let read = tokio::task::spawn_blocking(move || {
            let run = Run { program, directory: &directory, root: &root, chart: chart.as_deref(), origins };
            output::opened(&output, &run, &keys)
        });
        let mut manifests = read.await.unwrap_or_else(|_| Err(Vec::new()))?;
        // Which of the objects got which value is not known.
        for manifest in &mut manifests {
            manifest.confidential |= confidential;
        }
        Ok(manifests)
    }

    /// A file as the program gets it: with the values that it asks for, and with a wish to know where objects are from.
    fn fill(&self, path: &str, content: Vec<u8>) -> Result<(Vec<u8>, Origins), Vec<Problem>> {
        let Ok(text) = document::text(&content) else { return Ok((content, Origins::Kept)) };
        let problem = |error: document::Unreadable| Problem::new(path, error.line, VALUE_MISSING, error.message);
        let text = substitute(text, &self.job.values.settings.substitute)
            .map_err(|errors| errors.into_iter().map(problem).collect::<Vec<_>>())?;
        if self.program == Program::Kustomize && path == self.root {
            let (text, origins) = output::with_origins(&text);
            return Ok((text.into_owned().into_bytes(), origins));
        }
        match text {
            Cow::Owned(text) => Ok((text.into_bytes(), Origins::Kept)),
            Cow::Borrowed(_) => Ok((content, Origins::Kept)),
        }
    }

    fn failed(&self, error: RunError, needs: &Needs) -> Halt {
        let run = Run {
            program: self.program,
            directory: &self.directory,
            root: &self.root,
            chart: self.chart.as_deref(),
            origins: Origins::Kept,
        };
        let problem = match error {
            RunError::Failed { said } => {
                output::failure(&said, &run, needs.closure.entries().map(|entry| entry.path.as_str()))
            }
            RunError::Absent { .. } => Problem::new(&self.root, 1, renderer::NOT_AVAILABLE, error.to_string()),
            other => {
                let words = crate::telemetry::chain(&other);
                Problem::new(&self.root, 0, renderer::FAILED, format!("{}: {words}", self.program.file()))
            }
        };
        Halt::from(vec![problem])
    }
}

/// What a Profile says of charts where there is none.
pub fn without_chart(job: &Job) -> Option<Halt> {
    job.source.helm.as_ref()?;
    let message = "spec.source.helm is for charts, and spec.source.git.path has no Chart.yaml: correct one of them";
    Some(Halt::from(vec![Problem::new("spec.source.helm", 1, renderer::SETTINGS, message)]))
}

//! Directories of which kustomize or Helm make the manifests: what they need is read, and they run only where any of it
//! changed.

use std::{borrow::Cow, ffi::OsString, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    manifests::{Read, Unmade, Wish},
    reader::Reader,
};
use crate::{
    api::source::HelmSource,
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
    program::{run::RunError, scratch::WORK},
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

/// The root of a repository.
const ROOT: &str = "/";

/// What is to be rendered.
struct Task<'a, R> {
    wish: &'a Wish<'a, R>,
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
///
/// # Errors
/// See [`Unmade`].
pub async fn read<R: Reader>(wish: &Wish<'_, R>, (root, program): (&str, Program)) -> Result<Read, Unmade<R::Error>> {
    let parts: Vec<&str> = wish.directory.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let directory = parts.join("/");
    let shown = if directory.is_empty() { root.to_owned() } else { format!("{directory}/{root}") };
    let mut task = Task { wish, program, directory, root: shown, chart: None };
    task.refuse_other_settings()?;
    let listing = wish.reader.list(ROOT).await.map_err(Unmade::Unread)?;
    let needs = match program {
        Program::Kustomize => task.kustomization(&listing).await?,
        Program::Helm => task.chart(&listing).await?,
    };
    let identity = wish.tools.renderers.identity(program).await.map_err(|error| task.failed(error, &needs))?;
    let id = needs.digest(&identity);
    let known = wish.known.and_then(|known| known.get(root)).filter(|(known, _)| *known == id);
    let manifests = match known {
        Some((_, manifests)) => manifests.clone(),
        None => task.render(needs).await?,
    };
    Ok(Read::from([(root.to_owned(), (id, manifests))]))
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

impl<R: Reader> Task<'_, R> {
    fn refuse_other_settings(&self) -> Result<(), Vec<Problem>> {
        if self.wish.helm.is_none() || self.program == Program::Helm {
            return Ok(());
        }
        let message = "spec.source.helm is for charts, and this is a kustomization: remove spec.source.helm";
        Err(vec![Problem::new(&self.root, 1, renderer::SETTINGS, message)])
    }

    async fn contents(&self, entries: &[Entry]) -> Result<Vec<Vec<u8>>, Unmade<R::Error>> {
        self.wish.reader.read(ROOT, entries).await.map_err(Unmade::Unread)
    }

    async fn kustomization(&self, listing: &Listing) -> Result<Needs, Unmade<R::Error>> {
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

    async fn chart(&mut self, listing: &Listing) -> Result<Needs, Unmade<R::Error>> {
        let tree = Tree::of(listing);
        let settings = self.wish.helm.cloned().unwrap_or_default();
        let release = settings.release_name.unwrap_or_else(|| self.wish.name.to_owned());
        if let Some(problem) = chart::release(&release) {
            return Err(Unmade::Refused(vec![problem]));
        }
        let (closure, values) = chart::closure(&tree, &self.directory, &settings.values_files)?;
        for name in chart::NAMING {
            let path = format!("{}/{name}", self.directory);
            let Some(entry) = tree.get(path.trim_start_matches('/')) else { continue };
            let content = self.contents(std::slice::from_ref(entry)).await?.pop().unwrap_or_default();
            let named = chart::judge(&tree, &self.directory, (&entry.path, &content))?;
            self.chart = self.chart.take().or(named);
        }
        let tools = &self.wish.tools;
        let offered = tools.capabilities.get(tools.client).await.map_err(Unmade::Cluster)?;
        let mut arguments: Vec<String> = ["template", &release, &self.here()].map(ToOwned::to_owned).to_vec();
        arguments.extend(["--include-crds", "--skip-tests", "--namespace"].map(ToOwned::to_owned));
        arguments.extend([self.wish.namespace.to_owned(), "--kube-version".to_owned(), offered.version]);
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

    async fn render(&self, mut needs: Needs) -> Result<Vec<Manifest>, Unmade<R::Error>> {
        let entries: Vec<Entry> = needs.closure.entries().cloned().collect();
        let contents = self.contents(&entries).await?;
        let settings = self.wish.settings;
        let confidential = contents.iter().any(|content| settings.may_fill(content));
        let mut keys = Keys::new(Arc::clone(&settings.identities));
        let mut files = std::mem::take(&mut needs.added);
        let (mut origins, mut problems) = (Origins::Kept, Vec::new());
        for (entry, content) in entries.iter().zip(contents) {
            problems.extend(keys.add(&entry.path, &content).err());
            match self.fill(&entry.path, content) {
                Ok((content, asked)) => {
                    origins = if asked == Origins::Removed { asked } else { origins };
                    files.push((format!("{WORK}/{}", entry.path), content));
                }
                Err(mut found) => problems.append(&mut found),
            }
        }
        if !problems.is_empty() {
            return Err(Unmade::Refused(problems));
        }
        let arguments = std::mem::take(&mut needs.arguments);
        let output = self.wish.tools.renderers.run(self.program, files, arguments).await.map_err(|error| {
            let error = match error {
                RunError::Failed { code, .. } if confidential => {
                    RunError::Failed { code, said: NOT_REPEATED.to_owned() }
                }
                error => error,
            };
            self.failed(error, &needs)
        })?;
        let (program, directory, root) = (self.program, self.directory.clone(), self.root.clone());
        let (chart, hooks) = (self.chart.clone(), self.wish.hooks);
        // Thousands of objects take a while, in which others wait for their turn.
        let read = tokio::task::spawn_blocking(move || {
            let run = Run { program, directory: &directory, root: &root, chart: chart.as_deref(), origins, hooks };
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
        let text = substitute(text, &self.wish.settings.substitute)
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

    fn failed(&self, error: RunError, needs: &Needs) -> Vec<Problem> {
        let run = Run {
            program: self.program,
            directory: &self.directory,
            root: &self.root,
            chart: self.chart.as_deref(),
            origins: Origins::Kept,
            hooks: self.wish.hooks,
        };
        let problem = match error {
            RunError::Failed { said, .. } => {
                output::failure(&said, &run, needs.closure.entries().map(|entry| entry.path.as_str()))
            }
            RunError::Absent { .. } | RunError::NotInstalled { .. } => {
                Problem::new(&self.root, 1, renderer::NOT_AVAILABLE, error.to_string())
            }
            other => {
                Problem::new(&self.root, 0, renderer::FAILED, format!("{}: {}", self.program.file(), other.words()))
            }
        };
        vec![problem]
    }
}

/// What is said of charts where there is none.
///
/// # Errors
/// Something is.
pub fn without_chart(helm: Option<&HelmSource>) -> Result<(), Vec<Problem>> {
    if helm.is_none() {
        return Ok(());
    }
    let message = "spec.source.helm is for charts, and spec.source.git.path has no Chart.yaml: correct one of them";
    Err(vec![Problem::new("spec.source.helm", 1, renderer::SETTINGS, message)])
}

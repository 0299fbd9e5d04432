//! The manifests of a directory, whoever makes them: its files as they are, or kustomize or Helm.
//!
//! Who wants them is not known here: a Profile's source, or a command that plays one.

use std::collections::{BTreeMap, HashMap};

use kube::Client;
use sha2::{Digest, Sha256};

use super::{made, programs::Renderers, reader::Reader};
use crate::{
    api::source::HelmSource,
    cluster::{call::CallError, capabilities::Asked},
    gitops::{
        object::Manifest,
        problem::Problem,
        render::{self, Settings},
        renderer::output::Hooks,
        select,
        tree::Entry,
    },
    rollout::words::hexadecimal,
};

/// The digits of a digest.
const DIGITS: usize = 32;

/// The directory that is wanted, and what its files are read with.
pub struct Wish<'a, R> {
    /// Where files are read.
    pub reader: &'a R,
    /// The directory, from the root of the repository.
    pub directory: &'a str,
    /// Patterns of what is left out, after those of the directory itself.
    pub ignore: &'a [String],
    /// Values for the files, and whom they may be encrypted for.
    pub settings: &'a Settings,
    /// How a chart is rendered.
    pub helm: Option<&'a HelmSource>,
    /// What becomes of the hooks of a chart.
    pub hooks: Hooks,
    /// The name of a release that has none of its own.
    pub name: &'a str,
    /// The namespace that a chart is told.
    pub namespace: &'a str,
    /// Files that were read before with the same settings, so that they are not read again.
    pub known: Option<&'a Read>,
    /// The programs.
    pub tools: Tools<'a>,
}

/// What programs need to run.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The programs.
    pub renderers: &'a Renderers,
    /// What is known of the cluster that charts are rendered for.
    pub capabilities: &'a Asked,
    /// How it is asked.
    pub client: &'a Client,
}

/// The objects of each file by its path, with the hash of its content. What a program made stands under the file that it began
/// with, and the hash is of all that had a part in it.
pub type Read = HashMap<String, (String, Vec<Manifest>)>;

/// Why there are no manifests.
#[derive(Debug)]
pub enum Unmade<E> {
    /// The files are refused.
    Refused(Vec<Problem>),
    /// They cannot be read.
    Unread(E),
    /// What the cluster offers cannot be told.
    Cluster(CallError),
}

impl<E> From<Vec<Problem>> for Unmade<E> {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Refused(problems)
    }
}

/// Reads the files of a directory, those that are not known as they are, or has a program make manifests of them.
///
/// # Errors
/// See [`Unmade`].
pub async fn read<R: Reader>(wish: &Wish<'_, R>) -> Result<Read, Unmade<R::Error>> {
    let listing = wish.reader.list(wish.directory).await.map_err(Unmade::Unread)?;
    let ignore = match listing.entries.iter().find(|entry| entry.path == select::IGNORE_FILE) {
        Some(entry) => wish.contents(std::slice::from_ref(entry)).await?.pop(),
        None => None,
    };
    let ignore = ignore.map(|content| String::from_utf8_lossy(&content).into_owned());
    if let Some((root, program)) = select::root(&listing, ignore.as_deref(), wish.ignore)? {
        return made::read(wish, (&root.path, program)).await;
    }
    made::without_chart(wish.helm)?;
    let selected = select::select(&listing, ignore.as_deref(), wish.ignore)?;
    let (mut read, mut unknown) = (Read::new(), Vec::new());
    for entry in selected {
        match wish.known.and_then(|known| known.get(&entry.path)).filter(|(id, _)| *id == entry.id) {
            Some(same) => drop(read.insert(entry.path.clone(), same.clone())),
            None => unknown.push(entry.clone()),
        }
    }
    let contents = wish.contents(&unknown).await?;
    let (prefix, settings) = (wish.directory.trim_matches('/').to_owned(), wish.settings.clone());
    // Thousands of files take a while, in which others wait for their turn.
    let rendered = tokio::task::spawn_blocking(move || render_all(&prefix, unknown, contents, &settings)).await;
    read.extend(rendered.unwrap_or_else(|_| Err(Vec::new()))?);
    Ok(read)
}

impl<R: Reader> Wish<'_, R> {
    async fn contents(&self, entries: &[Entry]) -> Result<Vec<Vec<u8>>, Unmade<R::Error>> {
        self.reader.read(self.directory, entries).await.map_err(Unmade::Unread)
    }
}

/// The digest of everything that was read, and of the settings that it was read with. Files that are no manifests have no part
/// in it.
pub fn digest(read: &Read, settings: &str) -> String {
    let files: BTreeMap<_, _> = read.iter().map(|(path, (id, _))| (path, id)).collect();
    let mut all = Sha256::new();
    all.update(settings);
    for (path, id) in files {
        all.update(format!("\n{path}\0{id}"));
    }
    hexadecimal(&all.finalize(), DIGITS)
}

type Rendered = Vec<(String, (String, Vec<Manifest>))>;

fn render_all(
    prefix: &str,
    entries: Vec<Entry>,
    contents: Vec<Vec<u8>>,
    settings: &Settings,
) -> Result<Rendered, Vec<Problem>> {
    let (mut rendered, mut problems) = (Vec::new(), Vec::new());
    for (Entry { path, id, .. }, content) in entries.into_iter().zip(contents) {
        let shown = if prefix.is_empty() { path.clone() } else { format!("{prefix}/{path}") };
        match render::file(&shown, &content, settings) {
            Ok(manifests) => rendered.push((path, (id, manifests))),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if problems.is_empty() { Ok(rendered) } else { Err(problems) }
}

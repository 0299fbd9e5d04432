//! A working copy on the disk, listed as a commit would be: no link is followed, and nothing leads out of it.

use std::{
    fs::{self, File, FileType},
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use git2::{Index, Repository};

use crate::gitops::{
    document::SIZE_MAX,
    tree::{Entry, Kind, Listing},
};

/// The most files and directories, and the most of a path in bytes: as a commit may have.
const ENTRIES_MAX: usize = 100_000;
const PATH_MAX: usize = 4096;

/// The directory that the Profile names, below the root of a working copy.
///
/// # Errors
/// It is not there, or a link leads to it.
pub fn find(root: &Path, directory: &str) -> anyhow::Result<PathBuf> {
    let mut at = root.to_owned();
    if !at.is_dir() {
        bail!("{} is no directory: name the root of a working copy", root.display());
    }
    for part in directory.split('/').filter(|part| !part.is_empty() && *part != ".") {
        at.push(part);
        let is_directory = fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_dir());
        if part == ".." || !is_directory {
            bail!(
                "{} has no directory {directory}, which spec.source.git.path names (links are not followed): name the root of a \
                 working copy",
                root.display()
            );
        }
    }
    Ok(at)
}

/// All paths below a directory of a working copy, sorted, but for what git itself keeps there, and what it is told to ignore: neither
/// is in any commit.
///
/// # Errors
/// The directory is not there or cannot be read, a name is no text, or there is too much.
pub fn list(root: &Path, directory: &str) -> anyhow::Result<Listing> {
    let top = find(root, directory)?;
    let ignored = Ignored::of(root, &top);
    let mut walk = Walk { top: &top, ignored, open: vec![String::new()], entries: Vec::new(), seen: 0 };
    while let Some(directory) = walk.open.pop() {
        walk.directory(&directory)?;
    }
    walk.entries.sort_unstable();
    Ok(Listing { id: String::new(), entries: walk.entries })
}

/// The content of a file, which has at most as many bytes as a manifest may have.
///
/// # Errors
/// It cannot be read, or has grown.
pub fn read(top: &Path, path: &str) -> anyhow::Result<Vec<u8>> {
    let whole = top.join(path);
    let mut content = Vec::new();
    let file = File::open(&whole).with_context(|| format!("{} cannot be read", whole.display()))?;
    file.take(SIZE_MAX as u64 + 1)
        .read_to_end(&mut content)
        .with_context(|| format!("{} cannot be read", whole.display()))?;
    if content.len() > SIZE_MAX {
        bail!("{} has more than {} MiB: divide it", whole.display(), SIZE_MAX >> 20);
    }
    Ok(content)
}

/// What git leaves out of a working copy; nothing where it is none.
struct Ignored {
    repository: Option<(Repository, Index)>,
    /// The directory that is listed, from the root.
    inside: PathBuf,
}

impl Ignored {
    fn of(root: &Path, top: &Path) -> Self {
        let repository = Repository::open(root).ok();
        let repository = repository.and_then(|repository| repository.index().ok().map(|index| (repository, index)));
        Self { repository, inside: top.strip_prefix(root).unwrap_or(Path::new("")).to_owned() }
    }

    /// Whether a path is left out: it is ignored, and nothing of it is tracked all the same.
    fn has(&self, path: &str, kind: FileType) -> bool {
        let Some((repository, index)) = &self.repository else { return false };
        let path = self.inside.join(path);
        // A directory is known by the slash behind it.
        let path = if kind.is_dir() { path.join("") } else { path };
        if !repository.is_path_ignored(&path).unwrap_or(false) {
            return false;
        }
        if kind.is_dir() { index.find_prefix(&path).is_err() } else { index.get_path(&path, 0).is_none() }
    }
}

struct Walk<'a> {
    top: &'a Path,
    ignored: Ignored,
    /// Directories that are still to be read.
    open: Vec<String>,
    entries: Vec<Entry>,
    seen: usize,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &str) -> anyhow::Result<()> {
        let whole = self.top.join(directory);
        let entries = fs::read_dir(&whole).with_context(|| format!("{} cannot be read", whole.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("{} cannot be read", whole.display()))?;
            let Ok(name) = entry.file_name().into_string() else {
                bail!("{} is no UTF-8: no commit with such a path is read", entry.path().display());
            };
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            self.seen += 1;
            if path.len() > PATH_MAX || self.seen > ENTRIES_MAX {
                bail!("{path}: there are more than {ENTRIES_MAX} paths, or one has more than {PATH_MAX} bytes");
            }
            let kind = entry.file_type().with_context(|| format!("{} cannot be read", entry.path().display()))?;
            if !self.ignored.has(&path, kind) {
                self.take(path, kind, entry.metadata().map_or(0, |meta| meta.len()));
            }
        }
        Ok(())
    }

    /// Takes in what is no directory, and remembers what is one. What git has no word for, such as a socket, is in no commit.
    fn take(&mut self, path: String, kind: FileType, size: u64) {
        let is_gits = path.rsplit('/').next() == Some(".git");
        let is_repository = || self.top.join(&path).join(".git").symlink_metadata().is_ok();
        let kind = match kind {
            _ if is_gits => return,
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() && is_repository() => Kind::Submodule,
            kind if kind.is_dir() => return self.open.push(path),
            _ => return,
        };
        self.entries.push(Entry { path, kind, id: String::new(), size });
    }
}

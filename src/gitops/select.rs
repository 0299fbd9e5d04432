//! Which files of a commit are manifests.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{
    document::SIZE_MAX,
    problem::Problem,
    renderer::{self, Program},
    tree::{Entry, Kind, Listing},
};

/// The file with patterns of what is left out. It stands in the directory that is read.
pub const IGNORE_FILE: &str = ".landfallignore";

/// A path is a link or a submodule.
pub const NOT_A_FILE: &str = "NotAFile";
/// What a repository says of its submodules cannot be followed.
pub const SUBMODULE: &str = "SubmoduleRefused";
/// A directory wants another program to make manifests of it.
pub const RENDERER: &str = "RendererNotSupported";
/// There is more than may be read.
pub const TOO_LARGE: &str = "TooLarge";
/// A pattern of what is left out cannot be read.
pub const PATTERN: &str = "PatternNotUnderstood";

/// The most bytes that all manifests of a commit may have together.
const TOTAL_MAX: u64 = 128 << 20;
/// The most bytes of patterns.
const PATTERNS_MAX: usize = 64 << 10;

/// The names of files that are manifests.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];
/// The manifests of a commit, in the order of the listing. `ignore` is the content of [`IGNORE_FILE`], `patterns` are those of
/// the Profile, which come after them. Whatever is in a directory or file whose name begins with a dot is left out.
///
/// # Errors
/// All paths that cannot be read as manifests and are not left out.
pub fn select<'l>(
    listing: &'l Listing,
    ignore: Option<&str>,
    patterns: &[String],
) -> Result<Vec<&'l Entry>, Vec<Problem>> {
    let ignored = matcher(ignore.unwrap_or_default(), patterns)?;
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for entry in listing.entries.iter().filter(|entry| !is_hidden(&entry.path) && !is_ignored(&ignored, &entry.path)) {
        match judge(entry) {
            Some(problem) => problems.push(problem),
            None if is_manifest(&entry.path) => files.push(entry),
            None => {}
        }
    }
    if files.iter().map(|entry| entry.size).sum::<u64>() > TOTAL_MAX {
        let message = format!("all manifests together have more than {} MiB: divide them", TOTAL_MAX >> 20);
        problems.push(Problem::new(files.first().map_or("", |entry| &entry.path), 1, TOO_LARGE, message));
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// The file by which a program makes the manifests of the whole directory, and nothing else in it counts: it stands at its root,
/// and is not left out.
///
/// # Errors
/// There are several.
pub fn root<'l>(
    listing: &'l Listing,
    ignore: Option<&str>,
    patterns: &[String],
) -> Result<Option<(&'l Entry, Program)>, Vec<Problem>> {
    let ignored = matcher(ignore.unwrap_or_default(), patterns)?;
    let roots = listing.entries.iter().filter(|entry| !is_ignored(&ignored, &entry.path));
    let roots: Vec<_> = roots.filter_map(|entry| Some((entry, renderer::of(&entry.path)?))).collect();
    match roots.as_slice() {
        [] => Ok(None),
        [(entry, _)] if entry.kind != Kind::File => Err(judge(entry).into_iter().collect()),
        [one] => Ok(Some(*one)),
        [(first, _), others @ ..] => {
            let twice = |(entry, _): &(&Entry, Program)| {
                let message =
                    format!("{} is here too, and only one can make the manifests: remove one of them", first.path);
                Problem::new(&entry.path, 1, RENDERER, message)
            };
            Err(others.iter().map(twice).collect())
        }
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_manifest(path: &str) -> bool {
    ENDINGS.iter().any(|ending| name(path).len() > ending.len() && path.ends_with(ending))
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// Why a path cannot be read.
fn judge(entry: &Entry) -> Option<Problem> {
    let (path, remedy) = (&entry.path, format!("or leave it out by a line in {IGNORE_FILE}"));
    let problem = |reason, message| Some(Problem::new(path, 1, reason, message));
    match entry.kind {
        Kind::Link => return problem(NOT_A_FILE, format!("links are not followed: commit the file itself, {remedy}")),
        Kind::Submodule => {
            let message = format!(
                "submodules are read where spec.source.git.submodules is true and .gitmodules says where this one is: set it, \
                 or commit the files, {remedy}"
            );
            return problem(NOT_A_FILE, message);
        }
        Kind::File => {}
    }
    if renderer::of(name(path)).is_some() {
        let message = format!(
            "only the one in the directory that spec.source.git.path names is rendered: name this one there, {remedy}"
        );
        return problem(RENDERER, message);
    }
    if is_manifest(path) && entry.size > SIZE_MAX as u64 {
        return problem(TOO_LARGE, format!("the file has more than {} MiB: divide it, {remedy}", SIZE_MAX >> 20));
    }
    None
}

/// A matcher of the patterns; it reads no file.
fn matcher(ignore: &str, patterns: &[String]) -> Result<Gitignore, Vec<Problem>> {
    let problem = |file: &str, line: usize, message: &str| vec![Problem::new(file, line as u64, PATTERN, message)];
    if ignore.len() > PATTERNS_MAX {
        return Err(problem(IGNORE_FILE, 1, "the file has more than 64 kB: use patterns that say more"));
    }
    let mut builder = GitignoreBuilder::new("");
    let unread = "this is not a pattern of a .gitignore: correct or remove it";
    for (index, line) in ignore.trim_start_matches('\u{feff}').lines().enumerate() {
        builder.add_line(None, line).map_err(|_| problem(IGNORE_FILE, index + 1, unread))?;
    }
    for (index, line) in patterns.iter().enumerate() {
        builder.add_line(None, line).map_err(|_| problem(&format!("spec.source.ignore[{index}]"), 1, unread))?;
    }
    builder.build().map_err(|_| problem(IGNORE_FILE, 1, "all patterns together are too large: use fewer"))
}

/// Whether a path or a directory around it is left out. As with git, nothing comes back into a directory that is left out.
fn is_ignored(ignored: &Gitignore, path: &str) -> bool {
    let around = path.match_indices('/').any(|(end, _)| ignored.matched(&path[..end], true).is_ignore());
    around || ignored.matched(path, false).is_ignore()
}

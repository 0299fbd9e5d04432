//! Directories for one run each. What is in them is gone afterwards, whatever happens.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

/// The directory in which a program runs: what it is told of by a plain name is in it.
pub const WORK: &str = "work";

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below a directory, with these files in it. Their paths lead nowhere else, and none of them is a link.
    ///
    /// # Errors
    /// A file could not be written, or its path leads out.
    pub fn new(root: &Path, files: &[(String, Vec<u8>)]) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let own = root.join(format!("{:016x}", fastrand::u64(..)));
        builder.create(root)?;
        // It must be new: nobody else's files are in it.
        DirBuilder::new().mode(0o700).create(&own)?;
        let scratch = Self(own);
        builder.create(scratch.0.join(WORK))?;
        for (path, content) in files {
            let path = scratch.0.join(inside(path)?);
            if let Some(parent) = path.parent() {
                builder.create(parent)?;
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(content)?;
        }
        Ok(scratch)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that stays goes with the next start of the operator.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn inside(path: &str) -> io::Result<&Path> {
    let path = Path::new(path);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_inside { Ok(path) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "a path leads out")) }
}

/// Removes what a process that was killed has left.
///
/// # Errors
/// It could not be removed.
pub fn clear(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

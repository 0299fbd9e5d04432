//! What a commit consists of, as the repository names it.

/// A commit of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its hash in hexadecimal digits.
    pub id: String,
    /// Who wrote it, as `name <address>`; whatever is no UTF-8 is replaced.
    pub author: String,
    /// Its whole message, at most 64 kB.
    pub message: String,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
}

/// What a path of a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A symbolic link; its content is the target.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// One path of a commit. Directories are not listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The path below the directory that was asked for, with `/` between its parts. Paths that are no UTF-8, or have a part
    /// `..`, are refused before they get here.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// The hash of its content.
    pub id: String,
    /// The size of its content in bytes; 0 for a submodule.
    pub size: u64,
}

/// All paths below a directory of a commit, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The hash of the directory: equal hashes have equal content.
    pub id: String,
    /// The paths.
    pub entries: Vec<Entry>,
}

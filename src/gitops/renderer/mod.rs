//! Directories of which another program makes manifests: which of their files it needs, what is refused before it runs,
//! and what comes out.
//!
//! Only the file at the root of what a Profile names decides. In reading order: [`files`] (paths of a commit),
//! [`kustomization`] and [`chart`] (what is needed), [`output`] (what came out, and where it is from).

pub mod chart;
pub mod files;
pub mod kustomization;
pub mod output;

/// The operator does not have the program.
pub const NOT_AVAILABLE: &str = "RendererNotAvailable";
/// Something would be fetched from elsewhere.
pub const REMOTE: &str = "RemoteNotAllowed";
/// Another program would be started.
pub const PLUGIN: &str = "PluginNotAllowed";
/// A file is named that the commit does not have, or that may not be read.
pub const MISSING: &str = "FileMissing";
/// The program did not do it.
pub const FAILED: &str = "RendererFailed";
/// A hook of Helm, which nothing would run.
pub const HOOK: &str = "HookNotSupported";
/// A field of the Profile does not fit the repository.
pub const SETTINGS: &str = "SettingsNotUsable";

/// A program that makes manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// kustomize.
    Kustomize,
    /// Helm.
    Helm,
}

impl Program {
    /// The name of its file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Kustomize => "kustomize",
            Self::Helm => "helm",
        }
    }

    /// The major version that manifests are made with: another one may make something else of the same files.
    pub const fn major(self) -> u64 {
        match self {
            Self::Kustomize => 5,
            Self::Helm => 4,
        }
    }

    /// What it is told so that it says its version.
    pub const fn question(self) -> &'static [&'static str] {
        match self {
            Self::Kustomize => &["version"],
            Self::Helm => &["version", "--short"],
        }
    }
}

/// The version in what a program says of itself, such as `v5.8.1`, and the major one of it.
pub fn version(said: &str) -> Option<(u64, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let words = said.split(|c: char| !is_part(c));
    words.into_iter().find_map(|word| {
        let digits = word.strip_prefix('v')?.split('.').next()?;
        Some((digits.parse().ok()?, word))
    })
}

/// The files that begin a directory of a program.
pub const ROOTS: [(&str, Program); 4] = [
    ("kustomization.yaml", Program::Kustomize),
    ("kustomization.yml", Program::Kustomize),
    ("Kustomization", Program::Kustomize),
    ("Chart.yaml", Program::Helm),
];

/// The program that a file of this name is for.
pub fn of(name: &str) -> Option<Program> {
    ROOTS.iter().find(|(root, _)| *root == name).map(|(_, program)| *program)
}

//! The manifests of a directory of a repository: its files as they are, or what other people's programs, kustomize and Helm, make
//! of them ([`manifests`], [`made`]), read wherever the repository is ([`reader`]).
//!
//! The programs run as `program` runs them, contained. This module knows nothing of Profiles; what is refused is decided in
//! `gitops::renderer`.

pub mod made;
pub mod manifests;
pub mod programs;
pub mod reader;

//! The manifests of a directory of a repository: its files as they are, or what other people's programs, kustomize and Helm, make
//! of them ([`manifests`], [`made`]), read wherever the repository is ([`reader`]).
//!
//! The programs run with a repository's content as their input, so each run is contained ([`contain`]): in a directory that has
//! nothing but the files it needs ([`scratch`]), for a bounded time, with bounded output, and so many at a time ([`run`]). This module
//! knows nothing of Profiles; what is refused is decided in `gitops::renderer`.

pub mod contain;
pub mod made;
pub mod manifests;
pub mod reader;
pub mod run;
pub mod scratch;

//! Other people's programs that make manifests: kustomize and Helm.
//!
//! They run with a repository's content as their input, so each run is contained ([`contain`]): in a directory that has nothing
//! but the files it needs ([`scratch`]), for a bounded time, with bounded output, and so many at a time ([`run`]). This module knows
//! nothing of Profiles and decides nothing about what is run.

pub mod contain;
pub mod run;
pub mod scratch;

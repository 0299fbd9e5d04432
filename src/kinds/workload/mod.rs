//! Workloads: packages of Kubernetes objects that run pods.
//!
//! - [`release`]: a revision's objects, as they are recorded; [`objects`]: what is applied of them.
//! - [`render`]: from a Package to a release. Its parts in order: `manifest` reads, `overrides` changes (with `image` and
//!   `strategic`), `rules` judges (with `metadata`, `deployment` and `autoscaler`), [`hash`] names, `parts` sorts (with
//!   `mentions` and `alone`).
//! - [`brought`]: what a repository gave for a Package, as it is kept.
//! - [`pod`]: what a pod template refers to; `selector` and `json` are small tools.

mod alone;
mod autoscaler;
pub mod brought;
mod deployment;
pub mod hash;
mod image;
mod json;
mod manifest;
mod mentions;
mod metadata;
pub mod objects;
mod overrides;
mod parts;
pub mod pod;
pub mod release;
pub mod render;
mod rules;
mod selector;
mod strategic;

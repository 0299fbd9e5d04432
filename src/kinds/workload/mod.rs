//! Workloads: packages of Kubernetes objects that run pods.
//!
//! - [`release`]: a revision's objects, as they are recorded.

pub mod release;

//! Tests on the real cluster: `make test` runs them inside the cluster's network. Each has a namespace of its own, and
//! they run side by side. Those in `git` need no cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod admission;
mod appliers;
mod argocd;
mod chart;
mod git;
mod gitops;
mod goldens;
mod helm;
mod operator;
mod rehearsal;
mod rollout;
mod stage;
mod traffic;
mod validation;
mod why;
mod workload;
mod world;

//! Landfall: an operator that carries packages to environments progressively, verified, and reported truthfully.
//!
//! The modules in reading order, from the words to the process. Each belongs to a ring, and imports only point down.
//!
//! - [`api`] (ring 0): the custom resources, their values, and names that are part of the interface.
//! - [`engine`] (ring 1): the decisions of a rollout.
//! - [`kinds`], [`traffic`], [`analysis`] (ring 1): what a package consists of, routes, and checks.
//! - [`git`] (ring 2): repositories, fetched and read.
//! - [`program`] (ring 2): other people's programs, contained.
//! - [`renderer`] (ring 2): manifests as files have them, or as such programs make them.
//! - [`gitops`] (ring 1): from the files of a repository to what is to be written.
//! - [`rollout`] (ring 1): between the custom resources and the engine.
//! - [`simulation`] (ring 1): a pretended cluster that plays scenarios.
//! - [`cluster`] (ring 2): the Kubernetes API: how to reach it, how to call it, and the Lease.
//! - [`telemetry`] (ring 3): version, log, metrics.
//! - [`server`] (ring 3): HTTP: what the probes answer, and how a server ends.
//! - [`controller`] (ring 3): the operator's process.
//! - [`cli`] (ring 3): the command line, and the sample application.
//!
//! The library exists so that tests reach the modules; it is no interface for other programs.

pub mod analysis;
pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod engine;
pub mod git;
pub mod gitops;
pub mod kinds;
pub mod program;
pub mod renderer;
pub mod rollout;
pub mod server;
pub mod simulation;
pub mod telemetry;
pub mod traffic;

//! All tests that need no cluster, in one binary: one link instead of many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod analysis;
mod chart;
mod cli;
mod commands;
mod crds;
mod decide;
mod election;
mod engine;
mod examples;
mod fake_api;
mod fake_cluster;
mod http;
mod lease;
mod lint;
mod lists;
mod overrides;
mod picture;
mod plan;
mod pod_references;
mod probe;
mod random_stories;
mod records;
mod refusals;
mod release;
mod rivals;
mod rollout;
mod sample;
mod scenarios;
mod sim;
mod simulate;
mod tidy;
mod traffic;
mod validation;
mod values;
mod watches;

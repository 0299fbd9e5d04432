//! All tests that need no cluster, in one binary: one link instead of many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod crds;
mod decide;
mod election;
mod engine;
mod examples;
mod fake_api;
mod http;
mod lease;
mod lint;
mod random_stories;
mod rollout;
mod sample;
mod scenarios;
mod sim;
mod tidy;
mod validation;
mod values;

//! Checks: the request that a check makes, and what its answer means.
//!
//! Ring 1. A provider is one file; sending a request is [`crate::cluster`]'s.

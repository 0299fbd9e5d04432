//! Everything that talks to the Kubernetes API.
//!
//! Ring 2: it observes and executes, and never decides what is right for a user. Every call has a timeout, and every
//! write that replaces something carries the `resourceVersion` it was based on.

pub mod call;
pub mod connect;
pub mod lease;
pub mod probe;

//! Everything that talks to the Kubernetes API.
//!
//! Ring 2: it observes and executes, and never decides what is right for a user. Every call has a timeout, and every
//! write that replaces something carries the `resourceVersion` it was based on.

pub mod bring;
pub mod call;
pub mod capabilities;
pub mod connect;
pub mod content;
pub mod execute;
pub mod glimpse;
pub mod lease;
pub mod observe;
pub mod pods;
pub mod probe;
pub mod rehearse;
pub mod releases;
pub mod remote;
pub mod revision;
pub mod routers;
pub mod secret;
pub mod store;
pub mod values;
pub mod write;

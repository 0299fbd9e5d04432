//! What packages consist of, kind by kind.
//!
//! Ring 1. A kind renders a package into what a revision is made of, and reads the world back for the engine.

pub mod workload;

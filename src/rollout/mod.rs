//! Between the custom resources and the engine: a spec becomes a plan, a state becomes a status.
//!
//! Ring 1. [`record`] is what is remembered in the status; everything here is a function of its arguments.

pub mod record;

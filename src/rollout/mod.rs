//! Between the custom resources and the engine: a spec becomes a plan, a state becomes a status.
//!
//! Ring 1: everything here is a function of its arguments. In the order of one look:
//!
//! - [`choose`], [`dependencies`]: which Package is meant, and what has to run before it.
//! - [`plan`], [`checks`]: a Deployment and its Profile as the engine's plan, with every default.
//! - [`aim`]: all of that together: what is wanted, and what stands against it.
//! - [`commands`]: annotations as commands, and what is no command.
//! - [`record`]: what is remembered in the status; [`terms`]: on which terms a run was started.
//! - [`status`]: what is told of it all; [`describe`]: what is worth an event.
//! - [`words`]: the words that both sides have.

pub mod aim;
pub mod checks;
pub mod choose;
pub mod commands;
pub mod dependencies;
pub mod describe;
pub mod plan;
pub mod record;
pub mod status;
pub mod terms;
pub mod words;

//! The strategies: each turns its settings into a list of stages and knows nothing of the world.

pub mod blue_green;
pub mod canary;
pub mod rolling;

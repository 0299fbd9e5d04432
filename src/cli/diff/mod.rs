//! What differs between two sets of objects.

pub mod mask;
pub mod print;

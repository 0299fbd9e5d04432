//! A world for the engine: pods that take time, endpoints that follow late, a router that acknowledges and settles, a
//! status store with versions, and an operator between them that can be killed, see old news or see nothing.
//!
//! Time is a counter. Faults come from a seed. Every invariant is asserted at every tick and at every write.

pub mod invariants;
pub mod operator;
pub mod random;
pub mod scenario;
pub mod story;
pub mod world;

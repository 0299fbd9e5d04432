//! What must hold in the pretended cluster, asserted at every tick and at every write, whatever goes wrong.

pub mod invariants;

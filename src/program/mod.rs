//! Other people's programs, contained. They run with what strangers wrote as their input, so each run loses what it does not need
//! ([`contain`]), is in a directory that has nothing but its files ([`scratch`]), takes a bounded time, prints so much and no more, and
//! waits for its turn ([`run`]).
//!
//! What they are run for is not known here: `renderer` has manifests made by them, `git` has signatures verified.

pub mod contain;
pub mod run;
pub mod scratch;

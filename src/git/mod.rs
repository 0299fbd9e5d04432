//! Repositories of others: what they point at, fetched into mirrors of our own and read from there.
//!
//! The network is ours, from the address to the last byte of a pack: one connection at a time to an address that was
//! judged, deadlines that end it at any byte, and one try per credential. libgit2 gets the pack, and keeps and reads
//! objects; it opens no socket, starts no program and knows no credential. Nothing is checked out. The one program that is started
//! here verifies signatures, contained.
//!
//! In reading order: [`mirror`] (the interface), [`checkout`] and `gitmodules` (a commit with its submodules), `fetch`, `turn` (who may do what at the same time), [`secret`], `identity` and `known` (credentials, and whom one trusts), `packet`, `advertisement` and `upload` (the
//! protocol), [`push`] (the same, the other way), `session` (a conversation), which is `https` or `ssh` on its `leash` (the connection), `inspect` (what a pack is before it is
//! taken), `store` and `listing` (the objects), [`undo`] (a commit of our own), [`signature`], [`openpgp`] and [`verifier`] (who signed what).
//!
//! Nothing here decides what is done with a repository, and no error quotes a credential or what a server said. Why
//! a server refuses a push is handed on, cut and plain.

mod address;
pub mod advertisement;
pub mod checkout;
pub mod error;
mod fetch;
mod gitmodules;
mod https;
mod identity;
pub mod inspect;
pub mod known;
mod leash;
mod listing;
pub mod mirror;
pub mod openpgp;
pub mod packet;
pub mod push;
pub mod secret;
mod session;
pub mod signature;
mod ssh;
mod store;
mod turn;
pub mod undo;
mod upload;
pub mod verifier;
mod wire;

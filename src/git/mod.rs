//! Repositories of others: what they point at, fetched into mirrors of our own and read from there.
//!
//! The network is ours, from the address to the last byte of a pack: one connection at a time to an address that was
//! judged, deadlines that end it at any byte, and one try per credential. libgit2 gets the pack, and keeps and reads
//! objects; it opens no socket, starts no program and knows no credential. Nothing is checked out.
//!
//! In reading order: [`mirror`] (the interface), [`checkout`] and `gitmodules` (a commit with its submodules), `fetch`, `turn` (who may do what at the same time), [`secret`], `identity` and `known` (credentials, and whom one trusts), `packet`, `advertisement` and `upload` (the
//! protocol), `session` (a conversation), which is `https` or `ssh` on its `leash` (the connection), `inspect` (what a pack is before it is
//! taken), `store` and `listing` (the objects).
//!
//! Nothing here decides what is done with a repository, and no error quotes a credential or what a server said.

mod address;
mod advertisement;
pub mod checkout;
pub mod error;
mod fetch;
mod gitmodules;
mod https;
mod identity;
mod inspect;
mod known;
mod leash;
mod listing;
pub mod mirror;
mod packet;
pub mod secret;
mod session;
pub mod signature;
mod ssh;
mod store;
mod turn;
mod upload;
mod wire;

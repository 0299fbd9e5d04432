//! From the files of a repository to objects, and from objects to what is to be written, awaited and deleted.
//!
//! Ring 1: it reads files that somebody else brought, and writes nothing. In reading order: [`tree`] (what a commit
//! consists of).

pub mod tree;

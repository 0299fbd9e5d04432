//! From the files of a repository to objects, and from objects to what is to be written, awaited and deleted.
//!
//! Ring 1: it reads files that somebody else brought, and writes nothing. In reading order: [`tree`] (what a commit
//! consists of); [`document`] and [`scalar`] (YAML and JSON with places), [`substitute`] with [`values`], [`sops`] (what is encrypted); [`object`] (what an object is known
//! by), [`problem`]; [`select`] (which files), [`render`] (files as objects, with [`scope`]); [`inventory`] (what is looked after), [`owner`] (by whom),
//! [`plan`] and [`stage`] (what is done, in which order); [`health`], [`custom`] and [`drift`] (what became of it); [`sync`] (what a source
//! does next) and [`words`] (how that is said); [`revert`] (what is undone in the repository); [`leave`] (what becomes of the objects of a Profile that is deleted); [`hook`] (that a repository changed); [`kubeconfig`] (another cluster).

pub mod custom;
pub mod document;
pub mod drift;
pub mod health;
pub mod hook;
pub mod inventory;
pub mod kubeconfig;
pub mod leave;
pub mod object;
pub mod owner;
pub mod plan;
pub mod problem;
pub mod render;
pub mod renderer;
pub mod revert;
pub mod scalar;
pub mod scope;
pub mod select;
pub mod sops;
pub mod stage;
pub mod substitute;
pub mod sync;
pub mod tree;
pub mod values;
pub mod words;

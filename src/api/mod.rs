//! The interface: the custom resources, their values and their names.
//!
//! Ring 0. It knows serde, schemars and kube's derive, and no client, no clock and no other module of this crate.
//! Changing a name or a meaning here changes the interface.
//!
//! In reading order: [`package`] (what), [`profile`] (where and how), [`deployment`] (do it) with its
//! [`deployment_status`] and its [`run`]; [`strategy`] and [`check`] (how a new version is judged); [`condition`]; the values
//! [`percent`], [`amount`], [`time_span`] and [`version`]; [`crd`], which makes the definitions that a cluster gets.

pub mod amount;
pub mod check;
pub mod command;
pub mod condition;
pub mod crd;
pub mod deployment;
pub mod deployment_status;
pub mod names;
pub mod package;
pub mod percent;
pub mod profile;
pub mod run;
pub mod schema;
pub mod strategy;
pub mod time_span;
pub mod version;

/// The API group of the custom resources.
pub const GROUP: &str = "landfall.dev";

/// The version of the custom resources.
pub const VERSION: &str = "v1alpha1";

/// The field manager of everything Landfall writes with its own account, as shown in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "landfall";

/// Standard label that says which program looks after an object; its value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY_LABEL`] on objects that belong to Landfall.
pub const MANAGED_BY: &str = "landfall";

/// Annotation of a shared object: `Start` or `Promotion`, when a change of it is applied.
pub const APPLY_AT_ANNOTATION: &str = "landfall.dev/apply-at";

/// Annotation of a Service: the name of its port that a made route sends requests to.
pub const EXPOSE_ANNOTATION: &str = "landfall.dev/expose";

/// The namespace of the operator's own objects where neither the arguments nor the cluster configuration name one.
pub const DEFAULT_NAMESPACE: &str = "landfall-system";

/// The service account that writes what a package contains, where the Profile names none.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "landfall-deployer";

//! Names that are part of Landfall's interface: what other programs and people match on.
//!
//! Ring 0. It knows no client, no clock and no other module of this crate. Changing a value here changes the interface.

pub mod names;

/// The field manager of everything Landfall writes with its own account, as shown in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "landfall";

/// Standard label that says which program looks after an object; its value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY_LABEL`] on objects that belong to Landfall.
pub const MANAGED_BY: &str = "landfall";

/// The namespace of the operator's own objects where neither the arguments nor the cluster configuration name one.
pub const DEFAULT_NAMESPACE: &str = "landfall-system";

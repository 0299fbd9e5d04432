//! The interface: the custom resources, their values and their names.
//!
//! Ring 0. It knows serde, schemars and kube's derive, and no client, no clock and no other module of this crate.
//! Changing a name or a meaning here changes the interface.
//!
//! In reading order: [`package`] (what), [`profile`] (where and how) with its [`source`], [`deployment`] (do it) with its
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
pub mod source;
pub mod strategy;
pub mod time_span;
pub mod version;

/// The API group of the custom resources.
pub const GROUP: &str = "landfall.dev";

/// The version of the custom resources.
pub const VERSION: &str = "v1alpha1";

/// The field manager of everything Landfall writes with its own account, as shown in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "landfall";

/// The field manager of what a Profile's source wants, as shown in `metadata.managedFields`.
pub const SOURCE_FIELD_MANAGER: &str = "landfall-source";

/// Label of everything that a Profile's source looks after: the Profile's name.
pub const PROFILE_LABEL: &str = "landfall.dev/profile";

/// Label of what a Profile's source looks after outside its namespace, or without one: the namespace of the Profile.
pub const PROFILE_NAMESPACE_LABEL: &str = "landfall.dev/profile-namespace";

/// Annotation of a Profile: a text that is not the one before asks for a sync at once.
pub const SYNC_ANNOTATION: &str = "landfall.dev/sync";

/// Standard label that says which program looks after an object; its value is [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Finalizer of a Profile whose objects are deleted with it.
pub const SOURCE_FINALIZER: &str = "landfall.dev/source";

/// The value of [`MANAGED_BY_LABEL`] on objects that belong to Landfall.
pub const MANAGED_BY: &str = "landfall";

/// Label of everything that was made for a Deployment: the Deployment's name.
pub const DEPLOYMENT_LABEL: &str = "landfall.dev/deployment";

/// Label of what belongs to one revision: the hash of its content.
pub const REVISION_LABEL: &str = "landfall.dev/revision";

/// Label of what was made outside the Deployment's namespace, or without one: the namespace of the Deployment.
pub const NAMESPACE_LABEL: &str = "landfall.dev/namespace";

/// Annotation of what was made outside the Deployment's namespace, or without one: the uid of the Deployment. Such an object
/// cannot have it as its owner, and its name is that of another Deployment in every other namespace.
pub const OWNER_ANNOTATION: &str = "landfall.dev/owner";

/// Label that says what an object is to its Deployment; its values are those of [`Role`].
pub const ROLE_LABEL: &str = "landfall.dev/role";

/// Label that tells the pods of one revision from those of another.
pub const POD_HASH_LABEL: &str = "pod-template-hash";

/// The value of [`POD_HASH_LABEL`] in the selector of a Service that selects no revision.
pub const NO_REVISION: &str = "none";

/// Annotation of a routed Service: the revisions that it is meant to select, joined by commas.
pub const SELECTS_ANNOTATION: &str = "landfall.dev/selects";

/// Annotation of a routed Service: the revision that it was turned to although that has no such Service.
pub const LEFT_ANNOTATION: &str = "landfall.dev/left-over";

/// Annotation of a Lease: the namespaces that its holder looks after, with commas between them. Without it, all.
pub const WATCHES_ANNOTATION: &str = "landfall.dev/watches";

/// Annotation of a `ReplicaSet` of a revision: how many instances its manifest asks for.
pub const REPLICAS_ANNOTATION: &str = "landfall.dev/replicas";

/// Annotation of a `ReplicaSet` of a revision: how many of them the revision has.
pub const WORKLOADS_ANNOTATION: &str = "landfall.dev/workloads";

/// Annotation by which the owner of an object hands it over to a Deployment, whose name is the value; for an object outside
/// the Deployment's namespace, or without one, the namespace, a `/` and the name.
pub const ADOPT_ANNOTATION: &str = "landfall.dev/adopt";

/// What an object is to the Deployment that it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The pods of a revision.
    Workload,
    /// A configuration of a revision.
    Config,
    /// A Job of a revision.
    Job,
    /// The Service that clients know.
    Stable,
    /// The Service of the revision under test.
    Candidate,
    /// A route that divides the traffic between the two.
    Route,
    /// The record of a revision.
    Record,
    /// Anything else.
    Shared,
}

impl Role {
    /// The value of [`ROLE_LABEL`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Config => "config",
            Self::Job => "job",
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::Route => "route",
            Self::Record => "record",
            Self::Shared => "shared",
        }
    }
}

/// Annotation of a shared object: `Start` or `Promotion`, when a change of it is applied.
pub const APPLY_AT_ANNOTATION: &str = "landfall.dev/apply-at";

/// Annotation of a Service: the name of its port that a made route sends requests to.
pub const EXPOSE_ANNOTATION: &str = "landfall.dev/expose";

/// The namespace of the operator's own objects where neither the arguments nor the cluster configuration name one.
pub const DEFAULT_NAMESPACE: &str = "landfall-system";

/// The service account that writes what a package contains, where the Profile names none.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "landfall-deployer";

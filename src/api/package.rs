//! Package: what is carried. One object per name and version, immutable but for a few words about it.
//!
//! A content kind is one field of [`PackageSpec`] and one name in [`CONTENT_KINDS`]; a source of a workload is one field of
//! [`Workload`] and one name in [`WORKLOAD_SOURCES`].

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    condition::Condition,
    schema::{constant, exactly_one, immutable, status_enum, text_map, unique},
    source::{GitSource, HelmSource, REF, SecretRef, Source, Verify},
    time_span::TimeSpan,
    version::{Version, VersionRange},
};

/// The content kinds that exist.
pub const CONTENT_KINDS: [&str; 1] = ["workload"];

/// The sources of a workload's manifests that exist.
pub const WORKLOAD_SOURCES: [&str; 2] = ["manifests", "git"];

/// The most that inline content may have, as JSON, in bytes: an object has to fit into the store of the API server.
pub const INLINE_CONTENT_MAX: usize = 900_000;

/// The most objects of a workload.
pub const OBJECTS_MAX: usize = 200;

/// An immutable release: a name, a version, and exactly one kind of content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "landfall.dev",
    version = "v1alpha1",
    kind = "Package",
    namespaced,
    status = "PackageStatus",
    shortname = "pkg",
    category = "landfall",
    derive = "PartialEq",
    doc = "Package is an immutable release: what a Deployment carries to an environment.",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.name"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Description", type_ = "string", json_path = ".spec.description", priority = 1),
    validation = Rule::new("self.metadata.name == self.spec.name + '-' + self.spec.version")
        .message("metadata.name must be spec.name, a '-' and spec.version: rename the object")
)]
#[x_kube(
    validation = exactly_one(&CONTENT_KINDS, "spec: exactly one content kind is needed: add `workload`, the only one that exists so far"),
    validation = constant("name", "spec.name is immutable: make another Package"),
    validation = constant("version", "spec.version is immutable: make a Package of the new version"),
    validation = immutable("workload", "spec.workload is immutable: make a Package of a new version"),
    validation = unique("dependsOn", "name", "spec.dependsOn: a package may be named once only: join the ranges with a comma")
)]
pub struct PackageSpec {
    /// The name of what is released; the same for all its versions. A DNS label of at most 40 characters.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')")
        .message("spec.name: use lower-case letters, digits and '-', with a letter or digit at both ends"))]
    pub name: String,
    /// The version: semantic, lower case, without build metadata, at most 40 characters.
    pub version: Version,
    /// What this release is, for people. It may be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Words to find the release by. They may be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub tags: Vec<String>,
    /// Whatever else is to be said about the release, as texts by name. It may be changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text_map")]
    pub metadata: BTreeMap<String, String>,
    /// Whether new runs may use it; what runs does not move. It may be changed. Default: Active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PackageState>,
    /// Packages that must run in the same Profile first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub depends_on: Vec<Dependency>,
    /// Where the release comes from, for people and for the HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Content: Kubernetes objects that run a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// Whether new runs may use a Package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PackageState {
    /// It may be used.
    #[default]
    Active,
    /// Ranges do not pick it; a Deployment that names it may use it.
    Archived,
    /// It is not used for new runs.
    Deleted,
}

/// A package that must run first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// The name of the package.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// The versions that will do, such as `>=1.2, <2`. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
}

/// Where a release comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The id that the maker gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub id: Option<String>,
    /// The environment in which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub environment: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub created_by: Option<String>,
}

/// Kubernetes objects that run a workload, from exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = sources()))]
#[x_kube(validation = Rule::new("has(self.git) || !has(self.helm)")
    .message("spec.workload.helm: it says how a chart of a repository is rendered: add spec.workload.git, or remove it"))]
#[x_kube(validation = Rule::new("has(self.git) || !has(self.substitute)")
    .message("spec.workload.substitute: its values are for files of a repository: add spec.workload.git, or remove it"))]
pub struct Workload {
    /// The objects themselves, at most 200 and together at most 900 kB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = OBJECTS_MAX))]
    pub manifests: Option<Vec<Manifest>>,
    /// The repository that has them. It is read once, with the bounds of `manifests`, and what it gave is kept in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<WorkloadGit>,
    /// How a chart of Helm is rendered, where `git.path` has one. Its `releaseName` is by default the name of the Package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fixed_helm")]
    pub helm: Option<HelmSource>,
    /// Values for `${NAME}` in files of the repository that ask for it with the comment `# landfall: substitute` on a line of
    /// its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text_map")]
    pub substitute: BTreeMap<String, String>,
    /// Whether the manifests may contain Secrets in plain text, which everybody can read who may read Packages.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_plain_secrets: Option<bool>,
}

/// The condition that exactly one source is there, as a schema: rules do not see lists whose items have no type.
fn sources() -> Value {
    json!(WORKLOAD_SOURCES.map(|source| json!({"required": [source]})))
}

/// Settings of charts. Their values have no type, for the reason of [`Manifest`].
fn fixed_helm(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = HelmSource::json_schema(generator);
    if let Some(values) = schema.pointer_mut("/properties/values").and_then(Value::as_object_mut) {
        values.remove("type");
    }
    schema
}

/// A path of a repository, at one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.commit), has(self.tag)].exists_one(one, one)")
    .message("spec.workload.git: name exactly one of commit and tag: a Package is the same for ever, so it follows no branch"))]
#[x_kube(validation = Rule::new("!has(self.verify) || !has(self.verify.mode) || self.verify.mode == 'HEAD' || has(self.tag)")
    .message("spec.workload.git.verify.mode: name a tag, or verify HEAD"))]
#[x_kube(validation = Rule::new("!self.url.startsWith('ssh://') || has(self.secretRef)")
    .message("spec.workload.git.secretRef: ssh needs a Secret with the keys identity and known_hosts: name it"))]
pub struct WorkloadGit {
    /// Where the repository is: `https://host/path` or `ssh://user@host/path`. Credentials belong into a Secret.
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^(https://[^/ ]+|ssh://[^/@: ]+@[^/@ ]+)/.+$')")
        .message("spec.workload.git.url: write https://host/path, or ssh://user@host/path (which user@host:path is short for)"))]
    #[x_kube(validation = Rule::new("!self.matches('^(https://[^/]*@|ssh://[^/@]*:[^/@]*@)')")
        .message("spec.workload.git.url: no credentials in the address: put them into the Secret that secretRef names"))]
    pub url: String,
    /// The commit, as its whole hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 40, max = 64), regex(pattern = r"^[0-9a-f]+$"))]
    pub commit: Option<String>,
    /// The tag that leads to the commit. It is looked up once: where it leads later is nothing to the Package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = REF))]
    pub tag: Option<String>,
    /// The directory whose files are read, with those in it. Default: /.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(part, part == '..')")
        .message("spec.workload.git.path: no `..`: name a directory of the repository from its root"))]
    pub path: Option<String>,
    /// How long one look or one fetch may take. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// The Secret of this namespace with the credentials, which the service account `landfall-deployer` has to be able to read.
    /// Default: none are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Whose signature the commit or its tag has to have. Default: none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

impl WorkloadGit {
    /// How long one look or one fetch may take.
    pub fn limit(&self) -> Duration {
        self.timeout.map_or(Duration::from_mins(1), TimeSpan::as_duration)
    }
}

impl Workload {
    /// The repository as the source of a Profile would name it: it is fetched and rendered as that is. None for a workload
    /// that has no repository.
    pub fn source(&self) -> Option<Source> {
        let WorkloadGit { url, commit, tag, path, timeout, secret_ref, verify } = self.git.clone()?;
        let git = GitSource { url, tag, commit, path, timeout, secret_ref, verify, ..GitSource::default() };
        let (helm, substitute) = (self.helm.clone(), self.substitute.clone());
        Some(Source { git, substitute, helm, ..Source::default() })
    }
}

/// One Kubernetes object, as its author wrote it.
///
/// Its schema has no type, on purpose: the API server compares such a value as a whole, while of an object with a type
/// it compares only the fields that the schema names, and a renamed field would pass for unchanged.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(pub Value);

/// It may be a Secret, so kind and name are all that is shown.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |pointer: &str| self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        write!(f, "Manifest({} {})", text("/kind"), text("/metadata/name"))
    }
}

impl JsonSchema for Manifest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Manifest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A Kubernetes object with apiVersion, kind and metadata.name.",
            "x-kubernetes-preserve-unknown-fields": true,
            "required": ["apiVersion", "kind", "metadata"],
        })
    }
}

status_enum! {
    /// How far a Package is.
    PackagePhase {
        /// Nobody has looked at it yet.
        Pending,
        /// Its content is read or stored.
        Processing,
        /// It can be used.
        Ready,
        /// It cannot be used; the error says why.
        Failed,
    }
}

/// What Landfall knows of a Package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageStatus {
    /// The generation of the spec that this status is about; -1 before anybody has looked.
    #[serde(default)]
    pub observed_generation: i64,
    /// How far the Package is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PackagePhase>,
    /// How much of its content is processed, in percent from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<i32>,
    /// The commit of the repository that the content is from; looked up once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// The sha256 of the canonical content, in hexadecimal; recorded once. For content of a repository, that of all that is
    /// kept of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub checksum: Option<String>,
    /// The size of the canonical content in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// The number of Kubernetes objects in the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<i32>,
    /// What is wrong, while the Package cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub error: Option<String>,
    /// What other programs wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

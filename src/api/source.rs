//! The source of a Profile: the Git repository that is its desired state, and what is known of it.

#![expect(clippy::struct_excessive_bools, reason = "each is a field that people write")]

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    check::SecretKey,
    schema::{date_time, ignored_object, status_enum, text_map},
    time_span::TimeSpan,
};

/// The most entries of an inventory that stand in a status; more are in `ConfigMaps` beside it.
pub const INVENTORY_IN_STATUS: usize = 500;

/// Where the desired state of an environment is read, and how it is brought into force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.revert) || !has(self.git.verify) || has(self.git.tag) || has(self.git.semver) || has(self.git.commit) || self.revert.branch != (has(self.git.branch) ? self.git.branch : 'main')")
    .message("spec.source.revert.branch: a revert is not signed, and spec.source.git.verify would refuse it on the branch that is followed: name another branch"))]
pub struct Source {
    /// The repository.
    pub git: GitSource,
    /// The secret by which webhooks of the repository's provider are signed; they are sent to `/hooks/NAMESPACE/PROFILE` of the
    /// operator. Default: none are taken, and the repository is looked at every `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<SecretKey>,
    /// Whether an object that is no longer in the repository is deleted. Default: false, it stays and is no longer looked after.
    #[serde(default)]
    pub prune: bool,
    /// What becomes of the objects when the Profile is deleted. Default: Orphan.
    #[serde(default)]
    pub deletion_policy: SourceDeletion,
    /// Whether a commit without any object may take all objects away. Default: false, it is refused.
    #[serde(default)]
    pub allow_empty: bool,
    /// Whether nothing is fetched and nothing written. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// What is done about fields that somebody else changed. Default: Correct.
    #[serde(default)]
    pub drift: DriftPolicy,
    /// Whether an object whose immutable field changes is deleted and made anew. Default: false, the commit is refused.
    #[serde(default)]
    pub replace: bool,
    /// How long the objects of a commit may take to become healthy. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_timeout: Option<TimeSpan>,
    /// Kinds whose objects are judged by expressions instead of the rules that Flux, Argo CD and Helm share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub health_checks: Vec<HealthCheck>,
    /// Whether the repository may contain Profiles. Default: false, such a commit is refused: a Profile says as whom objects are written.
    #[serde(default)]
    pub allow_profiles: bool,
    /// What has to be in force first: Profiles of this namespace, and any other objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub depends_on: Vec<SourceDependency>,
    /// Values for `${NAME}` in files that ask for it with the comment `# landfall: substitute` on a line of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text_map")]
    pub substitute: BTreeMap<String, String>,
    /// Objects of this namespace whose keys are such values too. Of two with one key the later one counts, and `substitute` over all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub substitute_from: Vec<ValuesFrom>,
    /// How files are decrypted that SOPS encrypted. Default: they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// How a chart of Helm is rendered, where `git.path` has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmSource>,
    /// Files that are left out, as patterns of a `.gitignore`, after those of `.landfallignore` in the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub ignore: Vec<String>,
    /// Where a commit is pushed that undoes one of which a Deployment was rolled back because a check failed. Default: nowhere, the
    /// repository is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Revert>,
}

/// Where a revert is pushed, as whom, and by whom it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revert {
    /// The branch: the one that is followed, or another one, such as `landfall/revert-shop`, for somebody to merge.
    #[schemars(length(min = 1, max = 255), regex(pattern = REF))]
    pub branch: String,
    /// The Secret of this namespace with credentials that may push. Default: those of `git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Who is named as author and committer. Default: `Landfall <landfall@PROFILE.NAMESPACE>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<RevertAuthor>,
}

/// Who is named as author and committer of a revert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertAuthor {
    /// The name.
    #[schemars(length(min = 1, max = 128), regex(pattern = WHO))]
    pub name: String,
    /// The address.
    #[schemars(length(min = 1, max = 128), regex(pattern = WHO))]
    pub email: String,
}

/// A name or an address as a commit can have it.
const WHO: &str = r"^[^<>\s][^<>\r\n]*$";

/// A repository and what of it is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].filter(one, one).size() <= 1")
    .message("spec.source.git: name one of branch, tag, semver and commit: remove the others"))]
#[x_kube(validation = Rule::new("!has(self.verify) || !has(self.verify.mode) || self.verify.mode == 'HEAD' || has(self.tag) || has(self.semver)")
    .message("spec.source.git.verify.mode: name a tag or semver, or verify HEAD"))]
#[x_kube(validation = Rule::new("!self.url.startsWith('ssh://') || has(self.secretRef)")
    .message("spec.source.git.secretRef: ssh needs a Secret with the keys identity and known_hosts: name it"))]
pub struct GitSource {
    /// Where the repository is: `https://host/path` or `ssh://user@host/path`. Credentials belong into a Secret.
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^(https://[^/ ]+|ssh://[^/@: ]+@[^/@ ]+)/.+$')")
        .message("spec.source.git.url: write https://host/path, or ssh://user@host/path (which user@host:path is short for)"))]
    #[x_kube(validation = Rule::new("!self.matches('^(https://[^/]*@|ssh://[^/@]*:[^/@]*@)')")
        .message("spec.source.git.url: no credentials in the address: put them into the Secret that secretRef names"))]
    pub url: String,
    /// The branch that is followed. Default: main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = REF))]
    pub branch: Option<String>,
    /// The tag that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = REF))]
    pub tag: Option<String>,
    /// The range of versions of which the newest tag is taken, such as `>=1.2.0, <2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub semver: Option<String>,
    /// The commit that is taken, as its whole hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 40, max = 64), regex(pattern = r"^[0-9a-f]+$"))]
    pub commit: Option<String>,
    /// The directory whose files are read, with those in it. Default: /.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("!self.split('/').exists(part, part == '..')")
        .message("spec.source.git.path: no `..`: name a directory of the repository from its root"))]
    pub path: Option<String>,
    /// Whether submodules are read too, each at the commit that is recorded. Default: false, they are refused.
    #[serde(default)]
    pub submodules: bool,
    /// How often the repository is looked at, when nobody says that it changed. Default: 1m; at least 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<TimeSpan>,
    /// How long one look or one fetch may take. Default: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// The Secret of this namespace with the credentials. Default: none are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Whose signature a commit has to have. Default: none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// The branch that is followed where nothing is named.
pub const BRANCH: &str = "main";

impl GitSource {
    /// How often the repository is looked at.
    pub fn every(&self) -> Duration {
        self.interval.map_or(Duration::from_mins(1), TimeSpan::as_duration)
    }

    /// How long one look or one fetch may take.
    pub fn limit(&self) -> Duration {
        self.timeout.map_or(Duration::from_mins(1), TimeSpan::as_duration)
    }

    /// The branch that is followed; none where something else is.
    pub fn followed(&self) -> Option<&str> {
        let other = self.tag.is_some() || self.semver.is_some() || self.commit.is_some();
        (!other).then(|| self.branch.as_deref().unwrap_or(BRANCH))
    }

    /// The directory whose files are read.
    pub fn directory(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }
}

/// Which signatures are needed, and the keys that are trusted to make them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// What has to be signed. Default: HEAD.
    #[serde(default)]
    pub mode: VerifyMode,
    /// The Secret of this namespace with public keys: of SSH as `NAME.pub` or as lines of `allowed_signers`, of OpenPGP as
    /// `NAME.asc` (`gpg --armor --export`).
    pub secret_ref: SecretRef,
}

/// What has to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VerifyMode {
    /// The commit.
    #[default]
    #[serde(rename = "HEAD")]
    Head,
    /// The tag.
    Tag,
    /// Both.
    #[serde(rename = "TagAndHEAD")]
    TagAndHead,
}

/// How files are decrypted that SOPS encrypted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// The Secret of this namespace with identities of age: each of its keys that ends with `.agekey` has lines
    /// `AGE-SECRET-KEY-1…`, and comments. The account that writes has to be able to read it.
    pub secret_ref: SecretRef,
}

/// When objects of a kind are healthy, in CEL over `object`, the whole object as the cluster has it. A field that may be missing
/// is asked for with `has(object.status.field)` first; an expression that has no value waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// The `apiVersion` of the objects, with the version that the repository has.
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// Their kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// True where an object has failed; asked first. Default: it fails only by `healthTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub failed: Option<String>,
    /// True while an object is on its way; asked second. Default: what is not current is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub in_progress: Option<String>,
    /// True where an object is healthy; asked last.
    #[schemars(length(min = 1, max = 1024))]
    pub current: String,
}

/// Something that has to be in force before the source: a Profile, which is so when it is Synced (or Ready, without a source), or any other
/// object of the Profile's own cluster, when it is healthy. The account that writes has to be able to read that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.apiVersion) == has(self.kind)")
    .message("spec.source.dependsOn: name apiVersion and kind together, or neither for a Profile"))]
#[x_kube(validation = Rule::new("has(self.kind) || !(has(self.__namespace__) || has(self.ready))")
    .message("spec.source.dependsOn: a Profile is one of this namespace, and judged by its conditions: remove namespace and ready, or name apiVersion and kind"))]
pub struct SourceDependency {
    /// The `apiVersion` of the object. Default: that of Profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub api_version: Option<String>,
    /// Its kind. Default: Profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the Profile's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// When it is in force, in CEL over `object`, the whole object. Default: by the rules of health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub ready: Option<String>,
}

impl SourceDependency {
    /// `apiVersion` and kind of another object than a Profile of the namespace.
    pub fn other(&self) -> Option<(&str, &str)> {
        Some((self.api_version.as_deref()?, self.kind.as_deref()?))
    }
}

/// How a chart of Helm is rendered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmSource {
    /// The name of the release. Default: the name of the Profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release_name: Option<String>,
    /// Files with values, as paths from `git.path`; they may lead out of it, and not out of the repository. Later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 1024)))]
    pub values_files: Vec<String>,
    /// Values, which win over those of all files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ignored_object")]
    pub values: Option<Value>,
}

/// The name of a branch or tag, by git's rules as far as a pattern can say them.
pub(super) const REF: &str = r"^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$";

/// A Secret of the same namespace.
///
/// Its keys for https: `username` and `password`, or `bearerToken`; `ca.crt` for the authority of the server; `tls.crt` with
/// `tls.key` for a certificate of one's own. For ssh: `identity` (or `ssh-privatekey`), `password` if that has a passphrase, and
/// `known_hosts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// An object with values for files. The account that writes has to be able to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFrom {
    /// Its kind.
    pub kind: ValuesKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether it need not be there. Default: false, nothing is read without it.
    #[serde(default)]
    pub optional: bool,
}

/// The kind of an object with values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValuesKind {
    /// A `ConfigMap`.
    #[default]
    ConfigMap,
    /// A Secret. Its values are never in an error.
    Secret,
}

/// What becomes of the objects of a source when its Profile is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SourceDeletion {
    /// They stay.
    #[default]
    Orphan,
    /// They are deleted first, by the rules of pruning. The Profile goes when they are gone.
    Delete,
}

/// What is done about fields that somebody else changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// They are set back at once.
    #[default]
    Correct,
    /// They are shown.
    Report,
    /// Nothing.
    Ignore,
}

status_enum! {
    /// How far a source is.
    SourcePhase {
        /// Nothing has been seen yet, or what it depends on is not in force.
        Pending,
        /// A commit is fetched and read.
        Fetching,
        /// Its objects are checked; nothing has been written.
        Validating,
        /// Its objects are written.
        Applying,
        /// They are not all healthy yet.
        Verifying,
        /// Everything is in force and healthy.
        Synced,
        /// The last commit could not be brought into force.
        Failed,
        /// Nothing is done because `suspend` says so.
        Suspended,
        /// The Profile is deleted, and its objects go first.
        Deleting,
    }
}

status_enum! {
    /// What became of a sync.
    SyncResult {
        /// All of it is in force and healthy.
        Succeeded,
        /// Nothing was changed.
        Failed,
        /// Some of it was written, and then something was refused. Nothing was deleted.
        Partial,
        /// A newer commit took its place.
        Superseded,
    }
}

/// What is known of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SourcePhase>,
    /// What it waits for, as one sentence; none when nothing is to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub waiting_for: Option<String>,
    /// The commit that was seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Commit>,
    /// The commit whose objects were written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Commit>,
    /// The digest of everything that was read for what was written last: files, and values for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub digest: Option<String>,
    /// The last sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<Sync>,
    /// What failed in it, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failures: Vec<SyncFailure>,
    /// The objects that are looked after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// Objects that differ from what is wanted, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub drift: Vec<Drift>,
    /// What became of the Deployments in the repository, at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub rollouts: Vec<Rollout>,
    /// Syncs that ended, newest first, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<Sync>,
    /// The hash of the commit that was in force last with everything healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub settled: Option<String>,
    /// The last revert, pushed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Reverted>,
    /// The request by annotation that was answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub handled_request: Option<String>,
}

/// A commit as people know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Its hash.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Who wrote it, as `name <address>`.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub author: String,
    /// The first line of its message.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub message: String,
    /// When it was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub time: Option<Time>,
}

/// A revert, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reverted {
    /// The hash of the commit that it undoes.
    #[schemars(length(max = 64))]
    pub of: String,
    /// The hash of the commit whose directory it brings back; empty where there is none.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub to: String,
    /// The branch that it is for.
    #[schemars(length(max = 255))]
    pub branch: String,
    /// Its own hash, once the branch leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// When it was decided, which is the time that it has as a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub at: Option<Time>,
    /// How many times its push was begun.
    #[serde(default)]
    pub attempts: i32,
    /// Why it was not pushed, as one word; none while that is under way, or when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// What became of it, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// One sync of a commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// The hash of the commit.
    #[schemars(length(max = 64))]
    pub commit: String,
    /// What became of it; none while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<SyncResult>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub completed_at: Option<Time>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// What was done.
    #[serde(default)]
    pub counts: SyncCounts,
    /// Why it failed, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What a sync did, in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncCounts {
    /// Made.
    #[serde(default)]
    pub created: i32,
    /// Changed.
    #[serde(default)]
    pub configured: i32,
    /// Left as they were.
    #[serde(default)]
    pub unchanged: i32,
    /// Deleted.
    #[serde(default)]
    pub pruned: i32,
    /// Refused.
    #[serde(default)]
    pub failed: i32,
}

/// Why an object or a file was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncFailure {
    /// The object, as `Kind namespace/name`; none where no object could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub object: Option<String>,
    /// The file, from the root of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub file: Option<String>,
    /// The line in it, from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// Why, as one word for programs.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, as a sentence for people.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The objects that a source looks after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// How many there are.
    #[serde(default)]
    pub count: i32,
    /// Each as `group/version Kind namespace/name digest uid`, with `-` for what there is none of; none where `ConfigMaps` have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = INVENTORY_IN_STATUS), inner(length(max = 1024)))]
    pub entries: Vec<String>,
    /// The `ConfigMaps` that have them, when they are too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub config_maps: Vec<String>,
}

/// An object that differs from what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The object, as `Kind namespace/name`.
    #[schemars(length(max = 512))]
    pub object: String,
    /// Who changed it, by the name of the field manager, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub manager: Option<String>,
    /// What is different, as a sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What became of a Deployment in the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The Deployment, as `namespace/name`.
    #[schemars(length(max = 512))]
    pub deployment: String,
    /// How far it is.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub phase: String,
    /// What it waits for, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Why it failed, as the word of `status.error.code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub code: Option<String>,
    /// The figures that it rests on, of `status.error.details`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub details: Option<String>,
}

//! Writes and plain reads, each as the account that may do it, each with a timeout.
//!
//! What a package contains is read and written as a service account of its namespace; one client serves all of them, with a
//! header per request. Objects are JSON: the operator carries them and does not judge what is in them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderValue, Request};
use kube::{
    Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{ApiResource, DynamicObject, GroupVersionKind, Request as Path, Resource},
    discovery::{self, Scope},
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::Mutex;

use super::call::{CallError, call};
use crate::api::{FIELD_MANAGER, SOURCE_FIELD_MANAGER};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The objects of one page of a list.
pub(super) const PAGE: u32 = 500;

/// The most pages of a list.
pub(super) const PAGES_MAX: usize = 40;

/// The most kinds that are remembered.
const KINDS_MAX: usize = 500;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Account {
    /// The operator itself.
    Own,
    /// A service account.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// How an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Fields that others own are left to them, and the write is refused.
    Polite,
    /// They are taken: the object is known to be ours.
    Firm,
    /// As [`Claim::Firm`], and nothing is stored.
    DryRun,
}

/// One object by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; none where it has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Place {
    /// Where an object is, by what it says itself.
    pub fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        Self { api_version: text("/apiVersion"), kind: text("/kind"), namespace, name: text("/metadata/name") }
    }

    /// A place of a known kind.
    pub fn named(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Of an answer, only the version of the object: the rest is known.
#[derive(Deserialize)]
struct Versioned {
    metadata: VersionedMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionedMeta {
    resource_version: String,
}

type Kinds = HashMap<(String, String), (ApiResource, Scope)>;

/// Reads and writes objects.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    kinds: Arc<Mutex<Kinds>>,
}

impl Writer {
    /// A writer that uses this client.
    pub fn new(client: Client) -> Self {
        Self { client, kinds: Arc::new(Mutex::new(known_kinds())) }
    }

    /// The client, for calls as the operator itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads an object; none where it does not exist.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get(&self, who: &Account, place: &Place) -> Result<Option<Value>, CallError> {
        self.get_as(who, place).await
    }

    /// Applies an object on the server's side.
    ///
    /// # Errors
    /// See [`CallError`]. With a `resourceVersion` in it, somebody else's write in between is a conflict.
    pub async fn apply<T: DeserializeOwned>(
        &self,
        who: &Account,
        object: &Value,
        claim: Claim,
    ) -> Result<T, CallError> {
        let place = Place::of(object);
        let path = self.path(&place).await?;
        let mut how = PatchParams::apply(FIELD_MANAGER).validation_strict();
        how.force = claim != Claim::Polite;
        how.dry_run = claim == Claim::DryRun;
        self.send(who, path.patch(&place.name, &how, &Patch::Apply(object))).await
    }

    /// Applies an object of a repository, which is the text as it is sent, or only asks whether that could be done.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn apply_as_source<T: DeserializeOwned>(
        &self,
        who: &Account,
        place: &Place,
        text: &RawValue,
        claim: Claim,
    ) -> Result<T, CallError> {
        let path = self.path(place).await?;
        let mut how = PatchParams::apply(SOURCE_FIELD_MANAGER).validation_strict();
        how.force = claim != Claim::Polite;
        how.dry_run = claim == Claim::DryRun;
        self.send(who, path.patch(&place.name, &how, &Patch::Apply(text))).await
    }

    /// Asks whether an object of a repository could be made.
    ///
    /// # Errors
    /// See [`CallError`] and [`CallError::is_taken`].
    pub async fn try_to_make(&self, who: &Account, place: &Place, text: &RawValue) -> Result<(), CallError> {
        let path = self.path(place).await?;
        let how = PostParams { field_manager: Some(SOURCE_FIELD_MANAGER.to_owned()), dry_run: true };
        let request = path.create(&how, text.get().as_bytes().to_vec());
        self.send(who, request.map(strictly)).await.map(|IgnoredAny| ())
    }

    /// As [`Writer::get`], and of the object only what is wanted.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_as<T: DeserializeOwned>(&self, who: &Account, place: &Place) -> Result<Option<T>, CallError> {
        let path = self.path(place).await?;
        match self.send(who, path.get(&place.name, &kube::api::GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The resource of a kind.
    ///
    /// # Errors
    /// See [`CallError`]; a kind that is not there is absent.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<ApiResource, CallError> {
        self.kind(&Place::named(api_version, kind, "", "")).await.map(|(resource, _)| resource)
    }

    /// Whether objects of a kind live in namespaces.
    ///
    /// # Errors
    /// See [`CallError`]; a kind that is not there is absent.
    pub async fn is_namespaced(&self, api_version: &str, kind: &str) -> Result<bool, CallError> {
        let (_, scope) = self.kind(&Place::named(api_version, kind, "", "")).await?;
        Ok(matches!(scope, Scope::Namespaced))
    }

    /// Makes an object that must not exist yet.
    ///
    /// # Errors
    /// See [`CallError`] and [`CallError::is_taken`].
    pub async fn create<T: DeserializeOwned>(&self, who: &Account, object: &Value) -> Result<T, CallError> {
        self.post(who, object, &making()).await
    }

    /// As [`Writer::create`], and nothing is stored.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub async fn create_dry(&self, who: &Account, object: &Value) -> Result<(), CallError> {
        self.post(who, object, &PostParams { dry_run: true, ..making() }).await.map(|IgnoredAny| ())
    }

    async fn post<T: DeserializeOwned>(&self, who: &Account, object: &Value, how: &PostParams) -> Result<T, CallError> {
        let path = self.path(&Place::of(object)).await?;
        let request = path.create(how, object.to_string().into_bytes());
        self.send(who, request.map(strictly)).await
    }

    /// Merges a change into an object.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn merge<T: DeserializeOwned>(
        &self,
        who: &Account,
        place: &Place,
        change: &Value,
    ) -> Result<T, CallError> {
        let path = self.path(place).await?;
        self.send(who, path.patch(&place.name, &merging(), &Patch::Merge(change))).await
    }

    /// Changes one value of an object, provided that it is what it was.
    ///
    /// # Errors
    /// See [`CallError`]; another value is a conflict.
    pub async fn replace_value<T: DeserializeOwned>(
        &self,
        who: &Account,
        place: &Place,
        pointer: &str,
        (from, to): (&Value, &Value),
    ) -> Result<T, CallError> {
        let path = self.path(place).await?;
        let steps = json!([
            {"op": "test", "path": pointer, "value": from},
            {"op": "replace", "path": pointer, "value": to},
        ]);
        let change = serde_json::from_value::<json_patch::Patch>(steps)
            .map_err(|error| CallError::from(kube::Error::SerdeError(error)))?;
        match self.send(who, path.patch(&place.name, &merging(), &Patch::<()>::Json(change))).await {
            // That is how the API server says that the test failed.
            Err(CallError::Refused { code: 422, reason, message }) => {
                Err(CallError::Refused { code: 409, reason, message })
            }
            answer => answer,
        }
    }

    /// Merges a change into the status of an object, as the operator itself.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn merge_status(&self, place: &Place, change: &Value) -> Result<(), CallError> {
        let path = self.path(place).await?;
        let request = path.patch_subresource("status", &place.name, &merging(), &Patch::Merge(change));
        self.send(&Account::Own, request).await.map(|IgnoredAny| ())
    }

    /// Replaces the status of an object under the version that it carries, and returns the version that it has then. All
    /// else of it is what it was under that version.
    ///
    /// # Errors
    /// See [`CallError`] and [`CallError::is_conflict`].
    pub async fn replace_status(&self, place: &Place, object: &Value) -> Result<String, CallError> {
        let path = self.path(place).await?;
        let how = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = path.replace_subresource("status", &place.name, &how, object.to_string().into_bytes());
        let answer: Versioned = self.send(&Account::Own, request).await?;
        Ok(answer.metadata.resource_version)
    }

    /// Deletes an object in the background. One that is gone is no error.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete(&self, who: &Account, place: &Place, uid: Option<String>) -> Result<(), CallError> {
        let path = self.path(place).await?;
        let how = DeleteParams::background().preconditions(Preconditions { uid, resource_version: None });
        match self.send(who, path.delete(&place.name, &how)).await {
            Ok(IgnoredAny) => Ok(()),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Evicts a pod. The answer of a disruption budget that forbids it is an error.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn evict(&self, who: &Account, namespace: &str, pod: &str) -> Result<(), CallError> {
        let place = Place::named("v1", "Pod", namespace, pod);
        let path = self.path(&place).await?;
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace},
        });
        let request = path.create_subresource("eviction", pod, &PostParams::default(), body.to_string().into_bytes());
        self.send(who, request).await.map(|IgnoredAny| ())
    }

    /// Lists objects by label, page by page, and keeps of each what is wanted.
    ///
    /// # Errors
    /// See [`CallError`]. A list that is longer than is read is one: half of it would be taken for all.
    pub async fn list<T>(
        &self,
        who: &Account,
        place: &Place,
        labels: &str,
        keep: impl Fn(Value) -> T + Send,
    ) -> Result<Vec<T>, CallError> {
        let path = self.path(place).await?;
        let mut how = ListParams::default().labels(labels).limit(PAGE);
        let mut kept = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut answer: Value = self.send(who, path.list(&how)).await?;
            if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
                kept.extend(items.into_iter().map(&keep));
            }
            match answer.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => how.continue_token = Some(next.to_owned()),
                _ => return Ok(kept),
            }
        }
        Err(CallError::TooMany(kept.len()))
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        who: &Account,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, CallError> {
        let mut request = request.map_err(|error| CallError::from(kube::Error::BuildRequest(error)))?;
        if let Account::Service { namespace, name } = who {
            let user = HeaderValue::try_from(format!("system:serviceaccount:{namespace}:{name}"));
            let user = user.map_err(|error| CallError::from(kube::Error::HttpError(error.into())))?;
            request.headers_mut().insert("impersonate-user", user);
        }
        call(TIMEOUT, self.client.request::<T>(request)).await
    }

    pub(super) async fn path(&self, place: &Place) -> Result<Path, CallError> {
        let (resource, scope) = self.kind(place).await?;
        let namespace = match scope {
            Scope::Namespaced => place.namespace.as_deref(),
            Scope::Cluster => None,
        };
        Ok(Path::new(DynamicObject::url_path(&resource, namespace)))
    }

    /// The resource of a kind, as the API server names it.
    async fn kind(&self, place: &Place) -> Result<(ApiResource, Scope), CallError> {
        let key = (place.api_version.clone(), place.kind.clone());
        if let Some(known) = self.kinds.lock().await.get(&key) {
            return Ok(known.clone());
        }
        let (group, version) = place.api_version.rsplit_once('/').unwrap_or(("", &place.api_version));
        let kind = GroupVersionKind::gvk(group, version, &place.kind);
        let (resource, capabilities) = call(TIMEOUT, discovery::pinned_kind(&self.client, &kind)).await?;
        let mut kinds = self.kinds.lock().await;
        if kinds.len() >= KINDS_MAX {
            *kinds = known_kinds();
        }
        kinds.insert(key, (resource.clone(), capabilities.scope.clone()));
        Ok((resource, capabilities.scope))
    }
}

fn making() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// Asks for fields that the API server does not know to be refused and not to be dropped. The client's own parameters of a
/// creation have no word for it.
fn strictly(mut request: Request<Vec<u8>>) -> Request<Vec<u8>> {
    let joint = if request.uri().query().is_some() { '&' } else { '?' };
    if let Ok(uri) = format!("{}{joint}fieldValidation=Strict", request.uri()).parse() {
        *request.uri_mut() = uri;
    }
    request
}

fn merging() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// The kinds that every rollout writes: asking the API server for them would be one more call for nothing.
fn known_kinds() -> Kinds {
    let known = [
        ("v1", "Service", "services"),
        ("v1", "ConfigMap", "configmaps"),
        ("v1", "Secret", "secrets"),
        ("v1", "ServiceAccount", "serviceaccounts"),
        ("v1", "Pod", "pods"),
        ("apps/v1", "ReplicaSet", "replicasets"),
        ("batch/v1", "Job", "jobs"),
        ("landfall.dev/v1alpha1", "Deployment", "deployments"),
        ("landfall.dev/v1alpha1", "Package", "packages"),
        ("landfall.dev/v1alpha1", "Profile", "profiles"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes"),
        ("gateway.networking.k8s.io/v1", "Gateway", "gateways"),
    ];
    let entry = |(api_version, kind, plural): (&str, &str, &str)| {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let kind_of = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind_of, plural);
        ((api_version.to_owned(), kind.to_owned()), (resource, Scope::Namespaced))
    };
    let class = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
    let class = (ApiResource::from_gvk_with_plural(&class, "gatewayclasses"), Scope::Cluster);
    let cluster = (("gateway.networking.k8s.io/v1".to_owned(), "GatewayClass".to_owned()), class);
    known.into_iter().map(entry).chain([cluster]).collect()
}

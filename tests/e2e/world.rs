//! A namespace for one test, and how a test applies manifests, waits for what it needs, and reads the node.

use std::{env, fmt::Debug, future::Future, process::Command, time::Duration};

use k8s_openapi::{
    api::core::v1::{Namespace, Pod},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{GroupVersionKind, ObjectMeta},
    discovery,
    runtime::{
        conditions,
        wait::{Condition, await_condition, delete::delete_and_finalize},
    },
};
use serde::de::DeserializeOwned;

/// How long a test waits for one thing before it fails and says which.
const PATIENCE: Duration = Duration::from_mins(2);

/// The image that `make image` loads; `LANDFALL_IMAGE` names another one, for a cluster that somebody else started.
pub const LOCAL_IMAGE: &str = "localhost/landfall:dev";

/// The namespace of one test.
pub struct World {
    pub client: Client,
    pub namespace: String,
}

impl World {
    /// Connects and makes the namespace. The name ends with the process id: two runs never meet.
    pub async fn new(test: &str) -> Self {
        crate::why::remember();
        landfall::cluster::connect::install_tls_provider();
        let client = Client::try_default().await.expect("these tests need a cluster: run them with `make test`");
        let namespace = format!("e2e-{test}-{}", std::process::id());
        let object = Namespace {
            metadata: ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let world = Self { client, namespace };
        // Pods are refused until a controller has made the account that they run as.
        world.wait_for::<k8s_openapi::api::core::v1::ServiceAccount, _>("default", exists()).await;
        world
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies every document of a manifest in this test's namespace.
    pub async fn apply(&self, manifest: &str) {
        let image = env::var("LANDFALL_IMAGE").unwrap_or_else(|_| LOCAL_IMAGE.to_owned());
        for object in serde_saphyr::from_multiple::<DynamicObject>(&manifest.replace(LOCAL_IMAGE, &image)).unwrap() {
            let types = object.types.clone().expect("a manifest names its kind");
            let kind = GroupVersionKind::try_from(&types).unwrap();
            let (resource, _) = discovery::pinned_kind(&self.client, &kind).await.unwrap();
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            let how = PatchParams::apply("e2e").force();
            api.patch(&object.name_any(), &how, &Patch::Apply(&object)).await.unwrap();
        }
    }

    /// Waits until an object is as the condition wants it.
    pub async fn wait_for<K, C>(&self, name: &str, condition: C)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + Send
            + DeserializeOwned
            + 'static,
        K::DynamicType: Default,
        C: Condition<K>,
    {
        self.patiently(name, Box::pin(await_condition(self.api::<K>(), name, condition))).await.unwrap();
    }

    /// Waits for a future, and names what it was when patience ends.
    pub async fn patiently<T>(&self, what: &str, wait: impl Future<Output = T>) -> T {
        let Ok(value) = tokio::time::timeout(PATIENCE, wait).await else {
            panic!("{what} in {} took more than {} s", self.namespace, PATIENCE.as_secs());
        };
        value
    }

    /// The names of this test's pods that are there and not about to end.
    pub async fn pods(&self) -> Vec<String> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await.unwrap();
        pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).map(ResourceExt::name_any).collect()
    }

    /// The ids of the containers, sandboxes included, that the node runs for this test's namespace; none is known of a
    /// cluster that somebody else started.
    pub fn containers_on_the_node(&self) -> Option<Vec<String>> {
        if env::var("LANDFALL_CLUSTER_KIND").as_deref() == Ok("current") {
            return None;
        }
        let filter = format!("labels.\"io.kubernetes.pod.namespace\"=={}", self.namespace);
        let running = ctr(&["tasks", "list", "--quiet"]);
        let mut containers = ctr(&["containers", "list", "--quiet", &filter]);
        // The record of an ended container stays until the kubelet's next collection of garbage.
        containers.retain(|id| running.contains(id));
        Some(containers)
    }

    /// Deletes the namespace and waits until it and all that was in it are gone.
    pub async fn end(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let how = DeleteParams::default();
        let deletion = delete_and_finalize(namespaces, &self.namespace, &how);
        self.patiently("the end of the namespace", deletion).await.unwrap();
    }
}

impl Drop for World {
    /// A test that failed leaves its namespace no longer than it has to; somebody else's cluster stays clean.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let arguments = ["delete", "namespace", &self.namespace, "--wait=false", "--ignore-not-found"];
            drop(Command::new("kubectl").args(arguments).status());
        }
    }
}

/// Installs the custom resource definitions and waits until the API server serves them. They belong to the cluster and
/// stay; installing them again changes nothing, so every test that needs them does it.
pub async fn install_definitions(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let how = PatchParams::apply("landfall-e2e").force();
    for definition in landfall::api::crd::definitions() {
        let name = definition["metadata"]["name"].as_str().expect("a definition has a name").to_owned();
        definitions.patch(&name, &how, &Patch::Apply(&definition)).await.unwrap();
        let served = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(PATIENCE, served).await.expect("the definition is served in time").unwrap();
    }
}

fn ctr(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("ctr").args(arguments).output().unwrap();
    assert!(output.status.success(), "ctr: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The object is there.
pub fn exists<K>() -> impl Condition<K> {
    |object: Option<&K>| object.is_some()
}

/// A Deployment of apps/v1 has all its replicas available.
pub fn available() -> impl Condition<k8s_openapi::api::apps::v1::Deployment> {
    conditions::is_deployment_completed()
}

/// Where the gateway listens.
pub fn gateway_url() -> String {
    env::var("LANDFALL_GATEWAY_URL")
        .expect("LANDFALL_GATEWAY_URL must name the gateway's address, for example http://10.0.0.1:8080")
}

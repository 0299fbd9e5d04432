//! Another cluster: an API server and its store as processes of one test, in the network of the tests' own cluster.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    rbac::v1::ClusterRoleBinding,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use landfall::{
    cluster::{probe::forbidden::Forbidden, remote},
    gitops::kubeconfig,
};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::git::server::{Identity, Scratch};

/// How long an API server may take until it serves.
const PATIENCE: Duration = Duration::from_mins(2);

/// The namespace of everything there.
pub const NAMESPACE: &str = "far";

/// Who may do everything: its token, which is its name too.
const ADMIN: &str = "the-admin-of-the-test";

/// An API server with a store. Both end with it.
pub struct Far {
    scratch: Scratch,
    identity: Identity,
    port: u16,
    children: Vec<Child>,
    pub client: Client,
}

/// A port that is free, for a program that opens it itself.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The kubeconfig of a server, in which a user may be anything.
pub fn kubeconfig(server: &str, authority: Option<&str>, user: &Value) -> Value {
    let authority = authority.map(|pem| BASE64_STANDARD.encode(pem));
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "far",
        "contexts": [{"name": "far", "context": {"cluster": "far", "user": "somebody"}}],
        "clusters": [{"name": "far", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "somebody", "user": user}],
    })
}

impl Far {
    /// Starts one, in which these users may do everything. A user's token is its name.
    pub async fn start(test: &str, users: &[&str]) -> Self {
        let scratch = Scratch::new(&format!("far-{test}"));
        let identity = Identity::new();
        let key = KeyPair::generate().unwrap();
        let tokens: Vec<_> = users.iter().map(|user| format!("{user},{user},{user}\n")).collect();
        for (file, text) in [
            ("server.crt", identity.certificate.as_str()),
            ("server.key", &identity.key),
            ("accounts.key", &key.serialize_pem()),
            ("accounts.pub", &key.public_key_pem()),
            ("tokens", &format!("{ADMIN},{ADMIN},{ADMIN},system:masters\n{}", tokens.concat())),
        ] {
            fs::write(scratch.0.join(file), text).unwrap();
        }
        let port = free_port();
        let children = processes(&scratch, port);
        let config = kubeconfig(&address(port), Some(&identity.authority), &json!({"token": ADMIN})).to_string();
        let read = kubeconfig::read(config.as_bytes()).unwrap();
        let client = remote::client(&read, &Forbidden::only(BTreeSet::new())).unwrap();
        let far = Self { scratch, identity, port, children, client };
        far.ready().await;
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        let namespaces: Api<Namespace> = Api::all(far.client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        for user in users {
            let binding = json!({
                "metadata": {"name": user},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
            });
            far.bindings().create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
        }
        far
    }

    /// Waits until it serves what these tests need.
    async fn ready(&self) {
        let served = async {
            loop {
                // The roles that everybody has are made a moment after the first answer.
                let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(self.client.clone());
                if roles.get("cluster-admin").await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let log = || fs::read_to_string(self.scratch.0.join("kube-apiserver.log")).unwrap_or_default();
        assert!(tokio::time::timeout(PATIENCE, served).await.is_ok(), "the API server does not serve: {}", log());
    }

    /// Who may do what.
    pub fn bindings(&self) -> Api<ClusterRoleBinding> {
        Api::all(self.client.clone())
    }

    /// The kubeconfig of one of the users.
    pub fn kubeconfig(&self, user: &str) -> Value {
        kubeconfig(&address(self.port), Some(&self.identity.authority), &json!({"token": user}))
    }

    pub fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// The `ConfigMap`s that a source looks after.
    pub async fn names(&self) -> Vec<String> {
        let all = self.maps().list(&ListParams::default()).await.unwrap();
        let own = all.iter().filter(|map| map.labels().contains_key("landfall.dev/profile"));
        own.map(ResourceExt::name_any).collect()
    }

    /// Stops it, as a cluster that is gone.
    pub fn stop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
        self.children.clear();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop();
    }
}

fn address(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// The store and the API server. Both are programs of the tests' own cluster, which are on the path there.
fn processes(scratch: &Scratch, port: u16) -> Vec<Child> {
    let (store, peer) = (free_port(), free_port());
    let (store, peer) = (format!("http://127.0.0.1:{store}"), format!("http://127.0.0.1:{peer}"));
    let file = |name: &str| scratch.0.join(name).display().to_string();
    let start = |program: &str, arguments: Vec<String>| {
        let log = fs::File::create(scratch.0.join(format!("{program}.log"))).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))
    };
    let etcd = vec![
        format!("--data-dir={}", file("etcd")),
        format!("--listen-client-urls={store}"),
        format!("--advertise-client-urls={store}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=error".to_owned(),
    ];
    let api = vec![
        format!("--etcd-servers={store}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens")),
        format!("--service-account-key-file={}", file("accounts.pub")),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        "--service-account-issuer=https://far.test".to_owned(),
        "--service-cluster-ip-range=10.97.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
    ];
    vec![start("etcd", etcd), start("kube-apiserver", api)]
}

//! Other clusters: what goes over the wire to one, where no connection is made to, and what the command line shows of one.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use landfall::{
    cluster::{
        call::CallError,
        connect::install_tls_provider,
        probe::forbidden::Forbidden,
        remote::{self, RemoteError},
        write::{Account, Place, Writer},
    },
    gitops::kubeconfig,
    telemetry::chain,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{cli::run, fake_cluster::FakeCluster};

/// An authority and a certificate of it, which is good for a server on loopback and for a client.
struct Identity {
    authority: String,
    certificate: String,
    key: String,
}

/// What a server wants to see of its clients before a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Certificate,
}

impl Identity {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        Self { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn acceptor(&self, asked: Asked) -> TlsAcceptor {
        install_tls_provider();
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.authority)).unwrap();
        let config = ServerConfig::builder();
        let config = if asked == Asked::Certificate {
            config.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        Arc::new(config.with_single_cert(vec![certificate(&self.certificate)], key).unwrap()).into()
    }
}

/// A server that gives the same answer to every request, and remembers what it was asked.
struct Door {
    address: SocketAddr,
    identity: Identity,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Door {
    async fn open(answer: &'static str, asked: Asked) -> Self {
        let identity = Identity::new();
        let acceptor = identity.acceptor(asked);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = vec![0; 16 * 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                log.lock().unwrap().push(String::from_utf8_lossy(&request[..read]).to_lowercase());
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        Self { address, identity, seen }
    }

    fn kubeconfig(&self, host: &str, user: &Value) -> Value {
        kubeconfig(&format!("https://{host}:{}/k8s/far", self.address.port()), Some(&self.identity.authority), user)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn kubeconfig(server: &str, authority: Option<&str>, user: &Value) -> Value {
    let authority = authority.map(|pem| BASE64_STANDARD.encode(pem));
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "far",
        "contexts": [{"name": "far", "context": {"cluster": "far", "user": "somebody"}}],
        "clusters": [{"name": "far", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "somebody", "user": user}],
    })
}

fn token() -> Value {
    json!({"token": "hush-hush"})
}

fn anywhere() -> Forbidden {
    Forbidden::only(BTreeSet::new())
}

fn client(config: &Value, forbidden: &Forbidden) -> Result<kube::Client, RemoteError> {
    install_tls_provider();
    remote::client(&kubeconfig::read(config.to_string().as_bytes()).unwrap(), forbidden)
}

async fn get(config: &Value, forbidden: &Forbidden) -> Result<Option<Value>, CallError> {
    let writer = Writer::new(client(config, forbidden).unwrap());
    writer.get(&Account::Own, &Place::named("v1", "ConfigMap", "shop", "one")).await
}

const MAP: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 78\r\nconnection: close\r\n\r\n\
                   {\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"one\",\"uid\":\"uid-1\"}}";

#[tokio::test]
async fn a_call_goes_below_the_path_of_the_server_and_has_the_token() {
    let door = Door::open(MAP, Asked::Nothing).await;
    let found = get(&door.kubeconfig("127.0.0.1", &token()), &anywhere()).await.unwrap().unwrap();
    assert_eq!(found["metadata"]["uid"], "uid-1");
    let [request] = door.seen().try_into().unwrap();
    assert!(request.starts_with("get /k8s/far/api/v1/namespaces/shop/configmaps/one"), "{request}");
    assert!(request.contains("authorization: bearer hush-hush\r\n"), "{request}");
    assert!(!request.contains("impersonate"), "the identity of the kubeconfig writes: {request}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted() {
    let door = Door::open(MAP, Asked::Certificate).await;
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let Identity { certificate, key, .. } = &door.identity;
    let user = json!({"client-certificate-data": encode(certificate), "client-key-data": encode(key)});
    let found = get(&door.kubeconfig("localhost", &user), &anywhere()).await.unwrap();
    assert!(found.is_some());
    assert!(get(&door.kubeconfig("localhost", &token()), &anywhere()).await.is_err(), "a token alone is not enough");
}

#[tokio::test]
async fn an_address_is_judged_after_the_look_up_and_nothing_is_sent_to_a_forbidden_one() {
    let door = Door::open(MAP, Asked::Nothing).await;
    let strict = Forbidden::strict(BTreeSet::new());
    let own = Forbidden::only(BTreeSet::from(["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]));
    for forbidden in [strict, own] {
        let error = get(&door.kubeconfig("localhost", &token()), &forbidden).await.unwrap_err();
        let words = chain(&error);
        assert!(words.contains("leads to the operator's own machine"), "{words}");
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
            let refused = client(&door.kubeconfig(host, &token()), &forbidden).err();
            assert_eq!(refused, Some(RemoteError::Forbidden), "{host}");
        }
    }
    let metadata = kubeconfig("https://169.254.169.254", None, &token());
    assert_eq!(client(&metadata, &Forbidden::strict(BTreeSet::new())).err(), Some(RemoteError::Forbidden));
    assert!(door.seen().is_empty(), "{:?}", door.seen());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let moved = Door::open(MAP, Asked::Nothing).await;
    let door = Door::open(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://169.254.169.254/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Asked::Nothing,
    )
    .await;
    assert!(get(&door.kubeconfig("127.0.0.1", &token()), &anywhere()).await.is_err());
    assert_eq!((door.seen().len(), moved.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_server_that_shows_another_certificate_gets_nothing() {
    let (door, other) = (Door::open(MAP, Asked::Nothing).await, Identity::new());
    let mut config = door.kubeconfig("127.0.0.1", &token());
    config["clusters"][0]["cluster"]["certificate-authority-data"] = json!(BASE64_STANDARD.encode(&other.authority));
    let error = get(&config, &anywhere()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)), "{error:?}");
    // Without an authority it is the machine's that count.
    config["clusters"][0]["cluster"]["certificate-authority-data"] = Value::Null;
    if client(&config, &anywhere()).is_ok() {
        assert!(get(&config, &anywhere()).await.is_err());
    }
    assert!(door.seen().is_empty());
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_by_its_field_and_not_quoted() {
    let bad = BASE64_STANDARD.encode("hush-hush");
    let (server, identity) = ("https://127.0.0.1:1", Identity::new());
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let mut authority = kubeconfig(server, None, &token());
    authority["clusters"][0]["cluster"]["certificate-authority-data"] = json!(bad);
    let trusted = Some(identity.authority.as_str());
    let certificate =
        kubeconfig(server, trusted, &json!({"client-certificate-data": bad, "client-key-data": encode(&identity.key)}));
    let key = kubeconfig(
        server,
        trusted,
        &json!({"client-certificate-data": encode(&identity.certificate), "client-key-data": bad}),
    );
    let cases = [
        (authority, RemoteError::Authority, "certificate-authority-data"),
        (certificate, RemoteError::Certificate, "client-certificate-data"),
        (key, RemoteError::Certificate, "client-key-data"),
    ];
    for (config, wanted, field) in cases {
        let error = client(&config, &anywhere()).err().unwrap();
        assert_eq!(error, wanted);
        let words = error.to_string();
        assert!(words.contains(field) && !words.contains("hush"), "{words}");
    }
}

#[tokio::test]
async fn nowhere_says_why() {
    let maps: Api<ConfigMap> = Api::namespaced(remote::nowhere("there is no way"), "shop");
    let error = CallError::from(maps.get("one").await.unwrap_err());
    assert!(chain(&error).contains("there is no way"), "{error:?}");
}

const PROFILE: &str = "/apis/landfall.dev/v1alpha1/namespaces/shop/profiles/production";
const SECRET: &str = "/api/v1/namespaces/shop/secrets/far";

/// A cluster behind https.
fn behind_tls(cluster: &FakeCluster, identity: &Identity) -> SocketAddr {
    let (inside, acceptor) = (cluster.address(), identity.acceptor(Asked::Nothing));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let mut inside = TcpStream::connect(inside).await.unwrap();
                    drop(copy_bidirectional(&mut outside, &mut inside).await);
                });
            }
        });
    });
    address
}

/// A cluster with a Profile that writes to the namespace `far` of another one, and that one.
fn two(name: &str) -> (FakeCluster, FakeCluster) {
    let (here, far, identity) =
        (FakeCluster::start(&format!("{name}-here")), FakeCluster::start(&format!("{name}-far")), Identity::new());
    let address = behind_tls(&far, &identity);
    let config = kubeconfig(&format!("https://{address}"), Some(&identity.authority), &token()).to_string();
    here.put(
        PROFILE,
        json!({
            "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile",
            "metadata": {"name": "production", "namespace": "shop", "generation": 1},
            "spec": {
                "environment": "production",
                "target": {"namespace": "far", "kubeconfig": {"name": "far", "key": "value"}},
                "source": {"git": {"url": "https://git.example.test/acme/shop.git"}},
            },
            "status": {"source": {"phase": "Synced", "inventory": {"count": 2, "entries": [
                "landfall.dev/v1alpha1 Deployment far/shop 0a1b uid-shop", "v1 ConfigMap far/one 0a1b uid-one",
            ]}}},
        }),
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "far", "namespace": "shop"},
        "data": {"value": BASE64_STANDARD.encode(config)},
    });
    here.put(SECRET, secret);
    (here, far)
}

/// A Deployment with a phase.
fn deployment(phase: &str) -> Value {
    let mut deployment = crate::commands::shop();
    deployment["metadata"]["namespace"] = json!("far");
    deployment["status"]["phase"] = json!(phase);
    deployment
}

const DEPLOYMENT: &str = "/apis/landfall.dev/v1alpha1/namespaces/far/deployments/shop";

#[test]
fn tree_shows_how_deployments_stand_in_the_other_cluster_and_never_those_of_this_one() {
    let (here, far) = two("tree");
    here.put(DEPLOYMENT, deployment("Failed"));
    far.put(DEPLOYMENT, deployment("Progressing"));
    let (code, out, err) = run(&mut here.landfall(&["tree", "production"]));
    assert!(code == 0 && out.contains("far/shop  Progressing"), "{out}{err}");
    assert!(out.contains("note: the objects are in the cluster of spec.target.kubeconfig\n"), "{out}");
    here.refuse("/secrets/far", 403);
    let (code, out, _) = run(&mut here.landfall(&["tree", "production"]));
    assert!(code == 0 && out.contains("far/shop  not seen"), "{out}");
    assert!(out.contains("note: the objects are in another cluster") && out.contains("HTTP 403"), "{out}");
}

#[test]
fn diff_asks_the_other_cluster_and_no_other_where_it_may_not() {
    let (here, far) = two("diff");
    let root = crate::cli::scratch("working-copy-remote");
    drop(std::fs::remove_dir_all(&root));
    std::fs::create_dir_all(&root).unwrap();
    let map =
        |value: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: \"{value}\"\n");
    std::fs::write(root.join("one.yaml"), map("2")).unwrap();
    let live = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "one", "namespace": "far", "uid": "uid-one",
                         "labels": {"landfall.dev/profile": "production", "landfall.dev/profile-namespace": "shop"}},
            "data": {"a": value},
        })
    };
    let path = "/api/v1/namespaces/far/configmaps/one";
    here.put(path, live("of this cluster"));
    far.put(path, live("1"));
    let mut command = here.landfall(&["diff", "production", "--path", root.to_str().unwrap()]);
    let (code, out, err) = run(&mut command);
    assert!(code == 1 && out.contains("-  a: \"1\"\n+  a: \"2\"\n"), "{out}{err}");
    assert!(here.written().is_empty() && far.written()[0].query.contains("dryRun=All"));
    here.edit(SECRET, |secret| secret["data"]["value"] = json!(BASE64_STANDARD.encode("users: [{user: {exec: {}}}]")));
    let (code, out, err) = run(&mut command);
    assert!(code == 2 && out.is_empty() && err.contains("in another cluster, which cannot be asked"), "{out}{err}");
    assert!(here.written().is_empty());
}

//! Probes against servers on loopback that answer as they should not.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use http::header::AUTHORIZATION;
use kube::Client;
use landfall::{
    analysis::{
        answer::{BODY_MAX, ProbeError, Reply},
        http::{Names, Request, ServiceAddress, request},
    },
    api::check::Check,
    cluster::probe::{Prober, api_server, forbidden::Forbidden, secrets::Secrets},
    engine::verdict::Measurement,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A server that answers every request with what a function makes of it, and then goes on as told.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What a server does after its answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    /// It says nothing more, and keeps the connection.
    Hang,
    /// It sends the same byte for ever.
    Flood,
}

type Answering = fn(&str) -> (String, Then);

impl Server {
    async fn start(answering: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answering, Arc::clone(&log)));
            }
        });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answering: Answering, log: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    // A first byte of 22 begins TLS; the server does not understand that and answers at once.
    while !request.ends_with(b"\r\n\r\n") && !request.starts_with(&[22]) {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    log.lock().unwrap().push(request.clone());
    let (answer, then) = answering(&request);
    // The peer may have heard enough.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.flush().await;
    match then {
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Hang => std::future::pending().await,
        Then::Flood => while stream.write_all(&[b'x'; 4096]).await.is_ok() {},
    }
}

fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}

fn ok(body: &str) -> (String, Then) {
    (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()), Then::Close)
}

fn found(location: &str) -> (String, Then) {
    (format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"), Then::Close)
}

fn check(http: &Value) -> Check {
    serde_json::from_value(json!({"name": "up", "http": http})).unwrap()
}

fn asking(url: &str) -> Request {
    request(&check(&json!({"url": url, "timeout": "30s"})), &Names::default()).unwrap()
}

fn addresses(all: &[&str]) -> BTreeSet<IpAddr> {
    all.iter().map(|address| address.parse().unwrap()).collect()
}

/// Loopback may be asked, and nothing is trusted.
fn prober(forbidden: &[&str]) -> Prober {
    Prober::trusting(RootCertStore::empty(), Forbidden::only(addresses(forbidden)))
}

async fn ask(url: &str) -> Result<Reply, ProbeError> {
    prober(&[]).ask(&asking(url), &Secrets::default()).await
}

#[tokio::test]
async fn an_answer_has_its_status_and_body_and_every_probe_its_own_connection() {
    let server = Server::start(|request| match path(request) {
        "/broken" => ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy".to_owned(), Then::Hang),
        "/chunked?a=b" => (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_owned(),
            Then::Hang,
        ),
        "/until-close" => ("HTTP/1.0 200 OK\r\n\r\nall of it".to_owned(), Then::Close),
        _ => ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Then::Hang),
    })
    .await;
    let table =
        [("/broken", 503, "busy"), ("/chunked?a=b", 200, "abcde"), ("/until-close", 200, "all of it"), ("/x", 204, "")];
    for (path, status, body) in table {
        let reply = ask(&server.url(path)).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (status, body.as_bytes()), "{path}");
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    let first = seen[0].to_lowercase();
    assert!(first.starts_with("get /broken http/1.1\r\n") && first.contains("\r\nconnection: close\r\n"), "{first}");
    assert!(
        first.contains(&format!("\r\nhost: {}\r\n", server.address)) && !first.contains("accept-encoding"),
        "{first}"
    );
}

#[tokio::test]
async fn head_asks_without_a_body() {
    let server = Server::start(|_| ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n".to_owned(), Then::Hang)).await;
    let check = check(&json!({"url": server.url("/"), "method": "HEAD"}));
    let request = request(&check, &Names::default()).unwrap();
    let reply = prober(&[]).ask(&request, &Secrets::default()).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert!(server.seen()[0].starts_with("HEAD / "));
}

#[tokio::test]
async fn redirects_are_followed_to_the_third() {
    let server = Server::start(|request| match path(request) {
        "/1" => found("/2"),
        "/2" => found("3"),
        "/3" => found("/end"),
        "/end" => ok("here"),
        _ => found("/1"),
    })
    .await;
    assert_eq!(ask(&server.url("/1")).await.unwrap().body, b"here");
    assert_eq!(ask(&server.url("/0")).await.unwrap_err(), ProbeError::TooManyRedirects(3));
    assert_eq!(server.seen().len(), 8);
    let expected = check(&json!({"url": server.url("/1"), "expectedStatus": [302]}));
    let reply = prober(&[]).ask(&request(&expected, &Names::default()).unwrap(), &Secrets::default()).await.unwrap();
    assert_eq!(reply.status, 302, "a redirect that is expected by its number is the answer");
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_or_broken_address_is_not_followed() {
    let server = Server::start(|request| match path(request) {
        "/metadata" => found("http://169.254.169.254/latest/meta-data"),
        "/mapped" => found("http://[::ffff:169.254.169.254]/"),
        "/decimal" => found("http://2852039166/"),
        "/own" => found("http://127.0.0.2:1/"),
        "/file" => found("file:///etc/passwd"),
        _ => found("http://me:hush@127.0.0.1/"),
    })
    .await;
    let prober = prober(&["169.254.169.254", "127.0.0.2"]);
    for path in ["/metadata", "/mapped", "/decimal", "/own"] {
        let error = prober.ask(&asking(&server.url(path)), &Secrets::default()).await.unwrap_err();
        assert!(matches!(error, ProbeError::Forbidden(_)), "{path}: {error:?}");
    }
    for path in ["/file", "/user"] {
        let error = prober.ask(&asking(&server.url(path)), &Secrets::default()).await.unwrap_err();
        assert!(matches!(error, ProbeError::Redirect(_)), "{path}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

#[tokio::test]
async fn loopback_is_not_asked_by_name_by_number_or_as_a_services_address() {
    let server = Server::start(|_| ok("secret")).await;
    let strict = Prober::trusting(RootCertStore::empty(), Forbidden::strict(BTreeSet::new()));
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let error = strict.ask(&asking(&format!("http://{host}:{port}/")), &Secrets::default()).await.unwrap_err();
        assert!(matches!(error, ProbeError::Forbidden(_)), "{host}: {error:?}");
    }
    let service = ServiceAddress { host: "shop.svc".to_owned(), address: "127.0.0.1".parse().ok(), port };
    let names = Names { candidate: Some(&service) };
    let request = request(&check(&json!({"url": "http://{{candidate.service}}/"})), &names).unwrap();
    assert!(matches!(strict.ask(&request, &Secrets::default()).await, Err(ProbeError::Forbidden(_))));
    assert_eq!(prober(&[]).ask(&request, &Secrets::default()).await.unwrap().body, b"secret", "the address is used");
    assert!(server.seen()[0].to_lowercase().contains(&format!("\r\nhost: shop.svc:{port}\r\n")));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_secret_is_sent_to_the_host_that_was_named_and_to_no_other() {
    let server = Server::start(|request| match path(request) {
        "/same" => found("/end"),
        "/other" => found(&format!(
            "http://localhost:{}/end",
            request.split("host: 127.0.0.1:").nth(1).unwrap().split('\r').next().unwrap()
        )),
        _ => ok("end"),
    })
    .await;
    let mut secrets = Secrets::default();
    secrets.add(&AUTHORIZATION, b"Bearer hush\n").unwrap();
    let header = json!({"name": "Authorization", "secret": {"name": "s", "key": "k"}});
    let with = |path: &str| {
        let check = check(&json!({"url": server.url(path), "headers": [header.clone()]}));
        request(&check, &Names::default()).unwrap()
    };
    for path in ["/same", "/other"] {
        assert_eq!(prober(&[]).ask(&with(path), &secrets).await.unwrap().body, b"end");
    }
    let sent: Vec<_> = server.seen().iter().map(|request| request.contains("authorization: Bearer hush\r\n")).collect();
    assert_eq!(sent, [true, true, true, false]);
    let missing = prober(&[]).ask(&with("/same"), &Secrets::default()).await.unwrap_err();
    assert_eq!(missing, ProbeError::Header("authorization".to_owned()));
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let server = Server::start(|_| ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Then::Flood)).await;
    let reply = ask(&server.url("/")).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, BODY_MAX));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_ends_with_the_time() {
    let server = Server::start(|request| match path(request) {
        "/silent" => (String::new(), Then::Hang),
        "/head" => ("HTTP/1.1 200 OK\r\ncontent-le".to_owned(), Then::Hang),
        _ => ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned(), Then::Hang),
    })
    .await;
    for path in ["/silent", "/head", "/body"] {
        let check = check(&json!({"url": server.url(path), "timeout": "1500ms"}));
        let request = request(&check, &Names::default()).unwrap();
        let error = prober(&[]).ask(&request, &Secrets::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing within 1s500ms", "{path}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    let server = Server::start(|request| match path(request) {
        "/garbage" => ("SSH-2.0-OpenSSH_9.6\r\n".to_owned(), Then::Close),
        "/bomb" => (format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(101)) + "\r\n", Then::Close),
        "/long" => (format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(8 * BODY_MAX)), Then::Close),
        "/endless" => ("HTTP/1.1 200 OK\r\nx: ".to_owned(), Then::Flood),
        "/cut" => ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned(), Then::Close),
        _ => (String::new(), Then::Close),
    })
    .await;
    let closed = "the connection was closed before the end of the answer";
    let garbled = ProbeError::Garbled.to_string();
    let table = [
        ("/garbage", garbled.as_str()),
        ("/bomb", &garbled),
        ("/long", &garbled),
        ("/endless", &garbled),
        ("/cut", closed),
        ("/none", closed),
    ];
    for (path, words) in table {
        let error = ask(&server.url(path)).await.expect_err(path);
        assert_eq!(error.to_string(), words, "{path}");
    }
}

#[tokio::test]
async fn no_server_and_no_name_are_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(
        ask(&format!("http://127.0.0.1:{port}/")).await.unwrap_err(),
        ProbeError::Broken("connection refused".to_owned())
    );
    assert_eq!(ask("http://nowhere.invalid/").await.unwrap_err(), ProbeError::Unresolved("nowhere.invalid".to_owned()));
    let check = check(&json!({"url": format!("http://127.0.0.1:{port}/")}));
    let request = request(&check, &Names::default()).unwrap();
    let measured = prober(&[]).measure(&check, &request, &Secrets::default()).await;
    assert_eq!(measured, Measurement::Unknown("no answer: connection refused".to_owned()));
}

#[tokio::test]
async fn an_answer_is_judged_by_its_expression() {
    let server = Server::start(|_| ok(r#"{"errors": 3}"#)).await;
    let measured = async |failure: &str| {
        let mut check = check(&json!({"url": server.url("/")}));
        check.failure = Some(failure.to_owned());
        let request = request(&check, &Names::default()).unwrap();
        prober(&[]).measure(&check, &request, &Secrets::default()).await
    };
    assert_eq!(measured("json.errors > 5").await, Measurement::Success);
    assert_eq!(
        measured("json.errors > 2").await,
        Measurement::Failure(r#"status 200, body "{"errors": 3}""#.to_owned())
    );
}

/// A server on loopback with a certificate for `localhost` that nobody has signed, and roots that trust it.
async fn encrypted() -> (u16, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepting: tokio_rustls::Accept<TcpStream> = acceptor.accept(stream);
            tokio::spawn(async move {
                if let Ok(stream) = accepting.await {
                    serve(stream, |_| ok("safe"), Arc::default()).await;
                }
            });
        }
    });
    (port, roots)
}

#[tokio::test]
async fn https_is_asked_where_the_certificate_is_trusted_and_for_that_name() {
    let (port, roots) = encrypted().await;
    let forbidden = || Forbidden::only(BTreeSet::new());
    let trusting = Prober::trusting(roots, forbidden());
    let (_, others) = encrypted().await;
    let asked = async |prober: &Prober, host: &str| {
        prober.ask(&asking(&format!("https://{host}:{port}/")), &Secrets::default()).await
    };
    assert_eq!(asked(&trusting, "localhost").await.unwrap().body, b"safe");
    let error = asked(&trusting, "127.0.0.1").await.unwrap_err().to_string();
    assert_eq!(error, "TLS: the certificate is for another name");
    let error = asked(&Prober::trusting(others, forbidden()), "localhost").await.unwrap_err().to_string();
    assert!(error.starts_with("TLS: the certificate is "), "{error}");
    assert_eq!(asked(&prober(&[]), "localhost").await.unwrap_err(), ProbeError::NoRoots);
    let plain = Server::start(|_| ok("")).await;
    let error =
        trusting.ask(&asking(&format!("https://localhost:{}/", plain.address.port())), &Secrets::default()).await;
    assert!(matches!(error, Err(ProbeError::Tls(_))), "{error:?}");
}

/// A client of an API server that has these objects under these paths and nothing else.
fn api(objects: Vec<(&'static str, Value)>) -> Client {
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let found = objects.iter().find(|(path, _)| *path == request.uri().path()).map(|(_, object)| object.clone());
        let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "no", "code": 404});
        let code = if found.is_some() { 200 } else { 404 };
        let body = axum::body::Body::from(found.unwrap_or(status).to_string());
        std::future::ready(Ok::<_, tower::BoxError>(http::Response::builder().status(code).body(body).unwrap()))
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn the_api_server_is_known_by_all_its_addresses() {
    let service = json!({"spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"]}});
    let slice = json!({"addressType": "IPv4", "endpoints": [{"addresses": ["192.168.7.2", "192.168.7.3"]}]});
    let client = api(vec![
        ("/api/v1/namespaces/default/services/kubernetes", service),
        ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", json!({"metadata": {}, "items": [slice]})),
    ]);
    let found = api_server::addresses(&client, "https://[2001:db8::7]:6443").await.unwrap();
    let expected = ["10.96.0.1", "fd00::1", "192.168.7.2", "192.168.7.3", "2001:db8::7"];
    assert!(found.is_superset(&addresses(&expected)), "{found:?}");
    // Without knowing them, nobody may be asked.
    assert!(api_server::addresses(&api(Vec::new()), "https://192.168.7.9:6443").await.is_err());
}

//! A server that stalls, resets, lies and never ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use landfall::git::{
    error::GitError,
    mirror::{Limits, Remote, Wanted},
    push::{Answer, Push},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    main,
    server::{Identity, PATIENCE, Repository, Scratch},
    trees::crafted,
};

/// How long a look may take in a test about time.
const SHORT: Duration = Duration::from_millis(500);

/// What the server does when it was asked.
#[derive(Clone)]
enum Act {
    /// Sends this, and closes.
    Say(Vec<u8>),
    /// Sends this, and then nothing any more.
    Stall(Vec<u8>),
    /// Sends this, and breaks the connection off.
    Reset(Vec<u8>),
    /// Sends this, and then the other for ever.
    Endless(Vec<u8>, Vec<u8>),
}

/// A server that does one thing for looks and another one for fetches.
struct Faulty {
    scratch: Scratch,
    remote: Remote,
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    async fn start(name: &str, look: Act, fetch: Act) -> Self {
        let identity = Identity::new();
        let certificates = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(certificates, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (acceptor, count) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, acts, count) = (acceptor.clone(), [look.clone(), fetch.clone()], Arc::clone(&count));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        count.fetch_add(1, Ordering::Relaxed);
                        answer(stream, acts).await;
                    }
                });
            }
        });
        let credentials = identity.credentials(&[("bearerToken", "hush")]);
        let remote = Remote { url: format!("https://localhost:{port}/shop.git"), credentials };
        Self { scratch: Scratch::new(name), remote, asked }
    }

    async fn look(&self, limit: Duration) -> GitError {
        let mirrors = self.scratch.mirrors(Limits::default());
        harmless(mirrors.look(&self.remote, &main(), limit).await.unwrap_err())
    }

    async fn fetch(&self, limit: Duration) -> GitError {
        let limits = Limits { received: 1 << 20, ..Limits::default() };
        let (mirrors, wanted) = (self.scratch.mirrors(limits), Wanted::Commit("1".repeat(40)));
        let error = mirrors.fetch(&self.remote, &wanted, &"1".repeat(40), limit).await.unwrap_err();
        let left = std::fs::read_dir(self.scratch.mirror().join("objects/pack")).unwrap().count();
        assert_eq!(left, 0, "nothing of a broken pack is left");
        harmless(error)
    }
}

/// No error says what was shown, or what a server says.
fn harmless(error: GitError) -> GitError {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hush") && !text.contains("Bearer") && !text.contains("EVIL"), "{text}");
    error
}

async fn answer(mut stream: TlsStream<TcpStream>, [look, fetch]: [Act; 2]) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
    let act = if request.starts_with(b"GET ") { look } else { fetch };
    // A peer that has heard enough is what some of these tests are about.
    let _ = match act {
        Act::Say(text) => {
            let _ = stream.write_all(&text).await;
            stream.shutdown().await
        }
        Act::Stall(text) => {
            let _ = stream.write_all(&text).await;
            let _ = stream.flush().await;
            stream.read_exact(&mut vec![0; 1 << 16]).await.map(drop)
        }
        Act::Reset(text) => {
            let _ = stream.write_all(&text).await;
            let _ = stream.flush().await;
            stream.get_ref().0.set_zero_linger()
        }
        Act::Endless(text, more) => {
            let mut sent = stream.write_all(&text).await;
            while sent.is_ok() {
                sent = stream.write_all(&more).await;
            }
            sent
        }
    };
}

/// The head of an answer with a body that ends with the connection.
fn head(kind: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\n\r\n").into_bytes()
}

fn status(line: &str, headers: &str) -> Act {
    Act::Say(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n{headers}\r\n").into_bytes())
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [format!("{:04x}", bytes.len() + 4).as_bytes(), bytes].concat()
}

/// What a repository says that has one commit.
fn offer() -> Vec<u8> {
    offer_of(&"1".repeat(40))
}

fn offer_of(commit: &str) -> Vec<u8> {
    let reference = format!("{commit} refs/heads/main\0 shallow side-band-64k EVIL\n");
    let lines =
        [frame(b"# service=git-upload-pack\n"), b"0000".to_vec(), frame(reference.as_bytes()), b"0000".to_vec()];
    [head("advertisement"), lines.concat()].concat()
}

fn nothing() -> Act {
    Act::Reset(Vec::new())
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up_in_time_wherever_it_stalls() {
    let cut = |whole: &[u8], at: usize| whole[..at].to_vec();
    for (place, text) in [Vec::new(), b"HTTP/1.1 200".to_vec(), cut(&offer(), 150)].into_iter().enumerate() {
        let server = Faulty::start(&format!("stall-{place}"), Act::Stall(text), nothing()).await;
        let start = Instant::now();
        assert!(matches!(server.look(SHORT).await, GitError::TimedOut { .. }), "{place}");
        assert!(start.elapsed() < SHORT * 4, "{place}: {:?}", start.elapsed());
    }
    let pack = [head("result"), b"00000008NAK\n".to_vec(), frame(b"\x01PACK\0\0\0\x02\0\0\0\x05")].concat();
    for (place, text) in [Vec::new(), head("result"), pack].into_iter().enumerate() {
        let server = Faulty::start(&format!("stall-pack-{place}"), Act::Say(offer()), Act::Stall(text)).await;
        let start = Instant::now();
        let error = server.fetch(SHORT).await;
        assert!(matches!(error, GitError::TimedOut { .. }), "{place}: {error}");
        assert!(start.elapsed() < SHORT * 4, "{place}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_is_not_reached_and_asked_once() {
    for (place, text) in [Vec::new(), b"HTTP/1.1 200".to_vec(), offer()[..150].to_vec()].into_iter().enumerate() {
        let server = Faulty::start(&format!("reset-{place}"), Act::Reset(text), nothing()).await;
        let error = server.look(PATIENCE).await;
        assert!(matches!(error, GitError::Unreachable { .. } | GitError::Protocol { .. }), "{place}: {error}");
        assert_eq!(server.asked.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>EVIL".to_vec();
    let looks = [
        b"EVIL garbage\r\n\r\n".to_vec(),
        page,
        [head("advertisement"), b"<html>EVIL".to_vec()].concat(),
        [head("advertisement"), b"0008EVIL0000".to_vec()].concat(),
        [head("advertisement"), frame(b"# service=git-upload-pack\n"), b"0000".to_vec(), frame(b"ERR EVIL")].concat(),
        [head("advertisement"), frame(b"# service=git-upload-pack\n"), b"0000".to_vec(), frame(b"EVIL")].concat(),
        [head("advertisement"), frame(b"# service=git-upload-pack\n"), b"0000".to_vec()].concat(),
    ];
    for (number, text) in looks.into_iter().enumerate() {
        let server = Faulty::start(&format!("garbage-{number}"), Act::Say(text), nothing()).await;
        let error = server.look(PATIENCE).await;
        assert!(matches!(error, GitError::Protocol { .. } | GitError::Unreachable { .. }), "{number}: {error}");
    }
    let start = [head("result"), b"0000".to_vec(), frame(b"NAK\n")].concat();
    let packs = [
        [head("result"), b"EVIL".to_vec()].concat(),
        [start.clone(), frame(b"EVIL")].concat(),
        [start.clone(), frame(b"\x01EVIL garbage that is no pack at all"), b"0000".to_vec()].concat(),
        [start.clone(), frame(b"\x01PACK\0\0\0\x02\0\0\0\x05EVILEVILEVILEVILEVILEVIL"), b"0000".to_vec()].concat(),
        [start.clone(), frame(b"\x01PACK\0\0\0\x02\0\0\0\x05")].concat(),
        [start.clone(), frame(b"\x03EVIL")].concat(),
        [start, b"0000".to_vec()].concat(),
    ];
    for (number, text) in packs.into_iter().enumerate() {
        let server = Faulty::start(&format!("garbage-pack-{number}"), Act::Say(offer()), Act::Say(text)).await;
        let error = server.fetch(PATIENCE).await;
        assert!(matches!(error, GitError::Protocol { .. }), "{number}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_ends_at_the_limit() {
    let line = frame(&[&b"2".repeat(40)[..], b" refs/heads/", &b"x".repeat(60_000)].concat());
    let server = Faulty::start("endless", Act::Endless(offer()[..offer().len() - 4].to_vec(), line), nothing()).await;
    assert!(matches!(server.look(PATIENCE).await, GitError::TooBig { .. }));
    let head_without_end = Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: EVIL\r\n".repeat(100));
    let server = Faulty::start("endless-head", head_without_end, nothing()).await;
    let error = server.look(PATIENCE).await;
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");

    let start = [head("result"), b"0000".to_vec(), frame(b"NAK\n")].concat();
    let many = [start.clone(), frame(b"\x01PACK\0\0\0\x02\x7f\xff\xff\xff")].concat();
    let progress = frame(&[&b"\x02"[..], &b"EVIL".repeat(1000)].concat());
    for (number, (text, more)) in
        [(start, progress), (many, frame(&[&b"\x01"[..], &b"x".repeat(1000)].concat()))].into_iter().enumerate()
    {
        let server = Faulty::start(&format!("endless-{number}"), Act::Say(offer()), Act::Endless(text, more)).await;
        let error = server.fetch(PATIENCE).await;
        assert!(matches!(error, GitError::TooBig { .. }), "{number}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_and_a_refusal_are_the_last_answer() {
    let look = "info/refs?service=git-upload-pack";
    let places = [
        format!("http://localhost/shop.git/{look}"),
        format!("https://other.test/shop.git/{look}"),
        format!("file:///shop.git/{look}"),
        "https://localhost/login?EVIL".to_owned(),
    ];
    for (number, place) in places.into_iter().enumerate() {
        let act = status("302 Found", &format!("Location: {place}\r\n"));
        let server = Faulty::start(&format!("redirect-{number}"), act, nothing()).await;
        let error = server.look(PATIENCE).await;
        assert!(matches!(error, GitError::BadAddress { .. }), "{place}: {error}");
        assert_eq!(server.asked.load(Ordering::Relaxed), 1, "{place}");
    }
    let circle = status("302 Found", &format!("Location: /shop.git/{look}\r\n"));
    let server = Faulty::start("circle", circle, nothing()).await;
    assert!(matches!(server.look(PATIENCE).await, GitError::BadAddress { .. }));
    assert_eq!(server.asked.load(Ordering::Relaxed), 6);

    let later = status("307 Temporary Redirect", "Location: /other.git/git-upload-pack\r\n");
    let server = Faulty::start("later", Act::Say(offer()), later).await;
    assert!(matches!(server.fetch(PATIENCE).await, GitError::BadAddress { .. }));

    for (line, reason) in
        [("401 Unauthorized", "AccessDenied"), ("403 Forbidden", "AccessDenied"), ("503 EVIL", "FetchFailed")]
    {
        let server = Faulty::start(&line[..3], status(line, ""), nothing()).await;
        assert_eq!(server.look(PATIENCE).await.reason(), reason, "{line}");
        assert_eq!(server.asked.load(Ordering::Relaxed), 1, "{line}");
    }
}

#[tokio::test]
async fn objects_that_are_not_what_they_should_be_are_named_and_those_that_are_missing_are_fetched_again() {
    let scratch = Scratch::new("lies");
    let repository = Repository::make(&scratch.0);
    let file = repository.blob("file");
    let no_tree = repository.git(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], b"garbage");
    let file_as_directory = crafted(&repository, b"x", "40000", &file);
    let whole = repository.files(&[("a", "file")]);
    let cases = [
        (&no_tree, vec![&no_tree], GitError::Malformed { id: no_tree.clone() }),
        (&file_as_directory, vec![&file_as_directory, &file], GitError::Malformed { id: file.clone() }),
        (&whole, vec![&whole], GitError::Damaged),
        (&whole, vec![], GitError::Damaged),
    ];
    for (number, (tree, objects, expected)) in cases.into_iter().enumerate() {
        let commit = repository.commit_tree(tree, "lie", None);
        let ids = [&commit].into_iter().chain(objects).fold(String::new(), |all, id| all + id + "\n");
        let name = repository.git(&["pack-objects", "--quiet", "pack"], ids.as_bytes());
        let pack = std::fs::read(repository.0.join(format!("pack-{name}.pack"))).unwrap();
        let bands = [b"0000".to_vec(), frame(b"NAK\n"), frame(&[&b"\x01"[..], &pack].concat()), b"0000".to_vec()];
        let answer = Act::Say([head("result"), bands.concat()].concat());
        let server = Faulty::start(&format!("lies-{number}"), Act::Say(offer_of(&commit)), answer).await;
        let mirrors = server.scratch.mirrors(Limits::default());
        for _ in 0..2 {
            mirrors.fetch(&server.remote, &main(), &commit, PATIENCE).await.unwrap();
            assert_eq!(mirrors.list(&server.remote, &commit, "").await.unwrap_err(), expected, "{number}");
        }
        let asked = if expected == GitError::Damaged { 4 } else { 2 };
        assert_eq!(server.asked.load(Ordering::Relaxed), asked, "{number}: a whole mirror is not fetched again");
    }
}

#[tokio::test]
async fn while_a_server_stalls_others_are_fetched_and_what_is_there_is_read() {
    let scratch = Scratch::new("beside");
    let repository = Repository::make(&scratch.0);
    let commit = repository.commit("file", None);
    let name = repository.git(&["pack-objects", "--quiet", "--revs", "pack"], commit.as_bytes());
    let pack = std::fs::read(repository.0.join(format!("pack-{name}.pack"))).unwrap();
    let start = [head("result"), b"0000".to_vec(), frame(b"NAK\n")].concat();
    let whole = [start.clone(), frame(&[&b"\x01"[..], &pack].concat()), b"0000".to_vec()].concat();
    let server = Faulty::start("beside-one", Act::Say(offer_of(&commit)), Act::Say(whole)).await;
    let dead = Faulty::start("beside-two", Act::Say(offer()), Act::Stall(start)).await;
    let mirrors = server.scratch.mirrors(Limits::default());
    let (stalled, never) = (dead.remote.clone(), "1".repeat(40));
    let waiting = tokio::spawn({
        let (mirrors, wanted) = (mirrors.clone(), main());
        async move { mirrors.fetch(&stalled, &wanted, &never, PATIENCE).await }
    });
    while dead.asked.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    let looked = mirrors.look(&dead.remote, &main(), PATIENCE).await.unwrap();
    assert_eq!(looked, "1".repeat(40), "the same repository is looked at");
    mirrors.fetch(&server.remote, &main(), &commit, PATIENCE).await.unwrap();
    assert_eq!(mirrors.list(&server.remote, &commit, "").await.unwrap().entries.len(), 1);
    let unknown = mirrors.list(&dead.remote, &looked, "").await.unwrap_err();
    assert!(matches!(unknown, GitError::NoSuchReference { .. }), "its mirror is read: {unknown}");
    assert!(!waiting.is_finished());
    waiting.abort();
}

/// The same for a push.
fn push_head(kind: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-git-receive-pack-{kind}\r\n\r\n").into_bytes()
}

fn push_offer() -> Vec<u8> {
    let reference = format!("{} refs/heads/main\0 report-status side-band-64k EVIL\n", "1".repeat(40));
    let lines =
        [frame(b"# service=git-receive-pack\n"), b"0000".to_vec(), frame(reference.as_bytes()), b"0000".to_vec()];
    [push_head("advertisement"), lines.concat()].concat()
}

async fn push(server: &Faulty, limit: Duration) -> Result<Answer, GitError> {
    let (branch, from, to) = ("main".to_owned(), Some("1".repeat(40)), "2".repeat(40));
    let push = Push { branch, from, to, provided: None, pack: b"PACK".to_vec() };
    server.scratch.mirrors(Limits::default()).push(&server.remote, &push, limit).await
}

#[tokio::test]
async fn a_push_to_a_server_that_stalls_is_given_up_in_time_and_garbage_is_no_answer() {
    let acts = [
        (Act::Stall(Vec::new()), nothing()),
        (Act::Stall(push_offer()[..150].to_vec()), nothing()),
        (Act::Say(push_offer()), Act::Stall(Vec::new())),
        (Act::Say(push_offer()), Act::Stall([push_head("result"), frame(b"\x01000eunpack ok\n")].concat())),
    ];
    for (place, (look, fetch)) in acts.into_iter().enumerate() {
        let server = Faulty::start(&format!("stall-push-{place}"), look, fetch).await;
        let start = Instant::now();
        let error = harmless(push(&server, SHORT).await.unwrap_err());
        assert!(matches!(error, GitError::TimedOut { .. }), "{place}: {error}");
        assert!(start.elapsed() < SHORT * 4, "{place}: {:?}", start.elapsed());
    }
    let result = |bytes: &[u8]| Act::Say([push_head("result"), bytes.to_vec()].concat());
    let answers = [
        result(b""),
        result(b"EVIL"),
        result(&[frame(b"EVIL"), b"0000".to_vec()].concat()),
        result(&[frame(b"\x01EVIL"), b"0000".to_vec()].concat()),
        result(&[frame(b"\x01000eunpack ok\n0000"), b"0000".to_vec()].concat()),
        result(&[frame(b"\x01000eunpack ok\n0018ok refs/heads/other\n0000"), b"0000".to_vec()].concat()),
        Act::Say(head("result")),
    ];
    for (place, answer) in answers.into_iter().enumerate() {
        let server = Faulty::start(&format!("garbage-push-{place}"), Act::Say(push_offer()), answer).await;
        let error = harmless(push(&server, PATIENCE).await.unwrap_err());
        assert!(matches!(error, GitError::Protocol { .. }), "{place}: {error}");
        assert_eq!(server.asked.load(Ordering::Relaxed), 2, "{place}");
    }
    let talk = frame(&[&b"\x02"[..], &b"EVIL".repeat(1000)].concat());
    let server = Faulty::start("endless-push", Act::Say(push_offer()), Act::Endless(push_head("result"), talk)).await;
    assert!(matches!(push(&server, PATIENCE).await.unwrap_err(), GitError::TooBig { .. }));
    let fatal = result(&frame(b"\x03no room"));
    let server = Faulty::start("fatal-push", Act::Say(push_offer()), fatal).await;
    assert_eq!(push(&server, PATIENCE).await.unwrap(), Answer::Refused("it gave up; no room".to_owned()));
}

//! Repositories behind OpenSSH's own server, on loopback.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use landfall::{
    cluster::probe::forbidden::Forbidden,
    git::{
        error::{GitError, Mismatch},
        mirror::{Limits, Mirrors, Remote, Wanted},
        push::{Answer, Push},
        secret::Credentials,
    },
};

use super::{
    main,
    push::Scene,
    server::{PATIENCE, Repository, Scratch},
};

/// How long a look may take in a test about time.
const SHORT: Duration = Duration::from_millis(500);

/// A key made by OpenSSH, with its public half beside it.
pub struct Key(PathBuf);

impl Key {
    /// A key of a kind, made with more words for `ssh-keygen`.
    fn make(directory: &Path, name: &str, words: &[&str]) -> Self {
        let path = directory.join(name);
        // A single round, for tests are built without optimization.
        keygen(&[&["-q", "-a", "1", "-C", "hush", "-f", path.to_str().unwrap()], words].concat());
        Self(path)
    }

    pub fn plain(directory: &Path, name: &str, kind: &str) -> Self {
        Self::make(directory, name, &["-t", kind, "-N", ""])
    }

    pub fn private(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }

    /// The kind and the key, as `known_hosts` and `authorized_keys` have them.
    fn public(&self) -> String {
        let line = fs::read_to_string(self.0.with_extension("pub")).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }
}

fn keygen(words: &[&str]) {
    let output = Command::new("ssh-keygen").args(words).output();
    let output = output.expect("ssh-keygen is missing: `hack/cluster/cluster tools` installs it");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// OpenSSH's server and one repository behind it. A process of its own serves each connection, as inetd would start it, so
/// nobody can take the port away between looking for it and listening.
pub struct Server {
    pub scratch: Scratch,
    pub repository: Repository,
    pub user: Key,
    pub host: Key,
    port: u16,
    connections: Arc<AtomicUsize>,
    log: Arc<Mutex<String>>,
}

impl Server {
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &["ed25519"])
    }

    /// A server with host keys of these kinds, of which the first is `host`.
    fn start_with(name: &str, kinds: &[&str]) -> Self {
        let scratch = Scratch::new(name);
        let repository = Repository::make(&scratch.0);
        let user = Key::plain(&scratch.0, "user", "ed25519");
        let mut hosts: Vec<Key> =
            kinds.iter().map(|kind| Key::plain(&scratch.0, &format!("host-{kind}"), kind)).collect();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let configuration = scratch.0.join("sshd_config");
        fs::write(&configuration, settings(&scratch.0, &hosts)).unwrap();
        let server = Self {
            repository,
            user,
            host: hosts.swap_remove(0),
            port,
            connections: Arc::default(),
            log: Arc::default(),
            scratch,
        };
        server.admit(&[&server.user]);
        let (connections, log) = (Arc::clone(&server.connections), Arc::clone(&server.log));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (configuration, log) = (configuration.clone(), Arc::clone(&log));
                std::thread::spawn(move || serve(OwnedFd::from(stream), &configuration, &log));
            }
        });
        server
    }

    /// Who may log in.
    fn admit(&self, keys: &[&Key]) {
        let lines: Vec<String> = keys.iter().map(|key| format!("{}\n", key.public())).collect();
        let lines = lines.concat();
        let path = self.scratch.0.join("authorized_keys");
        fs::write(&path, lines).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn url(&self) -> String {
        format!("ssh://{}@localhost:{}{}", whoami(), self.port, self.repository.0.display())
    }

    /// The line about the host with a key.
    pub fn known(&self, key: &Key) -> String {
        format!("[localhost]:{} {}\n", self.port, key.public())
    }

    /// The repository, for somebody who has these values in a Secret.
    fn remote_with(&self, values: &[(&str, &str)]) -> Remote {
        Remote { url: self.url(), credentials: credentials(values) }
    }

    fn remote(&self) -> Remote {
        self.remote_with(&[("identity", &self.user.private()), ("known_hosts", &self.known(&self.host))])
    }

    fn mirrors(&self) -> Mirrors {
        self.scratch.mirrors(Limits::default())
    }

    async fn refuses(&self, remote: &Remote) -> GitError {
        harmless(self.mirrors().look(remote, &main(), PATIENCE).await.unwrap_err())
    }

    fn asked(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn credentials(values: &[(&str, &str)]) -> Arc<Credentials> {
    let data: BTreeMap<_, _> =
        values.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Arc::new(Credentials::read_ssh(&data).unwrap())
}

fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn settings(directory: &Path, hosts: &[Key]) -> String {
    let root = directory.display();
    let hosts: Vec<String> = hosts.iter().map(|key| format!("HostKey {}\n", key.0.display())).collect();
    let hosts = hosts.concat();
    format!(
        "{hosts}AuthorizedKeysFile {root}/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\nLogLevel VERBOSE\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxAuthTries 2\n\
         SetEnv GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1\n"
    )
}

fn serve(stream: OwnedFd, configuration: &Path, log: &Mutex<String>) {
    // Where the server lives before anybody has logged in; Debian makes it when the service starts.
    let _ = fs::create_dir_all("/run/sshd");
    let program = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(program.expect("sshd is missing: `hack/cluster/cluster tools` installs it"));
    command.args(["-i", "-e", "-f"]).arg(configuration).stderr(Stdio::piped());
    command.stdout(Stdio::from(stream.try_clone().unwrap())).stdin(Stdio::from(stream));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut said = String::new();
    let _ = child.stderr.take().unwrap().read_to_string(&mut said);
    let _ = child.wait();
    log.lock().unwrap().push_str(&said);
}

/// No error says what was shown, or what a server says.
fn harmless(error: GitError) -> GitError {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hush") && !text.contains("PRIVATE") && !text.contains("EVIL"), "{text}");
    assert!(text.len() < 1000, "{text}");
    error
}

#[tokio::test]
async fn a_repository_behind_ssh_is_fetched_over_one_connection_and_read_without_asking_again() {
    let server = Server::start("ssh");
    let first = server.repository.commit("one", None);
    let second = server.repository.commit("two", Some(&first));
    server.repository.branch("main", &second);
    let (mirrors, remote) = (server.mirrors(), server.remote());

    assert_eq!(mirrors.look(&remote, &main(), PATIENCE).await.unwrap(), second);
    assert_eq!(server.asked(), 1);
    let revision = mirrors.fetch(&remote, &main(), &second, PATIENCE).await.unwrap();
    assert_eq!((revision.id.as_str(), revision.message.as_str()), (second.as_str(), "two\n"));
    assert_eq!(server.asked(), 2, "what there is and what is wanted go over the same connection");

    let listing = mirrors.list(&remote, &second, "/").await.unwrap();
    assert_eq!(mirrors.read(&remote, &[listing.entries[0].id.clone()]).await.unwrap(), [b"two"]);
    let missing = mirrors.list(&remote, &first, "/").await.unwrap_err();
    assert_eq!(missing, GitError::NoSuchReference { what: format!("commit {first}") });
    mirrors.fetch(&remote, &main(), &second, PATIENCE).await.unwrap();
    assert_eq!(server.asked(), 2, "what is there is not asked for");

    // An older commit, of which nobody gives the hash: the whole history is asked for.
    let wanted = Wanted::Commit(first.clone());
    assert_eq!(mirrors.fetch(&remote, &wanted, &first, PATIENCE).await.unwrap().message, "one\n");
    let unknown = Wanted::Commit("1".repeat(40));
    let error = mirrors.fetch(&remote, &unknown, &"1".repeat(40), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "{error}");
    server.repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"], b"");
    let error = mirrors.fetch(&remote, &unknown, &"1".repeat(40), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "{error}");
}

#[tokio::test]
async fn keys_of_every_kind_and_form_open_the_door_with_and_without_a_passphrase() {
    let server = Server::start("ssh-keys");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let known = server.known(&server.host);
    let rsa = ["-t", "rsa", "-b", "2048"];
    let curve = |bits| ["-t", "ecdsa", "-b", bits];
    let kinds: [&[&str]; 9] = [
        &["-t", "ed25519"],
        &curve("256"),
        &curve("384"),
        &curve("521"),
        &rsa,
        &[&rsa[..], &["-m", "PEM"]].concat(),
        &[&rsa[..], &["-m", "PKCS8"]].concat(),
        &[&curve("256")[..], &["-m", "PEM"]].concat(),
        &[&curve("384")[..], &["-m", "PKCS8"]].concat(),
    ];
    for (number, words) in kinds.iter().enumerate() {
        let plain = Key::make(&server.scratch.0, &format!("key-{number}"), &[words, &["-N", ""][..]].concat());
        server.admit(&[&plain]);
        let values = [("ssh-privatekey", &*plain.private()), ("known_hosts", &known)];
        let found = server.mirrors().look(&server.remote_with(&values), &main(), PATIENCE).await;
        assert_eq!(found.map_err(harmless), Ok(commit.clone()), "{words:?}");
    }
    for (number, words) in [kinds[0], kinds[4], kinds[6]].iter().enumerate() {
        let locked =
            Key::make(&server.scratch.0, &format!("lock-{number}"), &[words, &["-N", "hush hush"][..]].concat());
        server.admit(&[&locked]);
        let values = [("identity", &*locked.private()), ("password", "hush hush\n"), ("known_hosts", &known)];
        let found = server.mirrors().look(&server.remote_with(&values), &main(), PATIENCE).await;
        assert_eq!(found.map_err(harmless), Ok(commit.clone()), "{words:?}");
    }
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("Accepted publickey"), "{log}");
    assert!(!log.contains("ssh-rsa "), "no signature is made with SHA-1: {log}");
}

#[test]
fn a_secret_that_cannot_be_used_is_named_by_its_key_and_never_by_a_value() {
    let scratch = Scratch::new("ssh-secrets");
    let key = Key::plain(&scratch.0, "key", "ed25519");
    let locked = Key::make(&scratch.0, "locked", &["-t", "ed25519", "-N", "hush"]);
    let pem = Key::make(&scratch.0, "pem", &["-t", "rsa", "-m", "PKCS8", "-N", "hush hush"]);
    let dear = Key::make(&scratch.0, "dear", &["-t", "ed25519", "-N", "hush", "-a", "300"]);
    let known = format!("git.test {}", key.public());
    let read = |values: &[(&str, &str)]| {
        let all = values.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let error = Credentials::read_ssh(&all).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hush") && !text.contains("PRIVATE"), "{text}");
        error.to_string()
    };
    let (plain, shut, pem, dear) = (key.private(), locked.private(), pem.private(), dear.private());
    let cut = &plain[..plain.len() / 2];
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[], "add identity (or ssh-privatekey), known_hosts"),
        (&[("username", "hush"), ("password", "hush")], "add identity (or ssh-privatekey), known_hosts"),
        (&[("identity", &plain)], "no known_hosts: add what `ssh-keyscan HOST` prints"),
        (&[("identity", &plain), ("ssh-privatekey", &plain)], "both identity and ssh-privatekey"),
        (&[("identity", "hush"), ("known_hosts", &known)], "the key identity of the Secret has no private key"),
        (&[("identity", cut), ("known_hosts", &known)], "the key identity of the Secret has no private key"),
        (&[("identity", &shut), ("known_hosts", &known)], "put it into the key password"),
        (&[("identity", &shut), ("password", "hush2"), ("known_hosts", &known)], "is not the passphrase"),
        (&[("identity", &pem), ("password", "hush2"), ("known_hosts", &known)], "does not open the private key"),
        (&[("identity", &dear), ("password", "hush"), ("known_hosts", &known)], "costs too much to try"),
        (&[("identity", "PuTTY-User-Key-File-3: hush"), ("known_hosts", &known)], "puttygen"),
        (&[("identity", &plain), ("known_hosts", "# x\nhush")], "the line 2 of the key known_hosts"),
    ];
    for (values, expected) in cases {
        let text = read(values);
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_shown_once_and_stands_in_no_error() {
    let server = Server::start("ssh-wrong");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let stranger = Key::plain(&server.scratch.0, "stranger", "ed25519");
    let values = [("identity", &*stranger.private()), ("known_hosts", &*server.known(&server.host))];
    let remote = server.remote_with(&values);
    let error = server.refuses(&remote).await;
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
    assert_eq!((error.reason(), error.may_pass(), server.asked()), ("AccessDenied", false, 1));
    let text = format!("{remote:?}");
    assert!(!text.contains("PRIVATE") && text.contains("login: true"), "{text}");

    // Whoever has another key does not read what somebody else fetched.
    let mirrors = server.mirrors();
    mirrors.fetch(&server.remote(), &main(), &commit, PATIENCE).await.unwrap();
    let error = mirrors.fetch(&remote, &main(), &commit, PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn a_host_that_is_not_known_is_not_asked_and_one_with_another_key_gets_nothing() {
    let server = Server::start("ssh-hosts");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let identity = server.user.private();
    let with = |known: &str| server.remote_with(&[("identity", &identity), ("known_hosts", known)]);
    let other = Key::plain(&server.scratch.0, "other", "ed25519");

    let elsewhere = format!("localhost,[localhost]:1 {}", server.host.public());
    let error = server.refuses(&with(&elsewhere)).await;
    assert_eq!(error, GitError::UnknownHost { host: format!("localhost:{}", server.port) });
    assert_eq!((error.reason(), server.asked()), ("AccessDenied", 0));

    let error = server.refuses(&with(&server.known(&other))).await;
    assert!(matches!(&error, GitError::HostKey { mismatch: Mismatch::Changed, .. }), "{error}");
    assert_eq!((error.reason(), error.may_pass()), ("HostKeyChanged", false));
    let kind = Key::plain(&server.scratch.0, "kind", "ecdsa");
    let error = server.refuses(&with(&server.known(&kind))).await;
    assert_eq!(error.reason(), "HostKeyChanged", "a host that has lost a kind of key is another one: {error}");

    let revoked = format!("{}@revoked * {}\n", server.known(&server.host), server.host.public());
    let error = server.refuses(&with(&revoked)).await;
    assert!(
        matches!(&error, GitError::HostKey { mismatch: Mismatch::Revoked, shown, .. } if shown.starts_with("SHA256:"))
    );
    assert!(!server.log.lock().unwrap().contains("publickey"), "no key was shown");

    // Several keys of a host, and names that `ssh-keygen` has hashed.
    let hashed = server.scratch.0.join("hashed");
    fs::write(&hashed, server.known(&other) + &server.known(&server.host)).unwrap();
    keygen(&["-q", "-H", "-f", hashed.to_str().unwrap()]);
    let hashed = fs::read_to_string(&hashed).unwrap();
    assert!(!hashed.contains("localhost"), "{hashed}");
    assert_eq!(server.mirrors().look(&with(&hashed), &main(), PATIENCE).await.unwrap(), commit);
}

#[tokio::test]
async fn a_host_with_several_keys_shows_the_one_that_is_known() {
    let server = Server::start_with("ssh-several", &["rsa", "ecdsa", "ed25519"]);
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let known = server.known(&Key(server.scratch.0.join(format!("host-{kind}"))));
        let remote = server.remote_with(&[("identity", &server.user.private()), ("known_hosts", &known)]);
        assert_eq!(
            server.mirrors().look(&remote, &main(), PATIENCE).await.map_err(harmless),
            Ok(commit.clone()),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_named() {
    let server = Server::start("ssh-missing");
    let remote = server.remote();
    assert_eq!(server.refuses(&remote).await.to_string(), "the repository has no branch main");
    let other = Remote { url: remote.url.replace("shop", "it's a shoe!"), ..remote.clone() };
    let error = server.refuses(&other).await;
    assert!(matches!(error, GitError::NoSuchRepository { .. }), "{error}");
    let forbidden = Mirrors::new(server.scratch.0.join("strict"), Limits::default(), Forbidden::strict([].into()));
    let asked = server.asked();
    let error = forbidden.look(&remote, &main(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::BadAddress { .. }), "{error}");
    assert_eq!(server.asked(), asked);
    let nobody = Remote { credentials: Arc::default(), ..remote };
    let error = server.refuses(&nobody).await;
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("secretRef"), "{error}");
}

#[tokio::test]
async fn a_path_is_one_word_for_the_shell_on_the_other_side() {
    let server = Server::start("ssh-quotes");
    let commit = server.repository.commit("one", None);
    server.repository.branch("main", &commit);
    let odd = server.scratch.0.join("it's; touch $(EVIL) `EVIL` !x");
    fs::rename(&server.repository.0, &odd).unwrap();
    let path: String = url::form_urlencoded::byte_serialize(odd.to_str().unwrap().as_bytes()).collect();
    let path = path.replace("%2F", "/").replace('+', "%20");
    let remote = Remote { url: format!("ssh://{}@localhost:{}{path}", whoami(), server.port), ..server.remote() };
    assert_eq!(server.mirrors().look(&remote, &main(), PATIENCE).await.map_err(harmless), Ok(commit));
    assert!(!Path::new("EVIL").exists());
}

#[tokio::test]
async fn a_pack_over_the_limit_ends_at_the_limit() {
    let server = Server::start("ssh-large");
    let noise: Vec<String> =
        (0..400_000_u64).map(|at| format!("{:x}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let noise = noise.concat();
    let commit = server.repository.commit_tree(&server.repository.files(&[("noise", &noise)]), "noise", None);
    server.repository.branch("main", &commit);
    let small = server.scratch.mirrors(Limits { received: 1 << 20, ..Limits::default() });
    let error = small.fetch(&server.remote(), &main(), &commit, PATIENCE).await.unwrap_err();
    assert!(matches!(error, GitError::TooBig { .. }), "{error}");
    let left = fs::read_dir(server.scratch.mirror().join("objects/pack")).unwrap().count();
    assert_eq!(left, 0, "nothing of a broken pack is left");
    server.mirrors().fetch(&server.remote(), &main(), &commit, PATIENCE).await.unwrap();
}

/// A listener that says something, and then nothing any more.
async fn listener(
    said: &'static [u8],
    is_closed: impl Fn() -> bool + Send + 'static,
) -> (Scratch, Remote, Arc<AtomicUsize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let scratch = Scratch::new(&format!("ssh-listener-{}-{}", said.len(), is_closed()));
    let (user, host) = (Key::plain(&scratch.0, "user", "ed25519"), Key::plain(&scratch.0, "host", "ed25519"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(said).await;
            if !is_closed() {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all).await;
            }
            count.fetch_sub(1, Ordering::Relaxed);
        }
    });
    let known = format!("[localhost]:{port} {}", host.public());
    let credentials = credentials(&[("identity", &user.private()), ("known_hosts", &known)]);
    (scratch, Remote { url: format!("ssh://git@localhost:{port}/shop.git"), credentials }, open)
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up_in_time_and_the_connection_with_it() {
    for said in [b"".as_slice(), b"SSH-2.0-", b"SSH-2.0-EVIL\r\n", b"SSH-2.0-EVIL\r\n\0\0\x01\x0c\x0a\x14"] {
        let (scratch, remote, open) = listener(said, || false).await;
        let start = Instant::now();
        let mirrors = scratch.mirrors(Limits::default());
        let error = harmless(mirrors.look(&remote, &main(), SHORT).await.unwrap_err());
        assert!(matches!(error, GitError::TimedOut { .. }), "{said:?}: {error}");
        assert!(start.elapsed() < SHORT * 4, "{:?}", start.elapsed());
        let closed = tokio::time::timeout(PATIENCE, async {
            while open.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
        });
        closed.await.expect("the connection outlives the look");
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let all: [&[u8]; 4] =
        [b"HTTP/1.1 400 EVIL\r\n\r\n", b"SSH-1.5-EVIL\r\n", b"SSH-2.0-EVIL\r\nEVIL EVIL EVIL", &[b'E'; 4096]];
    for said in all {
        let (scratch, remote, _) = listener(said, || true).await;
        let error = scratch.mirrors(Limits::default()).look(&remote, &main(), PATIENCE).await.unwrap_err();
        let error = harmless(error);
        assert!(matches!(error, GitError::Unreachable { .. }), "{said:?}: {error}");
    }
}

#[tokio::test]
async fn a_branch_is_moved_over_ssh_by_whoever_may_and_a_hook_that_says_no_is_quoted() {
    let server = Server::start("ssh-push");
    let scene = Scene::new(&server.repository);
    let (mirrors, remote) = (server.mirrors(), server.remote());
    let push = scene.push((&mirrors, &remote), "/production").await;
    assert_eq!(mirrors.push(&remote, &push, PATIENCE).await.unwrap(), Answer::Moved);
    let of = |commit: &str| server.repository.git(&["rev-parse", &format!("{commit}:production")], b"");
    assert_eq!(of("landfall/revert"), of(&scene.good));
    server.repository.git(&["config", "receive.denyDeletes", "true"], b"");
    server.repository.git(&["config", "receive.denyNonFastForwards", "true"], b"");
    let back = Push { from: Some(push.to.clone()), to: scene.good.clone(), ..push.clone() };
    let Answer::Refused(why) = mirrors.push(&remote, &back, PATIENCE).await.unwrap() else { panic!("it was moved") };
    assert!(why.starts_with("non-fast-forward"), "{why}");

    // A key that may run one program alone, as a deploy key that may only read.
    let line = format!("command=\"echo EVIL >&2; exit 1\" {}\n", server.user.public());
    fs::write(server.scratch.0.join("authorized_keys"), line).unwrap();
    let error = harmless(mirrors.push(&remote, &push, PATIENCE).await.unwrap_err());
    assert!(matches!(error, GitError::Denied { .. }), "{error}");
}

//! A real Git server on loopback, for one test: nginx in front of `git http-backend`, and repositories behind it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::TcpListener,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use landfall::{
    cluster::probe::forbidden::Forbidden,
    git::{
        mirror::{Limits, Mirrors, Remote, Wanted},
        secret::Credentials,
    },
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::{Pid, Signal};

/// How long one look or one fetch may take in a test that is not about time.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A directory that goes with its test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("landfall-git-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Mirrors in here that may ask loopback.
    pub fn mirrors(&self, limits: Limits) -> Mirrors {
        Mirrors::new(self.0.join("mirrors"), limits, Forbidden::only(BTreeSet::new()))
    }

    /// The only mirror.
    pub fn mirror(&self) -> PathBuf {
        let mut all = fs::read_dir(self.0.join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
        let first = all.next().unwrap();
        assert_eq!(all.next(), None, "there is one mirror");
        first
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An authority and a certificate of it, for `localhost` as a server and for anybody as a client.
pub struct Identity {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

impl Identity {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "somebody");
        let certificate = params.signed_by(&key, &authority).unwrap();
        Self { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Credentials that trust this authority, and have these values.
    pub fn credentials(&self, values: &[(&str, &str)]) -> Arc<Credentials> {
        let own = [("ca.crt", self.authority.as_str())];
        let all = own.iter().chain(values).map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        Arc::new(Credentials::read(&all.collect()).unwrap())
    }
}

/// nginx, the programs behind it, and one repository.
pub struct Server {
    pub scratch: Scratch,
    pub identity: Identity,
    pub repository: Repository,
    port: u16,
    children: [Child; 2],
}

impl Server {
    pub fn start(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let identity = Identity::new();
        let repository = Repository::make(&scratch.0);
        for (file, text) in [
            ("server.crt", identity.certificate.as_str()),
            ("server.key", &identity.key),
            ("ca.crt", &identity.authority),
            ("users", "ann:{PLAIN}right\n"),
        ] {
            fs::write(scratch.0.join(file), text).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let children = [backend(&scratch.0), front(&scratch.0, &listener, port)];
        Self { scratch, identity, repository, port, children }
    }

    /// The address of the repository behind one of the doors: `public`, `basic` (who may push), `reader` (who may not),
    /// `token`, `certificate`, `moved` and `away` (to another server).
    /// `inside` leads to an address that a test may forbid.
    pub fn url(&self, door: &str) -> String {
        format!("https://localhost:{}/{door}/shop.git", self.port)
    }

    /// The repository, for somebody who has these values in a Secret.
    pub fn remote(&self, door: &str, values: &[(&str, &str)]) -> Remote {
        Remote { url: self.url(door), credentials: self.identity.credentials(values) }
    }

    pub fn mirrors(&self) -> Mirrors {
        self.scratch.mirrors(Limits::default())
    }

    /// Every request as `status method path`, in order. nginx notes a request after it is answered and before it takes the
    /// next one, so one more is made, which is left out.
    pub async fn requests(&self) -> Vec<String> {
        let last = self.remote("nowhere", &[]);
        self.mirrors().look(&last, &Wanted::Branch("main".to_owned()), PATIENCE).await.unwrap_err();
        let log = fs::read_to_string(self.scratch.0.join("access.log")).unwrap();
        log.lines().filter(|line| !line.contains("/nowhere/")).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Asked to end, nginx ends its worker too.
            let _ = rustix::process::kill_process(Pid::from_child(child), Signal::TERM);
            let _ = child.wait();
        }
    }
}

fn backend(directory: &Path) -> Child {
    let socket = OwnedFd::from(UnixListener::bind(directory.join("backend.sock")).unwrap());
    let mut command = Command::new("fcgiwrap");
    command.stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.spawn().expect("fcgiwrap is missing: `hack/cluster/cluster tools` installs it")
}

/// nginx gets the socket from here: nobody can take the port away between looking for it and listening.
fn front(directory: &Path, listener: &TcpListener, port: u16) -> Child {
    let configuration = directory.join("nginx.conf");
    fs::write(&configuration, nginx(directory, port)).unwrap();
    rustix::io::fcntl_setfd(listener, rustix::io::FdFlags::empty()).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(directory).arg("-c").arg(&configuration);
    command.env("NGINX", format!("{};", listener.as_raw_fd()));
    let log = fs::File::create(directory.join("nginx.log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("nginx is missing: `hack/cluster/cluster tools` installs it")
}

fn nginx(directory: &Path, port: u16) -> String {
    let door = |name: &str, rule: &str| {
        format!(
            "location ~ ^/{name}(/.*)$ {{
                {rule}
                fastcgi_pass unix:{root}/backend.sock;
                fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
                fastcgi_param GIT_PROJECT_ROOT {root};
                fastcgi_param GIT_HTTP_EXPORT_ALL 1;
                fastcgi_param PATH_INFO $1;
                fastcgi_param REQUEST_METHOD $request_method;
                fastcgi_param QUERY_STRING $query_string;
                fastcgi_param CONTENT_TYPE $content_type;
                fastcgi_param CONTENT_LENGTH $content_length;
            }}",
            root = directory.display()
        )
    };
    let doors = [
        door("public", ""),
        door("basic", "auth_basic git; auth_basic_user_file users; fastcgi_param REMOTE_USER $remote_user;"),
        // `git http-backend` lets those push whose name it is told.
        door("reader", "auth_basic git; auth_basic_user_file users;"),
        door("token", "if ($http_authorization != \"Bearer right\") { return 401; }"),
        door("certificate", "if ($ssl_client_verify != SUCCESS) { return 403; }"),
    ];
    let temporary: String =
        ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
    format!(
        "daemon off; worker_processes 1; user root; pid nginx.pid; error_log stderr; events {{}}
        http {{
            {temporary} fastcgi_max_temp_file_size 0; fastcgi_read_timeout 60s;
            log_format plain '$status $request_method $uri'; access_log access.log plain;
            server {{
                listen 127.0.0.1:{port} ssl; server_name localhost;
                ssl_certificate server.crt; ssl_certificate_key server.key;
                ssl_client_certificate ca.crt; ssl_verify_client optional;
                location ~ ^/moved(/.*)$ {{ return 301 /basic$1$is_args$args; }}
                location ~ ^/away(/.*)$ {{ return 302 https://127.0.0.1:{port}/public$1$is_args$args; }}
                location ~ ^/inside(/.*)$ {{ return 302 https://127.0.0.2:{port}/public$1$is_args$args; }}
                {}
            }}
        }}",
        doors.join("\n")
    )
}

/// A repository on the disk, `shop.git`, changed with git's own plumbing.
pub struct Repository(pub PathBuf);

impl Repository {
    pub fn make(directory: &Path) -> Self {
        Self::named(directory, "shop.git")
    }

    /// Another repository beside it, behind the same doors.
    pub fn named(directory: &Path, name: &str) -> Self {
        let repository = Self(directory.join(name));
        repository.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."], b"");
        repository
    }

    /// Runs git and returns what it says.
    pub fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        self.git_with(Command::new("git"), arguments, input)
    }

    /// The same, with a command that is prepared.
    pub fn git_with(&self, mut command: Command, arguments: &[&str], input: &[u8]) -> String {
        fs::create_dir_all(&self.0).unwrap();
        command.current_dir(&self.0).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        for (role, name) in [("AUTHOR", "Ann"), ("COMMITTER", "Bob")] {
            command.env(format!("GIT_{role}_NAME"), name).env(format!("GIT_{role}_EMAIL"), "ann@shop.test");
            command.env(format!("GIT_{role}_DATE"), "1700000000 +0000");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || std::io::Write::write_all(&mut stdin, input));
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn blob(&self, content: &str) -> String {
        self.git(&["hash-object", "-w", "--stdin"], content.as_bytes())
    }

    /// A directory of lines as `git ls-tree` prints them.
    pub fn tree(&self, lines: &[u8]) -> String {
        self.git(&["mktree", "-z"], lines)
    }

    /// A directory with these files.
    pub fn files(&self, files: &[(&str, &str)]) -> String {
        let line = |(name, content): &(&str, &str)| format!("100644 blob {}\t{name}\0", self.blob(content));
        self.tree(files.iter().map(line).collect::<String>().as_bytes())
    }

    /// A commit of a directory that no branch leads to yet.
    pub fn commit_tree(&self, tree: &str, message: &str, parent: Option<&str>) -> String {
        let mut arguments = vec!["commit-tree", tree, "-m", message];
        arguments.extend(parent.into_iter().flat_map(|parent| ["-p", parent]));
        self.git(&arguments, b"")
    }

    /// A commit with one file, after another one.
    pub fn commit(&self, content: &str, parent: Option<&str>) -> String {
        self.commit_tree(&self.files(&[("a.yaml", content)]), content, parent)
    }

    /// A commit of these files, and of commits of other repositories at these paths, on main.
    pub fn commit_modules(&self, files: &[(&str, &str)], modules: &[(&str, &str)]) -> String {
        let mut stream =
            "commit refs/heads/main\ncommitter Bob <bob@shop.test> 1700000000 +0000\ndata 5\nmore\n\n".to_owned();
        let parent = self.git(&["for-each-ref", "--format=%(objectname)", "refs/heads/main"], b"");
        if !parent.is_empty() {
            writeln!(stream, "from {parent}").unwrap();
        }
        stream += "deleteall\n";
        for (path, content) in files {
            writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()).unwrap();
        }
        for (path, commit) in modules {
            writeln!(stream, "M 160000 {commit} {path}").unwrap();
        }
        self.git(&["fast-import", "--quiet", "--force"], stream.as_bytes());
        self.git(&["rev-parse", "main"], b"")
    }

    pub fn branch(&self, name: &str, commit: &str) {
        self.git(&["update-ref", &format!("refs/heads/{name}"), commit], b"");
    }
}

//! The binary as a person or a pod runs it: arguments, exit codes, what it prints, signals.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::fake_api::FakeApi;

/// Longer than anything here takes, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

/// The binary in an environment without a cluster.
pub fn landfall(arguments: &[&str]) -> Command {
    let home = scratch("empty-home");
    fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    command.env_clear().env("HOME", home).args(arguments);
    command
}

/// A place for a file of a test.
pub fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs the binary to its end.
pub fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A process that serves, killed when dropped.
pub struct Served {
    child: Child,
    log: Receiver<Value>,
    pub address: String,
}

impl Served {
    /// Starts it and waits until it says where it listens.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let record = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a JSON line: {line}"));
                drop(sender.send(record));
            }
        });
        let mut served = Self { child, log, address: String::new() };
        let record = served.wait_for("listening");
        record["address"].as_str().unwrap().clone_into(&mut served.address);
        served
    }

    /// The next record of the log whose message starts like this.
    pub fn wait_for(&self, message: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let record = self.log.recv_timeout(left).unwrap_or_else(|_| panic!("{message:?} was not logged"));
            if record["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return record;
            }
        }
    }

    /// Sends GET with the binary's own client.
    pub fn get(&self, path: &str, status: u16) -> String {
        let (url, status) = (format!("http://{}{path}", self.address), status.to_string());
        let (code, stdout, stderr) = run(&mut landfall(&["sample", "get", &url, "--expect-status", &status]));
        assert_eq!(code, 0, "{stderr}");
        stdout
    }

    pub fn terminate(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn exit_code(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().expect("it was killed by a signal");
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A kubeconfig file for an API server at this address.
fn kubeconfig(name: &str, address: &str) -> PathBuf {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "test", "user": {"token": "s3cret-token"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    let path = scratch(&format!("{name}.kubeconfig"));
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// An operator with a fake API server behind a socket.
fn operator(name: &str, api: &FakeApi) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    let routes = api.router();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
    });
    let arguments = ["operator", "--listen", "127.0.0.1:0", "--identity", name];
    Served::start(landfall(&arguments).env("KUBECONFIG", kubeconfig(name, &address)))
}

fn last_message(stderr: &str) -> String {
    let line = stderr.lines().last().expect("nothing on standard error");
    let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not a JSON line: {line}"));
    assert_eq!(record["level"], "ERROR");
    record["message"].as_str().unwrap().to_owned()
}

#[test]
fn the_version_is_the_packages_and_names_the_commit_if_the_build_did() {
    let (code, stdout, _) = run(&mut landfall(&["--version"]));
    assert_eq!((code, stdout.trim_end()), (0, format!("landfall {}", landfall::telemetry::version()).as_str()));
    assert!(landfall::telemetry::version().starts_with(env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_are_named_and_end_with_2() {
    let cases = [
        (&["operator", "--listen", "somewhere"][..], "--listen"),
        (&["operator", "--lease-name", "../pods"], "lower-case letters"),
        (&["operator", "--lease-namespace", "a.b"], "lower-case letters"),
        (&["operator", "--shutdown-grace", "5"], "5s, 250ms or 1m30s"),
        (&["operator", "--log-format", "xml"], "json, text"),
        (&["sample", "serve", "--fault-rate", "2"], "between 0 and 1"),
        (&["sail"], "sample"),
        (&[], "Usage"),
    ];
    for (arguments, words) in cases {
        let (code, _, stderr) = run(&mut landfall(arguments));
        assert!(code == 2 && stderr.contains(words), "{arguments:?} ended with {code}: {stderr}");
    }
}

#[test]
fn an_operator_without_a_cluster_says_what_to_set_in_one_sentence() {
    let (code, stdout, stderr) = run(&mut landfall(&["operator"]));
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{stderr}");
    let remedy =
        "no cluster is configured: set KUBECONFIG to a kubeconfig file, or run in a pod with a service account";
    assert_eq!(last_message(&stderr), remedy);
}

#[test]
fn a_kubeconfig_that_is_named_must_be_usable_even_in_a_pod() {
    let mut command = landfall(&["operator"]);
    command.env("KUBECONFIG", scratch("no-such-file")).env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let (code, _, stderr) = run(&mut command);
    let message = last_message(&stderr);
    assert_eq!(code, 1);
    assert!(message.starts_with("the kubeconfig cannot be used; ") && message.contains("no-such-file"), "{message}");
}

#[test]
fn a_malformed_kubeconfig_is_reported_without_its_contents() {
    let path = scratch("malformed.kubeconfig");
    fs::write(&path, "users:\n- name: a\n  user:\n    token: [s3cret-token\n    username: s3cret-name\n").unwrap();
    let (code, stdout, stderr) = run(landfall(&["operator"]).env("KUBECONFIG", path));
    assert_eq!(code, 1);
    assert!(last_message(&stderr).starts_with("the kubeconfig is malformed at line "), "{stderr}");
    assert!(!format!("{stdout}{stderr}").contains("s3cret"), "{stderr}");
}

#[test]
fn an_operator_needs_a_name_without_blanks() {
    let (code, _, stderr) = run(&mut landfall(&["operator", "--identity", "two words"]));
    assert_eq!(
        (code, last_message(&stderr).as_str()),
        (1, "the identity \"two words\" has blanks or control characters")
    );
}

#[test]
fn a_log_filter_that_is_none_is_refused_with_an_example() {
    let (code, _, stderr) = run(landfall(&["operator"]).env("RUST_LOG", "=loud="));
    assert!(code == 1 && stderr.starts_with("error: RUST_LOG is not a log filter; an example"), "{stderr}");
}

#[test]
fn an_address_that_is_taken_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = landfall(&["operator", "--listen", &address]);
    let (code, _, stderr) = run(command.env("KUBECONFIG", kubeconfig("taken", "127.0.0.1:1")));
    let message = last_message(&stderr);
    assert!(code == 1 && message.starts_with(&format!("cannot listen on {address}; choose another")), "{message}");
}

#[test]
fn an_operator_waits_for_an_api_server_that_does_not_answer_and_stops_when_asked() {
    let mut command = landfall(&["operator"]);
    command.env("KUBECONFIG", kubeconfig("silent", "127.0.0.1:1")).env("LANDFALL_LISTEN", "127.0.0.1:0");
    let mut operator = Served::start(command.env("POD_NAME", "landfall-0"));
    operator.wait_for("the Lease is out of reach");
    assert_eq!(operator.get("/livez", 200), "200 OK\nalive\n");
    let unready = operator.get("/readyz", 503);
    assert!(unready.contains("the Lease has not been reached yet: ") && unready.contains("refused"), "{unready}");
    operator.terminate();
    assert_eq!(operator.exit_code(), 0);
}

#[test]
fn an_operator_leads_serves_and_gives_the_lease_back_on_sigterm() {
    let api = FakeApi::default();
    let mut operator = operator("leads", &api);
    operator.wait_for("took the Lease: there was none");
    assert_eq!(operator.get("/readyz", 200), "200 OK\nleader\n");
    assert!(operator.get("/metrics", 200).contains("\nlandfall_leader 1\n"));
    assert_eq!(api.holder().as_deref(), Some("leads"));
    operator.terminate();
    operator.wait_for("released the Lease");
    assert_eq!((operator.exit_code(), api.holder().as_deref()), (0, Some("")));
}

#[test]
fn an_operator_that_loses_its_lease_ends_with_3() {
    let api = FakeApi::default();
    let mut operator = operator("loses", &api);
    operator.wait_for("took the Lease");
    api.edit(|lease| lease["spec"]["holderIdentity"] = json!("another"));
    let record = operator.wait_for("the Lease is lost: another holds it; ");
    assert_eq!((record["level"].as_str(), operator.exit_code()), (Some("ERROR"), 3));
    assert_eq!(api.holder().as_deref(), Some("another"));
}

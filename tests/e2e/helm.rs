//! Helm as a person uses it: lints, renders, installs and uninstalls the chart.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::world::{LOCAL_IMAGE, World};

/// Both versions that are in use; `hack/cluster/cluster tools` builds them.
pub const HELMS: [&str; 2] = ["helm", "helm3"];

/// Where the chart is.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/landfall");

/// Runs a program with a text as its input and gives what it prints.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{program} does not start: {error}; hack/cluster/cluster tools builds what the tests use")
    });
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A release of the chart in the namespace of a test.
pub struct Release {
    helm: &'static str,
    namespace: String,
    pub name: String,
}

impl Release {
    /// Installs the chart with these values over the chart's own, and waits until it is ready.
    pub fn install(helm: &'static str, world: &World, suffix: &str, values: &Value) -> Self {
        let name = format!("{}{suffix}", world.namespace);
        let release = Self { helm, namespace: world.namespace.clone(), name };
        release.upgrade(values);
        release
    }

    /// Installs the chart with other values in the place of what is there.
    pub fn upgrade(&self, values: &Value) {
        let mut values = values.clone();
        let image = env::var("LANDFALL_IMAGE").unwrap_or_else(|_| LOCAL_IMAGE.to_owned());
        let (repository, tag) = image.rsplit_once(':').expect("an image has a tag");
        values["image"] = json!({"repository": repository, "tag": tag});
        let arguments = ["upgrade", "--install", &self.name, CHART, "--namespace", &self.namespace, "--values", "-"];
        // Definitions that another test has installed become this release's. Version 4 applies on the server, where that is a conflict.
        let force: &[&str] = if self.helm == HELMS[0] { &["--force-conflicts"] } else { &[] };
        let arguments = [&arguments[..], &["--take-ownership", "--wait", "--timeout", "120s"], force].concat();
        run(self.helm, &arguments, &values.to_string()).unwrap();
    }

    /// What the names of the release's objects start with.
    pub fn full_name(&self) -> String {
        format!("{}-landfall", self.name).chars().take(50).collect()
    }

    /// Uninstalls it and waits until its objects are gone.
    pub fn uninstall(self) {
        self.remove().unwrap();
    }

    fn remove(&self) -> Result<String, String> {
        let arguments = ["uninstall", &self.name, "--namespace", &self.namespace];
        run(self.helm, &[&arguments[..], &["--wait", "--ignore-not-found", "--timeout", "120s"]].concat(), "")
    }
}

impl Drop for Release {
    /// What belongs to the cluster does not go with the namespace.
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.remove());
        }
    }
}

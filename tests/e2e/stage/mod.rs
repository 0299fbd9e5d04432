//! A stage for rollouts: a namespace with everything that a rollout needs, an operator of its own as a process, and clients
//! that never stop asking.
//!
//! The operator looks after this namespace only, so that tests run side by side.

pub mod load;
pub mod manifests;
pub mod witness;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Service};
use kube::{
    Api, Resource, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery,
    runtime::{WatchStreamExt, watcher},
};
use landfall::api::{
    deployment::Deployment,
    deployment_status::{DeploymentStatus, Phase},
};
use serde_json::{Value, json};

use crate::world::{World, install_definitions};

/// The Deployment that most tests are about.
pub const NAME: &str = "web";

/// A namespace, ready for rollouts, with an operator.
pub struct Stage {
    pub world: World,
    operator: Option<Child>,
    other: Option<Child>,
    pub log: PathBuf,
    /// The kubeconfig of operators that are started; none for the one of the tests, which may do everything.
    pub kubeconfig: Option<PathBuf>,
}

impl Stage {
    /// Makes the namespace, installs what a rollout needs in it, and starts an operator.
    pub async fn new(test: &str) -> Self {
        let mut stage = Self::without_operator(test).await;
        stage.start_operator();
        stage
    }

    /// As [`Stage::new`], but nobody looks after it yet.
    pub async fn without_operator(test: &str) -> Self {
        let world = World::new(test).await;
        install_definitions(&world.client).await;
        let init = Command::new(env!("CARGO_BIN_EXE_landfall")).args(["init", &world.namespace]).output().unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let log = std::env::temp_dir().join(format!("{}.log", world.namespace));
        Self { world, operator: None, other: None, log, kubeconfig: None }
    }

    /// Starts the operator. Its log goes to a file whose name a failed test prints.
    pub fn start_operator(&mut self) {
        assert!(self.operator.is_none(), "there is an operator already");
        self.operator = Some(self.spawn_operator("operator"));
    }

    /// Starts another operator that holds a Lease of its own.
    pub fn start_other(&mut self) {
        assert!(self.other.is_none(), "there is another operator already");
        self.other = Some(self.spawn_operator("other"));
    }

    fn spawn_operator(&self, lease: &str) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let namespace = &self.world.namespace;
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command
            .args(["operator", "--listen", "127.0.0.1:0", "--lease-name", lease, "--identity", "operator-0"])
            .args(["--lease-namespace", namespace, "--watch-namespace", namespace, "--log-format", "text"])
            .arg("--local-repositories")
            .arg("--renderers")
            .arg(renderers())
            .arg("--data-dir")
            .arg(self.data(lease))
            .env("RUST_LOG", "info,landfall=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn data(&self, lease: &str) -> PathBuf {
        std::env::temp_dir().join(format!("landfall-{}-{lease}", self.world.namespace))
    }

    /// Removes what the operator that was killed kept on its disk, as with a pod that is made anew.
    pub fn lose_data(&self) {
        assert!(self.operator.is_none(), "there is an operator");
        std::fs::remove_dir_all(self.data("operator")).unwrap();
    }

    /// Kills the operator, as a broken node would.
    pub fn kill_operator(&mut self) {
        let mut child = self.operator.take().expect("there is an operator");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills the operator and starts another one at once.
    pub fn restart_operator(&mut self) {
        self.kill_operator();
        self.start_operator();
    }

    /// Where the operator that was started last listens, as its log says.
    pub fn http(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let address = log.rsplit("listening address=").next().and_then(|rest| rest.lines().next());
        address.expect("the operator listens").to_owned()
    }

    /// The host name of this stage's routes.
    pub fn host(&self) -> String {
        format!("{}.example.test", self.world.namespace)
    }

    /// Applies manifests, each as kubectl would with `--server-side`. `HOST` stands for the stage's host name.
    pub async fn apply(&self, manifest: &str) {
        self.world.apply(&manifest.replace("HOST", &self.host())).await;
    }

    /// Applies a Profile whose strategy is this YAML, in flow style.
    pub async fn profile(&self, strategy: &str) {
        self.apply(&manifests::profile(strategy)).await;
    }

    /// Applies the Package `web` of a version that says so in its answers.
    pub async fn package(&self, version: &str) {
        self.apply(&manifests::package(version, "")).await;
    }

    /// Wants a version of `web`; makes the Deployment where it is missing.
    pub async fn want(&self, version: &str) {
        self.apply(&manifests::deployment(version)).await;
    }

    /// Changes the spec of the Deployment, and returns the status that it had then.
    pub async fn patch(&self, spec: Value) -> DeploymentStatus {
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.deployments().patch(NAME, &PatchParams::default(), &patch).await.unwrap();
        changed.status.unwrap_or_default()
    }

    /// Gives a command about the run that there is, and waits for its answer.
    pub async fn command(&self, verb: &str, with: &str) -> String {
        // The same wish twice is two commands.
        static WISHES: AtomicU32 = AtomicU32::new(0);
        let run = self.status().await.run.expect("a command is about a run").id;
        let number = WISHES.fetch_add(1, Ordering::Relaxed);
        self.command_about(verb, &format!("{run}{with} at={number}")).await
    }

    /// Gives a command with this value, and waits for its answer: the result and the message.
    pub async fn command_about(&self, verb: &str, value: &str) -> String {
        self.annotate(verb, value).await;
        let answered = |status: &DeploymentStatus| status.commands.get(verb).is_some_and(|answer| answer.id == value);
        let status = self.until(&format!("an answer to {verb}"), answered).await;
        let answer = &status.commands[verb];
        format!("{} {}", answer.result, answer.message.clone().unwrap_or_default()).trim().to_owned()
    }

    /// Gives a command with this value, and waits for nothing.
    pub async fn annotate(&self, verb: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {format!("command.landfall.dev/{verb}"): value}}});
        self.deployments().patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub fn deployments(&self) -> Api<Deployment> {
        self.world.api()
    }

    /// The status as it is now.
    pub async fn status(&self) -> DeploymentStatus {
        self.deployments().get(NAME).await.unwrap().status.unwrap_or_default()
    }

    /// Waits until the status of the Deployment is as it should be, by watching it, and returns it.
    pub async fn until(&self, what: &str, is: impl Fn(&DeploymentStatus) -> bool) -> DeploymentStatus {
        self.until_of(NAME, what, is).await
    }

    /// As [`Stage::until`], of another Deployment.
    pub async fn until_of(&self, name: &str, what: &str, is: impl Fn(&DeploymentStatus) -> bool) -> DeploymentStatus {
        let status = |one: &Deployment| one.status.clone().unwrap_or_default();
        status(&self.until_one(self.deployments(), (name, what), |one| is(&status(one))).await)
    }

    /// Waits until an object is as it should be, by watching it, and returns it.
    pub async fn until_one<K>(&self, api: Api<K>, (name, what): (&str, &str), is: impl Fn(&K) -> bool) -> K
    where
        K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut looks = watcher(api, config).applied_objects().boxed();
        let mut last = None;
        let found = tokio::time::timeout(Duration::from_secs(100), async {
            while let Some(look) = looks.next().await {
                // A watch that breaks begins anew by itself: a change of the definitions ends all of them.
                let Ok(look) = look else {
                    // It may break without ever waiting, and the timeout would never come.
                    tokio::task::yield_now().await;
                    continue;
                };
                if is(&look) {
                    return Some(look);
                }
                last = Some(look);
            }
            None
        });
        match found.await {
            Ok(Some(one)) => one,
            _ => panic!("no {what} in {}: {last:#?}; the log is {}", self.world.namespace, self.log.display()),
        }
    }

    /// Waits for the end of the run of the wanted generation.
    pub async fn ended(&self) -> DeploymentStatus {
        let generation = self.deployments().get(NAME).await.unwrap().metadata.generation.unwrap_or_default();
        self.until("end of the run", |status| {
            status.observed_generation >= generation && status.phase.is_some_and(Phase::is_terminal)
        })
        .await
    }

    /// Waits until the candidate has this share in percent, in force.
    pub async fn at_weight(&self, percent: &str) -> DeploymentStatus {
        self.until(&format!("weight {percent} %"), |status| {
            let traffic = status.traffic.as_ref();
            status.phase.is_some_and(|phase| !phase.is_terminal())
                && traffic.is_some_and(|traffic| traffic.candidate.to_string() == percent && traffic.verified)
        })
        .await
    }

    /// The hash of the stable revision.
    pub async fn stable(&self) -> String {
        self.status().await.revision.and_then(|revision| revision.stable).map(|stable| stable.hash).unwrap_or_default()
    }

    /// The address of a Service inside the cluster.
    pub async fn address_of(&self, service: &str) -> String {
        let service = self.world.api::<Service>().get(service).await.unwrap();
        service.spec.and_then(|spec| spec.cluster_ip).expect("a Service has an address")
    }

    /// Objects of a kind by label, whatever the kind.
    pub async fn list(&self, api_version: &str, kind: &str, labels: &str) -> Vec<DynamicObject> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let (resource, _) =
            discovery::pinned_kind(&self.world.client, &GroupVersionKind::gvk(group, version, kind)).await.unwrap();
        let api: Api<DynamicObject> = Api::namespaced_with(self.world.client.clone(), &self.world.namespace, &resource);
        api.list(&kube::api::ListParams::default().labels(labels)).await.unwrap().items
    }

    /// The pods that each revision's `ReplicaSet`s ask for, by hash.
    pub async fn scales(&self) -> BTreeMap<String, i64> {
        let sets = self.list("apps/v1", "ReplicaSet", "landfall.dev/deployment").await;
        let mut scales = BTreeMap::new();
        for set in sets {
            let revision = set.labels().get("landfall.dev/revision").cloned().unwrap_or_default();
            *scales.entry(revision).or_insert(0) += set.data["spec"]["replicas"].as_i64().unwrap_or(0);
        }
        scales
    }

    /// Waits until no `ReplicaSet` of a revision asks for a pod. A run has succeeded before that of the former revision is
    /// taken down.
    pub async fn taken_down(&self, revision: &str) {
        let config = watcher::Config::default().labels(&format!("landfall.dev/revision={revision}"));
        let mut looks = watcher(self.world.api::<ReplicaSet>(), config).applied_objects().boxed();
        let taken_down = async {
            while self.scales().await.get(revision) != Some(&0) {
                drop(looks.next().await);
            }
        };
        self.world.patiently("the end of the former revision's pods", taken_down).await;
    }

    /// Ends the stage. The log of a test that passed is of no use.
    pub async fn end(mut self) {
        if self.operator.is_some() {
            self.kill_operator();
        }
        if let Some(mut other) = self.other.take() {
            other.kill().unwrap();
            other.wait().unwrap();
        }
        let (client, namespace) = (self.world.client.clone(), self.world.namespace.clone());
        drop(std::fs::remove_file(&self.log));
        World { client, namespace }.end().await;
    }
}

/// A directory with the programs that `hack/cluster/cluster tools` builds and installs; a machine without one has links that lead nowhere.
pub fn renderers() -> PathBuf {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let directory = std::env::temp_dir().join(format!("landfall-renderers-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for program in ["kustomize", "helm", "sqv"] {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&path).map(|part| part.join(program)).find(|path| path.is_file());
            drop(std::os::unix::fs::symlink(found.unwrap_or_default(), directory.join(program)));
        }
        directory
    });
    DIRECTORY.clone()
}

impl Drop for Stage {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its operator said")]
    fn drop(&mut self) {
        for mut child in self.operator.take().into_iter().chain(self.other.take()) {
            drop(child.kill());
            drop(child.wait());
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            for line in tail.into_iter().rev() {
                eprintln!("operator: {line}");
            }
            eprintln!("failed: {}", crate::why::why());
        }
    }
}

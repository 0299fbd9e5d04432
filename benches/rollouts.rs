//! Times the operator on pretended nodes: many rollouts at once beside the floor, many idle Deployments, and the way from a
//! ready pod to the next weight. Prints Markdown tables for `benches/RESULTS.md`.
//!
//! Run by `make bench`, inside the network of a cluster with pretended nodes. The floor is a plain client that makes only
//! the writes that no rollout can do without, in the same run. With `--plain=DIRECTORY` it is nothing but the floor of a
//! source, with `--profiles=FILE` nothing but Profiles that are applied in the namespace `many`, until all are in force.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark talks to people, and ends where something is not as it should be"
)]
#![allow(clippy::cast_precision_loss, reason = "counts and times stay far below 2^52")]

mod plain;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        core::v1::{Namespace, Pod},
        discovery::v1::{Endpoint, EndpointSlice},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, conditions, wait::await_condition, watcher},
};
use landfall::api::{
    deployment::Deployment,
    deployment_status::{DeploymentStatus, Phase},
    package::Package,
};
use serde_json::{Value, json};

/// Requests of the benchmark's own clients that are under way at a time.
const UNDER_WAY: usize = 64;

/// How long one part may take before it counts as broken.
const PATIENCE: Duration = Duration::from_mins(15);

#[tokio::main]
async fn main() {
    landfall::cluster::connect::install_tls_provider();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count = |name: &str, default: usize| {
        let given = arguments.iter().find_map(|argument| argument.strip_prefix(&format!("--{name}=")));
        given.map_or(default, |text| text.parse().expect("a count is a number"))
    };
    let path = |name| arguments.iter().find_map(|argument| argument.strip_prefix(name)).map(Path::new);
    if path("--plain=").or(path("--profiles=")).is_some() {
        let client = Client::try_default().await.expect("a cluster: run this with `make bench`");
        if let Some(directory) = path("--plain=") {
            plain::plain(&client, directory).await;
        }
        if let Some(file) = path("--profiles=") {
            plain::profiles(&client, file, "many").await;
        }
        return;
    }
    let bench = Bench::start().await;
    if count("rollouts", 300) > 0 {
        bench.rollouts(count("rollouts", 300)).await;
    }
    if count("latency", 50) > 0 {
        bench.latency(count("latency", 50), Pods::Pretended).await;
    }
    if count("real", 50) > 0 {
        bench.latency(count("real", 50), Pods::Real).await;
    }
    if count("idle", 5_000) > 0 {
        bench.idle(count("idle", 5_000)).await;
    }
}

/// Seconds of processor time that a process has used.
fn processor_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

struct Bench {
    client: Client,
}

/// The operator as a process, and what it has used.
struct Operator {
    child: Child,
    namespace: String,
}

impl Operator {
    fn start(namespace: &str) -> Self {
        let log = std::fs::File::create(std::env::temp_dir().join(format!("{namespace}.log"))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["operator", "--listen", "127.0.0.1:0", "--lease-name", "bench", "--identity", "bench-0"])
            .args(["--lease-namespace", namespace, "--log-format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, namespace: namespace.to_owned() }
    }

    /// Seconds of processor time so far.
    fn processor(&self) -> f64 {
        processor_of(self.child.id())
    }

    /// A line of the process's status, in megabytes.
    fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|text| text.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        eprintln!("the operator's log is in {}/{}.log", std::env::temp_dir().display(), self.namespace);
    }
}

/// Who runs the pods.
#[derive(Clone, Copy)]
enum Pods {
    /// Nobody: they are ready a few milliseconds after they were made.
    Pretended,
    /// The node of the cluster, with the sample application of the project's image.
    Real,
}

/// From a ready pod to the route.
struct Way {
    /// Until the pod is a ready endpoint.
    controller: Duration,
    /// From there to the route.
    operator: Duration,
}

impl Bench {
    async fn start() -> Self {
        let client = Client::try_default().await.expect("a cluster: run this with `make bench`");
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in landfall::api::crd::definitions() {
            let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
            let how = PatchParams::apply("landfall-bench").force();
            definitions.patch(&name, &how, &Patch::Apply(&definition)).await.unwrap();
            await_condition(definitions.clone(), &name, conditions::is_crd_established()).await.unwrap();
        }
        Self { client }
    }

    async fn namespace(&self, name: &str) {
        let object: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::<Namespace>::all(self.client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_landfall")).args(["init", name]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    async fn end(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        kube::runtime::wait::delete::delete_and_finalize(namespaces, name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes objects, many at a time.
    async fn create<K>(&self, namespace: &str, objects: Vec<Value>)
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let api = self.api::<K>(namespace);
        stream::iter(objects.into_iter().map(Ok))
            .try_for_each_concurrent(UNDER_WAY, |object| {
                let api = api.clone();
                async move {
                    let object: K = serde_json::from_value(object).unwrap();
                    api.create(&PostParams::default(), &object).await.map(|_| ())
                }
            })
            .await
            .unwrap();
    }

    /// Waits until all Deployments have arrived at a version.
    async fn arrived(&self, namespace: &str, count: usize, version: &str) {
        let mut there: BTreeSet<String> = BTreeSet::new();
        let config = watcher::Config::default();
        let mut looks = watcher(self.api::<Deployment>(namespace), config).default_backoff().applied_objects().boxed();
        let wait = async {
            while there.len() < count {
                let look = looks.try_next().await.unwrap().unwrap();
                let name = look.name_any();
                if has_arrived(look.status.as_ref(), version) {
                    there.insert(name);
                } else {
                    there.remove(&name);
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("all Deployments arrive");
    }

    /// Rollouts of many Deployments at once.
    async fn rollouts(&self, count: usize) {
        let name = "bench-rollouts";
        self.namespace(name).await;
        self.create::<landfall::api::profile::Profile>(
            name,
            vec![profile(&json!({
                "scaleDownDelay": "0s",
                "canary": {"steps": [{"weight": 50}, {"pause": {"duration": "5s"}}, {"weight": 100}]},
            }))],
        )
        .await;
        let versions = ["1.0.0", "2.0.0", "3.0.0"];
        let packages = versions.iter().flat_map(|version| (0..count).map(|number| package(number, version, 2)));
        self.create::<Package>(name, packages.collect()).await;
        let operator = Operator::start(name);
        self.create::<Deployment>(name, (0..count).map(|number| deployment(number, "1.0.0")).collect()).await;
        self.arrived(name, count, "1.0.0").await;

        let (processor, start) = (operator.processor(), Instant::now());
        let kubectl = tokio::task::spawn_blocking(move || apply_all(name, count, "2.0.0"));
        self.arrived(name, count, "2.0.0").await;
        let all = start.elapsed();
        let kubectl = kubectl.await.unwrap();
        let used = operator.processor() - processor;

        // As the floor, this begins when nothing is under way.
        self.at_rest(name, 2 * count).await;
        let (processor, start) = (operator.processor(), Instant::now());
        self.patch(name, count, "3.0.0").await;
        let patched = start.elapsed();
        self.arrived(name, count, "3.0.0").await;
        let at_once = start.elapsed();
        let used_at_once = operator.processor() - processor;
        let peak = operator.memory("VmHWM");
        drop(operator);
        let alone = tokio::task::spawn_blocking(move || apply_all(name, count, "4.0.0")).await.unwrap();
        self.end(name).await;
        let (floor, floor_used) = self.floor(count).await;

        println!("### {count} rollouts at once\n\n| what | value | limit |\n|---|---|---|");
        println!("| `kubectl apply` of {count} updates, to all arrived (s) | {:.1} | 25 |", all.as_secs_f64());
        println!("| of which `kubectl` itself (s) | {:.1} | |", kubectl.as_secs_f64());
        println!("| the same `kubectl apply` without an operator (s) | {:.1} | |", alone.as_secs_f64());
        println!("| processor time of the operator in that (s) | {used:.2} | 3 |");
        println!(
            "| {count} patches by a plain client, to all arrived (s) | {:.1} | {:.1} |",
            at_once.as_secs_f64(),
            1.5 * floor
        );
        println!("| of which the patches (s) | {:.1} | |", patched.as_secs_f64());
        println!("| processor time of the operator in that (s) | {used_at_once:.2} | |");
        println!("| the floor: only the unavoidable writes, by a plain client (s) | {floor:.1} | |");
        println!("| processor time of the plain client in that (s) | {floor_used:.2} | |");
        println!("| peak resident memory of the operator (MB) | {peak:.0} | 50 |\n");
    }

    /// Waits until there are so many pods and no more.
    async fn at_rest(&self, namespace: &str, pods: usize) {
        let wait = async {
            while self.pods(namespace).await.len() > pods {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("former pods go");
    }

    async fn patch(&self, namespace: &str, count: usize, version: &str) {
        let api = self.api::<Deployment>(namespace);
        stream::iter(0..count)
            .for_each_concurrent(UNDER_WAY, |number| {
                let api = api.clone();
                async move {
                    let patch = json!({"spec": {"package": {"version": version}}});
                    let how = PatchParams::default();
                    api.patch(&format!("app-{number}"), &how, &Patch::Merge(patch)).await.unwrap();
                }
            })
            .await;
    }

    /// What no rollout can do without: create with one pod, ready, 5 s, scale to two, ready, the old one to none.
    async fn floor(&self, count: usize) -> (f64, f64) {
        let name = "bench-floor";
        self.namespace(name).await;
        let old = (0..count).map(|number| replica_set(number, "old", 2)).collect();
        self.create::<ReplicaSet>(name, old).await;
        let (sender, ready) = tokio::sync::watch::channel(BTreeMap::<String, i32>::new());
        let watching = tokio::spawn(watch_ready(self.api::<ReplicaSet>(name), sender));
        let sets: Vec<String> = (0..count).map(|number| format!("app-{number}-old")).collect();
        wait_ready(ready.clone(), &sets, 2).await;
        let (before, start) = (own_processor(), Instant::now());
        let api = self.api::<ReplicaSet>(name);
        stream::iter(0..count)
            .for_each_concurrent(count, |number| {
                let (api, ready) = (api.clone(), ready.clone());
                async move {
                    let new = vec![format!("app-{number}-new")];
                    let object: ReplicaSet = serde_json::from_value(replica_set(number, "new", 1)).unwrap();
                    api.create(&PostParams::default(), &object).await.unwrap();
                    wait_ready(ready.clone(), &new, 1).await;
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    let scale = |replicas: u32| Patch::Merge(json!({"spec": {"replicas": replicas}}));
                    api.patch(&new[0], &PatchParams::default(), &scale(2)).await.unwrap();
                    wait_ready(ready, &new, 2).await;
                    api.patch(&format!("app-{number}-old"), &PatchParams::default(), &scale(0)).await.unwrap();
                }
            })
            .await;
        let result = (start.elapsed().as_secs_f64(), own_processor() - before);
        watching.abort();
        self.end(name).await;
        result
    }

    /// Many Deployments that do nothing.
    async fn idle(&self, count: usize) {
        let name = "bench-idle";
        self.namespace(name).await;
        self.create::<landfall::api::profile::Profile>(name, vec![profile(&json!({"rolling": {}}))]).await;
        self.create::<Package>(name, (0..count).map(|number| package(number, "1.0.0", 1)).collect()).await;
        let mut operator = Operator::start(name);
        let start = Instant::now();
        self.create::<Deployment>(name, (0..count).map(|number| deployment(number, "1.0.0")).collect()).await;
        self.arrived(name, count, "1.0.0").await;
        let made = start.elapsed();
        let after = operator.memory("VmRSS");
        operator.kill();

        let start = Instant::now();
        let operator = Operator::start(name);
        self.patch(name, 1, "2.0.0").await;
        // The version does not exist: that this is said is the first decision.
        self.pending(name).await;
        let decided = start.elapsed();
        // What starts is still being looked at for a moment.
        self.quiet(name).await;
        let (processor, version) = (operator.processor(), self.version(name).await);
        let window = Duration::from_mins(1);
        tokio::time::sleep(window).await;
        let used = (operator.processor() - processor) / window.as_secs_f64() * 100.0;
        let writes = self.version(name).await - version;
        println!("### {count} idle Deployments\n\n| what | value | limit |\n|---|---|---|");
        println!("| resident memory of the operator that carried them there (MB) | {after:.0} | |");
        println!("| resident memory after a restart (MB) | {:.0} | 150 |", operator.memory("VmRSS"));
        println!("| of one processor, over 60 s (%) | {used:.2} | 1 |");
        println!("| writes to objects of the namespace but the Lease, over 60 s | {writes} | 0 |");
        println!("| from `kill -9` and start to the first decision (s) | {:.1} | 10 |", decided.as_secs_f64());
        println!("| all {count} carried out for the first time (s) | {:.0} | |\n", made.as_secs_f64());
        drop(operator);
        self.end(name).await;
    }

    async fn pending(&self, namespace: &str) {
        let pending = |one: Option<&Deployment>| {
            let waits = one.and_then(|one| one.status.as_ref()?.waiting_for.clone());
            waits.is_some_and(|waits| waits.contains("2.0.0"))
        };
        let wait = await_condition(self.api::<Deployment>(namespace), "app-0", pending);
        tokio::time::timeout(PATIENCE, wait).await.expect("a decision").unwrap();
    }

    /// Waits until five seconds pass without a change of any Deployment.
    async fn quiet(&self, namespace: &str) {
        let config = watcher::Config::default();
        let mut looks = watcher(self.api::<Deployment>(namespace), config).default_backoff().applied_objects().boxed();
        while tokio::time::timeout(Duration::from_secs(5), looks.try_next()).await.is_ok() {}
    }

    /// How often objects of the namespace were written, in all: the generations and versions do not tell, so the sum of
    /// what is there does: each object's version, compared one by one.
    async fn version(&self, namespace: &str) -> usize {
        let list = self.api::<Deployment>(namespace).list_metadata(&kube::api::ListParams::default()).await.unwrap();
        let sets = self.api::<ReplicaSet>(namespace).list_metadata(&kube::api::ListParams::default()).await.unwrap();
        let versions =
            list.iter().map(ResourceExt::resource_version).chain(sets.iter().map(ResourceExt::resource_version));
        let newest = versions.flatten().filter_map(|version| version.parse::<usize>().ok()).max();
        newest.unwrap_or_default()
    }

    /// From a pod that turns ready to the next write of the route.
    async fn latency(&self, count: usize, pods: Pods) {
        let (name, whose) = match pods {
            Pods::Pretended => ("bench-latency", "pretended pods"),
            Pods::Real => ("bench-real", "pods of the node"),
        };
        self.namespace(name).await;
        let mut with_gateway = profile(&json!({
            "scaleDownDelay": "0s", "canary": {"steps": [{"weight": 50}, {"weight": 100}]},
        }));
        with_gateway["spec"]["traffic"] = json!({
            "settle": "100ms",
            "gateway": {"parentRefs": [{"name": "public", "namespace": "gateway"}], "hostnames": ["bench.example.test"]},
        });
        self.create::<landfall::api::profile::Profile>(name, vec![with_gateway]).await;
        self.create::<Package>(name, (1..=count + 1).map(|minor| routed(minor, pods)).collect()).await;
        let operator = Operator::start(name);
        self.create::<Deployment>(name, vec![deployment(0, "1.1.0")]).await;
        self.arrived(name, 1, "1.1.0").await;
        let mut times = Vec::new();
        for minor in 2..=count + 1 {
            let version = format!("1.{minor}.0");
            times.push(self.ready_to_route(name, &version).await);
            self.arrived(name, 1, &version).await;
        }
        drop(operator);
        self.end(name).await;
        println!(
            "### From a ready pod to the next write of the route, {whose}\n\n| what | median, ms | 99th percentile, ms | limit |"
        );
        println!("|---|---|---|---|");
        let row = |what: &str, of: fn(&Way) -> Duration, limit: &str| {
            let mut all: Vec<f64> = times.iter().map(|way| of(way).as_secs_f64() * 1000.0).collect();
            all.sort_by(f64::total_cmp);
            let at = |part: usize| all[(all.len() * part / 100).min(all.len() - 1)];
            println!("| {what} | {:.0} | {:.0} | {limit} |", at(50), at(99));
        };
        row(&format!("all of it, of {count}"), |way| way.controller + way.operator, "100");
        row("of that, the endpoint controller: until the pod is a ready endpoint", |way| way.controller, "");
        row("of that, the operator: from the ready endpoint to the route", |way| way.operator, "");
        println!();
    }

    /// The time from the first sight of a ready pod of the candidate to the first sight of the route with its weight.
    async fn ready_to_route(&self, namespace: &str, version: &str) -> Way {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        let resource = ApiResource::from_gvk_with_plural(&kind, "httproutes");
        let routes: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let known: BTreeSet<String> = self.pods(namespace).await;
        let mut pods =
            watcher(self.api::<Pod>(namespace), watcher::Config::default()).default_backoff().applied_objects().boxed();
        let mut looks = watcher(routes, watcher::Config::default()).default_backoff().applied_objects().boxed();
        let slices = watcher(self.api::<EndpointSlice>(namespace), watcher::Config::default());
        let mut slices = slices.default_backoff().applied_objects().boxed();
        let patch = json!({"spec": {"package": {"version": version}}});
        let api = self.api::<Deployment>(namespace);
        api.patch("app-0", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        let ready = async {
            loop {
                let pod = pods.try_next().await.unwrap().unwrap();
                if !known.contains(&pod.name_any()) && is_ready(&pod) {
                    return Instant::now();
                }
            }
        };
        let written = async {
            loop {
                let route = looks.try_next().await.unwrap().unwrap();
                if candidate_weight(&route.data) > 0 {
                    return Instant::now();
                }
            }
        };
        let reached = async {
            loop {
                let slice = slices.try_next().await.unwrap().unwrap();
                if slice.endpoints.iter().flatten().any(|endpoint| is_ready_endpoint(endpoint, &known)) {
                    return Instant::now();
                }
            }
        };
        let all = async { tokio::join!(ready, reached, written) };
        let (ready, reached, written) = tokio::time::timeout(PATIENCE, all).await.expect("a pod and a weight");
        Way {
            controller: reached.saturating_duration_since(ready),
            operator: written.saturating_duration_since(reached.max(ready)),
        }
    }

    async fn pods(&self, namespace: &str) -> BTreeSet<String> {
        let pods = self.api::<Pod>(namespace).list(&kube::api::ListParams::default()).await.unwrap();
        pods.iter().map(ResourceExt::name_any).collect()
    }
}

fn has_arrived(status: Option<&DeploymentStatus>, version: &str) -> bool {
    status.is_some_and(|status| {
        let stable = status.revision.as_ref().and_then(|revision| revision.stable.as_ref());
        status.phase == Some(Phase::Succeeded) && stable.is_some_and(|stable| stable.version == version)
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

fn is_ready_endpoint(endpoint: &Endpoint, known: &BTreeSet<String>) -> bool {
    let pod = endpoint.target_ref.as_ref().and_then(|pod| pod.name.as_ref());
    let ready = endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true));
    ready && pod.is_some_and(|pod| !known.contains(pod))
}

fn candidate_weight(route: &Value) -> i64 {
    let refs = route["spec"]["rules"][0]["backendRefs"].as_array().cloned().unwrap_or_default();
    let candidate = refs.iter().find(|one| one["name"] == "app-candidate");
    candidate.and_then(|one| one["weight"].as_i64()).unwrap_or(0)
}

async fn watch_ready(api: Api<ReplicaSet>, sender: tokio::sync::watch::Sender<BTreeMap<String, i32>>) {
    let mut looks = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Ok(Some(set)) = looks.try_next().await {
        let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        sender.send_modify(|all| {
            all.insert(set.name_any(), ready);
        });
    }
}

async fn wait_ready(mut ready: tokio::sync::watch::Receiver<BTreeMap<String, i32>>, sets: &[String], pods: i32) {
    let all = |known: &BTreeMap<String, i32>| sets.iter().all(|set| known.get(set).is_some_and(|ready| *ready >= pods));
    drop(tokio::time::timeout(PATIENCE, ready.wait_for(all)).await.expect("pods turn ready").unwrap());
}

/// Seconds of processor time that this process has used.
fn own_processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Applies a version of all Deployments as a person would, and says how long that took.
fn apply_all(namespace: &str, count: usize, version: &str) -> Duration {
    let file = std::env::temp_dir().join("landfall-bench.yaml");
    let mut out = std::fs::File::create(&file).unwrap();
    for number in 0..count {
        writeln!(out, "---\n{}", deployment(number, version)).unwrap();
    }
    let start = Instant::now();
    let done = Command::new("kubectl")
        .args(["-n", namespace, "apply", "--server-side", "--force-conflicts", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    start.elapsed()
}

fn profile(strategy: &Value) -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Profile", "metadata": {"name": "bench"},
        "spec": {"environment": "bench", "strategy": strategy},
    })
}

fn deployment(number: usize, version: &str) -> Value {
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Deployment", "metadata": {"name": format!("app-{number}")},
        "spec": {"package": {"name": format!("app-{number}"), "version": version}, "profile": "bench"},
    })
}

fn package(number: usize, version: &str, replicas: u32) -> Value {
    let name = format!("app-{number}");
    json!({
        "apiVersion": "landfall.dev/v1alpha1", "kind": "Package", "metadata": {"name": format!("{name}-{version}")},
        "spec": {"name": name, "version": version, "workload": {"manifests": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod(version)},
            },
        }]}},
    })
}

/// A package with a Service, so that a route is made for it.
fn routed(minor: usize, pods: Pods) -> Value {
    let version = format!("1.{minor}.0");
    let mut package = package(0, &version, 2);
    if let Pods::Real = pods {
        package["spec"]["workload"]["manifests"][0]["spec"]["template"]["spec"] = sample(&version);
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "app"},
        "spec": {"selector": {"app": "app-0"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    package["spec"]["workload"]["manifests"].as_array_mut().unwrap().push(service);
    package
}

fn replica_set(number: usize, suffix: &str, replicas: u32) -> Value {
    let name = format!("app-{number}-{suffix}");
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod(suffix)},
        },
    })
}

/// A pod that only pretended nodes run.
fn pod(version: &str) -> Value {
    json!({
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        "containers": [{"name": "app", "image": "pretended", "env": [{"name": "VERSION", "value": version}]}],
    })
}

/// The sample application, on a node.
fn sample(version: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "app", "image": "localhost/landfall:dev", "imagePullPolicy": "IfNotPresent",
            "args": ["sample", "serve", format!("--version={version}"), "--drain=0s"],
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        }],
    })
}

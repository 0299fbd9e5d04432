//! What the cluster itself must do before a rollout can be judged on it: weights, Jobs, names, and a clean end.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::{
    Api,
    api::DynamicObject,
    core::GroupVersionKind,
    discovery,
    runtime::{conditions, wait::Condition},
};
use landfall::cli::sample::load::{LoadArgs, send, tally::Tally};

use crate::world::{World, available, gateway_url};

const EXAMPLE_HOST: &str = "web.example.test";
const WEIGHTED_ROUTE: &str = include_str!("../../examples/cluster/weighted-route.yaml");

/// The example with a host name of the test's own: two routes for one host would share its requests.
fn weighted_route(world: &World) -> String {
    assert!(WEIGHTED_ROUTE.contains(EXAMPLE_HOST));
    WEIGHTED_ROUTE.replace(EXAMPLE_HOST, &host(world))
}

fn host(world: &World) -> String {
    format!("{}.example.test", world.namespace)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_see_the_weights_of_a_route_and_no_failure() {
    let world = World::new("weights").await;
    world.apply(&weighted_route(&world)).await;
    for name in ["web-v1", "web-v2"] {
        world.wait_for::<Deployment, _>(name, available()).await;
    }
    route_in_force(&world).await;

    let tally = send(&requests(&world, 10_000)).await;

    assert_eq!((tally.failed, &tally.first_failure), (0, &None), "{tally:?}");
    assert_eq!(tally.answered(), 10_000, "{tally:?}");
    assert_share(&tally, "v1", 0.7);
    assert_share(&tally, "v2", 0.3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_completes_and_its_pod_finds_a_service_by_name() {
    let world = World::new("job").await;
    world.apply(&weighted_route(&world)).await;
    world.wait_for::<Deployment, _>("web-v1", available()).await;
    let url = format!("http://web-v1.{}.svc.cluster.local/", world.namespace);

    world.apply(&job("by-name", &url)).await;
    world.wait_for::<Job, _>("by-name", conditions::is_job_completed()).await;
    let logs = job_logs(&world, "by-name").await;
    assert!(logs.starts_with("200 OK\n") && logs.contains("\"version\":\"v1\""), "{logs}");

    world.apply(&job("no-such-name", "http://nobody.invalid/")).await;
    world.wait_for::<Job, _>("no-such-name", has_failed()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_leaves_no_pod_and_no_container() {
    let world = World::new("gone").await;
    world.apply(&weighted_route(&world)).await;
    world.wait_for::<Deployment, _>("web-v1", available()).await;
    world.wait_for::<Deployment, _>("web-v2", available()).await;
    if let Some(containers) = world.containers_on_the_node() {
        assert_eq!(containers.len(), 8, "4 pods, each a sandbox and a container: {containers:?}");
    }

    let (client, namespace) = (world.client.clone(), world.namespace.clone());
    let after = World { client, namespace };
    world.end().await;

    assert_eq!(after.pods().await, Vec::<String>::new());
    // The node removes a sandbox shortly after the API server has forgotten the pod.
    after
        .patiently("the end of the containers", async {
            while after.containers_on_the_node().is_some_and(|containers| !containers.is_empty()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
}

/// So many requests to the route's host through the gateway.
fn requests(world: &World, count: u64) -> LoadArgs {
    LoadArgs {
        url: gateway_url().parse().unwrap(),
        host: Some(host(world)),
        requests: count,
        concurrency: 8,
        rate: None,
        timeout: Duration::from_secs(5),
    }
}

/// A route is in force when its parent has accepted it at its generation and the data plane has followed: here, when
/// both backends answer.
async fn route_in_force(world: &World) {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let (resource, _) = discovery::pinned_kind(&world.client, &kind).await.unwrap();
    let routes: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    let accepted = kube::runtime::wait::await_condition(routes, "web", |route: Option<&DynamicObject>| {
        route.is_some_and(accepted_at_its_generation)
    });
    world.patiently("the acceptance of the route", accepted).await.unwrap();
    world
        .patiently("answers of both versions", async {
            while send(&requests(world, 50)).await.by_version.len() < 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
}

fn accepted_at_its_generation(route: &DynamicObject) -> bool {
    let parents = route.data["status"]["parents"].as_array();
    parents.is_some_and(|parents| {
        !parents.is_empty()
            && parents.iter().all(|parent| {
                let conditions: BTreeMap<_, _> = parent["conditions"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|condition| (condition["type"].as_str(), condition))
                    .collect();
                ["Accepted", "ResolvedRefs"].iter().all(|name| {
                    conditions.get(&Some(*name)).is_some_and(|condition| {
                        condition["status"] == "True"
                            && condition["observedGeneration"].as_i64() == route.metadata.generation
                    })
                })
            })
    })
}

/// The tolerance is one point, or four and a half standard deviations where that is more.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn assert_share(tally: &Tally, version: &str, weight: f64) {
    let tolerance = f64::max(0.01, 4.5 * (weight * (1.0 - weight) / tally.answered() as f64).sqrt());
    let share = tally.share(version);
    assert!((share - weight).abs() <= tolerance, "share of {version} is {share:.4}, weight {weight}: {tally:?}");
}

fn job(name: &str, url: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: get
          image: localhost/landfall:dev
          imagePullPolicy: IfNotPresent
          args: [sample, get, {url}]
"
    )
}

async fn job_logs(world: &World, job: &str) -> String {
    let pods: Api<Pod> = world.api();
    let of_job = kube::api::ListParams::default().labels(&format!("job-name={job}"));
    let found = pods.list(&of_job).await.unwrap();
    let name = kube::ResourceExt::name_any(&found.items[0]);
    pods.logs(&name, &kube::api::LogParams::default()).await.unwrap()
}

fn has_failed() -> impl Condition<Job> {
    |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Failed" && c.status == "True"))
    }
}

//! The operator as its image runs it: one leader among the replicas, an orderly and a disorderly change of it, and probes.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, Request},
    runtime::wait::Condition,
};

use crate::world::{World, available};

const OPERATOR: &str = include_str!("manifests/operator.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_leads_and_another_takes_over_when_its_pod_goes() {
    let world = World::new("lease").await;
    world.apply(OPERATOR).await;
    world.wait_for::<Deployment, _>("operator", available()).await;
    world.wait_for::<Lease, _>("landfall", held_by_another_than("")).await;

    let first = holder(&world).await;
    for pod in world.pods().await {
        let expected = if pod == first { "leader" } else { "standby" };
        assert_eq!(role(&world, &pod).await, expected, "{pod}");
        assert_eq!(get(&world, &pod, "livez").await, "alive\n", "{pod}");
        let leader = format!("landfall_leader {}\n", u8::from(pod == first));
        let metrics = get(&world, &pod, "metrics").await;
        assert!(metrics.contains(&leader), "{pod}: {metrics}");
    }

    world.api::<Pod>().delete(&first, &DeleteParams::default()).await.unwrap();
    world.wait_for::<Lease, _>("landfall", held_by_another_than(&first)).await;
    let second = holder(&world).await;
    // It may be the pod that follows the deleted one, which can lead before the kubelet has told where it is.
    world.wait_for::<Pod, _>(&second, has_address()).await;
    world
        .patiently("the word of the new leader", async {
            // The Lease is written before the replica has heard the answer.
            while role(&world, &second).await != "leader" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_followed_when_its_lease_has_expired_and_not_before() {
    let world = World::new("expiry").await;
    let first = Replica::start(&world, "first");
    world.wait_for::<Lease, _>("landfall", held_by_another_than("")).await;
    assert_eq!(holder(&world).await, "first");
    let _second = Replica::start(&world, "second");

    let renewed = world.api::<Lease>().get("landfall").await.unwrap().spec.unwrap().renew_time.unwrap();
    drop(first);
    world.wait_for::<Lease, _>("landfall", held_by_another_than("first")).await;
    let taken = world.api::<Lease>().get("landfall").await.unwrap().spec.unwrap().acquire_time.unwrap();

    assert_eq!(holder(&world).await, "second");
    let pause = taken.0.duration_since(renewed.0).as_secs_f64();
    assert!(pause >= 10.0, "taken {pause} s after a renewal that was good for 10 s");
    world.end().await;
}

/// An operator process on this machine, killed when it is dropped.
struct Replica(Child);

impl Replica {
    fn start(world: &World, identity: &str) -> Self {
        let arguments = ["operator", "--listen", "127.0.0.1:0", "--identity", identity];
        let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
        // Whoever looked after all namespaces would take part in the rollouts of other tests.
        let here = ["--lease-namespace", &world.namespace, "--watch-namespace", &world.namespace];
        command.args(arguments).args(here).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // SIGKILL: the Lease cannot be given back.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn holder(world: &World) -> String {
    let leases: Api<Lease> = world.api();
    leases.get("landfall").await.unwrap().spec.unwrap().holder_identity.unwrap()
}

fn held_by_another_than(old: &str) -> impl Condition<Lease> + use<> {
    let old = old.to_owned();
    move |lease: Option<&Lease>| {
        let holder = lease.and_then(|lease| lease.spec.as_ref()).and_then(|spec| spec.holder_identity.as_ref());
        holder.is_some_and(|holder| !holder.is_empty() && *holder != old)
    }
}

fn has_address() -> impl Condition<Pod> {
    |pod: Option<&Pod>| pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.pod_ip.is_some())
}

/// What a replica says that it is. What it may not list, with the few rights that it has here, stands below that.
async fn role(world: &World, pod: &str) -> String {
    get(world, pod, "readyz").await.lines().next().unwrap_or_default().to_owned()
}

/// Asks a pod by way of the API server's proxy.
async fn get(world: &World, pod: &str, path: &str) -> String {
    let url = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy", world.namespace);
    let request = Request::new(url).get(path, &kube::api::GetParams::default()).unwrap();
    world.client.request_text(request).await.unwrap_or_else(|error| panic!("{pod}/{path}: {error}"))
}

//! The operator as its image runs it: one leader among the replicas, an orderly and a disorderly change of it, and probes.

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
        let expected = if pod == first { "leader\n" } else { "standby\n" };
        assert_eq!(get(&world, &pod, "readyz").await, expected, "{pod}");
        assert_eq!(get(&world, &pod, "livez").await, "alive\n", "{pod}");
        let leader = format!("landfall_leader {}\n", u8::from(pod == first));
        let metrics = get(&world, &pod, "metrics").await;
        assert!(metrics.contains(&leader), "{pod}: {metrics}");
    }

    world.api::<Pod>().delete(&first, &DeleteParams::default()).await.unwrap();
    world.wait_for::<Lease, _>("landfall", held_by_another_than(&first)).await;
    let second = holder(&world).await;
    assert_eq!(get(&world, &second, "readyz").await, "leader\n");

    // Without a grace period the container is killed and cannot release the Lease: it has to expire.
    world.api::<Pod>().delete(&second, &DeleteParams::default().grace_period(0)).await.unwrap();
    world.wait_for::<Lease, _>("landfall", held_by_another_than(&second)).await;
    world.end().await;
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

/// Asks a pod by way of the API server's proxy.
async fn get(world: &World, pod: &str, path: &str) -> String {
    let url = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy", world.namespace);
    let request = Request::new(url).get(path, &kube::api::GetParams::default()).unwrap();
    world.client.request_text(request).await.unwrap_or_else(|error| panic!("{pod}/{path}: {error}"))
}

//! Two operators that do not share a Lease look after one namespace.

use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};
use landfall::{
    api::deployment_status::{DeploymentStatus, Phase},
    rollout::record::Record,
};

use super::{SWIFT, package, plain_stage, runs, settled, small};
use crate::stage::{NAME, Stage};

/// The Lease of the operator that a status names.
fn claim(status: &DeploymentStatus) -> String {
    let record = status.record.as_deref().and_then(Record::read);
    record.and_then(|record| record.operator).unwrap_or_default()
}

/// How many events tell of another operator, counted with those that were put together.
async fn told(stage: &Stage) -> i32 {
    let events: Api<Event> = stage.world.api();
    let about = format!("involvedObject.name={NAME},reason=ManagedElsewhere");
    let events = events.list(&ListParams::default().fields(&about)).await.unwrap();
    events.iter().map(|event| event.series.as_ref().and_then(|series| series.count).unwrap_or(1)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_operator_has_another_one_leaves_alone_until_it_is_gone() {
    let mut stage = plain_stage("others", SWIFT).await;
    let first = settled(&stage, "1.0.0", &small("1.0.0")).await;
    let (one, two) = (format!("{}/operator", stage.world.namespace), format!("{}/other", stage.world.namespace));
    assert_eq!(claim(&first), one);

    stage.start_other();
    stage
        .world
        .patiently("word of another operator", async {
            let events: Api<Event> = stage.world.api();
            let config = kube::runtime::watcher::Config::default().fields("reason=ManagedElsewhere");
            let mut seen = std::pin::pin!(kube::runtime::watcher(events, config));
            while let Some(event) = futures::StreamExt::next(&mut seen).await {
                if let Ok(
                    kube::runtime::watcher::Event::Apply(event) | kube::runtime::watcher::Event::InitApply(event),
                ) = event
                {
                    let note = event.message.unwrap_or_default();
                    assert!(note.contains(&one) && note.contains(&two), "{note}");
                    return;
                }
            }
        })
        .await;
    for version in ["2.0.0", "3.0.0"] {
        let end = settled(&stage, version, &small(version)).await;
        assert_eq!((runs(&end).as_str(), claim(&end)), (version, one.clone()));
    }
    assert_eq!(told(&stage).await, 1, "it is said once");

    // It ends without giving its Lease back, and the other one takes over when that has run out.
    stage.kill_operator();
    stage.apply(&package("4.0.0", &small("4.0.0"))).await;
    stage.want("4.0.0").await;
    let taken = stage.until("a run of the other operator", |status| runs(status) == "4.0.0").await;
    assert_eq!(claim(&taken), two);

    // It comes back, and finds that it is not needed.
    stage.start_operator();
    stage.apply(&package("5.0.0", &small("5.0.0"))).await;
    stage.want("5.0.0").await;
    let end = stage.until("the end", |status| runs(status) == "5.0.0").await;
    assert_eq!((end.phase, claim(&end)), (Some(Phase::Succeeded), two));
    stage.end().await;
}

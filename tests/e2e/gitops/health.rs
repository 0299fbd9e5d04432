//! Objects of which their Profile says itself when they are healthy.

use super::forge::{Forge, map};

const CHECKS: &str = "healthChecks: [{apiVersion: v1, kind: ConfigMap, failed: \"object.data.a == 'broken'\", \
                      current: \"object.data.a == 'ready'\"}]";

#[tokio::test(flavor = "multi_thread")]
async fn expressions_say_when_an_object_is_healthy_and_when_it_has_failed() {
    let forge = Forge::with("expressions", CHECKS, &[("one.yaml", &map("one", "early"))]).await;
    forge
        .until("the wait for the expression", |_, status| {
            let waits = "spec.source.healthChecks[0].current is not true yet";
            status.waiting_for.as_deref().is_some_and(|sentence| sentence.contains(waits))
        })
        .await;
    let ready = forge.commit("ready", &[("one.yaml", &map("one", "ready"))]);
    forge.in_force(&ready).await;
    let broken = forge.commit("broken", &[("one.yaml", &map("one", "broken"))]);
    let status = forge.failed(&broken).await;
    let [failure] = status.failures.as_slice() else { panic!("{status:#?}") };
    assert_eq!((failure.file.as_deref(), failure.reason.as_str()), (Some("one.yaml"), "Unhealthy"));
    assert!(failure.message.contains("spec.source.healthChecks[0].failed is true"), "{failure:?}");
    forge.end().await;
}

//! Secrets that SOPS encrypted.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use super::forge::Forge;

const SECRETS: &str = include_str!("../../sops/two.yaml");
const CONFIG: &str = include_str!("../../sops/suffix.yaml");
const FOREIGN: &str = include_str!("../../sops/other.yaml");
const IDENTITY: &str = include_str!("../../sops/one.agekey");
const DECRYPTION: &str = "decryption: {secretRef: {name: age}}";

/// What may be nowhere but in the objects.
const PLAIN: [&str; 4] = ["first-secret", "second-secret", "suffix-secret", "AGE-SECRET-KEY"];

fn secrets(forge: &Forge) -> Api<Secret> {
    forge.stage.world.api()
}

async fn give_key(forge: &Forge) {
    forge.give("age", json!({"one.agekey": IDENTITY})).await;
}

async fn password(forge: &Forge, name: &str) -> Option<String> {
    let data = secrets(forge).get_opt(name).await.unwrap()?.data.unwrap();
    Some(String::from_utf8(data["password"].0.clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_secret_arrives_in_plain_and_without_the_key_nothing_does() {
    let forge = Forge::with("encrypted", "prune: true", &[("secrets.yaml", SECRETS)]).await;
    let first = forge.head();
    let status = forge.failed(&first).await;
    let failure = &status.failures[0];
    assert_eq!((failure.reason.as_str(), failure.line), ("DecryptionNotConfigured", Some(7)));
    assert!(failure.message.contains("spec.source.decryption.secretRef"), "{failure:?}");

    forge.patch(json!({"spec": {"source": {"decryption": {"secretRef": {"name": "age"}}}}})).await;
    forge
        .until("the wait for the Secret", |_, status| {
            let words = "spec.source.decryption.secretRef: there is no Secret age in ";
            status.waiting_for.as_deref().is_some_and(|sentence| sentence.contains(words))
        })
        .await;
    assert_eq!(password(&forge, "first").await, None);

    give_key(&forge).await;
    forge.in_force(&first).await;
    assert_eq!(password(&forge, "first").await.as_deref(), Some("first-secret"));
    assert_eq!(password(&forge, "second").await.as_deref(), Some("second-secret"));

    // Neither another's file nor one that was changed takes anything away.
    let foreign = forge.commit("foreign", &[("secrets.yaml", FOREIGN)]);
    let status = forge.failed(&foreign).await;
    assert!(status.failures[0].message.contains("it is for age1"), "{status:?}");
    let changed = SECRETS.replace("name: first", "name: stolen");
    let changed = forge.commit("changed", &[("secrets.yaml", &changed)]);
    let status = forge.failed(&changed).await;
    assert!(status.failures[0].message.contains("does not fit"), "{status:?}");
    assert_eq!(password(&forge, "first").await.as_deref(), Some("first-secret"));
    assert_eq!(password(&forge, "stolen").await, None);
    forge.tells_nothing_of(&PLAIN).await;
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kustomization_of_encrypted_files_arrives_in_plain() {
    let forge = Forge::new("encrypted-kustomized").await;
    give_key(&forge).await;
    let root = "namePrefix: shop-\ncommonLabels: {of: shop}\nresources: [secrets.yaml, config.yaml]\n";
    let files = [
        ("production/kustomization.yaml", root),
        ("production/secrets.yaml", SECRETS),
        ("production/config.yaml", CONFIG),
    ];
    let first = forge.commit("first", &files);
    forge.follow_at("/production", DECRYPTION).await;
    forge.in_force(&first).await;
    assert_eq!(password(&forge, "shop-first").await.as_deref(), Some("first-secret"));
    let config = forge.maps().get("shop-suffix").await.unwrap();
    assert_eq!(config.data.unwrap()["password_secret"], "suffix-secret");
    assert_eq!(config.metadata.labels.unwrap()["of"], "shop");

    let changed = CONFIG.replace("not-secret", "changed");
    let changed = forge.commit("changed", &[files[0], files[1], ("production/config.yaml", &changed)]);
    let status = forge.failed(&changed).await;
    assert_eq!(status.failures[0].file.as_deref(), Some("production/config.yaml"));
    assert_eq!(status.failures[0].reason, "DecryptionFailed");
    forge.tells_nothing_of(&PLAIN).await;
    forge.end().await;
}

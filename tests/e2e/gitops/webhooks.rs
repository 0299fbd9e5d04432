//! A look because somebody asks for it: a provider, or a person.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use hmac::{Hmac, Mac};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use landfall::rollout::words::hexadecimal;
use serde_json::json;
use sha2::Sha256;

use super::forge::{Forge, map};

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_webhook_brings_a_commit_at_once_and_a_wrong_one_does_nothing() {
    let forge = Forge::new("hooked").await;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "hook"}, "stringData": {"token": "hush"}})).unwrap();
    forge.stage.world.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
    let first = forge.commit("first", &[("one.yaml", &map("one", "1"))]);
    forge.follow_every("1d", "webhook: {name: hook, key: token}").await;
    forge.in_force(&first).await;

    let second = forge.commit("second", &[("one.yaml", &map("one", "2"))]);
    let body =
        json!({"ref": "refs/heads/main", "after": second, "repository": {"clone_url": forge.server.url("basic")}})
            .to_string();
    assert_eq!(post(&forge, "production", &body, "wrong"), 401);
    assert_eq!(post(&forge, "nobody", &body, "hush"), 401);
    assert_eq!(post(&forge, "production", &body, "hush"), 202);
    forge.in_force(&second).await;
    assert_eq!(post(&forge, "production", &body, "hush"), 409);
    forge.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_asks_for_a_sync_gets_the_newest_commit_and_is_told_what_became_of_it() {
    let forge = Forge::new("asked").await;
    let first = forge.commit("first", &[("one.yaml", &map("one", "1"))]);
    forge.follow_every("1d", "prune: true").await;
    forge.in_force(&first).await;
    let second = forge.commit("second", &[("one.yaml", &map("one", "2"))]);
    let (said, code) = sync(&forge);
    assert!(said.contains(&second[..7]) && code == Some(0), "{said}");
    assert_eq!(forge.value("one").await.as_deref(), Some("2"));
    let third = forge.commit("third", &[("one.yaml", "apiVersion: v1\nkind: [\n")]);
    let (said, code) = sync(&forge);
    assert!(said.contains("one.yaml:2") && said.contains(&third[..7]) && code == Some(1), "{said}");
    forge.end().await;
}

fn sync(forge: &Forge) -> (String, Option<i32>) {
    let arguments = ["sync", "production", "--namespace", &forge.stage.world.namespace];
    let output = Command::new(env!("CARGO_BIN_EXE_landfall")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (said, output.status.code())
}

/// Sends a push as GitHub does, signed with this secret, and returns the code of the answer.
fn post(forge: &Forge, profile: &str, body: &str, secret: &str) -> u16 {
    let mut signature = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    signature.update(body.as_bytes());
    let signature = hexadecimal(&signature.finalize().into_bytes(), 64);
    let mut stream = TcpStream::connect(forge.stage.http()).unwrap();
    write!(
        stream,
        "POST /hooks/{}/{profile} HTTP/1.1\r\nhost: landfall\r\nx-github-event: push\r\nx-hub-signature-256: sha256={signature}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        forge.stage.world.namespace,
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

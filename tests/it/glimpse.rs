//! Objects by their metadata alone, against an API server made of a function.

use std::sync::{Arc, Mutex};

use axum::{
    body::Body,
    http::{Request, Response},
};
use kube::Client;
use landfall::cluster::{
    bring::Bringer,
    call::CallError,
    write::{Account, Place, Writer},
};
use serde_json::{Value, json};
use tower::BoxError;

/// What was asked: the path with the query, what is accepted, and as whom.
type Asked = Arc<Mutex<Vec<[String; 3]>>>;

fn bringer(answer: fn(&str) -> (u16, Value)) -> (Bringer, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let header =
            |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap_or_default()).to_owned();
        let path = request.uri().path_and_query().unwrap().to_string();
        log.lock().unwrap().push([path.clone(), header("accept"), header("impersonate-user")]);
        let (code, body) = answer(&path);
        let answer = Response::builder().status(code).body(Body::from(body.to_string())).unwrap();
        async move { Ok::<_, BoxError>(answer) }
    });
    (Bringer::new(Writer::new(Client::new(service, "default"))), asked)
}

fn account() -> Account {
    Account::Service { namespace: "shop".into(), name: "landfall-deployer".into() }
}

/// Of a Secret that `kubectl apply` wrote.
fn object(name: &str) -> Value {
    json!({"metadata": {
        "name": name, "namespace": "shop", "uid": "u", "resourceVersion": "7", "labels": {"landfall.dev/profile": "p"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "swordfish"},
        "managedFields": [{"manager": "landfall-source", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}}],
    }})
}

fn refused(code: u16) -> (u16, Value) {
    let status = json!({"kind": "Status", "status": "Failure", "reason": "no", "message": "no", "code": code});
    (code, status)
}

const ALL: &str = "landfall.dev/profile=p";

#[tokio::test]
async fn a_list_has_all_pages_as_the_account_and_nothing_but_metadata() {
    let (bringer, asked) = bringer(|path| {
        let next = if path.contains("continue=") { "" } else { "more" };
        let name = if next.is_empty() { "two" } else { "one" };
        (200, json!({"kind": "PartialObjectMetadataList", "metadata": {"continue": next}, "items": [object(name)]}))
    });
    let found = bringer.list_metadata(&account(), &Place::named("v1", "Secret", "shop", ""), ALL).await.unwrap();
    let names: Vec<_> = found.iter().map(|meta| meta.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(!format!("{found:?}").contains("swordfish"), "{found:?}");
    assert_eq!(found[0].managed_fields.as_ref().unwrap().len(), 1);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    for [path, accept, user] in asked {
        assert!(path.starts_with("/api/v1/namespaces/shop/secrets?") && path.contains("limit=500"), "{path}");
        assert!(accept.contains("as=PartialObjectMetadataList"), "{accept}");
        assert_eq!(user, "system:serviceaccount:shop:landfall-deployer");
    }
}

/// So says a real one.
#[tokio::test]
async fn a_list_of_nothing_may_be_null() {
    let (bringer, _) = bringer(|_| {
        let kind = "PartialObjectMetadataList";
        (
            200,
            json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "9"}, "items": null}),
        )
    });
    let all = Place::named("v1", "Secret", "shop", "");
    assert_eq!(bringer.list_metadata(&account(), &all, ALL).await.unwrap(), []);
}

#[tokio::test]
async fn a_single_object_is_there_or_not_or_may_not_be_read() {
    let place = |name| Place::named("v1", "Secret", "shop", name);
    let (bringer, asked) = bringer(|path| match path {
        path if path.ends_with("/one") || path.ends_with("/one?") => (200, object("one")),
        path if path.contains("/two") => refused(404),
        _ => refused(403),
    });
    let one = bringer.metadata(&account(), &place("one")).await.unwrap().unwrap();
    assert_eq!((one.name.as_deref(), one.resource_version.as_deref()), (Some("one"), Some("7")));
    assert!(asked.lock().unwrap()[0][1].contains("as=PartialObjectMetadata;"));
    assert!(bringer.metadata(&account(), &place("two")).await.unwrap().is_none());
    let error: CallError = bringer.metadata(&account(), &place("three")).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
    assert!(bringer.list_metadata(&account(), &place(""), ALL).await.unwrap_err().is_denied());
}

#[tokio::test(start_paused = true)]
async fn half_a_list_is_none() {
    let (bringer, _) = bringer(|path| {
        if path.contains("continue=") {
            refused(410)
        } else {
            (200, json!({"metadata": {"continue": "more"}, "items": [object("one")]}))
        }
    });
    let all = Place::named("v1", "Secret", "shop", "");
    assert!(matches!(bringer.list_metadata(&account(), &all, ALL).await, Err(CallError::Refused { code: 410, .. })));
}

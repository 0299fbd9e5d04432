//! Lists that do not fit into one answer, against an API server made of a function.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::Body,
    http::{Request, Response},
};
use kube::Client;
use landfall::{
    cluster::{
        call::CallError,
        pods::old_pods,
        write::{Account, Place, Writer},
    },
    engine::{moment::Moment, observed::Revision},
};
use serde_json::{Value, json};
use tower::BoxError;

/// An API server that has so many pages of pods, of two each; the answer to a page is that of the function, where it has one.
fn writer(pages: usize, instead: fn(usize) -> Option<Value>) -> (Writer, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        let query = request.uri().query().unwrap_or_default().to_owned();
        assert!(query.contains("limit=500") && query.contains("labelSelector="), "{query}");
        let page = query.split('&').find_map(|pair| pair.strip_prefix("continue=page-")?.parse().ok()).unwrap_or(0);
        let body = instead(page).unwrap_or_else(|| {
            let next = if page + 1 < pages { format!("page-{}", page + 1) } else { String::new() };
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next}, "items": [pod(page, 0), pod(page, 1)]})
        });
        let code = body["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
        let answer = Response::builder().status(code).body(Body::from(body.to_string())).unwrap();
        async move { Ok::<_, BoxError>(answer) }
    });
    (Writer::new(Client::new(service, "default")), asked)
}

fn pod(page: usize, number: usize) -> Value {
    let name = format!("web-bcdfg-{page}-{number}");
    json!({
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "web", "image": "web"}]},
    })
}

async fn names(writer: &Writer) -> Result<Vec<String>, CallError> {
    let name = |pod: Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    writer.list(&Account::Own, &Place::named("v1", "Pod", "shop", ""), "a=b", name).await
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    for pages in [1, 2, 3] {
        let (writer, asked) = writer(pages, |_| None);
        let names = names(&writer).await.unwrap();
        assert_eq!((names.len(), asked.load(Ordering::Relaxed)), (2 * pages, pages));
        assert_eq!(names.last().unwrap(), &format!("web-bcdfg-{}-1", pages - 1));
    }
}

#[tokio::test]
async fn a_list_without_end_is_not_taken_for_a_short_one() {
    let (writer, asked) = writer(usize::MAX, |_| None);
    let error = names(&writer).await.unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 40);
    assert_eq!(error.to_string(), "there are more than 80, which is more than are listed");
}

/// While a list is read the API server may forget where it was: then nothing of it counts.
#[tokio::test]
async fn a_list_that_breaks_off_is_not_taken_for_a_short_one() {
    let expired = |page| {
        let status =
            json!({"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410});
        (page == 1).then_some(status)
    };
    let (writer, _) = writer(3, expired);
    assert!(matches!(names(&writer).await, Err(CallError::Refused { code: 410, .. })));
}

#[tokio::test]
async fn the_pods_that_a_restart_has_yet_to_replace_are_all_counted() {
    let (writer, _) = writer(3, |_| None);
    let revision = Revision("bcdfg".to_owned());
    let at = |before| old_pods(&writer, "shop", ("web", &revision), Moment(before));
    assert_eq!(at(1_800_000_000_000).await.unwrap().len(), 6);
    assert_eq!(at(1_000_000_000_000).await.unwrap().len(), 0);
}

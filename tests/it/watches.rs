//! Watches that break and start again, against an API server made of a function, on a paused clock.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use futures::stream;
use kube::Client;
use landfall::cluster::store::{
    Part, Store,
    watch::{Listener, start},
};
use serde_json::json;
use tower::BoxError;

/// What the API server does with a request; `true` is a watch.
pub type Answer = Arc<dyn Fn(&str, bool) -> StatusCode + Send + Sync>;

pub fn client(answer: Answer) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let code = answer(request.uri().path(), watches);
        async move { Ok::<_, BoxError>(response(code, if watches { Asked::Watch } else { Asked::List })) }
    });
    Client::new(service, "default")
}

/// What a request asks for.
#[derive(Clone, Copy)]
enum Asked {
    Watch,
    List,
}

fn response(code: StatusCode, asked: Asked) -> Response<Body> {
    let refused =
        json!({"kind": "Status", "status": "Failure", "reason": "Refused", "message": "no", "code": code.as_u16()});
    let empty = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
    let body = match (code, asked) {
        // A watch in which nothing happens.
        (StatusCode::OK, Asked::Watch) => Body::from_stream(stream::pending::<Result<String, BoxError>>()),
        (StatusCode::OK, Asked::List) => Body::from(empty.to_string()),
        _ => Body::from(refused.to_string()),
    };
    Response::builder().status(code).body(body).unwrap()
}

/// Whether a part is trusted after a watch has been failing for longer than that is borne.
fn trusted_later(store: &Store, part: Part) -> Result<(), String> {
    store.trusted(part, "any", Instant::now() + Duration::from_mins(1))
}

/// A listener, and how often it was told something.
pub fn counted() -> (Arc<Mutex<usize>>, Listener) {
    let said = Arc::new(Mutex::new(0));
    let count = Arc::clone(&said);
    (said, Arc::new(move |_| *count.lock().unwrap() += 1))
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_works_again_is_trusted_although_nothing_happens_in_it() {
    let broken = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&broken);
    let once = move |path: &str, watches: bool| {
        let first = watches && seen.lock().unwrap().insert(path.to_owned());
        if first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let store = Store::default();
    let watches = start(&client(Arc::new(once)), &[], &store, &counted().1);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(broken.lock().unwrap().len(), Part::ALL.len(), "every watch broke once");
    for part in Part::ALL {
        assert_eq!(trusted_later(&store, part), Ok(()), "{part:?}");
    }
    drop(watches);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_tried_again_and_again_in_vain_is_not_trusted() {
    let listed = Arc::new(Mutex::new(BTreeSet::new()));
    let never_again = move |path: &str, watches: bool| {
        let first = !watches && listed.lock().unwrap().insert(path.to_owned());
        if first { StatusCode::OK } else { StatusCode::FORBIDDEN }
    };
    let store = Store::default();
    let (said, listener) = counted();
    let watches = start(&client(Arc::new(never_again)), &[], &store, &listener);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(store.is_synced());
    // The tries in between change nothing: it counts from the first failure.
    assert_eq!(*said.lock().unwrap(), 2 * Part::ALL.len(), "once for the list, once for the failure");
    for part in Part::ALL {
        assert!(trusted_later(&store, part).is_err(), "{part:?}");
    }
    drop(watches);
}

#[tokio::test(start_paused = true)]
async fn kinds_of_routes_that_are_not_installed_are_said_to_be_absent_once() {
    let store = Store::default();
    let (said, listener) = counted();
    let no_routes = |path: &str, _| {
        if path.contains("gateway.networking.k8s.io") { StatusCode::NOT_FOUND } else { StatusCode::OK }
    };
    let watches = start(&client(Arc::new(no_routes)), &[], &store, &listener);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(store.is_synced());
    assert_eq!(*said.lock().unwrap(), Part::ALL.len());
    drop(watches);
}

/// What waiting does not change keeps nobody waiting, and is said by name; what may pass is waited for.
#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_stops_what_rests_on_it_and_nothing_else() {
    for (code, answered) in [(StatusCode::FORBIDDEN, true), (StatusCode::SERVICE_UNAVAILABLE, false)] {
        let granted = Arc::new(Mutex::new(false));
        let grants = Arc::clone(&granted);
        let some = move |path: &str, _| {
            if path.contains("grpcroutes") && !*grants.lock().unwrap() { code } else { StatusCode::OK }
        };
        let store = Store::default();
        let (said, listener) = counted();
        let watches = start(&client(Arc::new(some)), &[], &store, &listener);
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(store.is_synced(), answered, "{code}");
        assert_eq!(
            *said.lock().unwrap(),
            Part::ALL.len(),
            "once for each list, and once for the one that there is not"
        );
        let (cause, word) =
            (format!("no (HTTP {} Refused)", code.as_u16()), if answered { "may not be" } else { "have not been" });
        let refused = trusted_later(&store, Part::GrpcRoutes).unwrap_err();
        assert!(
            refused.starts_with(&format!("the GRPCRoutes {word} listed")) && refused.ends_with(&cause),
            "{refused}"
        );
        let refusals: Vec<_> = store.refusals().into_iter().collect();
        assert_eq!(refusals, if answered { vec![(Part::GrpcRoutes, cause)] } else { vec![] });
        for part in Part::ALL.into_iter().filter(|part| *part != Part::GrpcRoutes) {
            assert_eq!(trusted_later(&store, part), Ok(()), "{part:?}");
        }

        *granted.lock().unwrap() = true;
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(store.is_synced() && store.refusals().is_empty());
        assert_eq!(trusted_later(&store, Part::GrpcRoutes), Ok(()));
        assert_eq!(*said.lock().unwrap(), Part::ALL.len() + 1, "everybody looks again");
        drop(watches);
    }
}

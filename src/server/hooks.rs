//! `POST /hooks/{namespace}/{profile}`: a provider says that the repository of a Profile changed.
//!
//! Anybody may send to it, so it tells nothing before the signature holds: a Profile that is not there gets the same work
//! and the same answer as a wrong signature. A webhook is only a hint to look; one that is lost is made good by the interval.
//! Neither bodies nor secrets are logged.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{Path, Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};
use tracing::debug;

use super::{
    health::{Health, Role},
    pace::Pace,
};
use crate::{
    engine::moment::Moment,
    gitops::hook::{self, BODY_MAX, Key, Push, Refusal, Said, seen::Seen, verify},
};

/// As many requests a second are looked at.
pub const PER_SECOND: u32 = 20;

/// As many bodies are read at the same time: what strangers may take of the memory is this many times the longest body.
pub const AT_ONCE: usize = 8;

/// How long a body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A Profile that takes webhooks.
#[derive(Debug, Clone)]
pub struct Hooked {
    /// The secret that they are signed with.
    pub key: Key,
    /// The address of its repository.
    pub url: String,
}

/// What the route needs of the operator.
pub trait Hooks: Send + Sync + 'static {
    /// The secret for the webhooks of a Profile's source, and the repository's address; none where there is no such Profile
    /// or it takes no webhooks. Whether there is one should not be seen from the time that this takes.
    fn secret(&self, namespace: &str, profile: &str) -> impl Future<Output = Option<Hooked>> + Send;

    /// The repository of the Profile changed, or may have.
    fn changed(&self, namespace: &str, profile: &str, push: &Push);
}

/// What the route works with.
pub struct Desk<H> {
    hooks: H,
    health: watch::Receiver<Health>,
    now: fn() -> Moment,
    pace: Pace,
    places: Semaphore,
    seen: Mutex<Seen>,
}

impl<H: Hooks> Desk<H> {
    /// A desk for the whole life of a process: it remembers what was accepted, and how much lately.
    pub fn new(hooks: H, health: watch::Receiver<Health>, now: fn() -> Moment) -> Self {
        let (pace, places) = (Pace::per_second(PER_SECOND), Semaphore::new(AT_ONCE));
        Self { hooks, health, now, pace, places, seen: Mutex::default() }
    }

    fn leads(&self) -> bool {
        self.health.borrow().role() == Role::Leader
    }

    fn is_first(&self, fingerprint: [u8; 32]) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_first(fingerprint, (self.now)())
    }

    /// Whose a webhook is, what it says, and what is done about it.
    async fn take(&self, (namespace, profile): (&str, &str), request: hook::Request<'_>) -> Result<Outcome, Refusal> {
        let hooked = self.hooks.secret(namespace, profile).await;
        let key = hooked.as_ref().map_or_else(Key::of_nobody, |hooked| hooked.key.clone());
        let verified = verify(request, &key, (self.now)());
        let Some(hooked) = hooked else { return Err(Refusal::Unsigned) };
        let verified = verified?;
        let push = match verified.said()? {
            Said::Ping => return Ok(Outcome::Pong),
            Said::Other => return Ok(Outcome::NoPush),
            Said::Push(push) => push,
        };
        if !push.may_be_of(&hooked.url) {
            return Ok(Outcome::Elsewhere);
        }
        if !self.is_first(verified.fingerprint(&format!("{namespace}/{profile}"))) {
            return Err(Refusal::Repeated);
        }
        debug!(namespace, profile, provider = ?push.provider, "a webhook says that the repository changed");
        self.hooks.changed(namespace, profile, &push);
        Ok(Outcome::Accepted)
    }
}

/// What became of a webhook whose signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Pong,
    NoPush,
    Elsewhere,
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted => say(StatusCode::ACCEPTED, "accepted"),
            Self::Pong => say(StatusCode::OK, "pong"),
            Self::NoPush => say(StatusCode::OK, "nothing is done: this is no push"),
            Self::Elsewhere => say(StatusCode::OK, "nothing is done: the Profile follows another repository"),
        }
    }
}

/// The routes of webhooks.
pub fn router<H: Hooks>(desk: Desk<H>) -> Router {
    Router::new().route("/hooks/{namespace}/{profile}", post(receive::<H>)).with_state(Arc::new(desk))
}

async fn receive<H: Hooks>(
    State(desk): State<Arc<Desk<H>>>,
    Path((namespace, profile)): Path<(String, String)>,
    request: Request,
) -> Response {
    if !desk.leads() {
        let sentence = "this replica does not lead; the change is found at the next interval";
        return later(StatusCode::SERVICE_UNAVAILABLE, 5, sentence);
    }
    let place = desk.places.try_acquire();
    let (Ok(_place), true) = (place, desk.pace.take(Instant::now().into_std())) else {
        return later(StatusCode::TOO_MANY_REQUESTS, 1, "too many webhooks; the change is found at the next interval");
    };
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let request = hook::Request { headers: &parts.headers, body: &body };
    desk.take((&namespace, &profile), request).await.map_or_else(refuse, Outcome::into_response)
}

/// The whole body, or the answer to one that is too long or too slow.
async fn read(body: Body) -> Result<Bytes, Response> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > BODY_MAX {
        return Err(refuse(Refusal::TooLong));
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(refuse(Refusal::TooLong)),
        Ok(Err(_)) => Err(say(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
        Err(_) => Err(say(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 s")),
    }
}

fn refuse(refusal: Refusal) -> Response {
    let code = match refusal {
        Refusal::Unsigned | Refusal::OutOfTime => StatusCode::UNAUTHORIZED,
        Refusal::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Repeated => StatusCode::CONFLICT,
        Refusal::Unreadable(_) => StatusCode::BAD_REQUEST,
    };
    say(code, &refusal.to_string())
}

fn say(code: StatusCode, sentence: &str) -> Response {
    (code, format!("{sentence}\n")).into_response()
}

fn later(code: StatusCode, seconds: u32, sentence: &str) -> Response {
    (code, [(RETRY_AFTER, seconds.to_string())], format!("{sentence}\n")).into_response()
}

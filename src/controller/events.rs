//! Events: what happened, for `kubectl describe` and `kubectl events`.
//!
//! Filed beside the work and never waited for, so many a second: those of hundreds of rollouts at once would take the API
//! server's time from carrying them out, and an event that comes minutes later tells a wrong time. So where many wait, what
//! goes its way is left to the log and to the history in the status, and warnings are filed. One that cannot be filed is
//! logged and forgotten.

use std::time::Duration;

use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tracing::debug;

use crate::{api::FIELD_MANAGER, rollout::describe};

/// The most events that wait to be filed.
const WAITING_MAX: usize = 1_000;

/// The most that wait where one more normal one comes in: those of about twenty seconds.
const NORMAL_MAX: usize = 200;

/// The shortest time between two events.
const PAUSE: Duration = Duration::from_millis(100);

/// Where events go. Cheap to share.
#[derive(Clone)]
pub struct Events {
    waiting: mpsc::Sender<(k8s_openapi::api::core::v1::ObjectReference, Event)>,
}

impl Events {
    /// Files events until all senders are gone.
    pub fn start(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        let (waiting, mut filed) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut turns = tokio::time::interval(PAUSE);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while let Some((about, event)) = filed.recv().await {
                turns.tick().await;
                if let Err(error) = recorder.publish(&event, &about).await {
                    debug!(error = %crate::cluster::call::CallError::from(error), "an event could not be filed");
                }
            }
        });
        Self { waiting }
    }

    /// Files an event about a Deployment or a Profile.
    pub fn tell<K: Resource<DynamicType = ()>>(&self, about: &K, event: describe::Event) {
        let waiting = WAITING_MAX - self.waiting.capacity();
        if event.kind == describe::Kind::Normal && waiting >= NORMAL_MAX {
            debug!(waiting, "an event was left out: many wait to be filed");
            return;
        }
        let event = Event {
            type_: match event.kind {
                describe::Kind::Normal => EventType::Normal,
                describe::Kind::Warning => EventType::Warning,
            },
            reason: event.reason.to_owned(),
            note: Some(event.note),
            action: event.reason.to_owned(),
            secondary: None,
        };
        if self.waiting.try_send((about.object_ref(&()), event)).is_err() {
            debug!("an event was dropped: too many wait to be filed");
        }
    }
}

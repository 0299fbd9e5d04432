//! Events: what happened, for `kubectl describe` and `kubectl events`.
//!
//! Filed beside the work and never waited for. One that cannot be filed is logged and forgotten; where more come than can
//! be filed, the newest are.

use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;
use tracing::debug;

use crate::{
    api::{FIELD_MANAGER, deployment::Deployment},
    rollout::describe,
};

/// The most events that wait to be filed.
const WAITING_MAX: usize = 1_000;

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
            while let Some((about, event)) = filed.recv().await {
                if let Err(error) = recorder.publish(&event, &about).await {
                    debug!(error = %crate::cluster::call::CallError::from(error), "an event could not be filed");
                }
            }
        });
        Self { waiting }
    }

    /// Files an event about a Deployment.
    pub fn tell(&self, about: &Deployment, event: describe::Event) {
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

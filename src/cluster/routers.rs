//! Who looks after the parents of routes: the controllers of the Gateways' classes.
//!
//! Asked for when a route is there, and remembered for a while: they hardly ever change, and a route waits for them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::write::{Account, Place, Writer};
use crate::traffic::{acknowledge::Controller, parent::ParentKey};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_mins(1);

/// How long the answer that there is none is good for.
const FRESH_ABSENT: Duration = Duration::from_secs(2);

/// The most parents that are remembered.
const PARENTS_MAX: usize = 1_000;

/// What is known of parents. Cheap to share.
#[derive(Clone, Default)]
pub struct Routers {
    known: Arc<Mutex<HashMap<ParentKey, (Instant, Controller)>>>,
}

impl Routers {
    /// The controllers of these parents.
    pub async fn of(&self, writer: &Writer, parents: Vec<ParentKey>) -> BTreeMap<ParentKey, Controller> {
        let mut found = BTreeMap::new();
        for parent in parents {
            let controller = match self.known(&parent) {
                Some(controller) => controller,
                None => self.ask(writer, &parent).await,
            };
            found.insert(parent, controller);
        }
        found
    }

    fn known(&self, parent: &ParentKey) -> Option<Controller> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, controller) = known.get(parent)?;
        let fresh = if matches!(controller, Controller::Known(_)) { FRESH } else { FRESH_ABSENT };
        (at.elapsed() < fresh).then(|| controller.clone())
    }

    async fn ask(&self, writer: &Writer, parent: &ParentKey) -> Controller {
        let controller = find(writer, parent).await;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PARENTS_MAX {
            known.clear();
        }
        known.insert(parent.clone(), (Instant::now(), controller.clone()));
        controller
    }
}

/// Nothing that goes wrong here is an error: who is not known is judged by what is written into the route.
async fn find(writer: &Writer, parent: &ParentKey) -> Controller {
    if !parent.is_gateway() {
        return Controller::Unknown;
    }
    let place = Place::named("gateway.networking.k8s.io/v1", "Gateway", &parent.namespace, &parent.name);
    let gateway = match writer.get(&Account::Own, &place).await {
        Ok(Some(gateway)) => gateway,
        Ok(None) => return Controller::Missing(format!("Gateway {}/{} does not exist", parent.namespace, parent.name)),
        Err(_) => return Controller::Unknown,
    };
    let Some(class) = gateway.pointer("/spec/gatewayClassName").and_then(Value::as_str) else {
        return Controller::Unknown;
    };
    let place = Place { namespace: None, kind: "GatewayClass".to_owned(), name: class.to_owned(), ..place };
    let found = writer.get(&Account::Own, &place).await.ok().flatten();
    let name = found.as_ref().and_then(|class| class.pointer("/spec/controllerName")?.as_str());
    name.map_or(Controller::Unknown, |name| Controller::Known(name.to_owned()))
}

//! The metrics of this process, as a value.
//!
//! Labels come from closed sets: no object name, address or error text ever becomes one, so the number of series is
//! known when the process starts.

use std::{
    fmt,
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::cluster::{call::CallError, lease::elector::LeaseError};

/// The content type of [`Metrics::encode`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The counters and gauges, and the registry that prints them.
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    transitions: Counter,
    failures: Family<Reason, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh metrics, with the present as the start of the process.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        registry.register("process_start_time_seconds", "Start of the process since the epoch", started);

        let (leader, transitions, failures) = (Gauge::default(), Counter::default(), Family::default());
        let own = registry.sub_registry_with_prefix("landfall");
        own.register("build", "The running release", build_info());
        own.register("leader", "Whether this replica holds the Lease: 1 or 0", leader.clone());
        own.register("lease_transitions", "Changes of the Lease's holder that this replica saw", transitions.clone());
        own.register("lease_failures", "Attempts on the Lease without a result", Family::clone(&failures));
        for reason in CallError::REASONS.into_iter().chain([LeaseError::CONTENDED]) {
            // A series that exists from the start can be alerted on at its first step.
            drop(Family::get_or_create(&failures, &Reason { reason }));
        }
        Self { registry, leader, transitions, failures }
    }

    /// This replica leads.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// This replica does not lead.
    pub fn stands_by(&self) {
        self.leader.set(0);
    }

    /// The Lease has another holder than before.
    pub fn lease_changed_hands(&self) {
        self.transitions.inc();
    }

    /// An attempt on the Lease failed; `reason` is [`LeaseError::reason`].
    pub fn lease_failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// A metric refuses to be printed.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn build_info() -> Info<Vec<(&'static str, &'static str)>> {
    Info::new(vec![("version", env!("CARGO_PKG_VERSION")), ("commit", super::commit().unwrap_or("unknown"))])
}

//! The metrics of this process, as a value.
//!
//! Labels come from closed sets: no object name, address or error text ever becomes one, so the number of series is
//! known when the process starts.

use std::{
    collections::BTreeSet,
    fmt,
    sync::atomic::AtomicU64,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

use crate::cluster::{call::CallError, lease::elector::LeaseError, store::Part};

/// The content type of [`Metrics::encode`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Looked {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    part: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// The counters and gauges, and the registry that prints them.
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    transitions: Counter,
    failures: Family<Reason, Counter>,
    looks: Family<Looked, Counter>,
    look_seconds: Histogram,
    statuses: Family<Outcome, Counter>,
    runs: Family<Outcome, Counter>,
    syncs: Family<Outcome, Counter>,
    drifts: Family<Outcome, Counter>,
    measurements: Family<Outcome, Counter>,
    unreadable: Counter,
    refused: Family<Watched, Gauge>,
    elsewhere: Gauge,
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
        let look_seconds = Histogram::new(exponential_buckets(0.001, 4.0, 8));
        let mut metrics = Self {
            registry,
            leader,
            transitions,
            failures,
            looks: Family::default(),
            look_seconds,
            statuses: Family::default(),
            runs: Family::default(),
            syncs: Family::default(),
            drifts: Family::default(),
            measurements: Family::default(),
            unreadable: Counter::default(),
            refused: Family::default(),
            elsewhere: Gauge::default(),
        };
        metrics.register_work();
        metrics
    }

    fn register_work(&mut self) {
        let own = self.registry.sub_registry_with_prefix("landfall");
        own.register("reconciles", "Looks at objects, by controller and outcome", Family::clone(&self.looks));
        own.register("reconcile_seconds", "How long a look takes", self.look_seconds.clone());
        own.register("status_writes", "Writes of Deployments' statuses, by outcome", Family::clone(&self.statuses));
        own.register("runs", "Runs that ended, by their phase", Family::clone(&self.runs));
        own.register("syncs", "Syncs of repositories that ended, by their result", Family::clone(&self.syncs));
        let drifts = Family::clone(&self.drifts);
        own.register("drift", "Objects of repositories that others wrote to, by what became of it", drifts);
        own.register("measurements", "Measurements of checks, by outcome", Family::clone(&self.measurements));
        own.register("unreadable_objects", "Objects that were seen and could not be read", self.unreadable.clone());
        let refused = Family::clone(&self.refused);
        let elsewhere = self.elsewhere.clone();
        own.register("deployments_left_to_others", "Deployments that an operator with another Lease has", elsewhere);
        own.register("lists_refused", "Whether the operator may not list objects of a kind: 1 or 0", refused);
    }

    /// An object was looked at.
    pub fn looked(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.looks.get_or_create(&Looked { controller, outcome }).inc();
        self.look_seconds.observe(took.as_secs_f64());
    }

    /// A status was written, or could not be.
    pub fn status_written(&self, done: Result<(), ()>) {
        let outcome = if done.is_ok() { "written" } else { "failed" };
        self.statuses.get_or_create(&Outcome { outcome }).inc();
    }

    /// A run ended in this phase.
    pub fn run_ended(&self, outcome: &'static str) {
        self.runs.get_or_create(&Outcome { outcome }).inc();
    }

    /// A sync of a repository ended in this way.
    pub fn sync_ended(&self, outcome: &'static str) {
        self.syncs.get_or_create(&Outcome { outcome }).inc();
    }

    /// An object of a repository that somebody else wrote to was compared with what is wanted.
    pub fn drifted(&self, outcome: &'static str) {
        self.drifts.get_or_create(&Outcome { outcome }).inc();
    }

    /// A check was asked.
    pub fn measured(&self, outcome: &'static str) {
        self.measurements.get_or_create(&Outcome { outcome }).inc();
    }

    /// An object could not be read.
    pub fn object_unreadable(&self) {
        self.unreadable.inc();
    }

    /// The parts that the account may not list; all others it may, or has not tried.
    pub fn lists_refused(&self, refused: &BTreeSet<Part>) {
        for part in Part::ALL {
            self.refused.get_or_create(&Watched { part: part.word() }).set(i64::from(refused.contains(&part)));
        }
    }

    /// So many Deployments are left to operators of other installations.
    pub fn left_to_others(&self, count: usize) {
        self.elsewhere.set(i64::try_from(count).unwrap_or(i64::MAX));
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

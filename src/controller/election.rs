//! Drives the election: when to try again, and who hears about it.
//!
//! The attempts themselves are [`Elector`]'s. Here are only timers, jitter, log, metrics and the published health.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::pause::jittered;
use crate::{
    cluster::lease::{
        Timing,
        decide::{Loss, Vacancy},
        elector::{Elector, LeaseError, Standing},
    },
    server::health::{Health, Role},
    telemetry::{chain, metrics::Metrics},
};

/// Takes part in the election until `stop`. The Lease is still held afterwards, if it was: see [`give_back`].
///
/// # Errors
/// This replica led and lost the Lease. Nothing may be written any more.
pub async fn take_part(
    elector: &mut Elector,
    timing: Timing,
    reporter: &mut Reporter,
    stop: &CancellationToken,
) -> Result<(), Loss> {
    let mut delays = delays(timing);
    while !stop.is_cancelled() {
        let pause = match elector.attempt().await {
            Ok(Standing::Lost(loss)) => {
                reporter.stopping();
                return Err(loss);
            }
            Ok(standing) => {
                delays = self::delays(timing);
                reporter.stands(elector.identity(), &standing);
                after_success(&standing, timing)
            }
            Err(error) => {
                reporter.failed(&error);
                after_failure(elector, timing, &mut delays)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
    reporter.stopping();
    Ok(())
}

/// Gives the Lease back, so that a standby takes over at once. A failure costs the lease's duration and nothing else.
pub async fn give_back(elector: &mut Elector, reporter: &mut Reporter) {
    match elector.release().await {
        Ok(true) => info!("released the Lease"),
        Ok(false) => debug!("no Lease to release"),
        Err(error) => {
            warn!(error = chain(&error), "the Lease could not be released; it runs out by itself");
            reporter.metrics.lease_failed(error.reason());
        }
    }
    reporter.metrics.stands_by();
}

fn after_success(standing: &Standing, timing: Timing) -> Duration {
    match standing {
        Standing::Standby { until, .. } => {
            let vacant = Instant::from_std(*until).saturating_duration_since(Instant::now());
            // Replicas started together would otherwise look, and write, together for ever.
            jittered(timing.look_every, 0.2).min(vacant)
        }
        Standing::Leader { .. } | Standing::Lost(_) => timing.renew_every,
    }
}

fn after_failure(elector: &Elector, timing: Timing, delays: &mut ExponentialBackoff) -> Duration {
    match elector.ends() {
        // A leader's time is short, and it is the only one: it retries at a steady pace, and its last try is at the end.
        Some(end) => timing.retry_after.min(Instant::from_std(end).saturating_duration_since(Instant::now())),
        None => delays.next().unwrap_or(timing.look_every),
    }
}

/// The waits of a replica that does not lead and gets no answer: growing, at most half a lease with the jitter, so that
/// it is ready again within one lease when the answers come back.
pub(super) fn delays(timing: Timing) -> ExponentialBackoff {
    let longest = timing.duration / 4;
    ExponentialBuilder::new()
        .with_min_delay(longest / 5)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Tells log, metrics and probes what the election comes to.
pub struct Reporter {
    health: watch::Sender<Health>,
    metrics: Arc<Metrics>,
    holder: Option<String>,
    failing: bool,
}

impl Reporter {
    /// A reporter that publishes to `health` and counts in `metrics`.
    pub fn new(health: watch::Sender<Health>, metrics: Arc<Metrics>) -> Self {
        Self { health, metrics, holder: None, failing: false }
    }

    fn stands(&mut self, identity: &str, standing: &Standing) {
        if std::mem::take(&mut self.failing) {
            info!("the Lease is in reach again");
        }
        match standing {
            Standing::Leader { took } => self.leads(identity, took.as_ref()),
            Standing::Standby { holder, .. } => self.stands_by(holder),
            Standing::Lost(_) => {}
        }
    }

    fn leads(&mut self, identity: &str, took: Option<&Vacancy>) {
        if let Some(vacancy) = took {
            info!(identity, "took the Lease: {vacancy}");
            if *vacancy != Vacancy::SameIdentity {
                self.metrics.lease_changed_hands();
            }
        }
        self.holder = Some(identity.to_owned());
        self.metrics.leads();
        self.publish(|health, now| health.contact(Role::Leader, now));
    }

    fn stands_by(&mut self, holder: &str) {
        if self.holder.as_deref() != Some(holder) {
            info!(holder, "stands by");
            if self.holder.is_some() {
                self.metrics.lease_changed_hands();
            }
            self.holder = Some(holder.to_owned());
        }
        self.metrics.stands_by();
        self.publish(|health, now| health.contact(Role::Standby, now));
    }

    fn failed(&mut self, error: &LeaseError) {
        let text = chain(error);
        // The first failure of a row is news; the others only say that it lasts.
        if std::mem::replace(&mut self.failing, true) {
            debug!(error = text, "the Lease is still out of reach");
        } else {
            warn!(error = text, "the Lease is out of reach; trying again");
        }
        self.metrics.lease_failed(error.reason());
        self.publish(|health, now| health.failure(text, now));
    }

    fn stopping(&self) {
        self.publish(|health, _| health.stopping());
    }

    fn publish(&self, change: impl FnOnce(&mut Health, Instant)) {
        self.health.send_modify(|health| change(health, Instant::now()));
    }
}

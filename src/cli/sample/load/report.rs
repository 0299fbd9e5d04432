//! What was seen, in words and as JSON: once at the end, and for windows of time on the way.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::{Form, Sending, tally::Tally};
use crate::cli::terminal::print;

/// Says what was seen, in one form.
#[derive(Debug, Clone, Copy)]
pub struct Reporter {
    form: Form,
    started: Instant,
    /// Milliseconds since 1970.
    since: u128,
}

/// Reports what was seen in each window of this length, and the rest when all is done.
pub(super) async fn report_windows(reporter: Reporter, every: Duration, sending: Sending) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut from = reporter.since;
    loop {
        let over = tokio::select! {
            _ = ticks.tick() => false,
            () = sending.done.cancelled() => true,
        };
        let (to, window) = (now(), sending.window());
        reporter.window(&window, (from, to))?;
        if over {
            return Ok(());
        }
        from = to;
    }
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

impl Reporter {
    /// Begins now.
    pub(super) fn start(form: Form) -> Self {
        Self { form, started: Instant::now(), since: now() }
    }

    /// Says what was seen in all.
    pub(super) fn total(&self, tally: &Tally) -> anyhow::Result<()> {
        match self.form {
            Form::Json => line(&json!({"total": numbers(tally, (self.since, now()))})),
            Form::Text => print(&sentence(tally, self.started.elapsed())),
        }
    }

    fn window(&self, tally: &Tally, (from, to): (u128, u128)) -> anyhow::Result<()> {
        match self.form {
            Form::Json => line(&json!({"window": numbers(tally, (from, to))})),
            Form::Text => print(&row(tally, from.saturating_sub(self.since), to.saturating_sub(from))),
        }
    }
}

fn line(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value}\n"))
}

fn numbers(tally: &Tally, (from, to): (u128, u128)) -> Value {
    let Tally { by_version, failed, failed_by_version, first_failure } = tally;
    json!({
        "from": u64::try_from(from).unwrap_or(u64::MAX), "to": u64::try_from(to).unwrap_or(u64::MAX), "sent": tally.sent(),
        "failed": failed, "answeredByVersion": by_version, "failedByVersion": failed_by_version, "firstFailure": first_failure,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts and times stay far below 2^52")]
fn row(tally: &Tally, at: u128, took: u128) -> String {
    let rate = tally.sent() as f64 * 1000.0 / took.max(1) as f64;
    let head = format!("{:>8.1} s {rate:>7.0}/s {:>6} failed", at as f64 / 1000.0, tally.failed);
    let shares = tally.by_version.keys();
    let shares: Vec<_> =
        shares.map(|version| format!("  {} {:.1} %", named(version), 100.0 * tally.share(version))).collect();
    format!("{head}{}\n", shares.concat())
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn sentence(tally: &Tally, elapsed: Duration) -> String {
    let (sent, seconds) = (tally.sent(), elapsed.as_secs_f64());
    let head = format!("{sent} requests in {seconds:.1} s ({:.0}/s), {} failed\n", sent as f64 / seconds, tally.failed);
    let rows = tally.by_version.iter();
    let rows = rows.map(|(version, count)| {
        format!("  {:<12} {count:>8}  {:>5.1} %\n", named(version), 100.0 * tally.share(version))
    });
    std::iter::once(head).chain(rows).collect()
}

fn named(version: &str) -> &str {
    if version.is_empty() { "(no version)" } else { version }
}

//! The log: one line per record on standard error.
//!
//! Levels: `info` is a transition, `debug` a pass, `warn` a failure that is retried, `error` something that a person
//! must act on. The levels shown are set by `RUST_LOG`.

use std::{io, io::IsTerminal, panic};

use clap::ValueEnum;
use thiserror::Error;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

/// What is shown when `RUST_LOG` says nothing.
const DEFAULT_FILTER: &str = "info";

/// What is never shown, whatever `RUST_LOG` says: the client quotes whole answers that it cannot read, and they may be Secrets. Each
/// failure is reported once, by whoever made the request and knows whether it matters.
const NEVER: &str = "kube_client::client=off";

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// Text on a terminal, JSON elsewhere.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Why there is no log.
#[derive(Debug, Error)]
pub enum LogError {
    /// `RUST_LOG` is set to something that is no filter.
    #[error("RUST_LOG is not a log filter; an example of one is info,landfall=debug")]
    Filter(#[source] ParseError),
    /// A log was started before.
    #[error("the log could not be started")]
    Start(#[source] tracing::dispatcher::SetGlobalDefaultError),
}

/// Starts the log of this process; a panic becomes a record too.
///
/// # Errors
/// See [`LogError`].
pub fn start(format: LogFormat) -> Result<(), LogError> {
    let filter = filter(&std::env::var("RUST_LOG").unwrap_or_default()).map_err(LogError::Filter)?;
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Json => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish()),
        LogFormat::Text => tracing::subscriber::set_global_default(builder.finish()),
    }
    .map_err(LogError::Start)?;
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", info.payload_as_str().unwrap_or("no message"));
    }));
    Ok(())
}

fn filter(wanted: &str) -> Result<EnvFilter, ParseError> {
    let wanted = if wanted.is_empty() { DEFAULT_FILTER } else { wanted };
    // What is said twice of a target counts as it is said last.
    Ok(EnvFilter::try_new(wanted)?.add_directive(NEVER.parse()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn answers_that_the_client_quotes_are_never_shown() {
        for wanted in ["", "debug", "trace,kube_client=trace", "kube_client::client=trace,landfall=debug"] {
            let lines = Lines::default();
            let log = lines.clone();
            let subscriber = fmt().with_env_filter(filter(wanted).unwrap()).with_writer(move || log.clone()).finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "kube_client::client", "hush");
                tracing::error!(target: "kube_client::client::builder", "hush");
                tracing::warn!("shown");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains("shown") && !text.contains("hush"), "{wanted}: {text}");
        }
        assert!(filter("landfall=loud").is_err());
    }
}

//! The log: one line per record on standard error.
//!
//! Levels: `info` is a transition, `debug` a pass, `warn` a failure that is retried, `error` something that a person
//! must act on. The levels shown are set by `RUST_LOG`.

use std::{io, io::IsTerminal, panic};

use clap::ValueEnum;
use thiserror::Error;
use tracing_subscriber::{EnvFilter, fmt};

/// What is shown when `RUST_LOG` says nothing. The client's own records of failed requests are off: each failure is
/// reported once, by whoever made the request and knows whether it matters.
const DEFAULT_FILTER: &str = "info,kube_client::client::builder=off";

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
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// A log was started before.
    #[error("the log could not be started")]
    Start(#[source] tracing::dispatcher::SetGlobalDefaultError),
}

/// Starts the log of this process; a panic becomes a record too.
///
/// # Errors
/// See [`LogError`].
pub fn start(format: LogFormat) -> Result<(), LogError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text).map_err(LogError::Filter)?,
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
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

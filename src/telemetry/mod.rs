//! What the process tells about itself: its version, its log, its metrics.
//!
//! Ring 3. Logs go to standard error, so that standard output stays free for answers.

pub mod log;
pub mod metrics;

use std::{error::Error, sync::LazyLock};

/// The release, and the commit it was built from where the build names one in `LANDFALL_COMMIT`.
static VERSION: LazyLock<String> = LazyLock::new(|| match commit() {
    Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    None => env!("CARGO_PKG_VERSION").to_owned(),
});

/// The version for people, for example `0.1.0 (4f0c2d1)`.
pub fn version() -> &'static str {
    VERSION.as_str()
}

/// The commit that this binary was built from; none if the build did not say.
pub fn commit() -> Option<&'static str> {
    option_env!("LANDFALL_COMMIT").filter(|commit| !commit.is_empty())
}

/// An error and its causes in one line. A cause that the line already quotes is not repeated.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, Error)]
    #[error("middle: {0}")]
    struct Middle(#[source] Inner);

    #[derive(Debug, Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn a_chain_names_every_cause_once() {
        assert_eq!(chain(&Outer(Middle(Inner))), "outer: middle: inner");
    }
}

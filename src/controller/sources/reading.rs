//! How old something is that was read: nobody tells of it when it changes.

use std::time::{Duration, Instant};

/// When something was read, and for which request by annotation: another request has it read again.
#[derive(Debug, Clone)]
pub struct Reading {
    asked: Option<String>,
    at: Instant,
}

impl Reading {
    /// Read now.
    pub fn now(asked: Option<&str>) -> Self {
        Self { asked: asked.map(ToOwned::to_owned), at: Instant::now() }
    }

    /// The same one for longer, since nothing answered.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { at: Instant::now(), ..self }
    }

    /// Whether it is of this request, and not as old as that.
    pub fn is_fresh(&self, asked: Option<&str>, limit: Duration) -> bool {
        self.asked.as_deref() == asked && self.at.elapsed() < limit
    }

    /// When it is as old as that.
    pub fn due(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_fresh_for_its_request_and_for_a_while() {
        let (read, hour) = (Reading::now(Some("one")), Duration::from_hours(1));
        assert!(read.is_fresh(Some("one"), hour));
        assert!(!read.is_fresh(Some("two"), hour) && !read.is_fresh(None, hour));
        assert!(!read.is_fresh(Some("one"), Duration::ZERO));
        assert!(read.due(hour) <= hour && read.due(Duration::ZERO).is_zero());
        assert!(read.renewed().is_fresh(Some("one"), hour), "it stays that of its request");
    }
}

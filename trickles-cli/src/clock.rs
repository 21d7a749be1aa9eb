//! The clock by which durations are measured.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "what is measured here is what a user waits for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

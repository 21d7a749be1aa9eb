//! The clocks of this machine.

use std::time::{Duration, Instant, SystemTime};

/// By this durations are measured.
#[expect(clippy::disallowed_methods, reason = "what is measured here is what a user waits for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// By this the age of files is told.
#[expect(clippy::disallowed_methods, reason = "files have the time of this clock")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// How long the processors have worked for this process, if the system tells.
pub(crate) fn cpu() -> Option<Duration> {
    #[cfg(unix)]
    return rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).try_into().ok();
    #[cfg(not(unix))]
    None
}

//! How much of a transfer is done, and how fast it was.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on standard error, if that is a terminal and `quiet` is not set.
pub(crate) fn bar(total: Option<u64>, start: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let template = match total {
        Some(_) => "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        None => "{spinner} {bytes}  {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    let bar = ProgressBar::with_draw_target(total, target).with_style(style).with_position(start);
    // What an earlier run has received says nothing about the rate of this one.
    bar.reset_eta();
    bar
}

/// So many bytes in so much time.
pub(crate) struct Transfer {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let megabits = self.bytes as f64 * 8e-6 / seconds.max(1e-6);
        write!(f, "{} bytes in {seconds:.2} s ({megabits:.1} Mbit/s)", self.bytes)
    }
}

/// The hexadecimal digits of a digest.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_tells_its_rate() {
        let transfer = Transfer { bytes: 1_000_000, time: Duration::from_millis(1600) };
        assert_eq!(transfer.to_string(), "1000000 bytes in 1.60 s (5.0 Mbit/s)");
        assert!(Transfer { bytes: 0, time: Duration::ZERO }.to_string().contains("(0.0 Mbit/s)"));
    }

    #[test]
    fn templates_are_well_formed() {
        bar(Some(1), 0, true);
        bar(None, 0, true);
    }
}

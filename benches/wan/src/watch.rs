//! What runs beside the flows: a ping, and the kernel's word on its own flow. Both have the emulator's core, where they
//! wait for it and not for them.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::flow::{PORT, SERVER};
use crate::outcome::Point;

/// Pings a second.
const PINGS: u32 = 10;
/// Seconds between two looks at the kernel's flows.
const LOOK: f64 = 0.1;

/// A command of the client's side that pings for `seconds`, and writes down what comes back.
pub(crate) fn ping(seconds: u32, record: &Path) -> String {
    let interval = 1.0 / f64::from(PINGS);
    format!("exec ping -n -i {interval} -w {seconds} {SERVER} > {}", record.display())
}

/// The round trips that a ping wrote down, in milliseconds.
///
/// # Errors
/// When nothing came back.
pub(crate) fn read_ping(record: &Path) -> Result<Vec<f64>> {
    let times = round_trips(&std::fs::read_to_string(record).context("a ping has left no record")?);
    ensure!(!times.is_empty(), "no ping came back: is there a `ping`?");
    Ok(times)
}

fn round_trips(text: &str) -> Vec<f64> {
    let times = text.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse().ok());
    times.collect()
}

/// A command of the server's side that writes down what the kernel says of the flows it sends.
pub(crate) fn kernel(record: &Path) -> String {
    format!("while :; do date +%s%6N; ss -tinH sport = :{PORT}; sleep {LOOK}; done > {}", record.display())
}

/// Adds the kernel's window and round trip to the course of the only flow.
///
/// # Errors
/// When the kernel has said nothing.
pub(crate) fn add_kernel(record: &Path, points: &mut [Point]) -> Result<()> {
    let looks = looks(&std::fs::read_to_string(record).context("the kernel's flow has left no record")?);
    ensure!(!looks.is_empty(), "nothing was said of the kernel's flow: is there an `ss`?");
    for point in points {
        let index = looks.partition_point(|look| look.at <= point.at);
        if let Some(look) = index.checked_sub(1).map(|index| &looks[index]) {
            (point.window, point.rtt) = (Some(look.window), Some(look.rtt));
        }
    }
    Ok(())
}

/// What the kernel said at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    /// Microseconds of the Unix epoch.
    at: u64,
    /// Packets.
    window: u32,
    /// Microseconds.
    rtt: u32,
}

fn looks(text: &str) -> Vec<Look> {
    let mut now = None;
    let mut looks = Vec::new();
    for line in text.lines() {
        if let Ok(at) = line.parse() {
            now = Some(at);
            continue;
        }
        let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
        let window = field("cwnd:").and_then(|value| value.parse().ok());
        let rtt = field("rtt:").and_then(|value| value.split('/').next()?.parse::<f64>().ok());
        if let (Some(at), Some(window), Some(rtt)) = (now, window, rtt) {
            looks.push(Look { at, window, rtt: (rtt * 1e3) as u32 });
        }
    }
    looks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_read_from_what_ping_says() {
        let text = "PING 10.77.0.2 (10.77.0.2) 56(84) bytes of data.\n\
            64 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=40.1 ms\n\
            64 bytes from 10.77.0.2: icmp_seq=3 ttl=64 time=77 ms\n";
        assert_eq!(round_trips(text), [40.1, 77.0]);
    }

    #[test]
    fn a_point_has_what_the_kernel_said_last() {
        let directory = tempfile::tempdir().unwrap();
        let record = directory.path().join("ss");
        let said = "1000\n1100\nESTAB 0 0 10.77.0.2:7000 10.77.0.1:44\n\t cubic wscale:9,9 rto:244 rtt:41.5/2.25 \
            mss:1448 cwnd:30 ssthresh:20\n1200\n\t cubic rtt:50/2 cwnd:60\n";
        std::fs::write(&record, said).unwrap();
        let mut points = [1050, 1150, 1300].map(|at| Point { at, bytes: 0, window: None, rtt: None });
        add_kernel(&record, &mut points).unwrap();
        let seen = points.map(|point| point.window.zip(point.rtt));
        assert_eq!(seen, [None, Some((30, 41_500)), Some((60, 50_000))]);
        std::fs::write(&record, "1000\n1100\n").unwrap();
        assert!(add_kernel(&record, &mut points).is_err() && read_ping(&record).is_err());
    }
}

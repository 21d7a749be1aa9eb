//! What a run has shown.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::record::{self, Line};
use crate::flow::{Contender, Direction};

/// A point of a flow's course.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Microseconds of the Unix epoch.
    pub(crate) at: u64,
    /// Bytes that have arrived by then.
    pub(crate) bytes: u64,
    /// Packets.
    pub(crate) window: Option<u32>,
    /// Microseconds.
    pub(crate) rtt: Option<u32>,
}

/// What one flow has shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FlowOutcome {
    pub(crate) contender: Contender,
    /// Bits a second over its whole life, until the last byte had arrived.
    pub(crate) goodput: f64,
    /// Bytes that have arrived.
    pub(crate) bytes: u64,
    /// How long each transfer took, in microseconds.
    pub(crate) completions: Vec<u64>,
    /// Silences: when they ended, in microseconds since the flow began, and how long they were.
    pub(crate) gaps: Vec<[u64; 2]>,
    /// Its course.
    pub(crate) points: Vec<Point>,
    /// When it began.
    pub(crate) start: u64,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

impl FlowOutcome {
    /// Reads a flow's record.
    ///
    /// # Errors
    /// When there is none, or it is not one.
    pub(crate) fn read(contender: Contender, path: &Path) -> Result<Self> {
        let lines = record::read(path).context("a flow has left no record")?;
        Ok(Self::new(contender, &lines))
    }

    fn new(contender: Contender, lines: &[Line]) -> Self {
        let mut flow = Self {
            contender,
            goodput: 0.0,
            bytes: 0,
            completions: Vec::new(),
            gaps: Vec::new(),
            points: Vec::new(),
            start: 0,
            failure: None,
        };
        let mut micros = 0;
        for line in lines {
            match *line {
                Line::Start { at } if flow.start == 0 => flow.start = at,
                Line::Start { .. } => {}
                Line::Progress { at, bytes, window, rtt } => {
                    flow.points.push(Point { at, bytes, window, rtt });
                }
                Line::Gap { at, micros } => flow.gaps.push([at.saturating_sub(flow.start), micros]),
                Line::Done { bytes: more, micros: took, .. } => {
                    flow.bytes += more;
                    micros += took;
                    flow.completions.push(took);
                }
                Line::Failed { ref error, .. } => flow.failure = Some(error.clone()),
            }
        }
        if flow.completions.is_empty()
            && let Some(last) = flow.points.last()
        {
            flow.bytes = last.bytes;
            micros = last.at.saturating_sub(flow.start);
        }
        flow.goodput = flow.bytes as f64 * 8e6 / micros.max(1) as f64;
        flow
    }

    /// Bits a second between two moments of the flow's life, in seconds since it began.
    pub(crate) fn rate_between(&self, from: f64, to: f64) -> Option<f64> {
        let at = |second: f64| {
            let moment = self.start + (second * 1e6) as u64;
            self.points.iter().min_by_key(|point| point.at.abs_diff(moment))
        };
        let (first, last) = (at(from)?, at(to)?);
        let micros = last.at.checked_sub(first.at).filter(|&micros| micros > 0)?;
        Some((last.bytes - first.bytes) as f64 * 8e6 / micros as f64)
    }

    /// The share of transfers that took no longer than what is returned, in milliseconds.
    pub(crate) fn completion(&self, share: f64) -> Option<f64> {
        quantile(self.completions.iter().map(|&micros| micros as f64 / 1e3), share)
    }
}

/// What a run has shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) flows: Vec<FlowOutcome>,
    /// IP bytes that left the bottleneck in the direction of the data.
    pub(crate) wire_bytes: u64,
    /// Mean and longest time in the queue there, in milliseconds.
    pub(crate) queue: [f64; 2],
    /// Packets the queue had no room for.
    pub(crate) dropped: u64,
    /// Of a hundred packets of the emulator one was later than this, in microseconds.
    pub(crate) late: u64,
    /// Datagrams that the sockets of both ends had no room for.
    pub(crate) overflown: u64,
    /// Round trips of a ping beside the flows, in milliseconds, if there was one.
    #[serde(default)]
    pub(crate) pings: Vec<f64>,
}

impl Outcome {
    /// `totals`: the last line of the lab.
    pub(crate) fn new(flows: Vec<FlowOutcome>, totals: &Value, direction: Direction) -> Result<Self> {
        let data = match direction {
            Direction::Download => "down",
            Direction::Upload => "up",
        };
        let number = |pointer: &str| {
            totals.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no {pointer}"))
        };
        let milliseconds = |micros: u64| micros as f64 / 1e3;
        let nodes = totals["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(Self {
            flows,
            wire_bytes: number(&format!("/{data}/out_bytes"))?,
            queue: [
                milliseconds(number(&format!("/{data}/qdelay_avg_us"))?),
                milliseconds(number(&format!("/{data}/qdelay_max_us"))?),
            ],
            dropped: number(&format!("/{data}/drop_queue"))?,
            late: number("/late_us/p99")?,
            overflown: nodes.iter().filter_map(|node| node["udp_rcvbuf_errors"].as_u64()).sum(),
            pings: Vec::new(),
        })
    }

    /// What the flows add to a ping on a path with this round trip, in milliseconds: for half of the pings, and for 95 %.
    pub(crate) fn added(&self, rtt: f64, share: f64) -> Option<f64> {
        Some(quantile(self.pings.iter().copied(), share)? - rtt)
    }

    /// Application bytes for each byte on the wire.
    pub(crate) fn efficiency(&self) -> f64 {
        self.flows.iter().map(|flow| flow.bytes).sum::<u64>() as f64 / self.wire_bytes.max(1) as f64
    }
}

/// What `share` of the values do not exceed.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(last as f64 * share).round() as usize])
}

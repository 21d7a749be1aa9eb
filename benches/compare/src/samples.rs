//! The figures of all repetitions, and what follows from them.

use std::collections::BTreeMap;

use crate::peer::Peer;
use crate::process::State;
use crate::row::{Outcome, Row};

/// Bytes in a GiB.
const GIB: f64 = (1u64 << 30) as f64;

/// What is read off a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Bits a second, in 10^9.
    Gigabits,
    /// Processor seconds of the server for each GiB.
    ServerPerGib,
    /// Processor seconds of the client for each GiB.
    ClientPerGib,
    /// Median latency in microseconds.
    Median,
    /// 99th percentile of the latency in microseconds.
    P99,
    /// 99.9th percentile of the latency in microseconds.
    P999,
    /// Requests or connections a second.
    Rate,
    /// Processor microseconds of the server for each.
    ServerEach,
    /// Processor microseconds of the client for each.
    ClientEach,
    /// Bytes of the server for each connection.
    Memory,
}

impl Figure {
    /// Those of a row, in the order of their columns.
    pub fn of(row: Row) -> &'static [Self] {
        match row {
            Row::Download | Row::Upload => &[Self::Gigabits, Self::ServerPerGib, Self::ClientPerGib],
            Row::Requests => &[Self::Median, Self::P99, Self::P999],
            Row::OneCore => &[Self::Median, Self::ServerEach, Self::ClientEach],
            Row::Connections | Row::Busy1 | Row::Busy100 | Row::Busy10000 | Row::Shared10000 => {
                &[Self::Rate, Self::ServerEach, Self::ClientEach]
            }
            Row::Idle1000 | Row::Idle10000 => &[Self::Memory],
        }
    }

    /// Its name and unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::Gigabits => "Gbit/s",
            Self::ServerPerGib => "server CPU s/GiB",
            Self::ClientPerGib => "client CPU s/GiB",
            Self::Median => "p50 us",
            Self::P99 => "p99 us",
            Self::P999 => "p99.9 us",
            Self::Rate => "per second",
            Self::ServerEach => "server CPU us each",
            Self::ClientEach => "client CPU us each",
            Self::Memory => "server bytes each",
        }
    }

    /// Its value in a run.
    fn read(self, outcome: &Outcome, before: &State, after: &State) -> f64 {
        let server = after.processor - before.processor;
        // Bare UDP loses packets: what its server sends costs it, and only what arrives is goodput.
        let moved = after.moved - before.moved;
        let bytes = if moved > 0.0 { moved } else { outcome.units };
        match self {
            Self::Gigabits => bytes.min(outcome.units) * 8e-9 / outcome.seconds,
            Self::ServerPerGib => server / (bytes / GIB),
            Self::ClientPerGib => outcome.processor / (outcome.units / GIB),
            Self::Median => outcome.latency[0],
            Self::P99 => outcome.latency[1],
            Self::P999 => outcome.latency[2],
            Self::Rate => outcome.units / outcome.seconds,
            Self::ServerEach => server / outcome.units * 1e6,
            Self::ClientEach => outcome.processor / outcome.units * 1e6,
            Self::Memory => ((after.resident - before.resident) / outcome.units).max(0.0),
        }
    }
}

/// Of every row, peer and figure one value for each repetition; `None` for a run that failed.
#[derive(Debug, Default)]
pub struct Samples {
    values: BTreeMap<(Row, Peer), Vec<Option<Vec<f64>>>>,
}

impl Samples {
    /// Adds a run.
    pub fn add(&mut self, row: Row, peer: Peer, run: Option<(Outcome, State, State)>) {
        let read = |(outcome, before, after): (Outcome, State, State)| {
            Figure::of(row).iter().map(|figure| figure.read(&outcome, &before, &after)).collect()
        };
        self.values.entry((row, peer)).or_default().push(run.map(read));
    }

    /// The rows that were run, and the peers of each.
    pub fn rows(&self) -> BTreeMap<Row, Vec<Peer>> {
        let mut rows = BTreeMap::<Row, Vec<Peer>>::new();
        self.values.keys().for_each(|&(row, peer)| rows.entry(row).or_default().push(peer));
        rows
    }

    /// The values of a figure, in the order of the repetitions.
    pub fn all(&self, row: Row, peer: Peer, figure: Figure) -> Vec<Option<f64>> {
        let at = Figure::of(row).iter().position(|&other| other == figure);
        let runs = self.values.get(&(row, peer)).into_iter().flatten();
        runs.map(|run| run.as_ref().and_then(|values| values.get(at?).copied())).collect()
    }

    /// Median, smallest and largest of those that did not fail; how many did.
    pub fn summary(&self, row: Row, peer: Peer, figure: Figure) -> (Option<[f64; 3]>, usize) {
        let all = self.all(row, peer, figure);
        let mut values: Vec<f64> = all.iter().flatten().copied().collect();
        let failed = all.len() - values.len();
        (median(&mut values).map(|middle| [middle, values[0], values[values.len() - 1]]), failed)
    }

    /// The median of what `ours` is to `theirs` in the same repetition; both are a row, a peer and a figure.
    pub fn ratio(&self, ours: (Row, Peer, Figure), theirs: (Row, Peer, Figure)) -> Option<f64> {
        let (ours, theirs) = (self.all(ours.0, ours.1, ours.2), self.all(theirs.0, theirs.1, theirs.2));
        let pairs = ours.into_iter().zip(theirs).filter_map(|(ours, theirs)| Some(ours? / theirs?));
        median(&mut pairs.collect::<Vec<_>>())
    }

    /// Every value, for other programs.
    pub fn csv(&self) -> String {
        let mut lines = vec!["row,peer,repetition,figure,value".to_owned()];
        for (&(row, peer), runs) in &self.values {
            for (repetition, run) in runs.iter().enumerate() {
                for (at, figure) in Figure::of(row).iter().enumerate() {
                    let value =
                        run.as_ref().map_or_else(|| "failed".to_owned(), |values| values[at].to_string());
                    let (row, peer, figure) = (row.name(), peer.name(), figure.title());
                    lines.push(format!("{row},{peer},{},{figure},{value}", repetition + 1));
                }
            }
        }
        lines.join("\n") + "\n"
    }
}

/// Sorts `values`; the upper one of two in the middle.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: f64) -> Option<(Outcome, State, State)> {
        let outcome = Outcome { units: GIB, seconds, processor: 2.0, latency: [0.0; 3] };
        let after = State { processor: 3.0, ..State::default() };
        Some((outcome, State { processor: 1.0, ..State::default() }, after))
    }

    #[test]
    fn medians_are_of_the_runs_that_did_not_fail() {
        let mut samples = Samples::default();
        for (ours, theirs) in
            [(run(1.0), run(2.0)), (None, run(2.0)), (run(4.0), run(2.0)), (run(2.0), run(2.0))]
        {
            samples.add(Row::Download, Peer::Trickles, ours);
            samples.add(Row::Download, Peer::Tcp, theirs);
        }
        let (summary, failed) = samples.summary(Row::Download, Peer::Trickles, Figure::Gigabits);
        let rate = GIB * 8e-9;
        assert_eq!((summary, failed), (Some([rate / 2.0, rate / 4.0, rate]), 1));
        assert_eq!(samples.summary(Row::Download, Peer::Tcp, Figure::ServerPerGib).0, Some([2.0; 3]));
        let [ours, theirs] = [Peer::Trickles, Peer::Tcp].map(|peer| (Row::Download, peer, Figure::Gigabits));
        assert_eq!(samples.ratio(ours, theirs), Some(1.0), "of 2, 0.5 and 1");
        assert_eq!(samples.csv().lines().filter(|line| line.contains("failed")).count(), 3);
    }
}

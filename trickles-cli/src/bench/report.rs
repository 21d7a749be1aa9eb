//! What has been measured, for people and for programs.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::client::{Row, Sample, Transport};

/// What all runs of a row have shown over one transport.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) row: Row,
    pub(crate) transport: Transport,
    /// The median of the runs: bits or requests a second.
    pub(crate) per_second: f64,
    /// How long requests took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
}

/// Percentiles over the requests of all runs, in microseconds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Figure {
    /// `samples`: at least one.
    pub(crate) fn new(row: Row, transport: Transport, samples: Vec<Sample>) -> Self {
        let mut rates: Vec<_> = samples.iter().map(|sample| sample.rate).collect();
        rates.sort_by(f64::total_cmp);
        let mut times: Vec<_> = samples.into_iter().flat_map(|sample| sample.latencies).collect();
        times.sort_unstable();
        let percentile =
            |share: f64| microseconds(times[((times.len() - 1) as f64 * share).round() as usize]);
        let latency = (!times.is_empty()).then(|| Latency {
            p50: percentile(0.5),
            p99: percentile(0.99),
            p999: percentile(0.999),
        });
        Self { row, transport, per_second: rates[rates.len() / 2], latency }
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A table of figures.
pub(crate) struct Table<'a>(pub(crate) &'a [Figure]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:<9} {:>16} {:>10} {:>10} {:>10}", "", "", "", "p50 us", "p99 us", "p99.9 us")?;
        for figure in self.0 {
            let rate = match figure.row {
                Row::Download | Row::Upload => format!("{:.0} Mbit/s", figure.per_second / 1e6),
                Row::Requests | Row::Connections => format!("{:.0} /s", figure.per_second),
            };
            let (row, transport) =
                (format!("{:?}", figure.row).to_lowercase(), format!("{:?}", figure.transport));
            let mut line = format!("{row:<12} {transport:<9} {rate:>16}");
            if let Some(Latency { p50, p99, p999 }) = &figure.latency {
                write!(line, " {p50:>10.0} {p99:>10.0} {p999:>10.0}")?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_medians_of_runs_and_percentiles_are_of_all_requests() {
        let sample = |rate, from: u64, to: u64| Sample {
            rate,
            latencies: (from..to).rev().map(Duration::from_micros).collect(),
        };
        let samples = vec![sample(30.0, 500, 1001), sample(10.0, 0, 100), sample(20.0, 100, 500)];
        let figure = Figure::new(Row::Requests, Transport::Tcp, samples);
        assert_eq!(figure.per_second, 20.0);
        let percentiles = figure.latency.as_ref().map(|latency| [latency.p50, latency.p99, latency.p999]);
        assert_eq!(percentiles.map(|times| times.map(f64::round)), Some([500.0, 990.0, 999.0]));
        let download =
            Figure::new(Row::Download, Transport::Trickles, vec![Sample { rate: 5e9, latencies: vec![] }]);
        assert_eq!(download.latency, None);
        let table = Table(&[figure, download]).to_string();
        assert!(table.contains("requests     Tcp") && table.contains("5000 Mbit/s"), "{table}");
    }
}

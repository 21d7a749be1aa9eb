//! The tables, and whether what is promised holds.

use std::fmt::Write;

use crate::peer::{Peer, udp};
use crate::row::Row;
use crate::samples::{Figure, Samples};

/// Something promised of the ratio of two figures.
struct Promise {
    text: &'static str,
    ours: (Row, Peer, Figure),
    theirs: (Row, Peer, Figure),
    at_least: bool,
    bound: f64,
}

const fn promise(
    text: &'static str,
    row: Row,
    figure: Figure,
    peer: Peer,
    at_least: bool,
    bound: f64,
) -> Promise {
    Promise { text, ours: (row, Peer::Trickles, figure), theirs: (row, peer, figure), at_least, bound }
}

/// A row of many clients beside that of 100.
const fn to_100(text: &'static str, row: Row, figure: Figure, at_least: bool, bound: f64) -> Promise {
    let theirs = (Row::Busy100, Peer::Trickles, figure);
    Promise { text, ours: (row, Peer::Trickles, figure), theirs, at_least, bound }
}

const PROMISES: &[Promise] = &[
    promise("download, to raw UDP", Row::Download, Figure::Gigabits, Peer::Udp, true, 0.5),
    promise("download, to s2n-quic", Row::Download, Figure::Gigabits, Peer::S2n, true, 2.0),
    promise("download, to quinn", Row::Download, Figure::Gigabits, Peer::Quinn, true, 2.0),
    promise("download, to kernel TCP", Row::Download, Figure::Gigabits, Peer::Tcp, true, 1.0),
    promise(
        "server CPU of a download, to quinn",
        Row::Download,
        Figure::ServerPerGib,
        Peer::Quinn,
        false,
        0.3,
    ),
    promise(
        "server CPU of a download, to s2n-quic",
        Row::Download,
        Figure::ServerPerGib,
        Peer::S2n,
        false,
        0.45,
    ),
    promise("p50 of a request, to kernel TCP", Row::Requests, Figure::Median, Peer::Tcp, false, 1.0),
    promise("p99 of a request, to kernel TCP", Row::Requests, Figure::P99, Peer::Tcp, false, 1.0),
    promise(
        "server CPU of a request on one core, to kernel TCP",
        Row::OneCore,
        Figure::ServerEach,
        Peer::Tcp,
        false,
        1.0,
    ),
    promise("connections a second, to kernel TCP", Row::Connections, Figure::Rate, Peer::Tcp, true, 2.0),
    promise(
        "server CPU of a request of 100 clients, to raw UDP",
        Row::Busy100,
        Figure::ServerEach,
        Peer::Udp,
        false,
        2.0,
    ),
    promise(
        "server CPU of a request of 100 clients, to raw UDP in batches",
        Row::Busy100,
        Figure::ServerEach,
        Peer::UdpBatches,
        false,
        2.0,
    ),
    to_100("requests a second at 10,000 clients, to those at 100", Row::Busy10000, Figure::Rate, true, 0.9),
    to_100(
        "server CPU of a request at 10,000 clients, to that at 100",
        Row::Busy10000,
        Figure::ServerEach,
        false,
        1.1,
    ),
    // Over loopback the server's core delivers into the clients' sockets: here these are as many.
    to_100("the same, with 100 sockets both times", Row::Shared10000, Figure::ServerEach, false, 1.1),
];

fn title(row: Row) -> &'static str {
    match row {
        Row::Download => "Bulk download",
        Row::Upload => "Bulk upload",
        Row::Requests => "Request of 64 bytes, answer of 1 KiB: one at a time, across cores",
        Row::OneCore => "The same, both processes on one core",
        Row::Connections => "Connection with its first request, 32 at a time",
        Row::Busy1 => "Requests of 1 client without a pause",
        Row::Busy100 => "Requests of 100 clients without a pause",
        Row::Busy10000 => "Requests of 10,000 clients without a pause",
        Row::Shared10000 => "Requests of 10,000 clients on 100 sockets without a pause",
        Row::Idle1000 => "Idle connections: resident memory of the server, 100 to 1,000",
        Row::Idle10000 => "Idle connections: resident memory of the server, 1,000 to 10,000",
    }
}

/// Three significant digits.
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        0.0..1.0 => 3,
        1.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// The tables in Markdown; `head` says when, where and how.
pub fn markdown(samples: &Samples, head: &str) -> String {
    let mut text = format!("{head}\n");
    for (row, peers) in samples.rows() {
        let figures = Figure::of(row);
        let titles = figures.iter().map(|figure| figure.title()).collect::<Vec<_>>().join(" | ");
        let _ =
            write!(text, "\n### {}\n\n| | {titles} |\n|---|{}\n", title(row), "---|".repeat(figures.len()));
        for peer in peers {
            let cells: Vec<String> = figures.iter().map(|&figure| cell(samples, row, peer, figure)).collect();
            let _ = writeln!(text, "| {} | {} |", peer.name(), cells.join(" | "));
        }
    }
    text + &promises(samples)
}

fn cell(samples: &Samples, row: Row, peer: Peer, figure: Figure) -> String {
    let (summary, failed) = samples.summary(row, peer, figure);
    let failures = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    match summary {
        Some([median, smallest, largest]) => {
            format!("{} ({} to {}{failures})", digits(median), digits(smallest), digits(largest))
        }
        None => "failed".to_owned(),
    }
}

fn promises(samples: &Samples) -> String {
    let mut text = String::new();
    for promise in PROMISES {
        let Some(ratio) = samples.ratio(promise.ours, promise.theirs) else { continue };
        if text.is_empty() {
            text += "\n### Promises\n\nMedians of the ratios within a repetition.\n\n| | ratio | bound | |\n|---|---|---|---|\n";
        }
        let holds = if promise.at_least { ratio >= promise.bound } else { ratio <= promise.bound };
        let (relation, verdict) = (
            if promise.at_least { "at least" } else { "at most" },
            if holds { "holds" } else { "**does not hold**" },
        );
        let _ =
            writeln!(text, "| {} | {ratio:.2} | {relation} {} | {verdict} |", promise.text, promise.bound);
    }
    text + &crowds(samples)
}

/// What 10,000 clients cost others: over loopback much of it is the system's.
fn crowds(samples: &Samples) -> String {
    let to_100 = |peer| {
        let figure = Figure::ServerEach;
        let ratio = samples.ratio((Row::Busy10000, peer, figure), (Row::Busy100, peer, figure))?;
        Some(format!("{} {ratio:.2}", peer.name()))
    };
    let ratios: Vec<String> = [Peer::Udp, Peer::Tcp, Peer::Tls].into_iter().filter_map(to_100).collect();
    if ratios.is_empty() {
        return String::new();
    }
    format!(
        "\nServer CPU of a request at 10,000 clients, to that at 100, of others: {}. Raw UDP has a socket for each client \
         too, but at most {} requests under way.\n",
        ratios.join(", "),
        udp::UNDER_WAY
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::State;
    use crate::row::Outcome;

    #[test]
    fn the_table_says_what_was_measured_and_what_failed() {
        let mut samples = Samples::default();
        let outcome = Outcome { units: 1e9, seconds: 1.0, processor: 0.5, latency: [0.0; 3] };
        let after = State { processor: 0.1, ..State::default() };
        for _ in 0..3 {
            samples.add(Row::Download, Peer::Trickles, Some((outcome, State::default(), after)));
            samples.add(Row::Download, Peer::Udp, Some((outcome, State::default(), after)));
            samples.add(Row::Download, Peer::Quinn, None);
        }
        let text = markdown(&samples, "head");
        assert!(text.starts_with("head\n") && text.contains("| Trickles | 8.00 (8.00 to 8.00) |"), "{text}");
        assert!(text.contains("| quinn | failed | failed | failed |"), "{text}");
        assert!(text.contains("| download, to raw UDP | 1.00 | at least 0.5 | holds |"), "{text}");
        assert!(!text.contains("to quinn |"), "{text}");
    }
}

//! What has been measured, as tables, with what they show of the promises.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::flow::Contender;
use crate::matrix::scenarios;
use crate::outcome::Outcome;
use crate::plot;
use crate::results::{Results, Sharing, completion, goodput, longest_gap, used};
use crate::scenario::{Amount, Scenario, Set};
use crate::store;
use crate::verdict::verdicts;

/// Where the report goes and what it is made of.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Places {
    /// The file with the runs: what is in it is not run again. Delete it once the code has changed.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/wan/runs.jsonl"))]
    pub(crate) runs: PathBuf,

    /// The directory for `README.md` and pictures.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wan"))]
    pub(crate) out: PathBuf,
}

/// Writes tables and pictures, and prints what they show of the promises.
///
/// # Errors
/// When the runs cannot be read, or the report cannot be written.
pub(crate) fn write(places: &Places) -> Result<()> {
    let runs = store::load(&places.runs)?;
    let results = Results(&runs);
    std::fs::create_dir_all(&places.out).with_context(|| places.out.display().to_string())?;
    // What was run of all combinations is in the report, whichever were asked for now.
    let mut all = scenarios(&[Set::Alone, Set::Beside, Set::Ugly], false);
    all.extend(scenarios(&[Set::Alone], true));
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|scenario| {
        let name = scenario.name();
        runs.iter().any(|run| run.name == name) && seen.insert(name)
    });
    let verdicts = verdicts(&results, &all);
    print!("{verdicts}");
    save(&places.out, "README.md", &text(&results, &all, &verdicts)?)?;
    save(&places.out, "goodput.svg", &plot::goodput(&results, &all)?)?;
    save(&places.out, "sharing.svg", &plot::sharing(&results, &all)?)?;
    save(&places.out, "course.svg", &plot::course(&results, &all)?)?;
    println!("tables and pictures: {}", places.out.display());
    Ok(())
}

fn save(directory: &Path, name: &str, text: &str) -> Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

fn text(results: &Results<'_>, all: &[Scenario], verdicts: &str) -> Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut out = format!(
        "# Beside the kernel's TCP\n\n\
         Made by `cargo run --release -p trickles-wan --bin wan -- run --lab LAB`: Trickles with its default options, \
         and the TCP of Linux {}, one after the other over the same emulated bottleneck. Rates are of application \
         bytes, in Mbit/s; loss is in each direction; queues of less than three packets are run with three. Medians \
         where there are several runs, of two the higher.\n\n\
         ## What it shows\n\n{verdicts}\n",
        kernel.trim().split('-').next().unwrap_or_default()
    );
    let of = |set, short| all.iter().filter(move |s| s.set == set && s.is_short() == short);
    writeln!(
        out,
        "## One long flow alone\n\n\
         | path | direction | Trickles | cubic | reno | bbr | to cubic | used | bytes of wire bytes | queue, ms | cubic's |\n\
         |---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for scenario in of(Set::Alone, false) {
        let rates = Contender::ALL.map(|who| mbit(results.median(scenario, who, goodput)));
        let queue = |who| digits(results.median(scenario, who, |outcome| Some(outcome.queue[0])), 1);
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            scenario.path,
            scenario.direction.name(),
            rates.join(" | "),
            digits(results.ratio(scenario, Contender::Cubic), 2),
            digits(results.median(scenario, Contender::Trickles, used(scenario)), 3),
            digits(results.median(scenario, Contender::Trickles, |outcome| Some(outcome.efficiency())), 3),
            [queue(Contender::Trickles), queue(Contender::Cubic)].join(" | "),
        )?;
    }
    writeln!(
        out,
        "\n## Short transfers over fresh connections\n\n\
         Milliseconds from the beginning of the connection, for half of the transfers and for 95 %.\n\n\
         | path | direction | bytes | Trickles | cubic | reno | bbr |\n|---|---|---|---|---|---|---|"
    )?;
    for scenario in of(Set::Alone, true) {
        let Amount::Bytes(bytes) = scenario.amount else { continue };
        let times = Contender::ALL.map(|who| {
            let share = |share| digits(results.median(scenario, who, completion(share)), 0);
            format!("{} / {}", share(0.5), share(0.95))
        });
        writeln!(
            out,
            "| {} | {} | {} KiB | {} |",
            scenario.path,
            scenario.direction.name(),
            bytes >> 10,
            times.join(" | ")
        )?;
    }
    writeln!(
        out,
        "\n## In one bottleneck\n\n\
         100 Mbit/s, 40 ms, a queue of 1 BDP; from a fifth of the time together on. The share is the mean rate of the \
         first to that of the others. Delays vary by up to 0.5 ms where nothing else is said: without any jitter packets \
         come to a full queue in step with those that leave it, which decides who loses (phase effects). Ping: what the \
         flows and the jitter add to one that runs beside them all the time, for half of them and for 95 %.\n\n\
         | flows | share | Jain's index | all together | queue, ms | ping, ms |\n|---|---|---|---|---|---|"
    )?;
    for scenario in of(Set::Beside, false) {
        let sharing = |of: fn(Sharing) -> Option<f64>| {
            results.median(scenario, Contender::Trickles, |outcome| of(Sharing::new(scenario, outcome)?))
        };
        let ping = |share| {
            let added = |outcome: &Outcome| outcome.added(scenario.path.rtt, share);
            digits(results.median(scenario, Contender::Trickles, added), 0)
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} / {} |",
            scenario.title,
            digits(sharing(|sharing| sharing.share), 2),
            digits(sharing(|sharing| Some(sharing.jain)), 3),
            mbit(sharing(|sharing| Some(sharing.sum))),
            digits(results.median(scenario, Contender::Trickles, |outcome| Some(outcome.queue[0])), 1),
            ping(0.5),
            ping(0.95),
        )?;
    }
    writeln!(
        out,
        "\n## Paths that misbehave\n\n\
         100 Mbit/s, 40 ms, a queue of 1 BDP, a download. In brackets the longest silence in milliseconds.\n\n\
         | path | Trickles | cubic | reno | bbr |\n|---|---|---|---|---|"
    )?;
    for scenario in of(Set::Ugly, false) {
        let rates = Contender::ALL.map(|who| {
            let gap = digits(results.median(scenario, who, longest_gap), 0);
            format!("{} ({gap})", mbit(results.median(scenario, who, goodput)))
        });
        writeln!(out, "| {} | {} |", scenario.title, rates.join(" | "))?;
    }
    writeln!(out, "\n![goodput](goodput.svg)\n\n![sharing](sharing.svg)\n\n![course of a flow](course.svg)")?;
    Ok(out)
}

/// A rate for people.
pub(crate) fn mbit(rate: Option<f64>) -> String {
    let rate = rate.map(|rate| rate / 1e6);
    digits(rate, if rate.is_some_and(|rate| rate < 100.0) { 2 } else { 0 })
}

/// With so many digits behind the point, or a dash.
pub(crate) fn digits(value: Option<f64>, count: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.count$}"))
}

//! Trickles beside the kernel's TCP over an emulated bottleneck: one command runs the matrix in a lab of network
//! namespaces, and writes tables and pictures.

mod flow;
mod lab;
mod matrix;
mod outcome;
mod plot;
mod report;
mod results;
mod scenario;
mod store;
mod verdict;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::LocalSet;

use crate::flow::Contender;
use crate::flow::client::Load;
use crate::lab::Lab;
use crate::report::Places;
use crate::scenario::{Scenario, Set};
use crate::store::{Run, Store};

const EXAMPLES: &str = "\
Examples:
  wan run --lab ../netlab                         the default matrix, under an hour; goes on where it was
  wan run --lab ../netlab --only '5 Mbit' --list  which scenarios these are
  wan run --lab ../netlab --set beside --seeds 3  sharing only, three times
  wan report                                      tables and pictures from what has been run

The lab needs root, and two cores to itself: one for the emulator, one for the flows. Without it `run` says why it
skips, and exits with 3.

Exit codes: 0 done (also if a promise does not hold), 1 error, 2 wrong usage, 3 skipped";

/// No lab here.
const SKIPPED: u8 = 3;

/// Compare Trickles with the kernel's TCP over an emulated bottleneck.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Run what has not been run yet, and write the report.
    Run(Matrix),
    /// Write the report of what has been run.
    Report(Places),
    /// What a server's process does.
    #[command(hide = true)]
    Serve,
    /// What a client's process does.
    #[command(hide = true)]
    Flow(Load),
}

#[derive(Debug, clap::Args)]
struct Matrix {
    /// The lab: its program, or the directory it is built in.
    #[arg(long)]
    lab: PathBuf,

    /// The sets of scenarios; all if there are none.
    #[arg(long = "set", value_delimiter = ',')]
    sets: Vec<Set>,

    /// Only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,

    /// Who runs alone; all if there are none.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,

    /// All combinations of what is varied alone, not only a covering subset: half a day.
    #[arg(long)]
    full: bool,

    /// How often everything is run, with other random losses each time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,

    /// Only say which scenarios there are.
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    places: Places,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().part {
        Part::Run(matrix) => run(&matrix),
        Part::Report(places) => report::write(&places).map(|()| ExitCode::SUCCESS),
        Part::Serve => locally(flow::server::serve()),
        Part::Flow(load) => locally(flow::client::run(&load)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("wan: {error:#}");
        ExitCode::FAILURE
    })
}

fn locally(part: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(part))?;
    // What still goes on in the background is over with the lab.
    std::process::exit(0);
}

fn run(matrix: &Matrix) -> Result<ExitCode> {
    let sets = if matrix.sets.is_empty() { &[Set::Alone, Set::Beside, Set::Ugly] } else { &matrix.sets[..] };
    let mut scenarios = matrix::scenarios(sets, matrix.full);
    if let Some(only) = &matrix.only {
        scenarios.retain(|scenario| scenario.name().contains(only));
    }
    if matrix.list {
        scenarios.iter().for_each(|scenario| println!("{}", scenario.name()));
        return Ok(ExitCode::SUCCESS);
    }
    let lab = match Lab::find(&matrix.lab) {
        Ok(lab) => lab,
        Err(reason) => {
            eprintln!("skipped: {reason:#}");
            return Ok(ExitCode::from(SKIPPED));
        }
    };
    let file = &matrix.places.runs;
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let mut store = Store::open(file)?;
    let mut due = Vec::new();
    for seed in 1..=matrix.seeds {
        for scenario in &scenarios {
            for contender in contenders(scenario, &matrix.contenders) {
                if !store.has(&scenario.name(), contender, seed) {
                    due.push((scenario, contender, seed));
                }
            }
        }
    }
    let seconds = |(scenario, ..): &(&Scenario, Contender, u32)| u64::from(scenario.seconds) + 2;
    let bar = ProgressBar::new(due.iter().map(seconds).sum());
    bar.set_style(ProgressStyle::with_template("{bar:30} {eta:>4} left  {wide_msg}")?);
    for due in &due {
        let &(scenario, contender, seed) = due;
        let name = scenario.name();
        bar.set_message(format!("{name}: {}", contender.name()));
        match lab.run(scenario, contender, seed) {
            Ok(outcome) => store.add(Run { name, contender, seed, outcome })?,
            Err(error) => bar.suspend(|| eprintln!("{name}, {}: {error:#}", contender.name())),
        }
        bar.inc(seconds(due));
    }
    bar.finish_and_clear();
    report::write(&matrix.places)?;
    Ok(ExitCode::SUCCESS)
}

/// Who runs a scenario; one run with all of them has our name.
fn contenders(scenario: &Scenario, wanted: &[Contender]) -> Vec<Contender> {
    if !scenario.groups.is_empty() {
        return vec![Contender::Trickles];
    }
    Contender::ALL.into_iter().filter(|contender| wanted.is_empty() || wanted.contains(contender)).collect()
}

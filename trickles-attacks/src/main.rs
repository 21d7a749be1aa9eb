//! Runs every attack and prints what each obtained. See the library's documentation.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use trickles_attacks::{Attack, filter, floods, fuzz, lying};

/// Runs every attack on Trickles and prints what each obtained beside the bound that the design promises.
///
/// Exit code: 0 when every bound holds, 1 when one does not, 2 when something could not be run.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  trickles-attacks\n  trickles-attacks --only lying --only fuzz\n  trickles-attacks --named 'flood of Hellos'"
)]
struct Arguments {
    /// Runs only attacks of this kind; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Runs only attacks whose name has this in it; may be repeated.
    #[arg(long, value_name = "TEXT")]
    named: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Clients that lie, in virtual time.
    Lying,
    /// Arbitrary bytes for parsers, server and client: the corpora of the fuzzers, and mutations of them.
    Fuzz,
    /// The replay filter: false positives at its design load, and what it does when it is full.
    Filter,
    /// Floods on real sockets; needs Linux and two cores. Run it optimised, on a machine with nothing else to do.
    Floods,
}

impl Kind {
    fn attacks(self) -> Vec<Box<dyn Attack>> {
        match self {
            Self::Lying => lying::attacks(),
            Self::Fuzz => fuzz::attacks(),
            Self::Filter => filter::attacks(),
            Self::Floods => floods::attacks(),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    if floods::serve_if_asked()? {
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let kinds = Kind::value_variants().iter().filter(|kind| {
        let only = &arguments.only;
        only.is_empty() || only.contains(kind)
    });
    let named = |attack: &dyn Attack| {
        let name = attack.name();
        arguments.named.is_empty() || arguments.named.iter().any(|text| name.contains(text))
    };
    let attacks: Vec<Box<dyn Attack>> =
        kinds.flat_map(|kind| kind.attacks()).filter(|attack| named(&**attack)).collect();
    if attacks.is_empty() {
        let reason = "no attack is named like that; without --named all are run and listed\n";
        Arguments::command().error(ErrorKind::InvalidValue, reason).exit();
    }
    let bar = ProgressBar::new(attacks.len() as u64);
    bar.set_style(ProgressStyle::with_template("{pos}/{len} {wide_bar} {elapsed} {msg}")?);
    println!(
        "{:<58} | {:<34} | {:>10} {:<16} | {:>7} | {:>10} |",
        "attack", "strength", "obtained", "", "honest", "bound"
    );
    let (mut violated, mut failed) = (0, 0);
    for attack in &attacks {
        bar.set_message(attack.name());
        let shown = match attack.run() {
            Ok(outcome) => {
                violated += u32::from(!outcome.holds());
                outcome.to_string()
            }
            Err(error) => {
                failed += 1;
                format!("not run: {error:#}")
            }
        };
        bar.suspend(|| println!("{:<58} | {:<34} | {shown}", attack.name(), attack.strength()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{} attacks, {violated} beyond their bound, {failed} not run", attacks.len());
    Ok(match (violated, failed) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

//! The rows of the table: each flood is run once, for all that is measured of it.

use std::env;
use std::sync::{Arc, OnceLock};

use anyhow::anyhow;

use super::{Flood, Goodput, Measured, Style, measure};
use crate::{Attack, Outcome};

/// Most that the server may grow, in KiB.
const MAX_GROWTH: f64 = 1024.0;
/// The bound of docs/protocol.md section 8.6.
const MAX_AMPLIFICATION: u64 = 3;

/// Every flood, and what is measured of it.
pub fn attacks() -> Vec<Box<dyn Attack>> {
    let rows = |(flood, style): (Flood, Style)| {
        let run = Arc::new(Run { flood, style, measured: OnceLock::new() });
        let aspects = Aspect::ALL
            .iter()
            .filter(move |&&aspect| aspect != Aspect::GrantedTwice || flood == Flood::Replay);
        aspects.map(move |&aspect| Box::new(Row { run: run.clone(), aspect }) as Box<dyn Attack>)
    };
    let inline = Flood::ALL.map(|flood| (flood, Style::Inline));
    // One that is refused, one that reaches the handler, and one that could be told something.
    let handler = [Flood::Forged, Flood::LongHellos, Flood::Stale].map(|flood| (flood, Style::Handler));
    inline.into_iter().chain(handler).flat_map(rows).collect()
}

struct Run {
    flood: Flood,
    style: Style,
    measured: OnceLock<Result<Measured, String>>,
}

struct Row {
    run: Arc<Run>,
    aspect: Aspect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aspect {
    LostApart,
    LostTogether,
    Memory,
    Amplification,
    GrantedTwice,
}

impl Aspect {
    const ALL: [Self; 5] =
        [Self::LostApart, Self::LostTogether, Self::Memory, Self::Amplification, Self::GrantedTwice];
}

impl Run {
    fn measured(&self) -> anyhow::Result<&Measured> {
        let run = || measure(&env::current_exe()?, self.style, self.flood);
        let measured = self.measured.get_or_init(|| run().map_err(|error| format!("{error:#}")));
        measured.as_ref().map_err(|error| anyhow!("{error}"))
    }
}

impl Attack for Row {
    fn name(&self) -> String {
        let aspect = match self.aspect {
            Aspect::LostApart => "goodput, one by one",
            Aspect::LostTogether => "goodput, coalesced",
            Aspect::Memory => "memory",
            Aspect::Amplification => "amplification",
            Aspect::GrantedTwice => "granted twice",
        };
        let style = if self.run.style == Style::Handler { ", async" } else { "" };
        format!("{}{style}: {aspect}", self.run.flood.name())
    }

    /// Datagrams a second and what the honest client has without them, once it is known.
    fn strength(&self) -> String {
        let Some(Ok(measured)) = self.run.measured.get() else { return String::new() };
        let rate = |of: Goodput| format!("{:.2} M/s, of {:.1} Gbit/s", of.offered / 1e6, of.honest / 1e9);
        match self.aspect {
            Aspect::LostApart => rate(measured.apart),
            Aspect::LostTogether => rate(measured.together),
            _ => String::new(),
        }
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        let Measured { apart, together, growth, exchanged } = self.run.measured()?;
        let lost = |of: &Goodput| Outcome { unit: "share lost", obtained: of.lost, honest: None, bound: 0.5 };
        Ok(match self.aspect {
            Aspect::LostApart => lost(apart),
            Aspect::LostTogether => lost(together),
            Aspect::Memory => {
                Outcome { unit: "KiB more", obtained: *growth as f64, honest: None, bound: MAX_GROWTH }
            }
            Aspect::Amplification => Outcome {
                unit: "bytes",
                obtained: exchanged.from_server as f64,
                honest: Some(exchanged.to_server as f64),
                bound: (MAX_AMPLIFICATION * exchanged.to_server) as f64,
            },
            Aspect::GrantedTwice => Outcome::none_of("packets", exchanged.packets),
        })
    }
}

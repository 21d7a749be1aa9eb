//! What is promised beside the kernel's TCP, and whether the results keep it.

use std::fmt::Write;

use crate::flow::Contender;
use crate::results::{Results, Sharing, completion, longest_gap, used};
use crate::scenario::{Amount, Scenario, Set};

/// A figure of each scenario that a promise is about, and its bounds.
struct Promise {
    what: &'static str,
    figures: Vec<(String, f64)>,
    least: f64,
    most: f64,
}

impl Promise {
    fn new(what: &'static str, least: f64, most: f64) -> Self {
        Self { what, figures: Vec::new(), least, most }
    }

    fn add(&mut self, scenario: &Scenario, figure: Option<f64>) {
        self.figures.extend(figure.map(|figure| (scenario.name(), figure)));
    }

    /// How far beyond the bounds a figure is; not above 0 within them.
    fn excess(&self, figure: f64) -> f64 {
        (self.least - figure).max(figure - self.most)
    }
}

/// One line for each promise.
pub(crate) fn verdicts(results: &Results<'_>, all: &[Scenario]) -> String {
    let mut cubic = Promise::new("without random loss, goodput to cubic's: at least 0.97", 0.97, f64::MAX);
    let mut full = Promise::new(
        "without random loss, from 0.5 BDP of queue on: at least 0.95 of the link used",
        0.95,
        f64::MAX,
    );
    let mut wire = Promise::new("bytes to bytes on the wire, downloads: at least 0.95", 0.95, f64::MAX);
    let mut lossy = Promise::new("with random loss, goodput to cubic's: at least 1", 1.0, f64::MAX);
    let mut bbr = Promise::new("1 % random loss, goodput to bbr's: at least 0.8", 0.8, f64::MAX);
    let mut page = Promise::new("100 KiB over a fresh connection, time to cubic's: below 1", 0.0, 0.999);
    let mut shares = Promise::new("beside cubic, share of ours to theirs: 0.8 to 1.25", 0.8, 1.25);
    let mut in_step = Promise::new("the same without any jitter", 0.8, 1.25);
    let mut stall =
        Promise::new("ugly paths, longest silence beyond 2 round trips: at most 200 ms", f64::MIN, 200.0);
    let mut outage = Promise::new("outage of 2 s, silence beyond it: at most 1000 ms", f64::MIN, 1000.0);
    let ours = Contender::Trickles;
    for scenario in all {
        let to_cubic = results.ratio(scenario, Contender::Cubic);
        let gap = results.median(scenario, ours, longest_gap);
        match (scenario.set, scenario.amount) {
            (Set::Alone, Amount::Endless) if scenario.path.loss == 0.0 => {
                cubic.add(scenario, to_cubic);
                let share = results.median(scenario, ours, used(scenario));
                full.add(scenario, share.filter(|_| scenario.path.queue >= 0.5));
                if share.is_some() {
                    wire.add(scenario, results.median(scenario, ours, |outcome| Some(outcome.efficiency())));
                }
            }
            (Set::Alone, Amount::Endless) => {
                lossy.add(scenario, to_cubic);
                let to_bbr = results.ratio(scenario, Contender::Bbr);
                bbr.add(scenario, to_bbr.filter(|_| scenario.path.loss == 1.0));
            }
            (Set::Alone, Amount::Bytes(bytes)) => {
                let time = |who| results.median(scenario, who, completion(0.5));
                let is_plain = bytes == 100 << 10 && scenario.path.loss == 0.0;
                let ratio = time(ours).zip(time(Contender::Cubic)).map(|(ours, theirs)| ours / theirs);
                page.add(scenario, ratio.filter(|_| is_plain));
            }
            (Set::Beside, _) => {
                let has = |kind| scenario.groups.iter().any(|group| group.contender == kind);
                let share = results.median(scenario, ours, |outcome| Sharing::new(scenario, outcome)?.share);
                let promise = if scenario.has_jitter() { &mut shares } else { &mut in_step };
                promise.add(scenario, share.filter(|_| has(ours) && has(Contender::Cubic)));
            }
            (Set::Ugly, _) if scenario.title.starts_with("outage") => {
                outage.add(scenario, gap.map(|gap| gap - 2000.0));
            }
            (Set::Ugly, _) => stall.add(scenario, gap.map(|gap| gap - 2.0 * slowest(scenario))),
        }
    }
    let mut out = String::from("| promise | holds in | worst |\n|---|---|---|\n");
    for promise in [cubic, full, wire, lossy, bbr, page, shares, in_step, stall, outage] {
        let kept = promise.figures.iter().filter(|(_, figure)| promise.excess(*figure) <= 0.0).count();
        let excess = |figure: &&(String, f64)| promise.excess(figure.1);
        let worst = promise.figures.iter().max_by(|a, b| excess(a).total_cmp(&excess(b)));
        let worst =
            worst.map_or_else(|| "not run".to_owned(), |(name, figure)| format!("{figure:.3} ({name})"));
        // A string takes all that is written to it.
        let _ = writeln!(out, "| {} | {kept} of {} | {worst} |", promise.what, promise.figures.len());
    }
    out
}

/// The longest round trip of a scenario in milliseconds, its queue full.
fn slowest(scenario: &Scenario) -> f64 {
    let queue = scenario.path.rtt * scenario.path.queue;
    // Those that slow down or stretch the path in the middle.
    let stretched = if scenario.title.starts_with("round trip") { 80.0 } else { 0.0 };
    let slowed = if scenario.title.starts_with("capacity") { 19.0 * queue } else { 0.0 };
    scenario.path.rtt + queue + stretched + slowed
}

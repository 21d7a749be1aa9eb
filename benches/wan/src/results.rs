//! What the runs of a scenario come to.

use crate::flow::Contender;
use crate::flow::Direction;
use crate::outcome::{FlowOutcome, Outcome};
use crate::scenario::Scenario;
use crate::store::Run;

/// All runs, asked by scenario.
pub(crate) struct Results<'a>(pub(crate) &'a [Run]);

impl<'a> Results<'a> {
    /// The runs of a scenario by a contender, with its seeds.
    pub(crate) fn outcomes(&self, scenario: &Scenario, contender: Contender) -> Vec<(u32, &'a Outcome)> {
        let name = scenario.name();
        let runs = self.0.iter().filter(|run| run.name == name && run.contender == contender);
        runs.map(|run| (run.seed, &run.outcome)).collect()
    }

    /// The median over the runs of what `of` says; `None` if it says nothing of any.
    pub(crate) fn median(
        &self,
        scenario: &Scenario,
        contender: Contender,
        of: impl Fn(&Outcome) -> Option<f64>,
    ) -> Option<f64> {
        median(
            self.outcomes(scenario, contender).into_iter().filter_map(|(_, outcome)| of(outcome)).collect(),
        )
    }

    /// The median of our goodput in parts of another's with the same seed.
    pub(crate) fn ratio(&self, scenario: &Scenario, other: Contender) -> Option<f64> {
        let theirs = self.outcomes(scenario, other);
        let pairs = self.outcomes(scenario, Contender::Trickles).into_iter().filter_map(|(seed, ours)| {
            let (_, theirs) = theirs.iter().find(|(theirs, _)| *theirs == seed)?;
            Some(goodput(ours)? / goodput(theirs)?)
        });
        median(pairs.collect())
    }
}

/// Sorts `values`; the upper one of two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Bits a second of the only flow.
pub(crate) fn goodput(outcome: &Outcome) -> Option<f64> {
    outcome.flows.first().map(|flow| flow.goodput).filter(|&rate| rate > 0.0)
}

/// Milliseconds in which half of the transfers, or nineteen of twenty, were complete.
pub(crate) fn completion(share: f64) -> impl Fn(&Outcome) -> Option<f64> {
    move |outcome| outcome.flows.first()?.completion(share)
}

/// Share of the bottleneck that is used in the second half of the flow's life, headers included.
pub(crate) fn used(scenario: &Scenario) -> impl Fn(&Outcome) -> Option<f64> {
    let (seconds, rate) = (f64::from(scenario.seconds), scenario.path.rate * 1e6);
    let is_known = scenario.direction == Direction::Download && !scenario.is_short();
    move |outcome| {
        let flow = outcome.flows.first().filter(|_| is_known)?;
        Some(flow.rate_between(seconds / 2.0, seconds)? / outcome.efficiency() / rate)
    }
}

/// The longest silence in milliseconds, after the first byte.
pub(crate) fn longest_gap(outcome: &Outcome) -> Option<f64> {
    let flow = outcome.flows.first()?;
    Some(flow.gaps.iter().map(|[_, micros]| *micros).max().unwrap_or(0) as f64 / 1e3)
}

/// What flows that share a bottleneck got, while all were there.
pub(crate) struct Sharing {
    /// The mean of the first group in parts of the mean of the other.
    pub(crate) share: Option<f64>,
    /// Jain's index over all.
    pub(crate) jain: f64,
    /// Bits a second of all.
    pub(crate) sum: f64,
}

impl Sharing {
    /// `None` if any flow has left too little.
    pub(crate) fn new(scenario: &Scenario, outcome: &Outcome) -> Option<Self> {
        let last = f64::from(scenario.groups.iter().map(|group| group.after).max()?);
        // The first fifth of the time together is start-up.
        let end = f64::from(scenario.seconds);
        let from = last + (end - last) / 5.0;
        let begin = outcome.flows.iter().map(|flow| flow.start).min()?;
        let rate = |flow: &FlowOutcome| {
            let began = flow.start.saturating_sub(begin) as f64 / 1e6;
            flow.rate_between(from - began, end - began)
        };
        let rates: Vec<f64> = outcome.flows.iter().map(rate).collect::<Option<_>>()?;
        let mean = |of: &[f64]| (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64);
        let (first, other) = rates.split_at_checked(scenario.groups.first()?.flows)?;
        let sum: f64 = rates.iter().sum();
        let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
        Some(Self {
            share: mean(first).zip(mean(other)).map(|(first, other)| first / other),
            jain: sum * sum / (rates.len() as f64 * squares),
            sum,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Contender;
    use crate::matrix::scenarios;
    use crate::outcome::Point;
    use crate::scenario::Set;

    fn flow(contender: Contender, rate: u64) -> FlowOutcome {
        let point = |tick: u64| Point {
            at: 1 + tick * 100_000,
            bytes: rate / 8 * tick / 10,
            window: None,
            rtt: None,
        };
        FlowOutcome {
            contender,
            goodput: rate as f64,
            bytes: rate / 8 * 25,
            completions: vec![3000, 1000, 2000],
            gaps: vec![[5, 100], [6, 300]],
            points: (1..=250).map(point).collect(),
            start: 1,
            failure: None,
        }
    }

    fn outcome(flows: Vec<FlowOutcome>) -> Outcome {
        Outcome {
            flows,
            wire_bytes: 1,
            queue: [0.0; 2],
            dropped: 0,
            late: 0,
            overflown: 0,
            pings: Vec::new(),
        }
    }

    #[test]
    fn shares_are_of_means() {
        let scenarios = scenarios(&[Set::Beside], false);
        let together =
            scenarios.iter().find(|scenario| scenario.name() == "beside: 1 of ours, 4 cubic").unwrap();
        let theirs = (0..4).map(|_| flow(Contender::Cubic, 10_000_000));
        let all = [flow(Contender::Trickles, 20_000_000)].into_iter().chain(theirs).collect();
        let sharing = Sharing::new(together, &outcome(all)).unwrap();
        assert!((sharing.share.unwrap() - 2.0).abs() < 0.01, "{:?}", sharing.share);
        assert!((sharing.sum - 60e6).abs() < 1e5, "{}", sharing.sum);
        assert!((sharing.jain - 0.9).abs() < 0.01, "{}", sharing.jain);
    }

    #[test]
    fn ratios_are_of_runs_with_one_seed() {
        let scenario = &scenarios(&[Set::Alone], false)[0];
        let run = |contender, seed, rate| Run {
            name: scenario.name(),
            contender,
            seed,
            outcome: outcome(vec![flow(contender, rate)]),
        };
        let (ours, cubic) = (Contender::Trickles, Contender::Cubic);
        let runs = [
            run(ours, 1, 8000),
            run(cubic, 1, 4000),
            run(ours, 2, 8000),
            run(cubic, 2, 8000),
            run(ours, 3, 99),
        ];
        let results = Results(&runs);
        assert_eq!(results.ratio(scenario, cubic), Some(2.0));
        assert_eq!(results.ratio(scenario, Contender::Bbr), None);
        assert_eq!(results.median(scenario, ours, completion(0.5)), Some(2.0));
        assert_eq!(results.median(scenario, ours, longest_gap), Some(0.3));
    }
}

//! Which scenarios there are.

use std::collections::BTreeSet;

use crate::flow::{Contender, Direction};
use crate::scenario::{Amount, Group, Path, Scenario, Set};

const RATES: [f64; 4] = [5.0, 20.0, 100.0, 500.0];
const RTTS: [f64; 4] = [5.0, 40.0, 100.0, 300.0];
const QUEUES: [f64; 3] = [0.25, 1.0, 4.0];
const LOSSES: [f64; 4] = [0.0, 0.1, 1.0, 3.0];
const DIRECTIONS: [Direction; 2] = [Direction::Download, Direction::Upload];
/// The transfer whose completion is compared at every round trip.
const PAGE: u64 = 100 << 10;
const AMOUNTS: [Amount; 3] = [Amount::Bytes(PAGE), Amount::Bytes(1 << 20), Amount::Endless];
/// How long flows share a bottleneck, in seconds.
const SHARING: u32 = 25;
/// Up to so much is added to the delay of each packet that shares a bottleneck, its order kept: the time in which four
/// packets leave the queue. Without any, packets come to a full queue in step with those that leave it, and who is in
/// step decides who loses, not how much a flow sends: the phase effects of Floyd and Jacobson (1992).
const JITTER: &str = "500us";
/// What the share is told for, too.
const OTHER_JITTERS: [&str; 3] = ["250us", "1ms", "2ms"];

/// The scenarios of some sets; of those alone all combinations, or some in which every pair of values meets.
pub(crate) fn scenarios(sets: &[Set], full: bool) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for set in sets {
        scenarios.extend(match set {
            Set::Alone if full => cells(&all(&[4, 4, 3, 4, 2, 3])),
            Set::Alone => alone(),
            Set::Beside => beside(),
            Set::Ugly => ugly(),
        });
    }
    scenarios
}

fn alone() -> Vec<Scenario> {
    // Without random loss and for long every pair of the others meets too: this is where promises are strictest.
    let strict =
        cover(&[4, 4, 3, 2]).into_iter().map(|c| vec![c[0], c[1], c[2], 0, c[3], 2]).collect::<Vec<_>>();
    let mut scenarios = cells(&strict);
    scenarios.extend(cells(&cover(&[4, 4, 3, 4, 2, 3])));
    // What random loss costs takes long to show: every rate and every round trip with every loss.
    let lossy =
        (1..LOSSES.len()).flat_map(|loss| (0..4).map(move |at| vec![at, (at + loss) % 4, 1, loss, 0, 2]));
    scenarios.extend(cells(&lossy.collect::<Vec<_>>()));
    let pages = RTTS.map(|rtt| {
        let path = Path { rtt, ..Path::USUAL };
        Scenario::alone(path, Direction::Download, Amount::Bytes(PAGE))
    });
    scenarios.extend(pages);
    let mut seen = BTreeSet::new();
    scenarios.retain(|scenario| seen.insert(scenario.name()));
    scenarios
}

fn cells(choices: &[Vec<usize>]) -> Vec<Scenario> {
    let cell = |c: &Vec<usize>| {
        let path = Path { rate: RATES[c[0]], rtt: RTTS[c[1]], queue: QUEUES[c[2]], loss: LOSSES[c[3]] };
        Scenario::alone(path, DIRECTIONS[c[4]], AMOUNTS[c[5]])
    };
    choices.iter().map(cell).collect()
}

/// Flows that share a bottleneck. The first group is the one whose share is told.
fn beside() -> Vec<Scenario> {
    let usual = Scenario::alone(Path::USUAL, Direction::Download, Amount::Endless);
    let mut scenarios = Vec::new();
    let mut add = |title: &str, groups: &[Group], jitters: &[Option<&str>]| {
        scenarios.extend(jitters.iter().map(|jitter| Scenario {
            set: Set::Beside,
            title: match jitter {
                Some(JITTER) => title.to_owned(),
                Some(jitter) => format!("{title}, jitter of {jitter}"),
                None => format!("{title}, no jitter"),
            },
            groups: groups.to_vec(),
            options: jitter.iter().flat_map(|jitter| ["--jitter", jitter]).map(str::to_owned).collect(),
            seconds: SHARING,
            ..usual.clone()
        }));
    };
    let group = |contender, flows, after| Group { contender, flows, after };
    let (ours, cubic) = (Contender::Trickles, Contender::Cubic);
    let both = [Some(JITTER), None];
    for kind in Contender::KERNEL {
        for (count, theirs) in [(1, 1), (1, 4), (1, 10), (4, 1), (10, 1)] {
            let groups = [group(ours, count, 0), group(kind, theirs, 0)];
            let jitters = if kind == cubic { &both[..] } else { &both[..1] };
            add(&format!("{count} of ours, {theirs} {}", kind.name()), &groups, jitters);
        }
    }
    add("1 of ours, 4 cubic", &[group(ours, 1, 0), group(cubic, 4, 0)], &OTHER_JITTERS.map(Some));
    // As many of either: what chance gives a single flow evens out.
    let even = [group(ours, 4, 0), group(cubic, 4, 0)];
    add("4 of ours, 4 cubic", &even, &both);
    add("4 of ours, 4 cubic", &even, &OTHER_JITTERS.map(Some));
    for kind in [ours, cubic] {
        add(&format!("4 {} among themselves", kind.name()), &[group(kind, 4, 0)], &both[..1]);
    }
    let late = SHARING / 5;
    add("1 of ours comes to 1 cubic", &[group(ours, 1, late), group(cubic, 1, 0)], &both);
    add("1 cubic comes to 1 of ours", &[group(ours, 1, 0), group(cubic, 1, late)], &both);
    // What late comers of the kernel's get from each other.
    add("1 cubic comes to 1 cubic", &[group(cubic, 1, 0), group(cubic, 1, late)], &both);
    scenarios
}

fn ugly() -> Vec<Scenario> {
    let usual =
        Scenario { set: Set::Ugly, ..Scenario::alone(Path::USUAL, Direction::Download, Amount::Endless) };
    let mut scenarios = Vec::new();
    let mut add = |title: &str, options: &[&str], seconds| {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        scenarios.push(Scenario { title: title.into(), options, seconds, ..usual.clone() });
    };
    for (share, delay) in [("1%", "1ms"), ("5%", "5ms"), ("20%", "20ms")] {
        let title = format!("reordering of {share} by {delay}");
        add(&title, &["--reorder", share, "--reorder-delay", delay], 10);
    }
    for loss in ["1%", "10%", "30%"] {
        add(&format!("{loss} of what clients send lost"), &["--up", &format!("loss={loss}")], 10);
    }
    add("outage of 2 s", &["--step", "4:both:loss=1", "--step", "6:both:loss=0"], 12);
    add(
        "capacity 100 to 5 Mbit/s and back",
        &["--step", "5:both:rate=5mbit", "--step", "10:both:rate=100mbit"],
        15,
    );
    add(
        "round trip 40 to 120 ms and back",
        &["--step", "4:both:delay=60ms", "--step", "8:both:delay=20ms"],
        12,
    );
    add("MTU 1280", &["--mtu", "1280"], 10);
    add("MTU 9000", &["--mtu", "9000"], 10);
    let narrow = "for node in client server; do ip netns exec $NAME-$node nft \
        'add table ip narrow; add chain ip narrow in { type filter hook prerouting priority raw; }; \
         add rule ip narrow in ip length > 1428 drop'; done";
    add("MTU 1500 of which 1428 pass", &["--setup", narrow, "--sysctl", "net.ipv4.tcp_mtu_probing=1"], 10);
    add("ECN marks above 50 KB", &["--ecn", "50k", "--sysctl", "net.ipv4.tcp_ecn=1"], 10);
    scenarios
}

/// All combinations of values, each named by its index.
fn all(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |rows, &size| {
        rows.iter().flat_map(|row| (0..size).map(move |value| [&row[..], &[value]].concat())).collect()
    })
}

/// Few combinations in which every pair of values of different factors meets: the one that brings most new pairs
/// first, and so on.
fn cover(sizes: &[usize]) -> Vec<Vec<usize>> {
    let pairs = |row: &[usize]| -> Vec<[usize; 4]> {
        let factors = 0..row.len();
        factors
            .flat_map(|a| (a + 1..row.len()).map(move |b| (a, b)))
            .map(|(a, b)| [a, row[a], b, row[b]])
            .collect()
    };
    let candidates = all(sizes);
    let mut missing: BTreeSet<_> = candidates.iter().flat_map(|row| pairs(row)).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let news = |row: &&Vec<usize>| pairs(row).iter().filter(|pair| missing.contains(*pair)).count();
        // The first of the best, so that it is always the same.
        let Some(best) = candidates.iter().rev().max_by_key(news) else { break };
        for pair in pairs(best) {
            missing.remove(&pair);
        }
        chosen.push(best.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_values_meets() {
        let scenarios = alone();
        assert!(scenarios.len() <= 60, "{}", scenarios.len());
        let meets = |test: &dyn Fn(&Scenario) -> bool| scenarios.iter().any(test);
        for rate in RATES {
            for rtt in RTTS {
                for queue in QUEUES {
                    assert!(meets(&|s| s.path.rate == rate && s.path.rtt == rtt));
                    assert!(meets(&|s| s.path.rtt == rtt && s.path.queue == queue && s.path.loss == 0.0));
                    for loss in LOSSES {
                        assert!(meets(&|s| s.path.loss == loss && s.path.queue == queue));
                    }
                }
            }
        }
        for amount in AMOUNTS {
            for direction in DIRECTIONS {
                for loss in LOSSES {
                    assert!(meets(&|s| s.amount == amount && s.direction == direction));
                    assert!(meets(&|s| s.amount == amount && s.path.loss == loss));
                }
            }
        }
    }

    #[test]
    fn no_two_scenarios_have_one_name() {
        for full in [false, true] {
            let scenarios = scenarios(&[Set::Alone, Set::Beside, Set::Ugly], full);
            let names: BTreeSet<_> = scenarios.iter().map(Scenario::name).collect();
            assert_eq!(names.len(), scenarios.len());
        }
    }
}

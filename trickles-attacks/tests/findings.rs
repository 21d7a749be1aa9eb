//! Two ways past the filter's memory, both by what a recovery leaves unproven.

use std::time::Duration;

use trickles::epoch::CurveId;

use trickles_attacks::lab::{Kind, Lab, Liar, Spec, Train, after_loss, runs_of, with_adopted};

/// Two forks of a flow. One goes on at once, past a range of numbers that it leaves out. The other crosses that
/// range one step in each freshness limit, always with the newest it has, and when it reaches the numbers of the
/// first, the filter has forgotten those.
#[test]
fn a_slow_fork_is_not_granted_what_a_fast_one_had() {
    let mut lab = Lab::new();
    // The filter's generation is nearly over when the flow begins.
    lab.wait(Duration::from_secs(118));
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let base = liar.trains[0].fields.first;
    let mut claimed = base;
    while claimed < base + 37 {
        lab.wait(Duration::from_millis(1));
        let train = liar.trains.iter().find(|train| train.numbers().contains(&claimed)).unwrap().clone();
        let end = train.fields.end().min(base + 37);
        let answer = liar.claim(&mut lab, &Spec::in_order(&train, claimed..end));
        liar.receive(&answer);
        claimed = end;
    }
    let parents = liar.trains.clone();
    lab.wait(Duration::from_millis(1));
    let flow = parents[0].fields.flow;

    let fast = Kind::Recover { lost: base + 54, rtt: 500 };
    let mut flight = claim_within(&mut lab, &mut liar, &parents, fast, base + 55, base + 84);
    let reached = flight[0].fields.first;
    for _ in 0..2 {
        lab.wait(Duration::from_millis(1));
        flight = liar.claim_all(&mut lab, &flight);
    }
    assert!(lab.ledger.is_granted(flow, reached));
    stranger(&mut lab, Duration::from_secs(3));

    let step = Duration::from_millis(29_900);
    lab.now = parents[1].fields.issued + step;
    let slow = Kind::Recover { lost: base + 37, rtt: 500 };
    let mut newest = claim_within(&mut lab, &mut liar, &parents, slow, base + 38, base + 54).pop().unwrap();
    for _ in 0..8 {
        if lab.now.since(parents[0].fields.issued) > Duration::from_secs(95) {
            stranger(&mut lab, Duration::from_millis(29_000));
        }
        lab.now = newest.fields.issued + step;
        let fields = newest.fields;
        let gap = liar.gap(&fields.epoch, fields.tag);
        let spec = if fields.first < gap {
            let before = fields.epoch.base.max(fields.earned + 1)..fields.first;
            let mut runs = if before.is_empty() { Vec::new() } else { vec![before] };
            runs.push(fields.first..fields.end().min(gap));
            Spec::new(&newest, Kind::Continue { proven: gap }, runs)
        } else {
            let kind = Kind::Recover { lost: gap, rtt: 500 };
            let next = after_loss(&fields.epoch, gap, 500).unwrap();
            let own = fields.first..fields.end().min(next.base);
            Spec::new(&newest, kind, with_adopted(&next, gap.max(fields.earned) + 1..fields.first, own))
        };
        let answer = liar.claim(&mut lab, &spec);
        liar.receive(&answer);
        let Some(train) = answer.trains.last().filter(|train| !train.refresh) else { break };
        newest = train.clone();
    }
}

/// A flow runs through a number of losses at once, each time leaving out the end of what is in flight behind the
/// declared one: a recovery proves nothing of the flight. Afterwards what was left out goes the same way, one
/// loss in each freshness limit, each time a position of the train presented. So it arrives in the same last
/// epoch with a train that is said to be younger than all grants above, once the filter has forgotten those:
/// the epoch is granted again, on nonces that are known.
#[test]
fn an_epoch_is_not_entered_again_by_what_its_losses_left_out() {
    const STEP: Duration = Duration::from_millis(29_900);
    const RTT: u32 = 500;
    let mut lab = Lab::new();
    lab.wait(Duration::from_secs(118));
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let mut trains = liar.grow(&mut lab, 400, Duration::from_millis(1));
    let mut entry = trains.last().unwrap().clone();
    // Of the first flight all but some positions go ahead.
    let mut late = entry.fields.end() - 24..entry.fields.end();
    let mut lost = trains[0].fields.first;
    let mut losses = Vec::new();
    for _ in 0..4 {
        let kind = Kind::Recover { lost, rtt: RTT };
        let end = late.start;
        losses.push((kind, late.clone()));
        lab.wait(Duration::from_millis(1));
        let next = after_loss(&trains[0].fields.epoch, lost, RTT).unwrap();
        trains = claim_within(&mut lab, &mut liar, &trains, kind, lost + 1, end);
        // What the late ones own, and half of what is there before that.
        late = next.share(&late);
        lost = next.base + (late.start - next.base) / 2;
    }
    lab.wait(Duration::from_millis(1));
    let (last, flow) = (trains[0].fields, trains[0].fields.flow);
    assert!(!liar.claim_all(&mut lab, &trains).is_empty() && lab.ledger.is_granted(flow, last.epoch.base));
    stranger(&mut lab, Duration::from_secs(3));

    for (kind, late) in losses {
        lab.now = entry.fields.issued + STEP;
        let answer = liar.claim(&mut lab, &Spec::one(&entry, kind, late));
        liar.receive(&answer);
        // Refused on the way: that is as good.
        let Some(train) = answer.trains.into_iter().find(|train| !train.refresh) else { return };
        entry = train;
    }
    assert_eq!(entry.fields.tag, last.tag);
    stranger(&mut lab, Duration::from_secs(10));
    lab.now = entry.fields.issued + STEP;
    let proven = liar.gap(&last.epoch, last.tag);
    let again = last.epoch.base..last.end();
    let answer = liar.claim(&mut lab, &Spec::one(&entry, Kind::Continue { proven }, again));
    assert!(answer.trains.iter().all(|train| train.refresh));
}

/// Claims all positions from `from` to `to` that these trains have; returns what was received.
fn claim_within(
    lab: &mut Lab,
    liar: &mut Liar,
    trains: &[Train],
    kind: Kind,
    from: u64,
    to: u64,
) -> Vec<Train> {
    let mut got = Vec::new();
    for train in trains {
        let positions = train.fields.first.max(from)..train.fields.end().min(to);
        if !positions.is_empty() {
            let answer = liar.claim(lab, &Spec::new(train, kind, runs_of(positions, 32)));
            liar.receive(&answer);
            got.extend(answer.trains);
        }
    }
    got
}

/// After a while somebody else is granted something, which lets the filter's generations pass.
fn stranger(lab: &mut Lab, after: Duration) {
    lab.wait(after);
    let mut stranger = Liar::connect(lab, 99, CurveId::Reno, 4200);
    let trains = stranger.trains.clone();
    assert!(!stranger.claim_all(lab, &trains).is_empty());
}

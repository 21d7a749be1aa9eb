//! What a server has granted, worked out from the packets it emitted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trickles::epoch::{Epoch, SlowStartExit};
use trickles::time::Timestamp;

use super::Train;

/// The position that owns `number` in `epoch`; `None` for the numbers a birth gives away.
fn owner(epoch: &Epoch, number: u64) -> Option<u64> {
    if epoch.flight == 0 && number < epoch.base + u64::from(epoch.growth.window0) {
        return None;
    }
    let (mut low, mut high) = (epoch.first_position(), number);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if epoch.share_start(middle) <= number {
            low = middle;
        } else {
            high = middle;
        }
    }
    assert!(epoch.share(&(low..low + 1)).contains(&number), "{number} has no owner in {epoch:?}");
    Some(low)
}

/// From where on, and as what, a declared exit makes an epoch another fork.
type Exit = Option<(u32, u32)>;

fn exit_at(epoch: &Epoch, number: u64) -> Exit {
    let SlowStartExit { position, rtt } = epoch.exit?;
    epoch.exit_number().filter(|&at| number >= at).map(|_| (position, rtt))
}

/// What was granted in one epoch, all its forks by declared exits together.
#[derive(Clone, Debug)]
pub struct Tally {
    pub epoch: Epoch,
    /// Packets for each position granted.
    pub positions: BTreeMap<u64, u64>,
    /// Numbers emitted, those of the birth included.
    pub numbers: BTreeSet<(u64, Exit)>,
    /// Packets of the birth.
    pub born: u64,
}

/// Fails the test as soon as a position is granted twice or a number emitted twice.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Lets a position be granted again once the filter certainly remembers no more of the first time.
    pub forgets: bool,
    /// Packets, and when they were emitted.
    positions: BTreeMap<(u64, u64), (u64, Timestamp)>,
    pub epochs: BTreeMap<u64, Tally>,
}

impl Ledger {
    /// `horizon`: how far back the filter remembers.
    pub fn record(&mut self, trains: &[Train], now: Timestamp, horizon: Duration) {
        // Of one answer: a position may have two packets.
        let mut granted = BTreeMap::<(u64, u64), u64>::new();
        for train in trains {
            let fields = &train.fields;
            let tally = self.epochs.entry(fields.tag).or_insert_with(|| Tally {
                epoch: fields.epoch,
                positions: BTreeMap::new(),
                numbers: BTreeSet::new(),
                born: 0,
            });
            assert_eq!(tally.epoch.base, fields.epoch.base, "two epochs of one tag");
            for packet in &train.packets {
                for number in packet.numbers.clone() {
                    let new = tally.numbers.insert((number, exit_at(&fields.epoch, number)));
                    assert!(new, "number {number} emitted twice in {:?}", fields.epoch);
                }
                let Some(position) = owner(&fields.epoch, packet.numbers.start) else {
                    tally.born += 1;
                    continue;
                };
                assert_eq!(owner(&fields.epoch, packet.numbers.end - 1), Some(position), "one owner each");
                *tally.positions.entry(position).or_default() += 1;
                *granted.entry((fields.flow, position)).or_default() += 1;
            }
        }
        for (position, packets) in granted {
            let before = self.positions.insert(position, (packets, now));
            let Some(age) = before.map(|(_, granted)| now.since(granted)) else { continue };
            let (flow, position) = position;
            let forgotten = self.forgets && age >= horizon;
            assert!(
                forgotten,
                "position {position} of flow {flow:x} granted twice, {age:?} apart; the filter knows {horizon:?}"
            );
        }
    }

    /// How many positions were granted, and how many packets for them.
    pub fn granted(&self) -> (u64, u64) {
        (self.positions.len() as u64, self.positions.values().map(|(packets, _)| packets).sum())
    }

    pub fn is_granted(&self, flow: u64, position: u64) -> bool {
        self.positions.contains_key(&(flow, position))
    }

    /// The numbers emitted in an epoch, whatever exit was declared.
    pub fn numbers(&self, tag: u64) -> Vec<u64> {
        self.epochs
            .get(&tag)
            .map_or(Vec::new(), |tally| tally.numbers.iter().map(|(number, _)| *number).collect())
    }
}

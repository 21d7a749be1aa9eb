//! A fixed number of places for events that await their answer.

use std::collections::BTreeMap;

/// Names what is in a slot, for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    slot: usize,
    generation: u64,
}

/// At most so many values, found by ticket and by key. Those that are parked may have to make room.
#[derive(Debug)]
pub(super) struct Slots<K, V> {
    capacity: usize,
    slots: Vec<Slot<K, V>>,
    free: Vec<usize>,
    by_key: BTreeMap<K, usize>,
    /// The parked ones, the one that was asked for longest ago first.
    parked: BTreeMap<u64, usize>,
    turn: u64,
}

#[derive(Debug)]
struct Slot<K, V> {
    generation: u64,
    entry: Option<Entry<K, V>>,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    /// Its place in `parked`.
    turn: Option<u64>,
}

impl<K: Ord + Copy, V> Slots<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: BTreeMap::new(),
            parked: BTreeMap::new(),
            turn: 0,
        }
    }

    /// What is there already stays.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// How many slots are taken.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many of them are not parked.
    pub(super) fn busy(&self) -> usize {
        self.len() - self.parked.len()
    }

    /// Takes a slot, whether there are any left or not. It is from then on the one that `key` finds.
    pub(super) fn insert(&mut self, key: K, value: V) -> Ticket {
        let entry = Some(Entry { key, value, turn: None });
        let slot = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(free) => free.entry = entry,
            None => self.slots.push(Slot { generation: 0, entry }),
        }
        self.by_key.insert(key, slot);
        Ticket { slot, generation: self.slots[slot].generation }
    }

    pub(super) fn find(&self, key: K) -> Option<Ticket> {
        self.by_key.get(&key).map(|&slot| Ticket { slot, generation: self.slots[slot].generation })
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut V> {
        self.entry(ticket).map(|entry| &mut entry.value)
    }

    /// Parks what is there, or notes that a parked one has been asked for again.
    pub(super) fn park(&mut self, ticket: Ticket) {
        self.turn += 1;
        let turn = self.turn;
        if let Some(entry) = self.entry(ticket) {
            let before = entry.turn.replace(turn);
            before.map(|before| self.parked.remove(&before));
            self.parked.insert(turn, ticket.slot);
        }
    }

    /// Takes out the parked one that was asked for longest ago.
    pub(super) fn evict(&mut self) -> Option<V> {
        let slot = *self.parked.first_key_value()?.1;
        self.remove(Ticket { slot, generation: self.slots[slot].generation })
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<V> {
        self.entry(ticket)?;
        let slot = &mut self.slots[ticket.slot];
        slot.generation += 1;
        let Entry { key, value, turn } = slot.entry.take()?;
        self.free.push(ticket.slot);
        turn.map(|turn| self.parked.remove(&turn));
        // Another one may have taken the key over.
        if self.by_key.get(&key) == Some(&ticket.slot) {
            self.by_key.remove(&key);
        }
        Some(value)
    }

    fn entry(&mut self, ticket: Ticket) -> Option<&mut Entry<K, V>> {
        let slot = self.slots.get_mut(ticket.slot).filter(|slot| slot.generation == ticket.generation)?;
        slot.entry.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_what_it_was_issued_for() {
        let mut slots = Slots::new(1);
        let first = slots.insert('a', 1);
        assert_eq!(slots.remove(first), Some(1));
        let second = slots.insert('b', 2);
        assert_eq!(first.slot, second.slot);
        assert_eq!((slots.remove(first), slots.get_mut(second)), (None, Some(&mut 2)));
    }

    #[test]
    fn the_parked_one_asked_for_longest_ago_makes_room() {
        let mut slots = Slots::new(3);
        let [first, second, _busy] = [1, 2, 3].map(|value| slots.insert(value, value));
        slots.park(first);
        slots.park(second);
        slots.park(first);
        assert_eq!((slots.is_full(), slots.busy()), (true, 1));
        assert_eq!([slots.evict(), slots.evict(), slots.evict()], [Some(2), Some(1), None]);
        assert_eq!((slots.len(), slots.busy()), (1, 1));
    }

    #[test]
    fn a_key_finds_the_one_that_took_it_last() {
        let mut slots = Slots::new(2);
        let (first, second) = (slots.insert('a', 1), slots.insert('a', 2));
        assert_eq!(slots.find('a'), Some(second));
        assert_eq!(slots.remove(first), Some(1));
        assert_eq!(slots.find('a'), Some(second));
        assert_eq!(slots.remove(second), Some(2));
        assert_eq!(slots.find('a'), None);
    }
}

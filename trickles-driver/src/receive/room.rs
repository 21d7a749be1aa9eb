//! How much of each datagram the system is asked to copy.

use super::BUFFER_SIZE;

/// Least that is asked for: more than the largest packet of most networks.
const MIN_ROOM: usize = 2048;
/// So many batches are a period. In a flood the first of each has all the room there is: only that shows what others
/// send that does not fit.
const PERIOD: u32 = 8;

/// All there is, but in a flood: then only as much as senders of use have needed of late, as copying what a flood has
/// coalesced would cost more than everything else about it.
#[derive(Debug)]
pub(super) struct Room {
    size: usize,
    /// How much of a buffer something of use has reached, in this period and in the one before.
    needed: [usize; 2],
    /// Batches since the flood began.
    flood: u32,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { size: BUFFER_SIZE, needed: [BUFFER_SIZE; 2], flood: 0 }
    }

    /// Decides upon the next batch; returns how much room each of its buffers has.
    pub(super) fn next(&mut self, flood: bool) -> usize {
        self.flood = if flood { self.flood.wrapping_add(1) } else { 0 };
        let begins = self.flood.is_multiple_of(PERIOD);
        if begins {
            self.needed = [MIN_ROOM, self.needed[0]];
        }
        // Where receiving less than there is is an error, all is received.
        let full = begins || !cfg!(unix);
        self.size = if full { BUFFER_SIZE } else { self.needed[0].max(self.needed[1]) };
        self.size
    }

    /// A datagram up to `end` in its buffer was of use.
    pub(super) fn reached(&mut self, end: usize) {
        // What ends where the room ends may have been cut off there.
        let needed = if end == self.size { (2 * end).min(BUFFER_SIZE) } else { end + 1 };
        self.needed[0] = self.needed[0].max(needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_received_unless_there_is_a_flood() {
        let mut room = Room::new();
        assert_eq!([(); 100].map(|()| room.next(false)), [BUFFER_SIZE; 100]);
    }

    #[cfg(unix)]
    #[test]
    fn in_a_flood_room_shrinks_to_what_is_of_use_and_is_tried_in_full_now_and_then() {
        let mut room = Room::new();
        let mut sizes = Vec::new();
        for _ in 0..100 {
            sizes.push(room.next(true));
            room.reached(2999);
        }
        assert_eq!(sizes.iter().skip(16).filter(|&&size| size == BUFFER_SIZE).count(), 10);
        assert_eq!(sizes[97..100], [3000; 3]);
        // Something longer was seen in full.
        room.reached(20_000);
        assert_eq!(room.next(true), 20_001);
    }

    #[cfg(unix)]
    #[test]
    fn room_grows_while_what_is_of_use_fills_it() {
        let mut room = Room::new();
        (0..24).for_each(|_| _ = room.next(true));
        let mut sizes = Vec::new();
        for _ in 0..5 {
            let size = room.next(true);
            room.reached(size);
            sizes.push(size);
        }
        assert_eq!(sizes[0], MIN_ROOM);
        assert!(sizes.is_sorted() && sizes[4] > 8 * MIN_ROOM, "{sizes:?}");
    }
}

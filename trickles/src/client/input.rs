//! What the application writes, kept until the server's application has consumed it.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct SendBuffer {
    bytes: VecDeque<u8>,
    /// Offset of the first byte kept: all before it are consumed.
    acknowledged: u64,
    capacity: usize,
    fin: bool,
    fin_acknowledged: bool,
    /// What the answered request reached that consumed nothing more: wait for input beyond it.
    stalled_at: Option<u64>,
}

impl SendBuffer {
    pub(crate) fn new(capacity: usize) -> Self {
        let bytes = VecDeque::new();
        Self { bytes, acknowledged: 0, capacity, fin: false, fin_acknowledged: false, stalled_at: None }
    }

    /// How many of `bytes` there was room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.capacity.saturating_sub(self.bytes.len()));
        self.bytes.extend(&bytes[..count]);
        count
    }

    pub(crate) fn finish(&mut self) {
        self.fin = true;
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.fin
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= self.capacity
    }

    /// Whether all is consumed, the end included.
    pub(crate) fn is_flushed(&self) -> bool {
        self.bytes.is_empty() && (!self.fin || self.fin_acknowledged)
    }

    /// Whether there is input the server has not been shown in vain already.
    pub(crate) fn has_pending(&self) -> bool {
        let unfinished = self.fin && !self.fin_acknowledged;
        if self.bytes.is_empty() && !unfinished {
            return false;
        }
        self.stalled_at.is_none_or(|stalled| self.reach() > stalled)
    }

    /// One past the last byte, the end counting as one.
    fn reach(&self) -> u64 {
        self.acknowledged + self.bytes.len() as u64 + u64::from(self.fin)
    }

    pub(crate) fn offset(&self) -> u64 {
        self.acknowledged
    }

    /// How many bytes are kept.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Copies up to `limit` bytes from the front into `out`; whether the end follows them.
    pub(crate) fn front(&self, limit: usize, out: &mut Vec<u8>) -> bool {
        let count = self.bytes.len().min(limit);
        let (head, tail) = self.bytes.as_slices();
        let first = count.min(head.len());
        out.extend_from_slice(&head[..first]);
        out.extend_from_slice(&tail[..count - first]);
        self.fin && count == self.bytes.len()
    }

    /// The server has consumed all before `offset`, and the end if `closed`. `shown`: one past the last byte
    /// of the request it answered, if it answered one, the end counting as one. Returns whether that is news.
    pub(crate) fn acknowledge(&mut self, offset: u64, closed: bool, shown: Option<u64>) -> bool {
        let count = offset.saturating_sub(self.acknowledged).min(self.bytes.len() as u64);
        let newly_closed = closed && self.fin && !self.fin_acknowledged && offset >= self.acknowledged;
        if count == 0 && !newly_closed {
            self.stalled_at = self.stalled_at.max(shown);
            return false;
        }
        self.bytes.drain(..count as usize);
        self.acknowledged += count;
        self.fin_acknowledged |= closed && self.fin && self.bytes.is_empty();
        self.stalled_at = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_was_shown_in_vain_waits_for_more() {
        let mut buffer = SendBuffer::new(100);
        assert_eq!(buffer.write(b"half a li"), 9);
        assert!(buffer.has_pending());
        buffer.acknowledge(0, false, Some(9));
        assert!(!buffer.has_pending());
        assert_eq!(buffer.write(b"ne\n"), 3);
        assert!(buffer.has_pending());
        buffer.acknowledge(12, false, Some(12));
        assert!(buffer.is_flushed() && !buffer.has_pending());
        buffer.finish();
        assert!(buffer.has_pending() && !buffer.is_flushed());
        buffer.acknowledge(12, true, Some(13));
        assert!(buffer.is_flushed());
    }

    #[test]
    fn keeps_no_more_than_its_capacity() {
        let mut buffer = SendBuffer::new(4);
        assert_eq!(buffer.write(b"abcdef"), 4);
        assert!(buffer.is_full());
        buffer.acknowledge(2, false, Some(4));
        assert_eq!((buffer.write(b"ef"), buffer.offset()), (2, 2));
        let mut out = Vec::new();
        assert!(!buffer.front(3, &mut out));
        assert_eq!(out, b"cde");
    }
}

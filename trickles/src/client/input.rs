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

    /// Whether the server has been shown all there is in vain.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled_at.is_some_and(|stalled| self.reach() <= stalled)
    }

    /// One past the last byte, the end that is not acknowledged yet counting as one.
    pub(crate) fn reach(&self) -> u64 {
        self.end() + u64::from(self.fin && !self.fin_acknowledged)
    }

    /// One past the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.acknowledged + self.bytes.len() as u64
    }

    pub(crate) fn offset(&self) -> u64 {
        self.acknowledged
    }

    /// Copies up to `most` bytes from `start` on into `out`; whether the end follows them.
    pub(crate) fn copy(&self, start: u64, most: usize, out: &mut Vec<u8>) -> bool {
        let skipped = usize::try_from(start.saturating_sub(self.acknowledged)).unwrap_or(usize::MAX);
        let skipped = skipped.min(self.bytes.len());
        let count = most.min(self.bytes.len() - skipped);
        let (head, tail) = self.bytes.as_slices();
        let first = skipped.min(head.len())..(skipped + count).min(head.len());
        let rest = skipped.max(head.len()) - head.len()..(skipped + count).max(head.len()) - head.len();
        out.extend_from_slice(&head[first]);
        out.extend_from_slice(&tail[rest]);
        self.fin && skipped + count == self.bytes.len()
    }

    /// The server has consumed or stored all before `offset`, and the end if `closed`.
    pub(crate) fn acknowledge(&mut self, offset: u64, closed: bool) {
        let count = offset.saturating_sub(self.acknowledged).min(self.bytes.len() as u64);
        self.bytes.drain(..count as usize);
        self.acknowledged += count;
        self.fin_acknowledged |= closed && self.fin && self.bytes.is_empty();
        if count > 0 {
            self.stalled_at = None;
        }
    }

    /// The server was shown all before `reach` and consumed nothing of it: it is to be shown more.
    pub(crate) fn shown_in_vain(&mut self, reach: u64) {
        self.stalled_at = self.stalled_at.max(Some(reach));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_was_shown_in_vain_waits_for_more() {
        let mut buffer = SendBuffer::new(100);
        assert_eq!(buffer.write(b"half a li"), 9);
        assert!(!buffer.is_stalled());
        buffer.shown_in_vain(9);
        assert!(buffer.is_stalled());
        assert_eq!(buffer.write(b"ne\n"), 3);
        assert!(!buffer.is_stalled());
        buffer.acknowledge(12, false);
        assert!(buffer.is_flushed() && buffer.reach() == 12);
        buffer.finish();
        assert!(buffer.reach() == 13 && !buffer.is_flushed());
        buffer.acknowledge(12, true);
        assert!(buffer.is_flushed() && buffer.reach() == 12);
    }

    #[test]
    fn keeps_no_more_than_its_capacity() {
        let mut buffer = SendBuffer::new(4);
        assert_eq!(buffer.write(b"abcdef"), 4);
        assert!(buffer.is_full());
        buffer.acknowledge(2, false);
        assert_eq!((buffer.write(b"ef"), buffer.offset()), (2, 2));
        for (start, most, expected) in [(2, 3, "cde"), (0, 9, "cdef"), (4, 1, "e"), (6, 1, ""), (9, 1, "")] {
            let mut out = Vec::new();
            assert!(!buffer.copy(start, most, &mut out));
            assert_eq!(out, expected.as_bytes(), "{start} {most}");
        }
        buffer.finish();
        assert!(buffer.copy(5, 1, &mut Vec::new()) && !buffer.copy(4, 1, &mut Vec::new()));
    }
}

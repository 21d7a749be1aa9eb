//! Memory that is written again and again without being cleared in between.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::codec::Write;

/// Bytes that grow at their end, like a `Vec<u8>`; room to be written to need not be zero first.
#[derive(Clone, Default)]
pub(crate) struct Buffer {
    /// Those behind `length` are left from before.
    memory: Vec<u8>,
    length: usize,
}

impl Buffer {
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Shortens it to `length`, if it is longer.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// `count` more bytes of any value, to be written to.
    pub(crate) fn extend(&mut self, count: usize) -> &mut [u8] {
        let start = self.length;
        self.length += count;
        if self.length > self.memory.len() {
            self.memory.resize(self.length, 0);
        }
        &mut self.memory[start..self.length]
    }

    /// Adds zeros up to `length`, if it is shorter.
    pub(crate) fn pad(&mut self, length: usize) {
        self.extend(length.saturating_sub(self.length)).fill(0);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Write for Buffer {
    fn put(&mut self, bytes: &[u8]) {
        self.extend(bytes.len()).copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_zero_whatever_was_there_before() {
        let mut buffer = Buffer::default();
        buffer.put(&[7; 100]);
        buffer.truncate(3);
        buffer.pad(10);
        assert_eq!(buffer[..], [7, 7, 7, 0, 0, 0, 0, 0, 0, 0]);
        buffer.clear();
        buffer.extend(2).copy_from_slice(&[1, 2]);
        buffer.pad(4);
        buffer.truncate(9);
        assert_eq!(buffer[..], [1, 2, 0, 0]);
    }
}

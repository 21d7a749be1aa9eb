//! Bounded reading and writing of big-endian fields. Reading is total: it ends with `None`, never with a
//! panic, and never allocates by a length that came from the network.

use arrayvec::ArrayVec;

/// A cursor over received bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// An integer of variable length (RFC 9000, section 16), in its shortest form.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        let others = (1usize << (first >> 6)) - 1;
        let high = u64::from(first & 0x3f);
        let value = self.take(others)?.iter().fold(high, |value, &byte| value << 8 | u64::from(byte));
        (varint_length(value) == 1 + others).then_some(value)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether all that is left is padding, which is zero.
    pub(crate) fn only_padding(&self) -> bool {
        // Piece by piece without a look at each byte: it may be all of a datagram that is still worth little.
        let (pieces, rest) = self.0.as_chunks::<64>();
        let is_zero = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) == 0;
        pieces.iter().all(|piece| is_zero(piece)) && is_zero(rest)
    }
}

/// Integers of variable length are below this.
pub(crate) const VARINT_END: u64 = 1 << 62;

/// How many bytes an integer takes that is written at variable length.
pub(crate) fn varint_length(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends big-endian fields.
pub(crate) trait Write {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// An integer of variable length (RFC 9000, section 16); `value`: below [`VARINT_END`].
    fn put_varint(&mut self, value: u64) {
        debug_assert!(value < VARINT_END, "no integer of variable length is as large");
        let length = varint_length(value);
        let mut bytes = value.to_be_bytes();
        let kept = &mut bytes[8 - length..];
        kept[0] = kept[0] & 0x3f | (length.ilog2() as u8) << 6;
        self.put(kept);
    }
}

impl<const N: usize> Write for ArrayVec<u8, N> {
    fn put(&mut self, bytes: &[u8]) {
        self.try_extend_from_slice(bytes).expect("its capacity is the length of what is written");
    }
}

impl Write for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

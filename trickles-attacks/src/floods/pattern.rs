//! Output without an end that can be produced and compared at any offset, as fast as memory.

use std::sync::LazyLock;

/// A prime, so that no power of two divides it: a packet put in the wrong place does not look right.
const PERIOD: usize = 1_048_573;
/// Most bytes [`at`] is asked for at once.
pub(super) const LONGEST: usize = 1 << 16;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes: Vec<u8> = (0..PERIOD)
        .map(|_| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            (word >> 32) as u8
        })
        .collect();
    bytes.extend_from_within(..LONGEST);
    bytes
});

/// The `length` bytes from `offset` on, at most [`LONGEST`].
pub(super) fn at(offset: u64, length: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &BYTES[start..start + length.min(LONGEST)]
}

//! Choices that can be repeated.

/// Arbitrary choices: a function of a seed, or of bytes that a fuzzer searches through.
#[derive(Clone, Debug)]
pub struct Choices(Source);

#[derive(Clone, Debug)]
enum Source {
    Seed(u64),
    /// From the back: the next byte is the last one.
    Bytes(Vec<u8>),
}

impl Choices {
    /// Without an end.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// As few bytes as will do for each choice, and always the first alternative when there are no more.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Source::Bytes(bytes.iter().rev().copied().collect()))
    }

    /// Whether there are no bytes left to choose by.
    pub fn is_spent(&self) -> bool {
        matches!(&self.0, Source::Bytes(bytes) if bytes.is_empty())
    }

    pub fn word(&mut self) -> u64 {
        self.take(8)
    }

    /// Any number below `bound`, 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let bits = u64::BITS - bound.saturating_sub(1).leading_zeros();
        self.take(bits.div_ceil(8)) % bound.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// At most `most` bytes.
    pub fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.take(1) as u8).collect()
    }

    /// Near one of `values`, at an end of the numbers, or anywhere.
    pub fn near(&mut self, values: &[u64]) -> u64 {
        match self.below(8) {
            0 => self.word(),
            1 => u64::MAX - self.below(3),
            2 => self.below(3),
            3 => 1 << self.below(64),
            _ => {
                let value = *self.pick(values);
                value.wrapping_add(self.below(70)).wrapping_sub(self.below(70))
            }
        }
    }

    /// A number of so many bytes.
    fn take(&mut self, count: u32) -> u64 {
        match &mut self.0 {
            Source::Seed(seed) => {
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let word = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                word ^ (word >> 31)
            }
            Source::Bytes(bytes) => {
                (0..count).fold(0, |word, _| word << 8 | u64::from(bytes.pop().unwrap_or(0)))
            }
        }
    }
}

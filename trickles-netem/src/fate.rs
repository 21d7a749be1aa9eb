use std::{collections::BTreeSet, time::Duration};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// All chance that can befall one datagram, drawn whether it is needed or not.
pub(crate) struct Fate {
    pub(crate) loss: Draw,
    pub(crate) duplicate: Draw,
    pub(crate) copies: [CopyFate; 2],
}

/// The chance that is each copy's own.
pub(crate) struct CopyFate {
    pub(crate) jitter: Draw,
    pub(crate) reorder: Draw,
    pub(crate) corrupt: Draw,
    pub(crate) damage: Draw,
}

impl Fate {
    pub(crate) fn draw(rng: &mut ChaCha8Rng) -> Self {
        Fate {
            loss: Draw::new(rng),
            duplicate: Draw::new(rng),
            copies: [CopyFate::draw(rng), CopyFate::draw(rng)],
        }
    }
}

impl CopyFate {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        CopyFate {
            jitter: Draw::new(rng),
            reorder: Draw::new(rng),
            corrupt: Draw::new(rng),
            damage: Draw::new(rng),
        }
    }
}

/// One uniform random number.
pub(crate) struct Draw(u64);

impl Draw {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        Draw(rng.next_u64())
    }

    /// True with the given probability, and surely so or not at 1 and 0.
    pub(crate) fn happens(&self, probability: f64) -> bool {
        // The upper 53 bits are what an `f64` holds exactly.
        let unit = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// A whole number, uniform in `0..bound`.
    fn below(&self, bound: u128) -> u64 {
        ((u128::from(self.0) * bound) >> 64) as u64
    }

    /// A time in whole nanoseconds, uniform in `0..=longest`.
    pub(crate) fn up_to(&self, longest: Duration) -> Duration {
        let nanos = longest.as_nanos().min(u128::from(u64::MAX));
        Duration::from_nanos(self.below(nanos + 1))
    }

    /// Flips 1 to `most` distinct bits. The number of draws this takes varies, so they come from a generator of
    /// their own.
    pub(crate) fn damage(&self, payload: &mut [u8], most: u8) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.0);
        let bits = payload.len() * 8;
        let count = bits.min(1 + Draw::new(&mut rng).below(most.max(1).into()) as usize);
        let mut flipped = BTreeSet::new();
        while flipped.len() < count {
            let bit = Draw::new(&mut rng).below(bits as u128) as usize;
            if flipped.insert(bit) {
                payload[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

/// The payload's part in the UDP checksum (RFC 768): the one's-complement sum of its 16-bit words, the last
/// one padded with zeros. The headers add the same to the sum before and after corruption.
///
/// The sum is taken modulo 65535, of which the end-around carry of RFC 1071 is one way to compute. There 0
/// and 65535 are one number, as they are once a header is added, since the pseudo-header is never all zero.
pub(crate) fn checksum(payload: &[u8]) -> u16 {
    let words =
        payload.chunks(2).map(|word| u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
    (words.map(u64::from).sum::<u64>() % 65535) as u16
}

//! Proof of receipt (docs/protocol.md section 4).
//!
//! A packet that stands for the numbers `n .. n + span` carries `r(n) xor r(n + span)`, where `r` is a keyed
//! PRF of (epoch tag, number). The XOR over a run of packets telescopes, so any run is checked with two PRF
//! calls, whatever its length and however its packets were cut.

use std::ops::Range;

use ctutils::CtEq;
use siphasher::sip::SipHasher24;

/// Keyed 64-bit digest of some words.
pub(crate) fn prf<const N: usize>(key: &[u8; 16], words: &[u64; N]) -> u64 {
    // In one piece: a hasher that takes them one by one costs more than the digest.
    SipHasher24::new_with_key(key).hash(words.map(u64::to_le_bytes).as_flattened())
}

/// The nonce of the numbers in `run` under one epoch tag.
#[cfg(test)]
fn run(key: &[u8; 16], tag: u64, run: Range<u64>) -> u64 {
    prf(key, &[tag, run.start]) ^ prf(key, &[tag, run.end])
}

/// The nonces of an epoch.
pub(crate) struct Nonces<'k> {
    key: &'k [u8; 16],
    tag: u64,
    /// From which number on another tag holds, and which.
    exit: Option<(u64, u64)>,
    /// `r` of a number under a tag: packets in a row share it.
    known: Option<(u64, u64, u64)>,
}

impl<'k> Nonces<'k> {
    /// Those of the epoch with this tag; from the number in `exit` on the tag in it holds.
    pub(crate) fn new(key: &'k [u8; 16], tag: u64, exit: Option<(u64, u64)>) -> Self {
        Self { key, tag, exit, known: None }
    }

    /// The XOR of those of `numbers`.
    pub(crate) fn of(&mut self, numbers: Range<u64>) -> u64 {
        match self.exit {
            Some((first, tag)) if first < numbers.end => {
                let boundary = first.max(numbers.start);
                self.under(self.tag, numbers.start..boundary) ^ self.under(tag, boundary..numbers.end)
            }
            _ => self.under(self.tag, numbers),
        }
    }

    fn under(&mut self, tag: u64, numbers: Range<u64>) -> u64 {
        if numbers.is_empty() {
            return 0;
        }
        let start = match self.known {
            Some((known_tag, number, value)) if (known_tag, number) == (tag, numbers.start) => value,
            _ => prf(self.key, &[tag, numbers.start]),
        };
        let end = prf(self.key, &[tag, numbers.end]);
        self.known = Some((tag, numbers.end, end));
        start ^ end
    }
}

/// Whether a proof is the expected one. In constant time, although no machine compares eight bytes one by one.
pub(crate) fn proves(proof: u64, expected: u64) -> bool {
    proof.ct_eq(&expected).to_bool()
}

#[cfg(test)]
mod tests;

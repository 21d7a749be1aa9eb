//! Proof of receipt (docs/protocol.md section 4).
//!
//! A packet that stands for the numbers `n .. n + span` carries `r(n) xor r(n + span)`, where `r` is a keyed
//! PRF of (epoch tag, number). The XOR over a run of packets telescopes, so any run is checked with two PRF
//! calls, whatever its length and however its packets were cut.

use std::hash::Hasher;
use std::ops::Range;

use ctutils::CtEq;
use siphasher::sip::SipHasher24;

/// Keyed 64-bit digest of a list of words.
pub(crate) fn prf(key: &[u8; 16], words: &[u64]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    for word in words {
        hasher.write(&word.to_le_bytes());
    }
    hasher.finish()
}

/// The nonce of the numbers in `run` under one epoch tag.
pub(crate) fn run(key: &[u8; 16], tag: u64, run: Range<u64>) -> u64 {
    prf(key, &[tag, run.start]) ^ prf(key, &[tag, run.end])
}

/// Whether a proof is the expected one. In constant time, although no machine compares eight bytes one by one.
pub(crate) fn proves(proof: u64, expected: u64) -> bool {
    proof.ct_eq(&expected).to_bool()
}

#[cfg(test)]
mod tests;

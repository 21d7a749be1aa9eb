//! What somebody who has the keys can seal: a second implementation of docs/protocol.md sections 3 and 4, used
//! to reach the checks behind the tag. It shares no code with the servers'.

use std::hash::Hasher;
use std::net::IpAddr;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher24;
use trickles::continuation::{BODY_LENGTH, Continuation, SEALED_LENGTH, Sealed};
use trickles::epoch::Epoch;
use trickles::user_continuation::UserContinuation;
use trickles::wire::VERSION;

const TAG_LENGTH: usize = SEALED_LENGTH - BODY_LENGTH;

/// The keys derived from one key of a ring, for a service without a label.
#[derive(Clone)]
pub struct Forge {
    continuation: [u8; 32],
    user_continuation: [u8; 32],
    nonce: [u8; 16],
    tag: [u8; 16],
}

impl Forge {
    /// Section 3.6.
    pub fn new(secret: &[u8; 32]) -> Self {
        let derive = |label: &str| authenticate(secret, &[label.as_bytes()]);
        let half = |label: &str| {
            let mut key = [0; 16];
            key.copy_from_slice(&derive(label)[..16]);
            key
        };
        Self {
            continuation: derive("trickles continuation"),
            user_continuation: derive("trickles user continuation"),
            nonce: half("trickles nonce"),
            tag: half("trickles tag"),
        }
    }

    /// A continuation with these fields, for a client at `client`.
    pub fn seal(&self, fields: &Continuation, client: IpAddr) -> Sealed {
        self.seal_body(&encode(fields), client)
    }

    /// Whatever `body` says.
    pub fn seal_body(&self, body: &[u8; BODY_LENGTH], client: IpAddr) -> Sealed {
        let mut sealed = [0; SEALED_LENGTH];
        let tag = match client {
            IpAddr::V4(client) => authenticate(&self.continuation, &[&[VERSION, 0], &client.octets(), body]),
            IpAddr::V6(client) => authenticate(&self.continuation, &[&[VERSION, 0], &client.octets(), body]),
        };
        sealed[..BODY_LENGTH].copy_from_slice(body);
        sealed[BODY_LENGTH..].copy_from_slice(&tag[..TAG_LENGTH]);
        sealed
    }

    /// A user continuation with this body.
    pub fn seal_user(&self, body: &[u8]) -> Vec<u8> {
        let tag = authenticate(&self.user_continuation, &[&[VERSION, 0], body]);
        [body, &tag[..TAG_LENGTH]].concat()
    }

    /// The proof of receipt of these numbers of an epoch.
    pub fn proof(&self, epoch: &Epoch, tag: u64, numbers: Range<u64>) -> u64 {
        let exit_at =
            epoch.exit_number().unwrap_or(u64::MAX).clamp(numbers.start, numbers.end.max(numbers.start));
        let run = |tag: u64, from: u64, to: u64| match from < to {
            true => random(&self.nonce, &[tag, from]) ^ random(&self.nonce, &[tag, to]),
            false => 0,
        };
        let behind = epoch.exit.map_or(tag, |exit| {
            random(&self.tag, &[tag, u64::from(exit.position) << 32 | u64::from(exit.rtt)])
        });
        run(tag, numbers.start, exit_at) ^ run(behind, exit_at, numbers.end)
    }
}

fn authenticate(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn random(key: &[u8; 16], words: &[u64]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    words.iter().for_each(|word| hasher.write(&word.to_le_bytes()));
    hasher.finish()
}

/// Section 3.1.
fn encode(fields: &Continuation) -> [u8; BODY_LENGTH] {
    let Epoch { curve, base, growth, flight, exit } = fields.epoch;
    let exit = exit.map_or([0; 2], |exit| [exit.position, exit.rtt]);
    let since_rooted = match fields.rooted.as_micros() {
        0 => u32::MAX,
        _ => u32::try_from(fields.issued.since(fields.rooted).as_micros()).unwrap_or(u32::MAX),
    };
    let parts: [&[u8]; 15] = [
        &fields.key.to_be_bytes(),
        &fields.birth_key.to_be_bytes(),
        &fields.issuer.to_be_bytes(),
        &words(&[fields.stream, fields.flow, fields.tag]),
        &[curve as u8],
        &base.to_be_bytes(),
        &halves(&[growth.window0, growth.ssthresh, growth.w_max, growth.k, growth.rtt, flight]),
        &halves(&exit),
        &fields.first.wrapping_sub(base).to_be_bytes()[2..],
        &[fields.count],
        &fields.earned.wrapping_sub(base).to_be_bytes()[2..],
        &fields.issued.as_micros().to_be_bytes(),
        &since_rooted.to_be_bytes(),
        &fields.port.to_be_bytes(),
        &fields.bytes.to_be_bytes(),
    ];
    let mut body = [0; BODY_LENGTH];
    body.copy_from_slice(&parts.concat());
    body
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn halves(halves: &[u32]) -> Vec<u8> {
    halves.iter().flat_map(|half| half.to_be_bytes()).collect()
}

/// The body of a user continuation, section 3.3.
pub fn encode_user(fields: &UserContinuation<'_>) -> Vec<u8> {
    let flags =
        u8::from(fields.finished) | u8::from(fields.input_closed) << 1 | u8::from(fields.any_order) << 2;
    let (output, input) = (&fields.output, &fields.input);
    [
        &fields.key.to_be_bytes()[..],
        &words(&[fields.stream, output.start, output.end, input.start, input.end]),
        &[flags],
        &fields.expires.as_micros().to_be_bytes(),
        &fields.lineage.echo.to_be_bytes(),
        &fields.lineage.processing.to_be_bytes(),
        &fields.state,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use trickles::epoch::CurveId;

    use super::*;
    use crate::lab::{Lab, Liar, SECRET};

    #[test]
    fn seals_and_proves_what_servers_do() {
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
        let forge = Forge::new(&SECRET.1);
        for _ in 0..3 {
            lab.wait(std::time::Duration::from_millis(10));
            let flight = std::mem::take(&mut liar.trains);
            for train in &flight {
                assert_eq!(forge.seal(&train.fields, liar.address.ip()), train.sealed);
                let epoch = train.fields.epoch;
                let proof = liar.proof(&epoch, train.fields.tag, train.fields.end());
                assert_eq!(
                    proof,
                    Some(forge.proof(&epoch, train.fields.tag, epoch.base..train.fields.end()))
                );
            }
            liar.claim_all(&mut lab, &flight);
        }
        let user = UserContinuation::peek(&liar.user).unwrap();
        assert_eq!(forge.seal_user(&encode_user(&user)), liar.user);
    }
}

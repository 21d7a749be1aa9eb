//! What a holder of the keys can make, written down from docs/protocol.md alone.

use std::net::Ipv4Addr;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher24;
use trickles::continuation::{BODY_LENGTH, Continuation, SEALED_LENGTH, Sealed};
use trickles::epoch::SlowStartExit;
use trickles::time::Timestamp;

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// One ring key (docs/protocol.md section 3.6), of the service without a label.
pub(crate) struct Authority {
    key: [u8; 32],
}

impl Authority {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn derived(&self, purpose: &str) -> [u8; 32] {
        mac(&self.key, &[purpose.as_bytes()])
    }

    fn prf(&self, purpose: &str, words: &[u64]) -> u64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        SipHasher24::new_with_key(self.derived(purpose)[..16].try_into().unwrap()).hash(&bytes)
    }

    /// Section 4: the XOR of the nonces of a run.
    pub(crate) fn proof(&self, continuation: &Continuation, run: Range<u64>) -> u64 {
        let Continuation { epoch, tag, .. } = *continuation;
        let exit_tag = epoch.exit.map(|SlowStartExit { position, rtt }| {
            self.prf("trickles tag", &[tag, u64::from(position) << 32 | u64::from(rtt)])
        });
        let boundary = epoch.exit_number().unwrap_or(u64::MAX).clamp(run.start, run.end);
        let of = |tag, run: Range<u64>| {
            let at = |number| self.prf("trickles nonce", &[tag, number]);
            at(run.start) ^ at(run.end)
        };
        of(tag, run.start..boundary) ^ of(exit_tag.unwrap_or(tag), boundary..run.end)
    }

    /// Section 3.1.
    pub(crate) fn seal(&self, fields: &Continuation, client: Ipv4Addr) -> Sealed {
        let epoch = fields.epoch;
        let exit = epoch.exit.unwrap_or(SlowStartExit { position: 0, rtt: 0 });
        let rooted = fields.issued.since(fields.rooted).as_micros().min(u32::MAX.into()) as u32;
        let growth = epoch.growth;
        let body = [
            &fields.key.to_be_bytes()[..],
            &fields.birth_key.to_be_bytes(),
            &fields.issuer.to_be_bytes(),
            &fields.stream.to_be_bytes(),
            &fields.flow.to_be_bytes(),
            &fields.tag.to_be_bytes(),
            &[u8::from(epoch.curve)],
            &epoch.base.to_be_bytes(),
            &growth.window0.to_be_bytes(),
            &growth.ssthresh.to_be_bytes(),
            &growth.w_max.to_be_bytes(),
            &growth.k.to_be_bytes(),
            &growth.rtt.to_be_bytes(),
            &epoch.flight.to_be_bytes(),
            &exit.position.to_be_bytes(),
            &exit.rtt.to_be_bytes(),
            &(fields.first - epoch.base).to_be_bytes()[2..],
            &[fields.count],
            &fields.earned.wrapping_sub(epoch.base).to_be_bytes()[2..],
            &fields.issued.as_micros().to_be_bytes(),
            &rooted.to_be_bytes(),
            &fields.port.to_be_bytes(),
            &fields.bytes.to_be_bytes(),
        ]
        .concat();
        let key = self.derived("trickles continuation");
        let tag = mac(&key, &[&[1, 0], &client.octets(), &body]);
        let mut sealed = [0; SEALED_LENGTH];
        sealed[..BODY_LENGTH].copy_from_slice(&body);
        sealed[BODY_LENGTH..].copy_from_slice(&tag[..16]);
        sealed
    }

    /// Section 3.3: all input consumed, and `output` from `state`, which is all there is.
    pub(crate) fn seal_user(&self, stream: u64, output: Range<u64>, input: u64, state: &[u8]) -> Vec<u8> {
        let body = [
            &1u16.to_be_bytes()[..],
            &stream.to_be_bytes(),
            &output.start.to_be_bytes(),
            &output.end.to_be_bytes(),
            &input.to_be_bytes(),
            &u64::MAX.to_be_bytes(),
            &[1 | 2],
            &Timestamp::NEVER.as_micros().to_be_bytes(),
            &[0; 12],
            state,
        ]
        .concat();
        let tag = mac(&self.derived("trickles user continuation"), &[&[1, 0], &body]);
        [&body[..], &tag[..16]].concat()
    }
}

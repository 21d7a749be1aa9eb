use hmac::EagerHash;
use hmac::digest::block_api::{BlockSizeUser, Eager};
use hmac::digest::block_buffer::BlockBuffer;
use proptest::prelude::*;
use zeroize::ZeroizeOnDrop;

use super::*;

fn line(id: &str, digit: &str) -> String {
    format!("{id} {}", digit.repeat(64))
}

#[test]
fn text_names_the_line_at_fault() {
    let good = line("1", "a");
    let wrong_line = |text: &str| KeyRing::parse(text).err();
    for bad in [
        "1".to_owned(),
        line("65536", "a"),
        line("-1", "a"),
        line("", "a"),
        line("x", "a"),
        line("1 2", "a"),
        line("1", "g"),
        line("1", "é"),
        line("1", "ab"),
        format!("1 {}", "a".repeat(63)),
        format!("1 {}", "a".repeat(65)),
        format!("{good} # trailing"),
    ] {
        let text = format!("# two keys\n\n{good}\n{bad}\n");
        assert_eq!(wrong_line(&text), Some(KeyRingError::Malformed(4)), "{bad}");
    }
    assert_eq!(wrong_line(""), Some(KeyRingError::Empty));
    assert_eq!(wrong_line("# none\n  \n"), Some(KeyRingError::Empty));
    assert_eq!(wrong_line(&format!("{good}\n{}", line("1", "b"))), Some(KeyRingError::Duplicate(1)));
    assert_eq!(KeyRing::new(&[]).err(), Some(KeyRingError::Empty));
    assert_eq!(KeyRing::new(&[(3, [0; 32]), (3, [1; 32])]).err(), Some(KeyRingError::Duplicate(3)));
}

#[test]
fn text_may_be_spaced_and_commented() {
    let text = format!("# newest\r\n  65535\t{}  \r\n\r\n\t# old\n0   {}", "0F".repeat(32), "f0".repeat(32));
    let ring = KeyRing::parse(&text).unwrap();
    assert_eq!(ring.signing_id(), 65535);
    let same = KeyRing::new(&[(65535, [0x0f; 32]), (0, [0xf0; 32])]).unwrap();
    for id in [65535, 0] {
        let (ours, theirs) = (ring.get(id).unwrap(), same.get(id).unwrap());
        assert_eq!((&ours.nonce, &ours.tag), (&theirs.nonce, &theirs.tag));
    }
    assert!(ring.get(1).is_none());
}

/// Asserts that `text` shows no part of `secret`, in hexadecimal or as numbers.
#[track_caller]
fn assert_hides(text: &str, secret: &[u8]) {
    let text: String = text.to_lowercase().split_whitespace().collect();
    for part in secret.windows(3) {
        let [first, second, third] = part else { unreachable!("windows of three") };
        for shown in [
            format!("{first},{second},{third}"),
            format!("{first:02x}{second:02x}{third:02x}"),
            format!("{first:x},{second:x},{third:x}"),
            format!("{first:#x},{second:#x},{third:#x}"),
        ] {
            assert!(!text.contains(&shown), "{shown} in {text}");
        }
    }
}

#[test]
fn debug_output_holds_no_secrets() {
    let secret = std::array::from_fn(|index| 0xa1 + index as u8);
    let ring = KeyRing::new(&[(513, secret), (7, [0xcd; 32])]).unwrap();
    let text = format!("{:?} {:?}", secret, 1);
    assert!(std::panic::catch_unwind(|| assert_hides(&text, &secret)).is_err(), "what is shown is found");
    let Keys { nonce, tag, .. } = ring.signing().clone();
    let seal = Seal { ring, service: b"x"[..].into() };
    assert_eq!(format!("{:?}", seal.ring), "[513, 7]");
    assert_eq!(format!("{seal:?}"), "Seal { ring: [513, 7], service: [120] }");
    for text in [format!("{seal:?}"), format!("{seal:#?}"), format!("{seal:x?}"), format!("{seal:#X?}")] {
        for secret in [&secret[..], &nonce[..], &tag[..]] {
            assert_hides(&text, secret);
        }
    }
}

/// Types tell: what is wiped when dropped implements `ZeroizeOnDrop`, of an HMAC its parts do. A new field has to
/// be named here.
#[test]
fn keys_are_wiped_when_dropped() {
    fn wiped<T: ZeroizeOnDrop>(_: &T) {}
    fn wiped_in_its_parts<D>(_: &Hmac<D>)
    where
        D: EagerHash<Core: ZeroizeOnDrop>,
        BlockBuffer<<D::Core as BlockSizeUser>::BlockSize, Eager>: ZeroizeOnDrop,
    {
    }
    let KeyRing { keys } = KeyRing::new(&[(1, [7; 32])]).unwrap();
    let Keys { id: _, continuation, user_continuation, nonce, tag } = &keys[0];
    wiped_in_its_parts(continuation);
    wiped_in_its_parts(user_continuation);
    wiped(nonce);
    wiped(tag);
    wiped(&expand(&[7; 32], b""));
}

/// A line is turned into keys where it is read, and nothing moves then.
#[test]
fn no_line_of_a_ring_outgrows_its_place() {
    let text: String = (0..100).map(|id| format!("# {id}\n{id} {}\n", "5a".repeat(32))).collect();
    let KeyRing { keys } = KeyRing::parse(&text).unwrap();
    assert_eq!((keys.len(), keys.capacity()), (100, text.lines().count()));
}

#[test]
fn no_derived_key_serves_two_purposes() {
    let labels: [&[u8]; 4] =
        [b"trickles continuation", b"trickles user continuation", b"trickles nonce", b"trickles tag"];
    let keys: Vec<_> = labels.iter().map(|label| *expand(&[7; 32], label)).collect();
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key) && *key != [7; 32]);
    }
    let ring = KeyRing::new(&[(1, [7; 32])]).unwrap();
    // As another implementation of HMAC-SHA-256 computes them.
    assert_eq!(*ring.signing().nonce, 0x7ed4_2245_dcd5_2b4a_8f34_0de6_49e3_d4f4_u128.to_be_bytes());
    assert_eq!(*ring.signing().tag, 0x3e25_875f_543f_1e5b_beac_a175_77a1_f9ae_u128.to_be_bytes());
}

proptest! {
    #[test]
    fn reading_text_is_total(text in "(#?[0-9a-f ]{0,70}\n?){0,4}|\\PC{0,80}") {
        if let Ok(ring) = KeyRing::parse(&text) {
            prop_assert!(ring.get(ring.signing_id()).is_some());
        }
    }

    #[test]
    fn a_tag_is_good_for_one_purpose_client_and_body(
        body in prop::collection::vec(any::<u8>(), 0..200),
        client: Option<[u8; 4]>,
        other: Option<[u8; 4]>,
        flip: prop::sample::Index,
    ) {
        let ring = KeyRing::new(&[(1, [7; 32]), (2, [8; 32])]).unwrap();
        let seal = Seal { ring, service: b"files"[..].into() };
        let [first, second] = [1, 2].map(|id| seal.ring.get(id).unwrap());
        let (client, other) = (client.map(IpAddr::from), other.map(IpAddr::from));
        let purposes = [Purpose::Continuation, Purpose::UserContinuation];
        let tag = seal.tag(first, purposes[0], client, &body);
        prop_assert!(seal.verify(first, purposes[0], client, &body, &tag));
        prop_assert!(!seal.verify(second, purposes[0], client, &body, &tag));
        prop_assert!(!seal.verify(first, purposes[1], client, &body, &tag));
        prop_assert_eq!(seal.verify(first, purposes[0], other, &body, &tag), client == other);
        let mut forged = tag;
        let bit = flip.index(8 * TAG_LENGTH);
        forged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!seal.verify(first, purposes[0], client, &body, &forged));
    }
}

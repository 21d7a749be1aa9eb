use proptest::prelude::*;

use super::*;
use crate::key_ring::KeyRing;

fn seal(service: &[u8], id: u16, secret: u8) -> Seal {
    Seal { ring: KeyRing::new(&[(id, [secret; 32])]).unwrap(), service: service.into() }
}

fn sealed(seal: &Seal, user: &UserContinuation<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    user.seal(seal, &mut out);
    out
}

fn some_user_continuation(state: &[u8]) -> UserContinuation<'_> {
    UserContinuation {
        key: 1,
        stream: 4,
        output: 10..20,
        finished: true,
        input: 5..u64::MAX,
        input_closed: true,
        expires: Timestamp::from_micros(1 << 50),
        lineage: Lineage { echo: 3, processing: 9 },
        any_order: false,
        state: state.into(),
    }
}

proptest! {
    #[test]
    fn is_read_as_it_was_written(
        (key, stream, flags, expires, echo, processing) in any::<(u16, u64, [bool; 3], u64, u64, u32)>(),
        (output, input) in any::<([u64; 2], [u64; 2])>(),
        state in prop::collection::vec(any::<u8>(), 0..=MAX_STATE),
        before in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let range = |mut ends: [u64; 2]| {
            ends.sort_unstable();
            ends[0]..ends[1]
        };
        let user = UserContinuation {
            key,
            stream,
            output: range(output),
            finished: flags[0],
            input: range(input),
            input_closed: flags[1],
            any_order: flags[2],
            expires: Timestamp::from_micros(expires),
            lineage: Lineage { echo, processing },
            state: state.as_slice().into(),
        };
        let seal = seal(b"files", key, 7);
        // What stands before it in the buffer is not part of it.
        let mut out = before.clone();
        user.seal(&seal, &mut out);
        let sealed = &out[before.len()..];
        prop_assert_eq!(sealed.len(), OVERHEAD + state.len());
        prop_assert_eq!(UserContinuation::open(&seal, sealed), Some(user.clone()));
        prop_assert_eq!(UserContinuation::peek(sealed), Some(user));
    }

    #[test]
    fn reading_is_total(bytes in prop::collection::vec(any::<u8>(), 0..2 * OVERHEAD)) {
        UserContinuation::peek(&bytes);
        prop_assert_eq!(UserContinuation::open(&seal(b"files", 1, 7), &bytes), None);
    }
}

#[test]
fn no_bit_can_be_changed_and_none_cut_off() {
    let ours = seal(b"files", 1, 7);
    let good = sealed(&ours, &some_user_continuation(b"state"));
    assert!(UserContinuation::open(&ours, &good).is_some());
    for bit in 0..8 * good.len() {
        let mut forged = good.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(UserContinuation::open(&ours, &forged), None, "bit {bit}");
    }
    for length in 0..good.len() {
        assert_eq!(UserContinuation::open(&ours, &good[..length]), None, "{length} bytes");
    }
    for (service, id, secret) in [(&b"file"[..], 1, 7), (b"", 1, 7), (b"files", 2, 7), (b"files", 1, 8)] {
        assert_eq!(UserContinuation::open(&seal(service, id, secret), &good), None);
    }
}

#[test]
fn authentic_fields_have_bounds_too() {
    let ours = seal(b"files", 1, 7);
    let long = [0; MAX_STATE + 1];
    #[expect(clippy::reversed_empty_ranges, reason = "what must be refused")]
    let reversed = 2..1;
    for user in [
        some_user_continuation(&long),
        UserContinuation { output: reversed.clone(), ..some_user_continuation(&[]) },
        UserContinuation { input: reversed, ..some_user_continuation(&[]) },
    ] {
        assert_eq!(UserContinuation::open(&ours, &sealed(&ours, &user)), None, "{user:?}");
    }
    let mut flagged = sealed(&ours, &some_user_continuation(&[]));
    flagged[OVERHEAD - TAG_LENGTH - 21] |= 8;
    assert_eq!(UserContinuation::peek(&flagged), None);
}

/// The layout, and the tag as another implementation of HMAC-SHA-256 computes it.
#[test]
fn layout_and_tag_are_fixed() {
    let bytes = sealed(&seal(b"files", 1, 7), &some_user_continuation(b"state"));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        ("key", "0001"),
        ("stream", "0000000000000004"),
        ("output", "000000000000000a0000000000000014"),
        ("input", "0000000000000005ffffffffffffffff"),
        ("flags", "03"),
        ("expires", "0004000000000000"),
        ("lineage", "000000000000000300000009"),
        ("state", "7374617465"),
        ("tag", "69168d9f233b8d26a591fee32e34dbb0"),
    ];
    assert_eq!(hex, expected.map(|(_, field)| field).concat());
}

use std::ops::Range;

use proptest::prelude::*;

use super::abbreviated::tests::abbreviated;
use super::response::{FRAME_ABBREVIATED, FRAME_CONTINUATION, FRAME_PADDING, FRAME_USER_CONTINUATION};
use super::*;
use crate::continuation::{Abbreviated, SEALED_LENGTH, Sealed};
use crate::epoch::{CurveId, SlowStartExit};
use crate::user_continuation::MAX_LENGTH;

/// What is drawn lives on, so that the drawn datagrams can borrow from it.
fn bytes(least: usize, most: usize) -> impl Strategy<Value = &'static [u8]> {
    prop::collection::vec(any::<u8>(), least..=most).prop_map(|bytes| &*bytes.leak())
}

fn sealed() -> impl Strategy<Value = &'static Sealed> {
    any::<Sealed>().prop_map(|sealed| &*Box::leak(Box::new(sealed)))
}

fn emit(request: &Request<'_>, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    request.emit(length, &mut out);
    out
}

fn kinds() -> impl Strategy<Value = ClaimKind> {
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(proven, proof)| ClaimKind::Continue { proven, proof }),
        any::<(u64, u32, u32, u64)>().prop_map(|(lost, carried, rtt, proof)| ClaimKind::Recover {
            lost,
            carried,
            rtt,
            proof
        }),
        any::<(u8, u32)>().prop_map(|(attempt, rtt)| ClaimKind::Restart { attempt, rtt }),
        any::<u32>().prop_map(|rtt| ClaimKind::Resume { rtt }),
    ]
}

/// As much of what is drawn as one claim holds.
fn runs() -> impl Strategy<Value = Runs> {
    let want = (0..u64::MAX - u64::from(u32::MAX), prop_oneof![1..5000u32, 1..=u32::MAX])
        .prop_map(|(start, length)| start..start + u64::from(length));
    let run = (prop_oneof![0..100u64, 0..1u64 << 60], 1..=80u8, prop::collection::vec(want, 0..4));
    prop::collection::vec(run, 0..10).prop_map(|drawn| {
        let mut runs = Runs::default();
        let mut first = 0;
        for (gap, count, wants) in drawn {
            first += gap;
            runs.push(Run { first, count }, &wants);
            first += u64::from(count);
        }
        runs
    })
}

fn inputs() -> impl Strategy<Value = Input<'static>> {
    let fields = (0..u64::MAX - 2000, bytes(0, 1000), any::<bool>());
    fields.prop_map(|(offset, bytes, fin)| Input { offset, bytes, fin })
}

fn hellos() -> impl Strategy<Value = Request<'static>> {
    let curve = prop_oneof![Just(CurveId::Cubic), Just(CurveId::Reno)];
    let fields = (any::<(u64, u64)>(), curve, MIN_PACKET_SIZE..=MAX_PACKET_SIZE);
    (fields, bytes(0, 255), inputs()).prop_map(|(((echo, stream_id), curve, packet_size), service, input)| {
        let input = Input { offset: 0, ..input };
        Request::Hello(Hello { echo, curve, packet_size, stream_id, service, input })
    })
}

fn claims() -> impl Strategy<Value = Request<'static>> {
    let exit = any::<Option<(u32, u32)>>()
        .prop_map(|exit| exit.map(|(position, rtt)| SlowStartExit { position, rtt }));
    let fields = (any::<u64>(), sealed(), kinds(), exit, MIN_PACKET_SIZE..=MAX_PACKET_SIZE);
    let input = prop::option::of((inputs(), any::<bool>()));
    (fields, runs(), bytes(0, MAX_LENGTH), input).prop_map(
        |((echo, continuation, kind, exit, packet_size), runs, user_continuation, input)| {
            Request::Claim(Claim {
                echo,
                continuation,
                kind,
                exit,
                packet_size,
                runs,
                user_continuation,
                input: input.map(|(input, _)| input),
                presumed: input.is_some_and(|(_, presumed)| presumed),
            })
        },
    )
}

fn requests() -> impl Strategy<Value = Request<'static>> {
    let reset = (any::<(u64, u32)>(), sealed()).prop_map(|((echo, code), continuation)| Request::Reset {
        echo,
        continuation,
        code,
    });
    prop_oneof![1 => hellos(), 4 => claims(), 1 => reset]
}

fn frames() -> impl Strategy<Value = Vec<Frame<'static>>> {
    let frame = prop_oneof![
        sealed().prop_map(Frame::Continuation),
        bytes(0, MAX_LENGTH).prop_map(Frame::UserContinuation),
        (any::<bool>(), any::<Abbreviated>())
            .prop_map(|(exit, fields)| { Frame::Abbreviated { fields: Box::leak(Box::new(fields)), exit } }),
        (0..1u64 << OFFSET_BITS, bytes(1, 1200)).prop_map(|(offset, bytes)| Frame::Data { offset, bytes }),
        any::<u32>().prop_map(Frame::Hold),
        (0..u64::MAX - 70_000, any::<u16>()).prop_map(|(offset, length)| Frame::Stored { offset, length }),
    ];
    prop::collection::vec(frame, 0..5)
}

fn notices() -> impl Strategy<Value = Notice> {
    prop_oneof![
        Just(Notice::Spent),
        any::<u32>().prop_map(Notice::Pending),
        any::<u16>().prop_map(Notice::UnknownKey),
        Just(Notice::NoService),
        any::<u8>().prop_map(Notice::Version),
        any::<u32>().prop_map(Notice::Reset),
        Just(Notice::Expired),
        Just(Notice::Forgotten),
    ]
}

fn emitted(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let start = out.len();
        frame.emit(&mut out);
        assert_eq!(out.len() - start, frame.length());
    }
    out
}

/// Whatever is accepted has one encoding only.
fn assert_canonical(datagram: &[u8]) {
    let mut out = Vec::new();
    if let Some(request) = Request::parse(datagram) {
        request.emit(datagram.len(), &mut out);
        assert_eq!(out, datagram);
    }
    out.clear();
    if let Some(response) = Response::parse(datagram) {
        response.emit(&mut out);
        assert_eq!(out, datagram);
    }
}

proptest! {
    #[test]
    fn requests_are_read_as_they_were_written(request in requests(), padding in 0..2500usize) {
        let bare = emit(&request, 0);
        let datagram = emit(&request, padding);
        prop_assert_eq!(datagram.len(), bare.len().max(padding));
        prop_assert_eq!(Request::parse(&datagram), Some(request.clone()));
        let bare_length = match &request {
            Request::Hello(hello) => HELLO_OVERHEAD + hello.service.len() + hello.input.bytes.len(),
            Request::Claim(claim) => claim.length() + claim.input.map_or(0, |input| 10 + input.bytes.len()),
            Request::Reset { .. } => HEADER + SEALED_LENGTH + 4,
            Request::Abbreviated(_) => panic!("they have tests of their own"),
        };
        prop_assert_eq!(bare.len(), bare_length);
        // Nothing but zeros may follow, and nothing may be missing.
        let mut trailed = bare.clone();
        trailed.extend([0, 1]);
        prop_assert_eq!(Request::parse(&trailed), None);
        for length in 0..bare.len() {
            prop_assert_eq!(Request::parse(&bare[..length]), None);
        }
    }

    #[test]
    fn responses_are_read_as_they_were_written(
        (echo, refresh, nonce) in any::<(u64, bool, u64)>(),
        number: u32,
        (span, left) in prop_oneof![(Just(1), 0..MAX_TRAIN as u8), (2..=MAX_SPAN, Just(0))],
        frames in frames(),
        padding in 0..100usize,
        notice in notices(),
    ) {
        let bytes = emitted(&frames);
        let parsed = Frames::parse(&bytes).unwrap();
        let train = Train { echo, refresh, number, span, left, nonce, frames: parsed };
        let mut datagram = Vec::new();
        Response::Train(train).emit(&mut datagram);
        prop_assert_eq!(datagram.len(), TRAIN_HEADER + bytes.len());
        prop_assert_eq!(Response::parse(&datagram), Some(Response::Train(train)));
        datagram.resize(datagram.len() + padding, 0);
        let Some(Response::Train(padded)) = Response::parse(&datagram) else { panic!("padding is refused") };
        prop_assert!(padded.frames.iter().eq(frames));
        prop_assert_eq!(padded.header(), train.header());

        datagram.clear();
        let response = Response::Notice { echo, notice };
        response.emit(&mut datagram);
        prop_assert_eq!(datagram.len(), HEADER + 5);
        prop_assert_eq!(Response::parse(&datagram), Some(response));
        datagram.push(0);
        prop_assert_eq!(Response::parse(&datagram), None);
    }

    #[test]
    fn reading_is_total(
        mut datagram in prop::collection::vec(prop_oneof![Just(0u8), 0..20u8, any::<u8>()], 0..400),
        kind in prop_oneof![0..10u8, 15..20u8],
    ) {
        assert_canonical(&datagram);
        if let [version, type_, ..] = &mut datagram[..] {
            (*version, *type_) = (VERSION, kind);
        }
        assert_canonical(&datagram);
    }

    #[test]
    fn damage_is_refused_or_read_as_something_else(
        request in prop_oneof![4 => requests(), 1 => abbreviated().prop_map(Request::Abbreviated)],
        frames in frames(),
        flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut response = vec![0; TRAIN_HEADER];
        (response[0], response[1]) = (VERSION, 16);
        response.extend(emitted(&frames));
        for mut datagram in [emit(&request, 0), response] {
            assert_canonical(&datagram[..cut.index(datagram.len())]);
            for (at, bits) in &flips {
                let at = at.index(datagram.len());
                datagram[at] ^= bits;
                assert_canonical(&datagram);
            }
        }
    }

    /// The oracle lays out byte after byte.
    #[test]
    fn layout_agrees_with_a_naive_one(
        drawn in prop::collection::vec((0..1000u64, 0..60u64), 0..6),
        rooms in prop::collection::vec(0..80usize, 1..20),
    ) {
        let wants: Vec<Range<u64>> = drawn.iter().map(|&(start, length)| start..start + length).collect();
        let wanted = |(want, range): (usize, &Range<u64>)| range.clone().map(move |byte| (want, byte));
        let mut bytes = wants.iter().enumerate().flat_map(wanted);
        let mut next = bytes.next();
        let mut cursor = Cursor::new(&wants);
        for room in rooms {
            let mut pieces: Vec<Range<u64>> = Vec::new();
            let mut left = room;
            while left > DATA_OVERHEAD
                && let Some((want, start)) = next
            {
                left -= DATA_OVERHEAD;
                let mut end = start;
                while left > 0 && next == Some((want, end)) {
                    (left, end) = (left - 1, end + 1);
                    next = bytes.next();
                }
                pieces.push(start..end);
            }
            let mut laid_out = Vec::new();
            prop_assert_eq!(cursor.fill(room, |piece| laid_out.push(piece)), left);
            prop_assert_eq!(laid_out, pieces);
            prop_assert_eq!(cursor.is_empty(), next.is_none());
        }
    }

    #[test]
    fn many_packets_are_laid_out_as_one_by_one(
        drawn in prop::collection::vec((0..1000u64, 0..600u64), 0..6),
        steps in prop::collection::vec((0..10u64, 0..80usize), 1..10),
    ) {
        let wants: Vec<Range<u64>> = drawn.iter().map(|&(start, length)| start..start + length).collect();
        let (mut many, mut single) = (Cursor::new(&wants), Cursor::new(&wants));
        for (count, room) in steps {
            let (mut expected, mut laid_out) = (Vec::new(), Vec::new());
            (0..count).for_each(|_| _ = single.fill(room, |piece| expected.extend(piece)));
            many.fill_many(count, room, |piece| laid_out.extend(piece));
            prop_assert_eq!(laid_out, expected);
        }
    }
}

/// Numbers and offsets travel without their highest bits.
#[test]
fn what_is_cut_off_is_restored_near_what_is_expected() {
    for (value, expected) in [
        (0, 0),
        (3, (1 << 31) - 1),
        (1 << 32, (1 << 31) + 1),
        ((7 << 32) - 1, 7 << 32),
        ((7 << 32) + 5, (7 << 32) - 5),
        ((7 << 32) - (1 << 31), (7 << 32) - 1),
        ((7 << 32) + (1 << 31), (7 << 32) + 1),
        (u64::MAX, u64::MAX - (1 << 31)),
        (u64::MAX - 9, u64::MAX),
    ] {
        assert_eq!(nearest(u64::from(value as u32), NUMBER_BITS, expected), value, "near {expected}");
    }
    // There is nothing below zero, and nothing above the largest number.
    assert_eq!(nearest(u64::from(u32::MAX), NUMBER_BITS, 1), u64::from(u32::MAX));
    assert_eq!(nearest(1, NUMBER_BITS, u64::MAX), u64::MAX - u64::from(u32::MAX) + 1);
    let train = |number, span, left| Train {
        echo: 0,
        refresh: false,
        number,
        span,
        left,
        nonce: 0,
        frames: Frames::default(),
    };
    assert_eq!(train(u32::MAX - 4, 2, 2).numbers(u64::MAX), Some(u64::MAX - 4..u64::MAX - 2));
    assert_eq!(train(u32::MAX - 4, 2, 3).numbers(u64::MAX), None);
    assert_eq!(train(u32::MAX - 4, 2, 3).numbers(5 << 32), Some((5 << 32) - 5..(5 << 32) - 3));
}

fn hello() -> Request<'static> {
    let input = Input { offset: 0, bytes: b"input", fin: true };
    let (curve, service) = (CurveId::Cubic, b"files");
    Request::Hello(Hello { echo: 7, curve, packet_size: 1200, stream_id: 3, service, input })
}

fn claim(user_continuation: &[u8]) -> Request<'_> {
    let mut runs = Runs::default();
    assert!(runs.push(Run { first: 100, count: 4 }, &[10..20, 30..40]));
    assert!(runs.push(Run { first: 110, count: 2 }, std::slice::from_ref(&(50..60))));
    Request::Claim(Claim {
        echo: 7,
        continuation: &[9; SEALED_LENGTH],
        kind: ClaimKind::Continue { proven: 90, proof: 1 },
        exit: None,
        packet_size: 1200,
        runs,
        user_continuation,
        input: Some(Input { offset: 8, bytes: b"input", fin: true }),
        presumed: false,
    })
}

/// One field at a time leaves its bounds.
#[test]
fn fields_out_of_bounds_are_refused() {
    let in_hello: &[(usize, &[u8])] = &[
        (0, &[0]),
        (0, &[2]),
        (1, &[0]),
        (1, &[7]),
        (1, &[16]),
        (10, &[0]),
        (10, &[3]),
        (11, &999u16.to_be_bytes()),
        (11, &9001u16.to_be_bytes()),
        (21, &[255]),
        (27, &[1]),
        (27, &[4]),
        (28, &6u16.to_be_bytes()),
    ];
    let in_claim: &[(usize, &[u8])] = &[
        (146, &999u16.to_be_bytes()),
        (146, &9001u16.to_be_bytes()),
        // Unknown flag; the end of the input without input.
        (148, &[8]),
        (148, &[2]),
        // More runs than follow, positions beyond the last number, empty run, empty want, runs out of order.
        (149, &[3]),
        (150, &u64::MAX.to_be_bytes()),
        (158, &[0]),
        (158, &[11]),
        (192, &[189]),
        (159, &[17]),
        (168, &0u32.to_be_bytes()),
        (160, &(u64::MAX - 5).to_be_bytes()),
        (184, &103u64.to_be_bytes()),
        (248, &(u64::MAX - 4).to_be_bytes()),
        (256, &6u16.to_be_bytes()),
    ];
    for (request, patches) in [(hello(), in_hello), (claim(&[5; 40]), in_claim)] {
        let datagram = emit(&request, 0);
        assert!(Request::parse(&datagram).is_some());
        for (at, patch) in patches {
            let mut patched = datagram.clone();
            patched[*at..at + patch.len()].copy_from_slice(patch);
            assert_eq!(Request::parse(&patched), None, "{patch:?} at {at}");
        }
    }
    assert!(Request::parse(&emit(&claim(&[5; MAX_LENGTH]), 0)).is_some());
    assert_eq!(Request::parse(&emit(&claim(&[5; MAX_LENGTH + 1]), 0)), None);
}

#[test]
fn malformed_responses_are_refused() {
    let response = |kind: u8, body: &[u8]| [&[VERSION, kind, 0, 0, 0, 0, 0, 0, 0, 1][..], body].concat();
    let train = |frames: &[u8]| response(16, &[&[0; 13], frames].concat());
    let data = |length: u16, bytes: &[u8]| [&data_header(7, length)[..], bytes].concat();
    let longer = MAX_LENGTH + 1;
    let too_long =
        [&[FRAME_USER_CONTINUATION][..], &(longer as u16).to_be_bytes(), &vec![1; longer]].concat();
    for datagram in [
        train(&[5]),
        train(&[FRAME_PADDING, 1]),
        train(&data(0, &[])),
        train(&data(3, &[1, 2])),
        train(&too_long),
        train(&[FRAME_CONTINUATION; SEALED_LENGTH]),
        train(&[FRAME_ABBREVIATED; Form::Abbreviated.length() - 1]),
        response(15, &[0; 13]),
        response(16, &[0; 12]),
        response(18, &[0, 0, 0, 0, 0]),
        response(18, &[9, 0, 0, 0, 0]),
        response(18, &[1, 0, 0, 0, 1]),
        response(18, &[3, 0, 1, 0, 0]),
        response(18, &[5, 0, 0, 1, 0]),
        response(18, &[1, 0, 0, 0]),
    ] {
        assert_eq!(Response::parse(&datagram), None, "{datagram:?}");
    }
    assert!(Response::parse(&train(&data(1, &[1]))).is_some());
}

#[test]
fn runs_take_what_is_in_order_and_in_bounds() {
    let mut runs = Runs::default();
    assert!(runs.is_empty() && runs.span().is_empty());
    assert!(!runs.push(Run { first: 5, count: 0 }, &[]));
    assert!(!runs.push(Run { first: u64::MAX - 3, count: 4 }, &[]));
    assert!(!runs.push(Run { first: 5, count: 1 }, std::slice::from_ref(&(3..3))));
    assert!(!runs.push(Run { first: 5, count: 193 }, &[]));
    assert!(!runs.push(Run { first: 5, count: 1 }, &vec![0..1; MAX_WANTS + 1]));
    assert!(runs.push(Run { first: 5, count: 3 }, &vec![0..1; MAX_WANTS]));
    assert!(!runs.push(Run { first: 7, count: 1 }, &[]));
    assert!(!runs.push(Run { first: 8, count: 1 }, std::slice::from_ref(&(0..1))));
    for run in 1..MAX_RUNS as u64 {
        assert!(runs.push(Run { first: 8 * run, count: 1 }, &[]));
    }
    assert!(!runs.push(Run { first: 1000, count: 1 }, &[]));
    assert_eq!((runs.len(), runs.wants_left(), runs.positions(), runs.span()), (8, 0, 10, 5..57));
}

/// Nothing behind the continuation is looked at before it is authenticated.
#[test]
fn an_envelope_ends_with_the_continuation() {
    let mut datagram = emit(&claim(&[]), 0);
    datagram.truncate(HEADER + SEALED_LENGTH);
    datagram.extend([0xff; 99]);
    let envelope = Envelope::parse(&datagram).unwrap();
    assert_eq!((envelope.echo, envelope.continuation), (7, Some(&[9; SEALED_LENGTH])));
    assert_eq!(envelope.open(), None);
}

/// What answers without granting anything is smaller than what it answers.
#[test]
fn refusals_are_smaller_than_requests() {
    let mut notice = Vec::new();
    Response::Notice { echo: 0, notice: Notice::Pending(u32::MAX) }.emit(&mut notice);
    assert!(notice.len() < HELLO_OVERHEAD);
    const { assert!(TRAIN_HEADER + Form::Whole.length() < MIN_CLAIM) };
    let rooms = [Form::Absent, Form::Abbreviated, Form::Whole].map(|form| room(1200, form));
    assert_eq!((rooms, room(20, Form::Absent)), ([1177, 1137, 1056], 0));
}

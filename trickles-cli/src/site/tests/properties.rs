use std::io::{Seek, Write};

use proptest::prelude::*;

use super::super::LAYOUT;
use super::*;

const REQUEST: &[u8] = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n";

/// Bytes of which no two stretches look alike.
fn noise(length: u32) -> Vec<u8> {
    (0..length.div_ceil(4)).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// A site with a large file `big`, and the response to a request for it.
fn big() -> (Fixture, Output) {
    let mut fixture = Fixture::new();
    fixture.write("big", &noise(100_000));
    let mut exchange = fixture.exchange(REQUEST, &[], false);
    (fixture, exchange.outputs.remove(0))
}

/// Reads the last byte.
fn tail(site: &mut Site, output: &Output) -> Result<u8, OutputError> {
    let mut byte = [0];
    site.output(&output.state, output.range.end - 1, &mut byte).map(|_| byte[0])
}

#[test]
fn output_ends_with_the_range() {
    let (mut fixture, output) = big();
    assert!(output.bytes.ends_with(&noise(100_000)));
    let mut buffer = [0; 8];
    let end = output.range.end;
    assert_eq!(fixture.site.output(&output.state, end - 3, &mut buffer).unwrap(), 3);
    assert_eq!(fixture.site.output(&output.state, end, &mut buffer).unwrap(), 0);
    assert!(matches!(fixture.site.output(&output.state, end + 1, &mut buffer), Err(OutputError::Invalid)));
}

#[test]
fn output_starts_where_the_preceding_one_ends() {
    let (mut fixture, output) = big();
    let next = fixture.input(None, REQUEST, false, 1 << 40);
    assert_eq!(next.output.start, 1 << 40);
    assert_eq!(fixture.all(&next.state, &next.output).unwrap(), output.bytes);
    let before = fixture.site.output(&next.state, (1 << 40) - 1, &mut [0]);
    assert!(matches!(before, Err(OutputError::Invalid)));
}

#[test]
fn changes_end_the_response() {
    type Change = fn(&std::path::Path);
    let changes: [Change; 4] = [
        |path| fs::File::options().append(true).open(path).unwrap().write_all(b"x").unwrap(),
        |path| fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap(),
        |path| fs::File::open(path).unwrap().set_modified(now()).unwrap(),
        |path| {
            let mut file = fs::File::options().write(true).open(path).unwrap();
            file.seek(std::io::SeekFrom::Start(500)).unwrap();
            file.write_all(b"x").unwrap();
        },
    ];
    for change in changes {
        let (mut fixture, output) = big();
        fs::File::open(fixture.path("big")).unwrap().set_modified(modified()).unwrap();
        assert!(matches!(tail(&mut fixture.site, &output), Err(OutputError::Changed)), "not a new file");
        let output = fixture.exchange(REQUEST, &[], false).outputs.remove(0);
        change(&fixture.path("big"));
        assert!(matches!(tail(&mut fixture.site, &output), Err(OutputError::Changed)));
        let mut other = Site::open(&fixture.path("")).unwrap();
        assert!(matches!(tail(&mut other, &output), Err(OutputError::Changed)));
        assert_eq!(fixture.exchange(REQUEST, &[], false).outputs.len(), 1);
    }
}

#[test]
fn replaced_file() {
    let (mut fixture, old) = big();
    fixture.write("new", b"new content");
    fs::rename(fixture.path("new"), fixture.path("big")).unwrap();
    let new = fixture.exchange(REQUEST, &[], false).outputs.remove(0);
    assert!(new.bytes.ends_with(b"new content"));
    assert_eq!(fixture.all(&old.state, &old.range).unwrap(), old.bytes, "still open");
    let mut other = Site::open(&fixture.path("")).unwrap();
    assert!(matches!(tail(&mut other, &old), Err(OutputError::Changed)));
    assert_eq!(tail(&mut other, &new).unwrap(), b't');
    fs::remove_file(fixture.path("big")).unwrap();
    let mut other = Site::open(&fixture.path("")).unwrap();
    assert!(matches!(tail(&mut other, &new), Err(OutputError::Changed)));
}

#[test]
fn more_files_than_are_kept_open() {
    let mut fixture = Fixture::new();
    let mut outputs = Vec::new();
    for number in 0..200 {
        let name = format!("file{number}");
        fixture.write(&name, name.as_bytes());
        let request = format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n");
        outputs.push(fixture.exchange(request.as_bytes(), &[], false).outputs.remove(0));
    }
    for output in outputs.iter().rev().chain(&outputs) {
        assert_eq!(fixture.all(&output.state, &output.range).unwrap(), output.bytes);
    }
    assert!(fixture.site.files.kept() <= 64);
}

#[test]
fn states_of_other_origin() {
    let mut fixture = Fixture::new();
    let head = fixture.input(None, b"GET /data.txt HTTP/1.1\r\n", false, 0).state;
    assert!(matches!(fixture.site.output(&head, 0, &mut [0]), Err(OutputError::Invalid)));
    let mut other = head;
    other[0] = LAYOUT + 1;
    for state in [&other[..], b"", b"rubbish"] {
        assert!(matches!(fixture.site.output(state, 0, &mut [0]), Err(OutputError::Invalid)));
        let next = fixture.input(Some(state), b"x", false, 7);
        assert_eq!((next.consumed, next.finished), (1, true));
        assert_eq!(Reply::parse(&fixture.all(&next.state, &next.output).unwrap()).status, 500);
    }
}

/// Pieces of requests, put together at random.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "GET /data.txt HTTP/1.1\r\n", "HEAD /docs/ HTTP/1.1\n", "POST / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n",
            "Host: a\r\n", "Host: a\r\n\r\n", "\r\n", "\n", "Content-Length: 3\r\n", "Connection: close\r\n",
            "Range: bytes=", "If-None-Match: \"1-2-3\", \"4-5-6\"\r\n", "If-Range: \"1-2-3\"\r\n", "1-2\r\n",
            "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n", "GET /%", ":", " ", "\r",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0..1200_usize).prop_map(|(byte, count)| vec![byte; count]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn output_in_any_order(cuts in prop::collection::vec((0..100_500_u64, 0..80_000_usize), 1..20)) {
        let (mut fixture, output) = big();
        let mut other = Site::open(&fixture.path("")).unwrap();
        for (turn, (offset, length)) in cuts.into_iter().enumerate() {
            let offset = offset.min(output.bytes.len() as u64);
            let site = if turn % 2 == 0 { &mut fixture.site } else { &mut other };
            let mut buffer = vec![0; length];
            let filled = site.output(&output.state, output.range.start + offset, &mut buffer).unwrap();
            let rest = &output.bytes[offset as usize..];
            prop_assert_eq!(filled, length.min(rest.len()));
            prop_assert!(buffer[..filled] == rest[..filled]);
        }
    }

    #[test]
    fn any_input_in_any_pieces(
        input in requests(),
        pieces in prop::collection::vec(0..300_usize, 0..50),
        fin: bool,
    ) {
        let mut fixture = Fixture::new();
        // The fixture checks progress and the length of each state.
        let whole = fixture.exchange(&input, &[], fin);
        let split = fixture.exchange(&input, &pieces, fin);
        prop_assert_eq!(whole.bytes(), split.bytes());
        prop_assert_eq!(whole.finished, split.finished);
        prop_assert!(!fin || whole.finished);
        if !whole.finished {
            prop_assert_eq!(whole.consumed, split.consumed);
        }
    }

    #[test]
    fn any_state(
        state in prop::collection::vec(any::<u8>(), 0..MAX_STATE),
        layout: bool,
        input in prop::collection::vec(any::<u8>(), 0..100),
        offset: u64,
        produced: u64,
    ) {
        let mut fixture = Fixture::new();
        let state = if layout { [&[LAYOUT], &state[..]].concat() } else { state };
        let next = fixture.input(Some(&state), &input, false, produced);
        prop_assert!(next.consumed <= input.len());
        // Nothing but a panic is wrong here.
        let _ = fixture.site.output(&state, offset, &mut [0; 10]);
        let _ = fixture.site.output(&next.state, offset, &mut [0; 10]);
    }

    #[test]
    fn damaged_state(position: prop::sample::Index, bit in 0..8_u8, offset in 0..1000_u64) {
        let (mut fixture, output) = big();
        let mut state = output.state;
        let position = position.index(state.len());
        state[position] ^= 1 << bit;
        let _ = fixture.site.output(&state, offset, &mut [0; 1000]);
        let _ = fixture.input(Some(&state), REQUEST, false, 0);
    }
}

//! Content in chunks of any order, at any replica, and again.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// The request for an upload of `content` to `/new`.
fn head(content: &[u8]) -> String {
    format!("PUT /new HTTP/1.1|Host: a|Content-Length: {}|{}|", content.len(), digest(content))
}

/// Chunks that cover `length` bytes and some of them twice, in any order, and which of two sites takes each.
fn chunks(length: usize) -> impl Strategy<Value = Vec<(Range<usize>, bool)>> {
    let cuts = prop::collection::vec(0..=length, 0..30);
    let extra = prop::collection::vec((0..=length, 0..=length), 0..20);
    let ranges = (cuts, extra).prop_map(move |(mut cuts, extra)| {
        cuts.extend([0, length]);
        cuts.sort_unstable();
        let mut ranges: Vec<_> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        ranges.extend(extra.into_iter().map(|(one, other)| one.min(other)..one.max(other)));
        ranges
    });
    let shuffled = ranges.prop_shuffle();
    shuffled.prop_flat_map(|ranges| {
        let sites = prop::collection::vec(any::<bool>(), ranges.len());
        sites.prop_map(move |sites| ranges.iter().cloned().zip(sites).collect())
    })
}

#[test]
fn what_is_repeated_after_the_end_changes_nothing() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    stream.head(&mut fixture.site, &head(b"0123456789"));
    stream.store(&mut fixture.site, 0, b"0123456789");
    let before = stream.clone();
    stream.complete(&mut fixture.site, 10);
    let created = stream.output.clone();
    assert_eq!(stream.status(), 201);
    fs::File::open(fixture.path("new")).unwrap().set_modified(modified()).unwrap();

    for mut site in [fixture.replica(), fixture.replica()] {
        before.store(&mut site, 3, b"abc");
        let mut again = before.clone();
        again.complete(&mut site, 10);
        assert_eq!(again.status(), 201);
        before.store(&mut fixture.site, 3, b"abc");
        let mut again = before.clone();
        again.complete(&mut fixture.site, 10);
        assert_eq!(again.output, created);
    }
    assert_eq!(fixture.read("new").unwrap(), b"0123456789");
    assert_eq!(fs::metadata(fixture.path("new")).unwrap().modified().unwrap(), modified());
    assert_eq!(fixture.parts("").len(), 0);

    // Even when the file has been replaced since, as long as it is remembered.
    assert_eq!(Stream::new(2).put(&mut fixture.site, "/new", "", b"other"), 204);
    for (mut site, status) in [(fixture.replica(), 409), (fixture.site, 201)] {
        let mut again = before.clone();
        again.complete(&mut site, 10);
        assert_eq!(again.status(), status);
    }
    assert_eq!(fs::read(fixture.dir.path().join("root/new")).unwrap(), b"other");
}

#[test]
fn a_request_that_is_repeated_keeps_what_is_stored() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    stream.head(&mut fixture.site, &head(b"0123456789"));
    stream.store(&mut fixture.site, 0, b"01234");
    let mut repeated = Stream::new(1);
    repeated.head(&mut fixture.replica(), &head(b"0123456789"));
    repeated.store(&mut fixture.site, 5, b"56789");
    repeated.complete(&mut fixture.site, 10);
    assert_eq!((repeated.status(), fixture.read("new").unwrap()), (201, b"0123456789".to_vec()));
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn of_two_uploads_to_one_name_both_succeed_and_one_lasts() {
    let mut fixture = Fixture::writable();
    let (one, other) = (vec![b'1'; 1000], vec![b'2'; 900]);
    let mut streams = [(Stream::new(1), &one), (Stream::new(2), &other)];
    for (stream, content) in &mut streams {
        assert_eq!(stream.head(&mut fixture.site, &head(content)), content.len() as u64);
    }
    for at in (0..900).step_by(100) {
        for (stream, content) in &streams {
            stream.store(&mut fixture.site, at, &content[at..at + 100]);
        }
    }
    streams[0].0.store(&mut fixture.site, 900, &one[900..]);
    for (stream, content) in &mut streams {
        stream.complete(&mut fixture.site, content.len() as u64);
        assert_eq!(stream.status(), 201);
        assert_eq!(fixture.read("new").as_ref(), Some(&**content));
    }
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn only_one_of_two_uploads_creates_the_file() {
    let mut fixture = Fixture::writable();
    let mut streams = [Stream::new(1), Stream::new(2)];
    for stream in &mut streams {
        let head = "PUT /new HTTP/1.1|Host: a|Content-Length: 1|If-None-Match: *||";
        assert_eq!(stream.head(&mut fixture.site, head), 1);
        stream.store(&mut fixture.site, 0, &[b'0' + stream.id as u8]);
    }
    let statuses = streams.map(|mut stream| {
        let mut other = stream.clone();
        stream.complete(&mut fixture.site, 1);
        other.complete(&mut fixture.replica(), 1);
        (stream.status(), other.status())
    });
    // What a restarted server does not know is the reason.
    assert_eq!(statuses, [(201, 201), (412, 409)]);
    assert_eq!(fixture.read("new").unwrap(), b"1");
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn an_upload_whose_file_was_removed_is_in_conflict() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    stream.head(&mut fixture.site, &head(b"01"));
    fs::remove_file(fixture.path(&fixture.parts("")[0])).unwrap();
    stream.store(&mut fixture.site, 0, b"01");
    assert_eq!(fixture.parts("").len(), 0, "a chunk makes no file");
    stream.complete(&mut fixture.site, 2);
    assert_eq!((stream.status(), fixture.read("new")), (409, None));
}

#[test]
fn a_chunk_outside_of_the_content_is_not_stored() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    stream.head(&mut fixture.site, &head(b"01"));
    let state = stream.state.clone().unwrap();
    for offset in [0, stream.offset - 1, stream.offset + 3, u64::MAX] {
        assert!(fixture.site.store(1, &state, offset, b"x").is_err(), "{offset}");
    }
    assert_eq!(fixture.site.store(1, &state, stream.offset + 1, b"1abc").unwrap(), 1);
    stream.store(&mut fixture.site, 0, b"0");
    stream.complete(&mut fixture.site, 2);
    assert_eq!((stream.status(), fixture.read("new").unwrap()), (201, b"01".to_vec()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_order_at_any_replica(
        (length, chunks) in (1..5000_usize).prop_flat_map(|length| (Just(length), chunks(length))),
        late in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        restart: bool,
        old: bool,
    ) {
        let mut fixture = Fixture::writable();
        if old {
            fixture.write("new", b"old");
        }
        let content: Vec<_> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
        let mut other = fixture.replica();
        let mut stream = Stream::new(1);
        prop_assert_eq!(stream.head(&mut other, &head(&content)), length as u64);
        for (range, here) in &chunks {
            let site = if *here { &mut fixture.site } else { &mut other };
            stream.store(site, range.start, &content[range.clone()]);
            prop_assert_eq!(fixture.read("new"), old.then(|| b"old".to_vec()));
            if restart {
                other = fixture.replica();
            }
        }
        let before = stream.clone();
        stream.complete(&mut other, length as u64);
        for index in late {
            let (range, here) = index.get(&chunks);
            let site = if *here { &mut fixture.site } else { &mut other };
            before.store(site, range.start, &content[range.clone()]);
        }
        let mut again = before.clone();
        again.complete(&mut fixture.site, length as u64);
        let status = if old { 204 } else { 201 };
        prop_assert_eq!((stream.status(), again.status()), (status, status));
        prop_assert_eq!(fixture.read("new").unwrap(), content);
        prop_assert_eq!(fixture.parts("").len(), 0);
    }
}

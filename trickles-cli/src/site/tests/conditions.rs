use super::super::conditions::ByteRange;
use super::*;

#[test]
fn ranges() {
    let mut fixture = Fixture::new();
    let cases = [
        ("bytes=0-0", "0", "0-0"),
        ("bytes=3-9", "3456789", "3-9"),
        ("BYTES=30-", "uvwxyz", "30-35"),
        ("bytes=35-35", "z", "35-35"),
        ("bytes=34-99", "yz", "34-35"),
        ("bytes=34-99999999999999999999999", "yz", "34-35"),
        ("bytes=-1", "z", "35-35"),
        ("bytes=-36", TEXT, "0-35"),
        ("bytes=-99", TEXT, "0-35"),
        ("bytes=0-", TEXT, "0-35"),
    ];
    for (range, body, content_range) in cases {
        let reply = fixture.get_with("/data.txt", &format!("Range: {range}|"));
        assert_eq!((reply.status, reply.text()), (206, body), "{range}");
        assert_eq!(reply.header("Content-Range"), Some(format!("bytes {content_range}/36").as_str()));
        assert_eq!(reply.header("Content-Length"), Some(body.len().to_string().as_str()));
        assert!(reply.header("ETag").is_some());
    }
}

#[test]
fn unsatisfiable_ranges() {
    for range in ["bytes=36-", "bytes=36-40", "bytes=-0", "bytes=99999999999999999999-"] {
        let reply = Fixture::new().get_with("/data.txt", &format!("Range: {range}|"));
        assert_eq!(reply.status, 416, "{range}");
        assert_eq!(reply.header("Content-Range"), Some("bytes */36"));
    }
}

#[test]
fn ranges_to_disregard() {
    let ranges = [
        "bytes=0-1,3-4",
        "bytes=9-3",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=--1",
        "bytes 0-1",
        "lines=0-1",
        "\u{e4}",
        "",
    ];
    for range in ranges {
        let reply = Fixture::new().get_with("/data.txt", &format!("Range: {range}|"));
        assert_eq!((reply.status, reply.text()), (200, TEXT), "{range}");
        assert_eq!(reply.header("Content-Range"), None);
    }
    assert_eq!(Fixture::new().get_with("/empty", "Range: bytes=0-|").status, 200);
    let (reply, _) = Fixture::new().ask("HEAD /data.txt HTTP/1.1|Host: a|Range: bytes=0-1||");
    assert_eq!((reply.status, reply.header("Content-Length")), (200, Some("36")));
}

#[test]
fn range_at_the_limits_of_numbers() {
    let max = u64::MAX;
    assert_eq!(ByteRange::Span(max, max).of(max), None);
    assert_eq!(ByteRange::Span(max - 1, max).of(max), Some(max - 1..max));
    assert_eq!(ByteRange::Last(max).of(max), Some(0..max));
    assert_eq!(ByteRange::From(0).of(0), None);
}

#[test]
fn if_range() {
    let mut fixture = Fixture::new();
    let tag = fixture.get("/data.txt").header("ETag").unwrap().to_owned();
    let cases = [
        (tag.clone(), 206),
        (format!("W/{tag}"), 200),
        ("\"other\"".to_owned(), 200),
        ("Tue, 14 Nov 2023 22:13:20 GMT".to_owned(), 206),
        ("Tue, 14 Nov 2023 22:13:21 GMT".to_owned(), 200),
        ("rubbish".to_owned(), 200),
    ];
    for (value, status) in cases {
        let reply = fixture.get_with("/data.txt", &format!("Range: bytes=0-1|If-Range: {value}|"));
        assert_eq!(reply.status, status, "{value}");
        assert_eq!(fixture.get_with("/data.txt", &format!("If-Range: {value}|")).status, 200);
    }
}

#[test]
fn if_none_match() {
    let mut fixture = Fixture::new();
    let tag = fixture.get("/data.txt").header("ETag").unwrap().to_owned();
    let upper = tag.to_ascii_uppercase();
    let cases = [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"a,b\" ,W/\"c\",{tag}"), 304),
        (format!("\"1-2-3\", \"4-5-6\"|If-None-Match: {tag}"), 304),
        ("*".to_owned(), 304),
        ("*|If-None-Match: \"x\"".to_owned(), 304),
        ("\"*\"".to_owned(), 200),
        (tag.trim_matches('"').to_owned(), 200),
        (tag.replacen('"', "\"0", 1), 200),
        (tag.replacen('"', "\"+", 1), 200),
        (tag.replace('-', "_"), 200),
        (String::new(), 200),
    ];
    for (value, status) in cases {
        let reply = fixture.get_with("/data.txt", &format!("If-None-Match: {value}|"));
        assert_eq!(reply.status, status, "{value}");
    }
    assert!(upper == tag || fixture.get_with("/data.txt", &format!("If-None-Match: {upper}|")).status == 200);

    let reply = fixture.get_with("/data.txt", &format!("If-None-Match: {tag}|Range: bytes=0-1|"));
    assert_eq!((reply.status, reply.text()), (304, ""));
    assert_eq!(reply.header("ETag"), Some(tag.as_str()));
    assert_eq!(reply.header("Content-Length"), None);
    assert_eq!(fixture.get_with("/missing", "If-None-Match: *|").status, 404);
}

#[test]
fn if_modified_since() {
    let mut fixture = Fixture::new();
    let cases = [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 304),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", 304),
        ("Tue Nov 14 22:13:20 2023", 304),
        ("yesterday", 200),
    ];
    for (value, status) in cases {
        let reply = fixture.get_with("/data.txt", &format!("If-Modified-Since: {value}|"));
        assert_eq!(reply.status, status, "{value}");
    }
    let both = "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT|If-None-Match: \"x\"|";
    assert_eq!(fixture.get_with("/data.txt", both).status, 200, "the tag takes precedence");
}

#[test]
fn dates_out_of_the_ordinary() {
    let mut fixture = Fixture::new();
    let times = [
        (now() + Duration::from_secs(60), "Fri, 15 Jan 2027 08:00:00 GMT"),
        (UNIX_EPOCH - Duration::from_millis(1), "Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    for (time, text) in times {
        fs::File::open(fixture.path("data.txt")).unwrap().set_modified(time).unwrap();
        let reply = fixture.get("/data.txt");
        assert_eq!(reply.header("Last-Modified"), Some(text));
        let tag = reply.header("ETag").unwrap();
        assert_eq!(fixture.get_with("/data.txt", &format!("If-None-Match: {tag}|")).status, 304);
    }
    for clock in [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(1 << 40)] {
        let bytes = b"GET / HTTP/1.0\r\n\r\n";
        let input = Input { stream: 1, state: None, offset: 0, bytes, fin: false, produced: 0, now: clock };
        let next = fixture.site.input(input).unwrap();
        assert_eq!(Reply::parse(&fixture.all(&next.state, &next.output).unwrap()).status, 404);
    }
}

//! Uploads that come to nothing.

use super::*;

/// An upload of `CONTENT` with these header fields is refused, and nothing has changed.
#[track_caller]
fn check(target: &str, headers: &str, status: u16) -> Stream {
    let mut fixture = Fixture::writable();
    fs::create_dir(fixture.path("sub")).unwrap();
    let mut stream = Stream::new(1);
    let wanted = stream.head(&mut fixture.site, &format!("PUT {target} HTTP/1.1|Host: a|{headers}|"));
    assert_eq!((wanted, stream.status()), (0, status), "{target} {headers}");
    assert_eq!((fixture.parts("").len(), fixture.read("data.txt").unwrap()), (0, TEXT.into()));
    stream
}

#[test]
fn without_permission() {
    let mut fixture = Fixture::new();
    let (reply, finished) = fixture.ask("PUT /new HTTP/1.1|Host: a|Content-Length: 5||hello");
    assert_eq!((reply.status, finished, reply.header("Allow")), (405, true, Some("GET, HEAD")));
    assert_eq!(fixture.read("new"), None);
    let mut fixture = Fixture::writable();
    let (reply, _) = fixture.ask("DELETE /data.txt HTTP/1.1|Host: a||");
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD, PUT")));
}

#[test]
fn permission_that_was_withdrawn() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    stream.head(&mut fixture.site, "PUT /new HTTP/1.1|Host: a|Content-Length: 1||");
    let mut other = Site::open(&fixture.path("")).unwrap();
    let stored = other.store(1, stream.state.as_deref().unwrap(), stream.offset, b"x");
    assert!(matches!(stored, Err(crate::site::StoreError::Invalid)));
    stream.complete(&mut other, 1);
    assert_eq!((stream.status(), fixture.read("new")), (405, None));
}

#[test]
fn lengths() {
    assert!(check("/new", "", 411).finished);
    assert!(check("/new", "Transfer-Encoding: chunked|", 411).finished);
    check("/new", "Transfer-Encoding: chunked|Content-Length: 5|", 400);
    check("/new", "Content-Length: 5|Content-Length: 6|", 400);
    check("/new", "Content-Length: x|", 400);
    assert!(check("/new", "Content-Length: 1099511627777|", 413).finished);
    check("/new", "Content-Length: 99999999999999999999999|", 413);
}

#[test]
fn names() {
    for directory in ["/docs", "/docs/", "/", "/docs/..", "/missing/file", "/missing/", "/data.txt/file"] {
        let stream = check(directory, "Content-Length: 5|", 409);
        assert!(stream.finished, "the content is not awaited");
    }
    assert!(!check("/docs", "Content-Length: 0|", 409).finished);
    check("/../secret.txt", "Content-Length: 5|", 403);
    check("/docs/../../secret.txt", "Content-Length: 5|", 403);
    check(&format!("/docs/{PREFIX}1"), "Content-Length: 5|", 403);
    check(&format!("/{}/x", PREFIX.to_uppercase()), "Content-Length: 5|", 403);
    check("/new%00", "Content-Length: 5|", 400);
    check(&format!("/{}", "x".repeat(300)), "Content-Length: 5|", 400);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_site() {
    let mut fixture = Fixture::writable();
    std::os::unix::fs::symlink(fixture.dir.path(), fixture.path("up")).unwrap();
    std::os::unix::fs::symlink(fixture.dir.path().join("secret.txt"), fixture.path("link")).unwrap();
    for target in ["/up/new", "/up/secret.txt", "/link"] {
        assert_eq!(fixture.put(target, "", b"stolen"), 403, "{target}");
    }
    assert_eq!(fs::read_dir(fixture.dir.path()).unwrap().count(), 2);
    assert_eq!(fs::read_to_string(fixture.dir.path().join("secret.txt")).unwrap(), "secret");
}

#[test]
fn header_fields() {
    check("/new", "Content-Length: 5|Content-Range: bytes 0-4/9|", 400);
    check("/new", "Content-Length: 5|If-None-Match: \"a\"|", 400);
    check("/new", "Content-Length: 5|Expect: 200-ok|", 417);
    check("/new", "Content-Length: 5|Repr-Digest: sha-256=:AAAA:|", 400);
    let two = format!("{}Content-Digest: sha-256=:{}=:|", digest(b"x"), "A".repeat(43));
    check("/new", &format!("Content-Length: 5|{two}"), 400);
}

#[test]
fn conditions() {
    let mut fixture = Fixture::writable();
    let tag = fixture.get("/data.txt").header("ETag").unwrap().to_owned();
    assert_eq!(fixture.put("/data.txt", "If-None-Match: *|", b"x"), 412);
    assert_eq!(fixture.put("/none", "If-Match: *|", b"x"), 412);
    for tags in [&format!("W/{tag}"), "\"1-2-3\"", "\"a\""] {
        assert_eq!(fixture.put("/data.txt", &format!("If-Match: {tags}|"), b"x"), 412, "{tags}");
    }
    assert_eq!(fixture.put("/data.txt", &format!("If-Match: {tag}|If-None-Match: *|"), b"x"), 412);
    assert_eq!(fixture.read("data.txt").unwrap(), TEXT.as_bytes());
    assert_eq!(fixture.put("/data.txt", &format!("If-Match: \"1-2-3\", {tag}|"), b"x"), 204);
    assert_eq!(Stream::new(8).put(&mut fixture.site, "/data.txt", "If-Match: *|", b"xy"), 204);
    assert_eq!(Stream::new(9).put(&mut fixture.site, "/new", "If-None-Match: *|", b"x"), 201);
    assert_eq!(fixture.read("new").unwrap(), b"x");
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn conditions_that_hold_no_longer_at_the_end() {
    let mut fixture = Fixture::writable();
    let tag = fixture.get("/data.txt").header("ETag").unwrap().to_owned();
    let cases = [("new", "If-None-Match: *|".to_owned()), ("data.txt", format!("If-Match: {tag}|"))];
    for (name, condition) in cases {
        let mut stream = Stream::new(1);
        let head = format!("PUT /{name} HTTP/1.1|Host: a|Content-Length: 1|{condition}|");
        assert_eq!(stream.head(&mut fixture.site, &head), 1);
        stream.store(&mut fixture.site, 0, b"x");
        fixture.write(name, b"by somebody else");
        let mut again = stream.clone();
        stream.complete(&mut fixture.site, 1);
        again.complete(&mut fixture.site, 1);
        assert_eq!((stream.status(), again.status()), (412, 412));
        assert!(!stream.finished, "the content has come");
        assert_eq!(fixture.read(name).unwrap(), b"by somebody else");
    }
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn wrong_content() {
    let mut fixture = Fixture::writable();
    assert_eq!(fixture.put("/data.txt", &digest(b"right"), b"wrong"), 422);
    assert_eq!(fixture.put("/new", &digest(b"right").replace("Repr", "Content"), b"wrong"), 422);
    assert_eq!((fixture.read("data.txt").unwrap(), fixture.read("new")), (TEXT.into(), None));
    assert_eq!(fixture.parts("").len(), 0);
    // The digest of an unknown kind says nothing.
    assert_eq!(Stream::new(8).put(&mut fixture.site, "/new", "Repr-Digest: sha-512=:AAAA:|", b"x"), 201);
}

#[test]
fn content_of_which_some_was_never_stored() {
    let mut fixture = Fixture::writable();
    let head = format!("PUT /new HTTP/1.1|Host: a|Content-Length: 9|{}|", digest(b"012345678"));
    for (stored, status) in [(0..6, 400), (3..9, 422), (0..0, 400)] {
        let mut stream = Stream::new(stored.start as u64);
        assert_eq!(stream.head(&mut fixture.site, &head), 9);
        stream.store(&mut fixture.site, stored.start, &b"012345678"[stored.clone()]);
        stream.complete(&mut fixture.site, 9);
        assert_eq!((stream.status(), fixture.read("new")), (status, None), "{stored:?}");
    }
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn content_that_ends_early() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    let head = b"PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n";
    let next = stream.ask(&mut fixture.site, head, false);
    stream.take(&mut fixture.site, &next);
    let next = stream.ask(&mut fixture.site, b"\r\n01234567", true);
    stream.take(&mut fixture.site, &next);
    assert_eq!((stream.status(), stream.finished, fixture.parts("").len()), (400, true, 0));
}

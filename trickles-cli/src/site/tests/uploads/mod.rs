//! What becomes of uploads.

mod chunks;
mod refusals;

use sha2::{Digest, Sha256};

use super::*;
use crate::digest_field;
use crate::site::uploads::PREFIX;

const CONTENT: &str = "what is uploaded";

/// Before any file was made by these tests: none is old.
fn past() -> SystemTime {
    modified()
}

/// A client's end of a stream, which presents its input to any of several sites.
#[derive(Clone)]
struct Stream {
    id: u64,
    state: Option<Vec<u8>>,
    /// Of the first byte of input that is not consumed or stored.
    offset: u64,
    produced: u64,
    /// All output so far.
    output: Vec<u8>,
    finished: bool,
}

impl Stream {
    fn new(id: u64) -> Self {
        Self { id, state: None, offset: 0, produced: 0, output: Vec::new(), finished: false }
    }

    /// Presents input until there is an answer.
    fn ask(&self, site: &mut Site, bytes: &[u8], fin: bool) -> Next {
        let Self { id: stream, offset, produced, .. } = *self;
        let input = Input { stream, state: self.state.as_deref(), offset, bytes, fin, produced, now: past() };
        loop {
            match site.input(input) {
                Ok(next) => return next,
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    /// Goes on with an answer.
    fn take(&mut self, site: &mut Site, next: &Next) {
        assert!(next.state.len() <= MAX_STATE);
        assert_eq!(next.output.start, self.produced);
        let mut bytes = vec![0; (next.output.end - next.output.start) as usize];
        if !bytes.is_empty() {
            assert_eq!(site.output(&next.state, next.output.start, &mut bytes).unwrap(), bytes.len());
        }
        self.output.extend(bytes);
        self.offset += next.consumed as u64;
        self.produced = next.output.end;
        self.finished = next.finished;
        self.state = Some(next.state.clone());
    }

    /// Presents a head, whose lines end in `|` here, until it is answered or content is wanted; returns how
    /// many bytes of that.
    fn head(&mut self, site: &mut Site, head: &str) -> u64 {
        let head = head.replace('|', "\r\n");
        let mut rest = head.as_bytes();
        loop {
            let next = self.ask(site, rest, false);
            let before = self.produced;
            self.take(site, &next);
            rest = &rest[next.consumed..];
            if next.any_order > 0 || self.produced > before {
                assert!(rest.is_empty());
                return next.any_order;
            }
            assert!(next.consumed > 0, "stuck");
        }
    }

    /// Has `bytes` of the content stored that begin at `at` of it.
    fn store(&self, site: &mut Site, at: usize, bytes: &[u8]) {
        let state = self.state.as_deref().unwrap();
        let stored = site.store(self.id, state, self.offset + at as u64, bytes).unwrap();
        assert_eq!(stored, bytes.len());
    }

    /// All `length` bytes of the content are stored.
    fn complete(&mut self, site: &mut Site, length: u64) {
        self.offset += length;
        let next = self.ask(site, b"", false);
        self.take(site, &next);
    }

    /// The responses so far.
    fn replies(&self) -> Vec<Reply> {
        let mut rest = &self.output[..];
        let mut replies = Vec::new();
        while !rest.is_empty() {
            let mut reply = Reply::parse(rest);
            let length = reply.header("Content-Length").map_or(0, |length| length.parse().unwrap());
            rest = &rest[rest.len() - reply.body.len() + length..];
            reply.body.truncate(length);
            replies.push(reply);
        }
        replies
    }

    /// The status of the newest response.
    fn status(&self) -> u16 {
        self.replies().last().unwrap().status
    }

    /// Uploads `content` in one go.
    fn put(&mut self, site: &mut Site, target: &str, headers: &str, content: &[u8]) -> u16 {
        let length = content.len();
        let head = format!("PUT {target} HTTP/1.1|Host: a|Content-Length: {length}|{headers}|");
        if self.head(site, &head) > 0 {
            self.store(site, 0, content);
            self.complete(site, length as u64);
        }
        self.status()
    }
}

impl Fixture {
    fn writable() -> Self {
        let mut fixture = Self::new();
        fixture.site.allow_uploads(1 << 40, past()).unwrap();
        fixture
    }

    /// Another replica, or the same one started again.
    fn replica(&self) -> Site {
        let mut site = Site::open(&self.path("")).unwrap();
        site.allow_uploads(1 << 40, past()).unwrap();
        site
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    fn parts(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(PREFIX)).collect()
    }

    fn put(&mut self, target: &str, headers: &str, content: &[u8]) -> u16 {
        self.streams += 1;
        Stream::new(1000 + self.streams).put(&mut self.site, target, headers, content)
    }
}

fn digest(content: &[u8]) -> String {
    format!("Repr-Digest: {}|", digest_field::format(&Sha256::digest(content).into()))
}

#[test]
fn a_file_is_created_or_replaced() {
    let mut fixture = Fixture::writable();
    for (content, status) in [(CONTENT, 201), ("other", 204), ("", 204), ("x", 204)] {
        assert_eq!(fixture.put("/docs/a%20b", "", content.as_bytes()), status);
        assert_eq!(fixture.read("docs/a b").unwrap(), content.as_bytes());
        assert_eq!(fixture.parts("docs").len(), 0);
    }
    assert_eq!(fixture.put("/new", &digest(b""), b""), 201);
    assert_eq!(fixture.read("new").unwrap(), b"");
    assert_eq!(fixture.parts("").len(), 0);
}

#[test]
fn a_connection_goes_on_after_an_upload() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    assert_eq!(stream.put(&mut fixture.site, "/new", &digest(b"one"), b"one"), 201);
    assert_eq!(stream.put(&mut fixture.site, "/new", "", b"two!"), 204);
    assert_eq!(stream.put(&mut fixture.site, "/empty", "", b""), 204);
    stream.head(&mut fixture.site, "GET /new HTTP/1.1|Host: a|Connection: close||");
    let replies = stream.replies();
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [201, 204, 204, 200]);
    assert_eq!(replies[3].text(), "two!");
    assert_eq!(replies[1].header("ETag"), replies[3].header("ETag"));
    assert!(stream.finished);
}

#[test]
fn a_connection_ends_with_an_upload_if_it_is_to() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    assert_eq!(stream.put(&mut fixture.site, "/new", "Connection: close|", b"one"), 201);
    assert!(stream.finished);
    let mut stream = Stream::new(2);
    stream.head(&mut fixture.site, "PUT /new HTTP/1.1|Host: a|Content-Length: 1||");
    stream.store(&mut fixture.site, 0, b"x");
    stream.offset += 1;
    assert!(stream.ask(&mut fixture.site, b"", true).finished);
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    let expect = "Expect: 100-continue|";
    assert_eq!(stream.put(&mut fixture.site, "/new", expect, b"content"), 201);
    let statuses: Vec<_> = stream.replies().iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [100, 201]);
    assert_eq!(stream.put(&mut fixture.site, "/new", expect, b""), 204);
    assert_eq!(stream.replies().len(), 3, "there is nothing to wait with");
}

#[test]
fn a_half_written_file_is_not_there() {
    let mut fixture = Fixture::writable();
    let mut stream = Stream::new(1);
    assert_eq!(stream.head(&mut fixture.site, "PUT /data.txt HTTP/1.1|Host: a|Content-Length: 3||"), 3);
    stream.store(&mut fixture.site, 0, b"ne");
    assert_eq!(fixture.get("/data.txt").text(), TEXT);
    let parts = fixture.parts("");
    assert_eq!(parts.len(), 1);
    assert_eq!(fixture.get(&format!("/{}", parts[0])).status, 404);
    assert_eq!(fixture.get(&format!("/docs/../%2E{}", &parts[0][1..])).status, 404);
    assert_eq!(fixture.get(&format!("/{}", parts[0].to_uppercase())).status, 404);
    assert_eq!(fixture.get(&format!("/{}/", parts[0])).status, 404);
    stream.store(&mut fixture.site, 2, b"w");
    stream.complete(&mut fixture.site, 3);
    assert_eq!((stream.status(), fixture.get("/data.txt").text()), (204, "new"));
}

#[test]
fn an_opening_alone_writes_nothing() {
    let mut fixture = Fixture::writable();
    let stream = Stream::new(1);
    for length in ["0", "3"] {
        let head = format!("PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc");
        let next = stream.ask(&mut fixture.site, head.as_bytes(), true);
        assert_eq!((next.consumed, next.finished, next.any_order), (head.len() - 5, false, 0));
        assert_eq!((fixture.read("new"), fixture.parts("").len()), (None, 0));
    }
}

#[test]
fn abandoned_uploads_are_removed() {
    let fixture = Fixture::writable();
    let old = now() - Duration::from_secs(25 * 3600);
    let names = [format!("{PREFIX}1"), format!("docs/{PREFIX}2"), "docs/file".to_owned()];
    for name in &names {
        fixture.write(name, b"");
        fs::File::open(fixture.path(name)).unwrap().set_modified(old).unwrap();
    }
    let young = format!("docs/{PREFIX}3");
    fixture.write(&young, b"");
    fs::File::open(fixture.path(&young)).unwrap().set_modified(now() - Duration::from_secs(3600)).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(fixture.dir.path(), fixture.path("up")).unwrap();
    let outside = fixture.dir.path().join(format!("{PREFIX}4"));
    fs::write(&outside, "").unwrap();
    fs::File::open(&outside).unwrap().set_modified(old).unwrap();

    crate::site::sweep::sweep(fixture.site.files.root(), now());
    let left: Vec<_> = names.iter().filter(|name| fixture.read(name).is_some()).collect();
    assert_eq!(left, ["docs/file"]);
    assert!(fixture.read(&young).is_some() && outside.exists());
}

#[test]
fn the_longest_state_of_an_upload() {
    let big = u64::MAX;
    let tag = format!("\"{big:x}-{:x}-{big:x}\"", i64::MIN);
    let head = format!(
        "PUT /{} HTTP/1.1\r\nHost: a\r\nContent-Length: {big}\r\nExpect: 100-continue\r\n\
         If-Match: {}{tag}\r\nIf-None-Match: *\r\nConnection: close\r\n{}",
        "x".repeat(511),
        format!("{tag}, ").repeat(5),
        digest(b"").replace('|', "\r\n"),
    );
    let mut fixture = Fixture::writable();
    let first = fixture.input(None, &head.as_bytes()[..600], false, big);
    let second = fixture.input(Some(&first.state), &head.as_bytes()[first.consumed..], false, big);
    assert_eq!(first.consumed + second.consumed, head.len());
    assert!((600..=MAX_STATE - 10).contains(&second.state.len()), "{}", second.state.len());
}

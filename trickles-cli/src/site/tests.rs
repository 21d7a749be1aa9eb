//! What the service answers, and how the answers are put together.

mod conditions;
mod paths;
mod properties;
mod requests;
mod uploads;

use std::fs;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::{Input, MAX_STATE, Next, OutputError, Site};

/// The most input that a call is given.
const WINDOW: usize = 1100;
const TEXT: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// `data.txt` was last modified at this time.
fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
}

struct Fixture {
    dir: TempDir,
    site: Site,
    /// How many there have been.
    streams: u64,
}

/// A response as the stream carries it.
struct Output {
    state: Vec<u8>,
    range: Range<u64>,
    bytes: Vec<u8>,
}

/// All that came of some input.
#[derive(Default)]
struct Exchange {
    outputs: Vec<Output>,
    consumed: usize,
    finished: bool,
}

impl Exchange {
    fn bytes(&self) -> Vec<u8> {
        self.outputs.iter().flat_map(|output| output.bytes.iter().copied()).collect()
    }
}

/// A response taken apart.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let head = response.parse(bytes).unwrap().unwrap();
        let headers = response.headers.iter();
        let headers = headers
            .map(|header| (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap()))
            .collect();
        Self { status: response.code.unwrap(), headers, body: bytes[head..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|header| header.0 == name).map(|header| header.1.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} occurs twice");
        value
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("docs/empty dir")).unwrap();
        fs::write(dir.path().join("secret.txt"), "secret").unwrap();
        fs::write(root.join("data.txt"), TEXT).unwrap();
        fs::File::open(root.join("data.txt")).unwrap().set_modified(modified()).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        fs::write(root.join("docs/index.html"), "<p>docs").unwrap();
        let site = Site::open(&root).unwrap();
        Self { dir, site, streams: 0 }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Feeds `input`, of which ever more arrives, `pieces` at a time and at last all, as a transport would.
    fn exchange(&mut self, input: &[u8], pieces: &[usize], fin: bool) -> Exchange {
        let mut exchange = Exchange::default();
        let mut state = None;
        let mut available = 0_usize;
        let mut produced = 0;
        for &piece in pieces.iter().chain([&input.len()]) {
            available = input.len().min(available.saturating_add(piece));
            while !exchange.finished {
                let from = exchange.consumed;
                let given = &input[from..available.min(from + WINDOW)];
                let last = fin && from + given.len() == input.len();
                let next = self.input(state.as_deref(), given, last, produced);
                assert!(next.consumed <= given.len());
                assert!(next.state.len() <= MAX_STATE, "{} bytes of state", next.state.len());
                assert_eq!(next.output.start, produced);
                let progress = next.consumed > 0 || !next.output.is_empty() || next.finished;
                assert!(progress || given.len() < WINDOW && !last, "stuck");
                if !progress {
                    break;
                }
                exchange.consumed += next.consumed;
                exchange.finished = next.finished;
                if !next.output.is_empty() {
                    let bytes = self.all(&next.state, &next.output).unwrap();
                    exchange.outputs.push(Output {
                        state: next.state.clone(),
                        range: next.output.clone(),
                        bytes,
                    });
                }
                produced = next.output.end;
                state = Some(next.state);
            }
        }
        exchange
    }

    /// Presents input that can be answered at once.
    fn input(&mut self, state: Option<&[u8]>, bytes: &[u8], fin: bool, produced: u64) -> Next {
        let input = Input { stream: 1, state, offset: 0, bytes, fin, produced, now: now() };
        self.site.input(input).unwrap()
    }

    fn all(&mut self, state: &[u8], range: &Range<u64>) -> Result<Vec<u8>, OutputError> {
        let mut bytes = vec![0; (range.end - range.start) as usize + 1];
        let length = self.site.output(state, range.start, &mut bytes)?;
        assert_eq!(length, bytes.len() - 1);
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The one response to `head`, whose lines end in `|` here, and whether the stream ends with it.
    fn ask(&mut self, head: &str) -> (Reply, bool) {
        let exchange = self.exchange(head.replace('|', "\r\n").as_bytes(), &[], false);
        assert_eq!(exchange.outputs.len(), 1, "{head}");
        let reply = Reply::parse(&exchange.outputs[0].bytes);
        let connection = if exchange.finished { "close" } else { "keep-alive" };
        assert_eq!(reply.header("Connection"), Some(connection), "{head}");
        (reply, exchange.finished)
    }

    fn get(&mut self, target: &str) -> Reply {
        self.get_with(target, "")
    }

    /// Asks for `target` with more header fields, each of which ends in `|`.
    fn get_with(&mut self, target: &str, headers: &str) -> Reply {
        let (reply, finished) = self.ask(&format!("GET {target} HTTP/1.1|Host: a|{headers}|"));
        assert!(!finished, "{target} {headers}");
        reply
    }
}

//! Any bytes as requests to `trickles serve`, in any pieces: the answers do not depend on the pieces, states
//! stay within their length, and a state that the client carries back damaged does no harm.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

use std::cell::RefCell;
use std::fs;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use trickles_cli::site::{Input, MAX_LINE, MAX_STATE, Next, Site};

use crate::lab::Choices;

/// The most input that a call is given.
const WINDOW: usize = MAX_LINE + 100;
/// The most output that is read of one response.
const MOST_OUTPUT: u64 = 4096;

thread_local! {
    /// Files to ask for; opening them takes longer than all else.
    static SITES: RefCell<(TempDir, [Site; 2])> = RefCell::new(sites());
}

/// Two replicas, which serve the same files and take no uploads.
fn sites() -> (TempDir, [Site; 2]) {
    let dir = tempfile::tempdir().expect("a place for temporary files");
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/index.html"), "index").unwrap();
    fs::write(dir.path().join("f"), "0123456789").unwrap();
    for name in ["f", "d/index.html"] {
        let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
        file.set_modified(now() - Duration::from_secs(1000)).unwrap();
    }
    let sites = [(); 2].map(|()| Site::open(dir.path()).unwrap());
    (dir, sites)
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(super) fn run(bytes: &[u8]) {
    let cut = bytes.len() - bytes.len() / 8;
    let (text, pieces) = bytes.split_at(cut);
    SITES.with_borrow_mut(|(_, sites)| {
        let whole = exchange(&mut sites[0], text, &mut |_| WINDOW);
        let mut choices = Choices::from_bytes(pieces);
        let split = exchange(&mut sites[1], text, &mut |_| 1 + choices.below(64) as usize);
        assert_eq!(whole, split, "the answer depends on the pieces");
        damage(&mut sites[0], text, &mut Choices::from_bytes(pieces));
    });
}

/// What a stream of requests comes to: all output, and how much input was taken where it goes on.
fn exchange(site: &mut Site, text: &[u8], piece: &mut dyn FnMut(usize) -> usize) -> (Vec<u8>, Option<usize>) {
    let (mut state, mut at, mut shown) = (None::<Vec<u8>>, 0, 0);
    let (mut produced, mut output) = (0, Vec::new());
    loop {
        shown = (shown.max(at) + piece(at)).min(at + WINDOW).min(text.len());
        let fin = shown == text.len();
        let input = Input {
            stream: 1,
            state: state.as_deref(),
            offset: at as u64,
            bytes: &text[at..shown],
            fin,
            produced,
            now: now(),
        };
        let Ok(next) = site.input(input) else { panic!("nothing here takes time") };
        check(&next, shown - at, produced);
        read(site, &next, &mut output);
        let idle = next.consumed == 0 && next.output.is_empty() && !next.finished;
        assert!(!(idle && shown - at >= WINDOW), "stuck with {} bytes", shown - at);
        at += next.consumed;
        produced = next.output.end;
        state = Some(next.state);
        if next.finished {
            // The rest does not matter, however much of it was shown.
            return (output, None);
        }
        if idle && fin {
            return (output, Some(at));
        }
    }
}

fn check(next: &Next, given: usize, produced: u64) {
    assert!(next.state.len() <= MAX_STATE, "{} bytes of state", next.state.len());
    assert!(next.consumed <= given);
    assert_eq!(next.output.start, produced, "outputs follow one another");
    assert_eq!(next.any_order, 0, "uploads are not allowed");
}

fn read(site: &mut Site, next: &Next, output: &mut Vec<u8>) {
    let length = next.output.end - next.output.start;
    assert!(length <= MOST_OUTPUT, "the files here are short");
    let mut buffer = vec![0; length as usize];
    if !buffer.is_empty() {
        assert_eq!(site.output(&next.state, next.output.start, &mut buffer).unwrap(), buffer.len());
        // The same bytes from anywhere in the middle.
        let half = buffer.len() / 2;
        let mut again = vec![0; buffer.len() - half];
        assert_eq!(
            site.output(&next.state, next.output.start + half as u64, &mut again).unwrap(),
            again.len()
        );
        assert_eq!(again, buffer[half..]);
    }
    output.extend(buffer);
}

/// Continues from a state that is not what it was.
fn damage(site: &mut Site, text: &[u8], choices: &mut Choices) {
    let text = &text[..text.len().min(WINDOW)];
    let input =
        |state, offset| Input { stream: 1, state, offset, bytes: text, fin: false, produced: 7, now: now() };
    let Ok(next) = site.input(input(None, 0)) else { panic!("nothing here takes time") };
    let mut state = next.state;
    for _ in 0..choices.below(4) {
        let at = choices.below(state.len() as u64 + 1) as usize;
        match state.get_mut(at) {
            Some(byte) => *byte = choices.word() as u8,
            None => state.extend(choices.bytes(20)),
        }
    }
    state.truncate(MAX_STATE);
    let _ = site.input(input(Some(&state), 100));
    let offset = choices.near(&[7, next.output.end]);
    let _ = site.output(&state, offset, &mut [0; 100]);
}

//! Where input ends or stands still.

use std::ops::Range;
use std::time::Duration;

use trickles::client::ClientConfig;
use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};
use trickles::time::Timestamp;
use trickles_netem::Path;

use crate::common::{World, path};

/// For how long the end of the range is put off.
const PATIENCE: Duration = Duration::from_millis(100);
const LINE: &[u8] = b"a shelf\n";
/// How much is taken in any order behind the line.
const SHELF: u64 = 100_000;

/// Takes a line, so many bytes in any order, and says how it ended.
#[derive(Default)]
struct Shelf {
    /// How long the answer to all input is put off.
    later: Option<Duration>,
    /// Whether nothing is ever stored.
    full: bool,
    requests: u64,
    /// When the end of the range was shown, and how often its answer is put off.
    ends: Vec<Timestamp>,
    busy: u32,
}

impl Application for Shelf {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        self.requests += 1;
        if let Some(delay) = self.later {
            return Err(Unanswered::Later(delay));
        }
        if event.state == Some(b"line") {
            self.ends.push(event.now);
            if self.busy > 0 {
                self.busy -= 1;
                return Err(Unanswered::Later(PATIENCE));
            }
        }
        let (bytes, fin) = event.input.map_or((&[][..], false), |input| (input.bytes, input.fin));
        match event.state {
            Some(b"line") => Ok(Next {
                state: b"end".to_vec(),
                output: 0..4,
                finished: true,
                consumed: if fin { bytes.len() } else { 0 },
                any_order: 0,
            }),
            _ if bytes.is_empty() => Ok(Next::default()),
            _ => Ok(Next {
                state: b"line".to_vec(),
                consumed: LINE.len(),
                any_order: SHELF,
                ..Next::default()
            }),
        }
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        self.requests += 1;
        Ok(if self.full { 0 } else { event.input.map_or(0, |input| input.bytes.len()) })
    }
}

impl Output for Shelf {
    fn read(&mut self, _: &[u8], _: Range<u64>, _: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.fill(b'x');
        Ok(buffer.len())
    }
}

/// A client that is about to send `input` to a server 20 ms away.
fn world(input: &[u8], early: bool) -> World<Shelf> {
    let link = path(100, Duration::from_millis(10), 500_000);
    let mut world = World::with(Shelf::default(), link.clone(), link, 1);
    world.compare = false;
    let early_input = if early { input.to_vec() } else { Vec::new() };
    world.add(Duration::ZERO, ClientConfig { early_input, ..ClientConfig::default() }, vec![(0, 4)]);
    if !early {
        assert_eq!(world.clients[0].client.write(input), Ok(Some(input.len())));
    }
    world
}

#[test]
fn input_that_ends_with_the_line_ends_the_range_too() {
    let mut world = world(LINE, true);
    world.clients[0].client.shutdown();
    world.run_until(Duration::from_secs(5));
    let client = &world.clients[0];
    assert!(client.finished_at.is_some() && client.client.is_flushed(), "{:?}", client.client.failure());
}

/// The client asks for what follows as soon as the last chunk is on its way, and then waits for that answer.
#[test]
fn the_end_of_a_range_is_shown_once() {
    let input = [LINE, &[7; SHELF as usize]].concat();
    for busy in [0, 1, 3] {
        let mut world = world(&input, false);
        world.application.busy = busy;
        world.clients[0].client.shutdown();
        world.run_until(Duration::from_secs(5));
        let client = &world.clients[0];
        assert!(client.client.is_flushed(), "{:?}", client.client.failure());
        let ends = &world.application.ends;
        assert_eq!(ends.len() as u32, 1 + busy);
        // Whoever asks for patience is not asked again at once.
        assert!(ends.windows(2).all(|pair| pair[1].since(pair[0]) >= PATIENCE), "{ends:?}");
        let finished = client.finished_at.unwrap();
        println!("put off {busy} times: {finished:?}");
        // In order it would take five round trips.
        let round_trip = Duration::from_millis(20);
        assert!(finished < round_trip * 6 + (PATIENCE + round_trip * 2) * busy, "{finished:?}");
    }
}

#[test]
fn a_server_that_stores_nothing_is_asked_once_a_round_trip() {
    let input = [LINE, &[7; SHELF as usize]].concat();
    let mut world = world(&input, false);
    world.application.full = true;
    world.run_until(Duration::from_secs(5));
    let requests = world.application.requests;
    assert!((50..700).contains(&requests), "{requests}");
    world.application.full = false;
    world.run_until(Duration::from_secs(10));
    assert!(world.clients[0].finished_at.is_some());
}

#[test]
fn a_server_that_asks_for_patience_after_a_restart_is_left_alone() {
    let mut world = world(b"", false);
    world.run_until(Duration::from_millis(100));
    // The answer that all positions are spent on does not arrive.
    world.application.later = None;
    let silent = Path { loss: 1.0, ..world.down.path().clone() };
    let audible = world.down.path().clone();
    world.down.set_path(silent);
    assert_eq!(world.clients[0].client.write(LINE), Ok(Some(LINE.len())));
    world.wake(0);
    world.run_until(Duration::from_millis(120));
    world.down.set_path(audible);
    world.application.later = Some(Duration::from_secs(1));
    world.application.requests = 0;
    world.run_until(Duration::from_secs(10));
    let requests = world.application.requests;
    assert!((5..30).contains(&requests), "{requests}");
    world.application.later = None;
    assert_eq!(world.clients[0].client.write(&[7; SHELF as usize]), Ok(Some(SHELF as usize)));
    world.wake(0);
    world.run_until(Duration::from_secs(16));
    assert!(world.clients[0].finished_at.is_some());
}

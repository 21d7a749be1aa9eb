//! Whatever is dropped before it is ready, and whenever the server is killed, no byte is lost, doubled or out of
//! place.
//!
//! `TRICKLES_RUNS` sets how many seeded runs there are, `TRICKLES_SEED` replays the choices of one of them.

use std::future::Future;
use std::io::IoSlice;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use trickles::server::ServerConfig;
use trickles_tokio::TricklesStream;

use crate::application::{Checksum, bytes};
use crate::server::{Running, ring};

/// A deterministic stream of choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Something that takes a while, or no time at all.
    fn rival(&mut self) -> impl Future<Output = ()> + use<> {
        let (yields, micros) = (self.below(4), self.below(4) * self.below(300));
        async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            if micros > 0 {
                tokio::time::sleep(Duration::from_micros(micros as u64)).await;
            }
        }
    }

    /// The outcome of `future`, unless its rival was faster and it was dropped.
    async fn race<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let rival = self.rival();
        if self.below(2) == 0 {
            tokio::select! { biased; outcome = future => Some(outcome), () = rival => None }
        } else {
            tokio::select! { biased; () = rival => None, outcome = future => Some(outcome) }
        }
    }
}

/// What is to be written and to be read, and how far that is.
struct Script {
    input: Vec<u8>,
    written: usize,
    output: Vec<u8>,
    read: usize,
    ended: bool,
}

impl Script {
    /// Lines that are answered with bytes, then an upload that is answered with its checksum.
    fn new(choices: &mut Choices) -> Self {
        let (mut input, mut output) = (Vec::new(), Vec::new());
        for seed in 0..choices.below(40) as u64 {
            let length = choices.below(15_000);
            input.extend(format!("GET {length} {seed}\n").into_bytes());
            output.extend(bytes(seed, 0, length));
        }
        let upload = bytes(77, 0, choices.below(100_000));
        let mut checksum = Checksum::new();
        checksum.update(&upload);
        input.extend([b"SUM\n", &upload[..]].concat());
        output.extend(checksum.encode());
        Self { input, written: 0, output, read: 0, ended: false }
    }

    /// Some of what is still to be written.
    fn some(&self, choices: &mut Choices) -> &[u8] {
        let rest = &self.input[self.written..];
        &rest[..rest.len().min(choices.below(6000))]
    }

    fn has_read(&mut self, bytes: &[u8]) {
        self.has_peeked(bytes);
        self.read += bytes.len();
        self.ended |= bytes.is_empty();
    }

    fn has_peeked(&self, bytes: &[u8]) {
        let rest = &self.output[self.read..];
        assert!(rest.starts_with(bytes), "wrong bytes after {}", self.read);
        assert!(!bytes.is_empty() || rest.is_empty(), "the end came after {}", self.read);
    }

    /// Begins something with the stream and perhaps drops it.
    async fn step(&mut self, stream: &mut TricklesStream, choices: &mut Choices) {
        let mut buffer = vec![0; 1 + choices.below(5000)];
        let some = self.some(choices);
        match choices.below(9) {
            0 => {
                if let Some(count) = choices.race(stream.read(&mut buffer)).await {
                    self.has_read(&buffer[..count.unwrap()]);
                }
            }
            1 => {
                if let Some(count) = choices.race(stream.peek(&mut buffer)).await {
                    self.has_peeked(&buffer[..count.unwrap()]);
                }
            }
            2 => {
                let ready = choices.race(stream.readable()).await;
                if let Some(count) = ready.map(|ready| ready.and_then(|()| stream.try_read(&mut buffer))) {
                    self.has_read(&buffer[..count.unwrap()]);
                }
            }
            3 => drop(choices.race(stream.ready(Interest::READABLE | Interest::WRITABLE)).await),
            4 => {
                // One drops the other.
                let (mut reader, mut writer) = stream.split();
                let both = async {
                    tokio::select! {
                        biased;
                        count = reader.read(&mut buffer) => Ok(count.unwrap()),
                        count = writer.write(some), if !some.is_empty() => Err(count.unwrap()),
                    }
                };
                match choices.race(both).await {
                    Some(Ok(count)) => self.has_read(&buffer[..count]),
                    Some(Err(count)) => self.written += count,
                    None => {}
                }
            }
            5 if !some.is_empty() => {
                self.written += choices.race(stream.write(some)).await.map_or(0, Result::unwrap);
            }
            6 if !some.is_empty() => {
                let (head, tail) = some.split_at(choices.below(some.len()));
                let slices = [head, tail].map(IoSlice::new);
                self.written += choices.race(stream.write_vectored(&slices)).await.map_or(0, Result::unwrap);
            }
            7 if !some.is_empty() => {
                let ready = choices.race(stream.writable()).await;
                let count = ready.map(|ready| ready.and_then(|()| stream.try_write(some)));
                self.written += count.map_or(0, Result::unwrap);
            }
            _ if self.written == self.input.len() => {
                choices.race(stream.shutdown()).await.transpose().unwrap();
            }
            _ => {}
        }
    }
}

async fn run(seed: u64) {
    let mut choices = Choices(seed);
    let mut script = Script::new(&mut choices);
    let mut server = Running::start().await;
    let address = server.address;
    let builder = TricklesStream::builder()
        .receive_buffer(64 << 10)
        .send_buffer([1000, 10_000, 100_000][choices.below(3)]);
    let mut stream = loop {
        if let Some(stream) = choices.race(builder.connect(address)).await {
            break stream.unwrap();
        }
    };
    while !script.ended {
        script.step(&mut stream, &mut choices).await;
        if choices.below(100) == 0 {
            server.kill().await;
            server = Running::start_with(address, ServerConfig::default(), ring()).await;
        }
    }
    assert_eq!((script.written, script.read), (script.input.len(), script.output.len()));
    stream.shutdown().await.unwrap();
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_before_it_is_ready_has_no_effect() {
    let seeds = match number("TRICKLES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TRICKLES_RUNS").unwrap_or(30),
    };
    for seed in seeds {
        if let Err(error) = tokio::spawn(run(seed)).await {
            panic!("{error}; replay with TRICKLES_SEED={seed}");
        }
    }
}

//! Measures what a hundred thousand idle clients cost a server in memory: nothing.
//!
//! ```console
//! $ cargo run --release -p trickles-tokio --example idle_clients [-- --clients N]
//! ```
//!
//! A server runs in a process of its own. Clients, each at its own address in 127.0.0.0/8, open a stream, ask
//! for 1 KiB, compare every byte and go quiet without closing anything, as a protocol without connections has
//! it. The resident memory of the server is read after the first tenth of the clients, by when every buffer it
//! ever needs has been used, and after the last one. In the end some of the clients ask for more.
//!
//! Succeeds if the server has grown by no more than 1 MiB and everybody got the right bytes. Needs Linux.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use trickles::client::{Client, ClientConfig};
use trickles::key_ring::KeyRing;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles::time::Timestamp;
use trickles_tokio::Server;

/// How many bytes each request is answered with.
const ANSWER: u64 = 1024;
/// How many clients run at the same time: enough to keep the server busy.
const THREADS: u32 = 4;
/// How many clients keep their sockets, to ask again in the end.
const RETURNING: u32 = 100;
/// Most clients there are addresses for.
const MAX_CLIENTS: u32 = 10_000_000;
/// How much the server may grow, in KiB.
const MAX_GROWTH: u64 = 1024;
/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["serve"] => serve().map(|()| true),
        [] => measure(100_000),
        ["--clients", count] => match count.parse() {
            Ok(count) if (10..=MAX_CLIENTS).contains(&count) => measure(count),
            _ => Err(io::Error::other(format!("the number of clients is from 10 to {MAX_CLIENTS}"))),
        },
        _ => Err(io::Error::other("usage: idle_clients [--clients N]")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("idle_clients: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the server stayed as small as it was after a tenth of the clients.
fn measure(clients: u32) -> io::Result<bool> {
    let server = ServerProcess::start()?;
    let report = |what: &str| -> io::Result<u64> {
        let resident = server.resident()?;
        println!("{what:<28} {resident:>8} KiB resident");
        Ok(resident)
    };
    report("server without clients")?;
    let warm = clients / 10;
    let mut returning = run_clients(server.address, 0..warm, clients)?;
    let before = report(&format!("after {warm} clients"))?;
    returning.extend(run_clients(server.address, warm..clients, clients)?);
    let after = report(&format!("after {clients} clients"))?;

    let count = returning.len();
    for mut client in returning {
        client.ask_again()?;
    }
    println!("{count} of them, quiet since, have asked for more and got it");

    let growth = after.saturating_sub(before);
    let verdict = if growth <= MAX_GROWTH { "ok" } else { "too much" };
    println!(
        "growth over the last {} clients: {growth} KiB ({verdict}, at most {MAX_GROWTH})",
        clients - warm
    );
    Ok(growth <= MAX_GROWTH)
}

/// Runs the clients numbered `range` and returns those that stay to ask again.
fn run_clients(server: SocketAddr, range: Range<u32>, all: u32) -> io::Result<Vec<Visitor>> {
    let keep = (all / RETURNING).max(1);
    let next = AtomicU32::new(range.start);
    let work = || -> io::Result<Vec<Visitor>> {
        let mut kept = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= range.end {
                return Ok(kept);
            }
            let visitor = Visitor::visit(server, number)
                .map_err(|error| io::Error::new(error.kind(), format!("client {number}: {error}")))?;
            if number.is_multiple_of(keep) {
                kept.push(visitor);
            }
            if (number + 1).is_multiple_of((all / 20).max(1)) {
                eprintln!("{:>3} %", u64::from(number + 1) * 100 / u64::from(all));
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let mut kept = Vec::new();
        for thread in threads {
            kept.extend(thread.join().map_err(|_| io::Error::other("a thread of clients panicked"))??);
        }
        Ok(kept)
    })
}

/// A client with a socket at an address of its own.
struct Visitor {
    client: Client,
    socket: UdpSocket,
    origin: Instant,
    /// What it asks for.
    seed: [u8; 8],
    /// How many bytes it has received.
    received: u64,
}

impl Visitor {
    /// Opens a stream, fetches one answer, and goes quiet.
    fn visit(server: SocketAddr, number: u32) -> io::Result<Self> {
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 0).to_bits() + number);
        let socket = UdpSocket::bind((address, 0))?;
        socket.connect(server)?;
        let mut seed = [0; 16];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let asked = (u64::from(number) << 1 | 1).to_le_bytes();
        let config = ClientConfig { early_input: asked.to_vec(), ..ClientConfig::default() };
        let client = Client::new(config, seed, Timestamp::ZERO);
        let mut visitor = Self { client, socket, origin: now(), seed: asked, received: 0 };
        visitor.receive_answer()?;
        Ok(visitor)
    }

    /// Asks for the same once more.
    fn ask_again(&mut self) -> io::Result<()> {
        self.client.write(&self.seed).map_err(io::Error::other)?;
        self.receive_answer()
    }

    /// Runs until one more answer has arrived and there is nothing left to say.
    fn receive_answer(&mut self) -> io::Result<()> {
        let begun = now();
        let expected = self.received + ANSWER;
        let mut buffer = vec![0; 2048];
        loop {
            let timestamp = self.timestamp();
            self.read(expected)?;
            while self.client.poll_transmit(timestamp, &mut buffer) {
                self.socket.send(&buffer)?;
            }
            let timer = self.client.poll_timeout();
            if self.received == expected && timer.is_none() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(ErrorKind::TimedOut.into());
            }
            let wait = timer.map_or(PATIENCE, |at| at.since(timestamp));
            self.socket.set_read_timeout(Some(wait.clamp(Duration::from_micros(100), PATIENCE)))?;
            buffer.resize(2048, 0);
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.client.handle_datagram(&buffer[..length], self.timestamp()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.client.handle_timeout(self.timestamp());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads and compares what has arrived.
    fn read(&mut self, expected: u64) -> io::Result<()> {
        let mut bytes = [0; ANSWER as usize];
        while let Some(count @ 1..) = self.client.read(&mut bytes).map_err(io::Error::other)? {
            let right = (self.received..).map(|offset| answer_byte(self.seed, offset % ANSWER));
            if !right.take(count).eq(bytes[..count].iter().copied()) {
                return Err(io::Error::new(ErrorKind::InvalidData, "wrong bytes"));
            }
            self.received += count as u64;
            if self.received > expected {
                return Err(io::Error::new(ErrorKind::InvalidData, "more bytes than asked for"));
            }
        }
        Ok(())
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::ZERO + self.origin.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "it drives the protocol, so it is what reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Byte `offset` of the answer to the request `seed`.
fn answer_byte(seed: [u8; 8], offset: u64) -> u8 {
    let mixed = (u64::from_le_bytes(seed) ^ (offset << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

/// A server process, killed when dropped.
struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    fn start() -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take();
        let mut this = Self { child, address: (Ipv4Addr::LOCALHOST, 0).into() };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        this.address = line.trim().parse().map_err(|_| io::Error::other("the server does not start"))?;
        Ok(this)
    }

    /// Resident memory in KiB.
    fn resident(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.ok_or_else(|| io::Error::other("the server has ended"))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It fails only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints its address and serves until standard input ends.
fn serve() -> io::Result<()> {
    let (ended, end) = oneshot::channel::<()>();
    // A thread of its own, since a runtime does not shut down while a read in one of its threads is blocked.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(ended);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Anybody may know a key that is forgotten with the last of these clients.
        let ring = KeyRing::new(&[(1, [7; 32])]).map_err(io::Error::other)?;
        let mut server = Server::bind((Ipv4Addr::LOCALHOST, 0), ServerConfig::default(), ring).await?;
        println!("{}", server.local_addr()?);
        let stop = async { end.await.unwrap_or_default() };
        server.run_until(&mut Answers, stop).await
    })
}

/// Answers every 8 bytes of input with [`ANSWER`] bytes that follow from them.
///
/// The state is where the answer begins in the output and what it answers.
struct Answers;

impl Application for Answers {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let start = event.output.end;
        let request = event.input.and_then(|input| input.bytes.first_chunk::<8>()).ok_or(Reset(1))?;
        let state = [start.to_le_bytes(), *request].concat();
        Ok(Next {
            state,
            output: start..start + ANSWER,
            finished: false,
            consumed: request.len(),
            ..Next::default()
        })
    }
}

impl Output for Answers {
    fn read(&mut self, state: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        let (start, request) = state.split_first_chunk().ok_or(Reset(2))?;
        let request = request.try_into().map_err(|_| Reset(2))?;
        let begin = offset - u64::from_le_bytes(*start);
        for (byte, offset) in buffer.iter_mut().zip(begin..) {
            *byte = answer_byte(request, offset);
        }
        Ok(buffer.len())
    }
}

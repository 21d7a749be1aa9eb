//! Measures what a second core brings a server that computes something for each request.
//!
//! ```console
//! $ cargo run --release -p trickles-tokio --example cores [-- --work STEPS [--rounds N]]
//! ```
//!
//! The server runs in a process of its own, with an event loop on one core or on each of two, and nothing shared but
//! keys, filter and counters. Clients are two processes more, each with streams that ask without a pause. All of them
//! have the same two cores: what clients need, the server does not get, so a second core cannot double anything.
//! Both kinds of servers take turns; medians are printed. Needs Linux.

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use trickles::key_ring::KeyRing;
use trickles::replay::FilterConfig;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_tokio::{Server, TricklesStream, bind_many, replay_filter};

const CLIENTS: usize = 2;
/// Of each client, each with a socket of its own: the system distributes sockets among the event loops.
const STREAMS: usize = 32;
const REQUEST: [u8; 64] = [1; 64];
const ANSWER: usize = 1024;
/// Nothing is measured before everybody has been busy for so long.
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Answers each request after so many steps of arithmetic.
struct Work(u64);

impl Application for Work {
    fn input(&mut self, event: &Event<'_>) -> std::result::Result<Next, Unanswered> {
        let complete = event.input.map_or(0, |input| input.bytes.len() / REQUEST.len());
        let done = (0..self.0).fold(1u64, |value, step| black_box(value.wrapping_mul(31) ^ step));
        let start = event.output.end;
        Ok(Next {
            state: done.to_le_bytes().into(),
            output: start..start + (complete * ANSWER) as u64,
            consumed: complete * REQUEST.len(),
            ..Next::default()
        })
    }
}

impl Output for Work {
    fn read(
        &mut self,
        _: &[u8],
        _: Range<u64>,
        _: u64,
        buffer: &mut [u8],
    ) -> std::result::Result<usize, Reset> {
        buffer.fill(7);
        Ok(buffer.len())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["serve", cores, work] => serve(cores, work),
        ["ask", address] => ask(address),
        [] => measure("20000", 5),
        ["--work", work] => measure(work, 5),
        ["--work", work, "--rounds", rounds] => {
            rounds.parse().map_err(Into::into).and_then(|rounds| measure(work, rounds))
        }
        _ => Err("usage: cores [--work STEPS [--rounds N]]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cores: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(work: &str, rounds: usize) -> Result<()> {
    work.parse::<u64>().map_err(|_| "the work is a number of steps")?;
    let mut all = [Vec::new(), Vec::new()];
    for round in 1..=rounds.max(1) {
        for (cores, measured) in (1..).zip(&mut all) {
            measured.push(run(cores, work)?);
        }
        eprintln!("round {round} of {rounds}");
    }
    println!("event loops | requests a second | server CPU of each, us");
    let mut rates = Vec::new();
    for (cores, measured) in (1..).zip(&all) {
        let [rate, each] = [0, 1].map(|of| median(measured.iter().map(|figures: &[f64; 2]| figures[of])));
        println!("{cores:>11} | {rate:>17.0} | {:>22.2}", each * 1e6);
        rates.push(rate);
    }
    println!("with two: {:.2} times the requests", rates[1] / rates[0]);
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Requests a second, and the server's processor seconds for each.
#[expect(clippy::disallowed_methods, reason = "it measures what happens in a while")]
fn run(cores: usize, work: &str) -> Result<[f64; 2]> {
    let mut server = Process::start(&["serve", &cores.to_string(), work])?;
    let address = server.line()?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Process::start(&["ask", &address])?);
    }
    let mut answered = || -> Result<u64> { clients.iter_mut().map(Process::count).sum() };
    thread::sleep(WARM_UP);
    let (begin, before, used) = (Instant::now(), answered()?, server.processor_time()?);
    thread::sleep(WINDOW);
    let (after, used) = (answered()?, server.processor_time()? - used);
    let requests = (after - before) as f64;
    if requests == 0.0 {
        return Err("no request was answered".into());
    }
    Ok([requests / begin.elapsed().as_secs_f64(), used.as_secs_f64() / requests])
}

/// A process of this program, killed when dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() { Err("a process has ended early".into()) } else { Ok(line.trim().into()) }
    }

    /// How many answers a client has had.
    fn count(&mut self) -> Result<u64> {
        self.input.write_all(b"count\n")?;
        Ok(self.line()?.parse()?)
    }

    /// Of all its threads.
    fn processor_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let times = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += times.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(cores: &str, work: &str) -> Result<()> {
    let (cores, work) = (cores.parse()?, work.parse()?);
    let sockets = bind_many([(Ipv4Addr::LOCALHOST, 0).into()], cores)?;
    println!("{}", sockets[0].local_addr()?);
    let (ring, filter) = (KeyRing::new(&[(1, [7; 32])])?, replay_filter(FilterConfig::default())?);
    thread::scope(|scope| {
        let threads = sockets.into_iter().map(|socket| {
            let (ring, filter) = (ring.clone(), filter.clone());
            scope.spawn(move || -> io::Result<()> {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let mut server = Server::from_socket(socket, ServerConfig::default(), ring, filter)?;
                    server.run(&mut Work(work)).await
                })
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .try_for_each(|thread| Ok(thread.join().map_err(|_| "a thread has panicked")??))
    })
}

/// Asks on all streams, and prints how many answers there have been for each line of input.
fn ask(address: &str) -> Result<()> {
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    let address: SocketAddr = address.parse()?;
    thread::spawn(|| {
        for _ in io::stdin().lines() {
            println!("{}", ANSWERED.load(Relaxed));
        }
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::<io::Result<()>>::new();
        for _ in 0..STREAMS {
            tasks.spawn(async move {
                let mut stream = TricklesStream::connect(address).await?;
                let mut answer = [0; ANSWER];
                loop {
                    stream.write_all(&REQUEST).await?;
                    stream.read_exact(&mut answer).await?;
                    ANSWERED.fetch_add(1, Relaxed);
                }
            });
        }
        match tasks.join_next().await {
            Some(ended) => Ok(ended??),
            None => Ok(()),
        }
    })
}

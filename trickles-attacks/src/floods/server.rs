//! The server that is flooded: a process of its own, so that its memory is its own.

use std::env;
use std::fs;
use std::future::{Future, IntoFuture};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::sync::mpsc;
use trickles::key_ring::KeyRing;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_tokio::{Answer, Handler, Request, Server};

use super::{pattern, pause, placement};

/// Tells a process that it is the server, and on which core, if on one.
const ASKED: &str = "TRICKLES_ATTACKS_SERVER";
/// Tells it, if set, to serve a [`Handler`].
const HANDLER: &str = "TRICKLES_ATTACKS_HANDLER";
/// The server's key and its id.
pub(super) const SECRET: (u16, [u8; 32]) = (1, [7; 32]);

/// Lines that a server takes: it prints its counters; it stands still until the next line.
const COUNT: &[u8] = b"count\n";
const STALL: &[u8] = b"stall\n";

/// A server process, killed when dropped.
pub(super) struct ServerProcess {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
    /// How many datagrams it had looked at when it was asked last.
    received: u64,
}

/// How a server is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// An [`Application`], which answers each datagram before the next one is looked at.
    Inline,
    /// A [`Handler`], whose answers are `async`.
    Handler,
}

impl Style {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Inline, Self::Handler];
}

/// What the server has counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Datagrams it has looked at.
    pub(super) received: u64,
    /// What it has sent, in bytes of UDP payload.
    pub(super) sent_bytes: u64,
}

impl ServerProcess {
    /// `program` is one whose main function begins with [`serve_if_asked`].
    pub(super) fn start(program: &Path, style: Style, core: Option<usize>) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        if style == Style::Handler {
            command.env(HANDLER, "");
        }
        let core = core.map_or(String::new(), |core| core.to_string());
        command.env(ASKED, core).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let (commands, answers) = (child.stdin.take(), child.stdout.take());
        let (commands, answers) = commands.zip(answers).ok_or_else(|| anyhow!("no pipes"))?;
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let mut this = Self { child, commands, answers: BufReader::new(answers), address, received: 0 };
        this.address = this.line()?.parse().context("the server does not start")?;
        Ok(this)
    }

    pub(super) fn counters(&mut self) -> anyhow::Result<Counters> {
        self.commands.write_all(COUNT)?;
        let line = self.line()?;
        let counted = line.split_once(' ').context("the server does not count")?;
        self.received = counted.0.parse()?;
        Ok(Counters { received: self.received, sent_bytes: counted.1.parse()? })
    }

    /// Has `send` send it a datagram that comes alone, and waits until that is dealt with. All that was sent before has to
    /// be [counted](Self::counters).
    pub(super) fn ask(&mut self, send: impl FnOnce(SocketAddr) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let before = self.received;
        send(self.address)?;
        let mut patience = 10_000;
        while self.counters()?.received == before {
            patience -= 1;
            if patience == 0 {
                bail!("a datagram that came alone got lost");
            }
            pause(Duration::from_micros(100));
        }
        Ok(())
    }

    /// Keeps it from serving, or lets it go on.
    pub(super) fn stall(&mut self) -> anyhow::Result<()> {
        Ok(self.commands.write_all(STALL)?)
    }

    /// Resident memory in KiB, to the page: `status` has it from counters that lag behind.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let pages = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = pages.lines().find_map(|line| line.strip_prefix("Rss:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.context("the server has ended")
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().into())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It fails only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process was to be the server; it has been, then.
///
/// # Errors
/// Those of the server.
pub fn serve_if_asked() -> anyhow::Result<bool> {
    let Ok(core) = env::var(ASKED) else { return Ok(false) };
    placement::pin(core.parse().ok())?;
    serve()?;
    Ok(true)
}

/// Prints its address and does what it is told, until its input ends.
fn serve() -> anyhow::Result<()> {
    let (line, mut lines) = mpsc::unbounded_channel();
    // A thread of its own, since a runtime does not shut down while a read in one of its threads is blocked.
    thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|read| line.send(read)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ring = KeyRing::new(&[SECRET])?;
        let mut server = Server::bind((Ipv4Addr::LOCALHOST, 0), ServerConfig::default(), ring).await?;
        let handle = server.handle();
        println!("{}", server.local_addr()?);
        let mut serving: Pin<Box<dyn Future<Output = io::Result<()>>>> = match env::var_os(HANDLER) {
            Some(_) => trickles_tokio::serve(server, Pattern).into_future(),
            None => Box::pin(async move { server.run(&mut Pattern).await }),
        };
        loop {
            let line = tokio::select! {
                result = &mut serving => return Ok(result?),
                line = lines.recv() => line,
            };
            match line {
                None => return Ok(()),
                Some(line) if line.as_bytes() == STALL.trim_ascii() => {
                    lines.recv().await;
                    continue;
                }
                Some(_) => {}
            }
            let stats = handle.stats().context("the server has ended")?;
            println!("{} {}", stats.received, stats.sent_bytes);
        }
    })
}

/// Serves the pattern without end, whatever is asked.
struct Pattern;

impl Application for Pattern {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let consumed = event.input.map_or(0, |input| input.bytes.len());
        Ok(Next { output: 0..1 << 60, consumed, ..Next::default() })
    }
}

impl Output for Pattern {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.copy_from_slice(pattern::at(offset, buffer.len()));
        Ok(buffer.len())
    }
}

impl Handler for Pattern {
    type State = ();

    async fn input(&self, request: Request<'_, ()>) -> Result<Answer<()>, Unanswered> {
        Ok(Answer::new(request.input.len(), ()).output(1 << 60))
    }

    async fn output(&self, (): (), range: Range<u64>) -> Result<Vec<u8>, Reset> {
        Ok(pattern::at(range.start, (range.end - range.start) as usize).to_vec())
    }
}

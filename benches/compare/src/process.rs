//! Server and client as processes of their own, and what is said between them and whoever started them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::runtime::Builder;

use crate::peer::{Peer, tls, udp};
use crate::row::{Outcome, Row, Scale};
use crate::system;

/// Longest time that one row of one peer may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a server says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Processor seconds.
    pub processor: f64,
    /// Bytes moved, of bare UDP.
    pub moved: f64,
    /// Resident memory in bytes.
    pub resident: f64,
}

/// A process that was started and is told what to do line by line. It is killed with this.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[String], tls: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).env(tls::DIRECTORY, tls).stdin(Stdio::piped()).stdout(Stdio::piped());
        if std::env::var_os("COMPARE_VERBOSE").is_none() {
            command.stderr(Stdio::null());
        }
        let mut child = command.spawn().context("cannot start a process")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("a process without pipes")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }

    fn hear(&mut self) -> Result<Vec<String>> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("it ended early");
        }
        Ok(line.split_whitespace().map(str::to_owned).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name(peer: Peer) -> String {
    peer.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Runs one row of one peer: what its client and its server say of before and after.
///
/// # Errors
/// When either fails, or both take too long.
pub fn measure(peer: Peer, row: Row, scale: Scale, tls: &Path) -> Result<(Outcome, State, State)> {
    let (server_core, client_core) = row.cores();
    let mut server = Process::start(&["serve".into(), name(peer), server_core.to_string()], tls)?;
    let address: SocketAddr = server.hear()?.first().context("no address")?.parse()?;
    let arguments = [
        "client".into(),
        name(peer),
        row.name(),
        address.to_string(),
        client_core.to_string(),
        scale.bytes.to_string(),
        scale.requests.to_string(),
        scale.connections.to_string(),
    ];
    let mut client = Process::start(&arguments, tls)?;
    client.hear()?;
    let about = if row.is_idle() { "memory" } else { "state" };
    let before = state(&mut server, about)?;
    client.say("go")?;
    let mut heard = client.hear()?;
    if row.is_idle() {
        let after = state(&mut server, about)?;
        client.say("go")?;
        heard = client.hear()?;
        return Ok((parse(&heard)?, before, after));
    }
    if peer.is_udp() {
        // Its server notices the end by the silence.
        thread::sleep(Duration::from_millis(250));
    }
    Ok((parse(&heard)?, before, state(&mut server, about)?))
}

fn state(server: &mut Process, about: &str) -> Result<State> {
    server.say(about)?;
    let [processor, moved, resident] = numbers(&server.hear()?)?;
    Ok(State { processor, moved, resident })
}

fn parse(heard: &[String]) -> Result<Outcome> {
    let [units, seconds, processor, p50, p99, p999] = numbers(heard)?;
    Ok(Outcome { units, seconds, processor, latency: [p50, p99, p999] })
}

fn numbers<const N: usize>(words: &[String]) -> Result<[f64; N]> {
    let numbers: Vec<f64> = words.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
    numbers.try_into().ok().with_context(|| format!("{N} numbers expected, not {words:?}"))
}

/// A server's process: serves until its input ends, and says how it is whenever it is asked.
///
/// # Errors
/// Those of the transport.
pub fn serve(peer: Peer, core: usize) -> Result<()> {
    system::pin(core)?;
    thread::spawn(|| {
        for line in io::stdin().lines() {
            // To look at the memory takes a while itself: only where it is asked for.
            let resident =
                if line.is_ok_and(|line| line == "memory") { system::resident().unwrap_or(0) } else { 0 };
            let Ok(processor) = system::processor_time().map(|time| time.as_secs_f64()) else { break };
            println!("{processor} {} {resident}", udp::MOVED.load(std::sync::atomic::Ordering::Relaxed));
        }
        std::process::exit(0);
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(peer.serve(|address| println!("{address}")))
}

/// A client's process.
///
/// # Errors
/// Those of the transport, and when it takes too long.
pub fn client(peer: Peer, row: Row, server: SocketAddr, core: usize, scale: Scale) -> Result<()> {
    system::pin(core)?;
    let ready = || {
        println!("ready");
        io::stdin().read_line(&mut String::new()).map(drop).context("nobody says when to begin")
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, row.run(peer, server, scale, ready))
            .await
            .context("it took too long")?
    })?;
    let Outcome { units, seconds, processor, latency: [p50, p99, p999] } = outcome;
    println!("{units} {seconds} {processor} {p50} {p99} {p999}");
    // What is left open is not waited for.
    std::process::exit(0);
}

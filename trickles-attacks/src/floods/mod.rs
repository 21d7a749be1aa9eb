//! Floods on real sockets: a server in a process of its own, an honest client, and a thread that sends as fast
//! as a core can.
//!
//! # What is measured
//! * **Goodput lost.** The honest client downloads without an end and compares every byte. In turns the flood
//!   hits the server, and a socket beside it that nobody reads; what the client gets in the one case and in the
//!   other is compared, so that the flooder's use of its core, of memory and of the loopback interface is on
//!   both sides, and the difference is what the flood costs the *server*. The flooder has a core of its own.
//!   Server and client share another one, as the machine may have no third. That is harder on the server than
//!   a machine of its own would be: what the flood takes is missing from both.
//! * **Apart and together.** Datagrams that leave apart cost the flooder's system far more than the server, as
//!   they would any network card's. Those that leave together reach the server as one piece, as a network card
//!   that coalesces would hand them over: the most that a core can send.
//! * **Memory.** Resident pages of the server, after every buffer has been full and a first wave of the flood,
//!   and after all the others.
//! * **Amplification.** Without any other client, and slowly enough for nothing to be lost or held back by a
//!   limit: bytes that the server has sent for the bytes that it was sent.

mod ammunition;
mod flooder;
mod honest;
mod pattern;
mod placement;
mod rows;
mod server;
mod trace;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use quinn_udp::UdpSocketState;

pub use self::ammunition::Flood;
use self::flooder::{Flooder, Manner, Source};
use self::honest::Download;
pub use self::rows::attacks;
use self::server::ServerProcess;
pub use self::server::{Style, serve_if_asked};

/// How often goodput is measured with and without the flood; the medians count.
const ROUNDS: usize = 5;
/// After the flood has changed its aim, and for as long as is then measured.
const SETTLE: Duration = Duration::from_millis(200);
const WINDOW: Duration = Duration::from_millis(800);
/// How many datagrams are sent to measure amplification: fewer than a server has in reserve for Hellos.
const UNHURRIED: usize = 1000;
/// How long the flood of a trial lasts, and then rests.
const BURST: Duration = Duration::from_millis(1);
/// More than a server receives into at once.
const BUFFERS: usize = 64;
/// Where server and honest client run, and where the flooder does.
const CORES: (usize, usize) = (0, 1);

/// What a flood came to.
#[derive(Clone, Debug)]
struct Measured {
    apart: Goodput,
    together: Goodput,
    growth: u64,
    exchanged: Exchanged,
}

/// Medians of the rounds.
#[derive(Clone, Copy, Debug)]
struct Goodput {
    /// Share of the honest client's goodput that the flood takes.
    lost: f64,
    /// Without the flood, in bits a second.
    honest: f64,
    /// Datagrams of the flood a second.
    offered: f64,
}

/// Bytes of UDP payload sent to a server and by it, and what was among the latter.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged {
    /// Bytes sent to the server.
    pub to_server: u64,
    /// Bytes that it has sent.
    pub from_server: u64,
    /// Packets with output among these, as far as they were seen.
    pub packets: u64,
}

/// A flood in small: what came of it without a word about time.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// How much the server's memory has grown over the second half of the flood, in KiB.
    pub growth: u64,
    /// What was exchanged without any other client.
    pub exchanged: Exchanged,
    /// How many bytes the honest client has got during the flood, all of them right.
    pub downloaded: u64,
}

/// Floods a server with `datagrams` at least, twice, while an honest client gets at least `download` bytes.
/// `program` is one whose main function begins with [`serve_if_asked`]; the server is one of this `style`.
///
/// # Errors
/// Those of the system; when the client gets wrong bytes or none.
pub fn attempt(
    program: &Path,
    style: Style,
    flood: Flood,
    datagrams: u64,
    download: u64,
) -> anyhow::Result<Trial> {
    let mut server = ServerProcess::start(program, style, None)?;
    warm_up(&mut server)?;
    let flooder = Flooder::start(flood.sources(&mut server)?, None);
    let client = Download::start(server.address, None)?;
    let mut before = 0;
    for manner in [Manner::Apart, Manner::Together] {
        let sent = flooder.sent() + datagrams;
        let received = client.received() + download / 2;
        while flooder.sent() < sent || client.received() < received {
            if client.has_ended() || flooder.has_ended() {
                break;
            }
            flooder.aim(Some((server.address, manner)));
            pause(BURST);
            // Without a rest, a machine whose other core is taken may run nothing but the flooder.
            flooder.aim(None);
            pause(BURST);
        }
        if manner == Manner::Apart {
            before = server.resident()?;
        }
    }
    let growth = server.resident()?.saturating_sub(before);
    let downloaded = client.received();
    client.finish()?;
    let exchanged = exchange(&mut server, &mut flooder.finish()?)?;
    Ok(Trial { growth, exchanged, downloaded })
}

fn measure(program: &Path, style: Style, flood: Flood) -> anyhow::Result<Measured> {
    let mut server = ServerProcess::start(program, style, Some(CORES.0))?;
    warm_up(&mut server)?;
    let flooder = Flooder::start(flood.sources(&mut server)?, Some(CORES.1));
    let client = Download::start(server.address, Some(CORES.0))?;
    let beside = Beside::new()?;
    for manner in [Manner::Apart, Manner::Together] {
        flooder.aim(Some((server.address, manner)));
        pause(WINDOW);
    }
    let before = server.resident()?;
    let [apart, together] = [Manner::Apart, Manner::Together].map(|manner| {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (honest, _) = watch(&client, &flooder, (beside.address, manner));
            let (kept, offered) = watch(&client, &flooder, (server.address, manner));
            rounds.push((1.0 - kept / honest, honest, offered));
        }
        Goodput {
            lost: median(rounds.iter().map(|round| round.0)),
            honest: 8.0 * median(rounds.iter().map(|round| round.1)),
            offered: median(rounds.iter().map(|round| round.2)),
        }
    });
    flooder.aim(None);
    let growth = server.resident()?.saturating_sub(before);
    client.finish()?;
    let exchanged = exchange(&mut server, &mut flooder.finish()?)?;
    Ok(Measured { apart, together, growth, exchanged })
}

/// Has every buffer of the server used: a full queue of the largest datagrams awaits it when it goes on.
fn warm_up(server: &mut ServerProcess) -> anyhow::Result<()> {
    let mut source = ammunition::largest()?;
    server.stall()?;
    // For it to have stopped.
    pause(SETTLE);
    for _ in 0..BUFFERS {
        source.fire(server.address, Manner::Together);
    }
    server.stall()?;
    server.counters().map(drop)
}

/// What the client gets and the flooder sends in a second while the flood is aimed there.
fn watch(client: &Download, flooder: &Flooder, aim: flooder::Aim) -> (f64, f64) {
    flooder.aim(Some(aim));
    pause(SETTLE);
    let (received, sent) = (client.received(), flooder.sent());
    pause(WINDOW);
    let rate = |count: u64| count as f64 / WINDOW.as_secs_f64();
    (rate(client.received() - received), rate(flooder.sent() - sent))
}

/// Sends some of the flood and waits for each datagram to be dealt with.
fn exchange(server: &mut ServerProcess, sources: &mut [Source]) -> anyhow::Result<Exchanged> {
    let (mut packets, count) = (0, sources.len());
    for source in sources.iter() {
        // What the flood itself has brought counts, and makes room for what is to come.
        packets += source.packets()?;
    }
    // For the queue to run empty, the limits to be far away, and the system to let all Hellos through again.
    pause(Duration::from_secs(1));
    let (begun, mut to_server) = (server.counters()?, 0);
    for turn in 0..UNHURRIED {
        let source = &mut sources[turn % count];
        server.ask(|to| {
            to_server += source.fire_once(to)?;
            Ok(())
        })?;
    }
    let from_server = server.counters()?.sent_bytes - begun.sent_bytes;
    for source in sources.iter() {
        packets += source.packets()?;
    }
    Ok(Exchanged { to_server, from_server, packets })
}

/// A socket that takes datagrams as a server's does, and that nobody reads.
struct Beside {
    _socket: UdpSocket,
    address: SocketAddr,
}

impl Beside {
    fn new() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        UdpSocketState::new((&socket).into())?;
        let address = socket.local_addr()?;
        Ok(Self { _socket: socket, address })
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "it measures what happens in a while")]
fn pause(time: Duration) {
    thread::sleep(time);
}

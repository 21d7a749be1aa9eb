//! UDP and nothing else: what is left of a transfer when everything is taken away that makes it one.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::PACKET_SIZE;
use crate::service::{ANSWER, COMMAND, Command};

/// Packets that one system call takes.
const TOGETHER: usize = 65_507 / PACKET_SIZE as usize;
/// Silence that ends a transfer.
const SILENCE: Duration = Duration::from_millis(100);
/// Longest silence before one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests sent at a time by a client that keeps its server busy, and how many times before there are answers.
const BUSY: usize = 32;
const AHEAD: u64 = 3;
/// Most requests under way.
pub const UNDER_WAY: u64 = BUSY as u64 * AHEAD;

/// Bytes of transfers that this process has sent or received.
pub static MOVED: AtomicU64 = AtomicU64::new(0);

struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    memory: Vec<u8>,
}

impl Socket {
    fn new() -> Result<Self> {
        let io = super::socket()?;
        let state = UdpSocketState::new((&io).into())?;
        // Waiting is the system's business here.
        io.set_nonblocking(false)?;
        io.set_read_timeout(Some(SILENCE))?;
        Ok(Self { io, state, memory: vec![0; 1 << 16] })
    }

    /// Sends packets for about `length` bytes; how many bytes that were.
    fn send(&self, to: SocketAddr, length: u64) -> Result<u64> {
        let contents = vec![7; TOGETHER * usize::from(PACKET_SIZE)];
        let calls = length.div_ceil(contents.len() as u64);
        let segment_size = Some(PACKET_SIZE.into());
        for _ in 0..calls {
            let transmit =
                Transmit { destination: to, ecn: None, contents: &contents, segment_size, src_ip: None };
            self.state.try_send((&self.io).into(), &transmit)?;
            MOVED.fetch_add(contents.len() as u64, Relaxed);
        }
        Ok(calls * contents.len() as u64)
    }

    /// Receives what comes next, coalesced with what follows: how many bytes.
    fn next(&mut self) -> io::Result<usize> {
        // One buffer, since a call for several would wait for all of them.
        let mut slices = [IoSliceMut::new(&mut self.memory)];
        let mut meta = [RecvMeta::default()];
        self.state.recv((&self.io).into(), &mut slices, &mut meta)?;
        Ok(meta[0].len)
    }

    /// Receives until nothing comes; how many bytes, and the time from the first to the last.
    fn receive(&mut self) -> Result<(u64, Duration)> {
        let (begin, mut bytes, mut first, mut last) = (Instant::now(), 0, None, Instant::now());
        loop {
            match self.next() {
                Ok(received) => {
                    last = Instant::now();
                    first.get_or_insert(last);
                    bytes += received as u64;
                    MOVED.fetch_add(received as u64, Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && first.is_none() => {
                    ensure!(begin.elapsed() < PATIENCE, "nothing came");
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok((bytes, first.map_or(Duration::ZERO, |first| last - first)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Sends what it is asked for, receives what it is told of, and answers requests.
pub(super) fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let mut socket = Socket::new()?;
    announce(socket.io.local_addr()?);
    let answer = [7; ANSWER as usize];
    loop {
        let (length, from) = match socket.io.recv_from(&mut socket.memory) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            received => received?,
        };
        match Command::decode(&socket.memory[..length.min(COMMAND)]) {
            Ok(Command::Send(ANSWER)) => {
                socket.io.send_to(&answer, from)?;
            }
            Ok(Command::Send(length)) => {
                socket.send(from, length)?;
            }
            Ok(Command::Take(_)) => {
                socket.receive()?;
            }
            // What is left of an upload.
            Err(_) => {}
        }
    }
}

/// One client's socket.
pub struct Client {
    socket: Socket,
    server: SocketAddr,
}

impl Client {
    /// A client of `server`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(server: SocketAddr) -> Result<Self> {
        Ok(Self { socket: Socket::new()?, server })
    }

    /// Has `length` bytes sent: how many came, and in which time.
    ///
    /// # Errors
    /// Those of the system.
    pub fn download(&mut self, length: u64) -> Result<(u64, Duration)> {
        self.socket.io.send_to(&Command::Send(length).encode(), self.server)?;
        self.socket.receive()
    }

    /// Sends `length` bytes: how many, and in which time.
    ///
    /// # Errors
    /// Those of the system.
    pub fn upload(&mut self, length: u64) -> Result<(u64, Duration)> {
        self.socket.io.send_to(&Command::Take(length).encode(), self.server)?;
        let begin = Instant::now();
        let sent = self.socket.send(self.server, length)?;
        Ok((sent, begin.elapsed()))
    }

    /// About `count` requests and their answers, so many at a time that the server always has some; how many. One system
    /// call sends many of them.
    ///
    /// # Errors
    /// Those of the system, and when an answer is lost.
    pub fn busy(&mut self, count: u64) -> Result<u64> {
        let requests = Command::Send(ANSWER).encode().repeat(BUSY);
        let rounds = count.div_ceil(BUSY as u64);
        for round in 0..rounds + AHEAD {
            if round < rounds {
                self.ask(&requests)?;
            }
            let mut left = if round < AHEAD { 0 } else { BUSY * ANSWER as usize };
            while left > 0 {
                left = left.saturating_sub(self.socket.next()?);
            }
        }
        Ok(rounds * BUSY as u64)
    }

    fn ask(&self, requests: &[u8]) -> Result<()> {
        let (destination, segment_size) = (self.server, Some(COMMAND));
        let transmit = Transmit { destination, ecn: None, contents: requests, segment_size, src_ip: None };
        Ok(self.socket.state.try_send((&self.socket.io).into(), &transmit)?)
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// Those of the system, and when the answer is lost.
    pub fn request(&mut self) -> Result<()> {
        self.socket.io.send_to(&Command::Send(ANSWER).encode(), self.server)?;
        let length = self.socket.io.recv(&mut self.socket.memory)?;
        ensure!(length == ANSWER as usize, "an answer of {length} bytes");
        Ok(())
    }
}

/// Clients with a socket each, connected to their server.
pub struct Crowd {
    sockets: Vec<UdpSocket>,
}

impl Crowd {
    /// So many clients of `server`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(server: SocketAddr, clients: usize) -> Result<Self> {
        let socket = |_| {
            let socket = UdpSocket::bind(super::ANY)?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            anyhow::Ok(socket)
        };
        Ok(Self { sockets: (0..clients).map(socket).collect::<Result<_>>()? })
    }

    /// `count` requests and their answers, of one client after another, so many at a time that the server always has
    /// some.
    ///
    /// # Errors
    /// Those of the system, and when an answer is lost.
    pub fn busy(&self, count: u64) -> Result<()> {
        let request = Command::Send(ANSWER).encode();
        let mut answer = [0; ANSWER as usize];
        let ahead = UNDER_WAY.min(self.sockets.len() as u64);
        let socket = |turn: u64| &self.sockets[(turn % self.sockets.len() as u64) as usize];
        for turn in 0..count + ahead {
            if let Some(answered) = turn.checked_sub(ahead) {
                let length = socket(answered).recv(&mut answer)?;
                ensure!(length == answer.len(), "an answer of {length} bytes");
            }
            if turn < count {
                socket(turn).send(&request)?;
            }
        }
        Ok(())
    }
}

//! Who sends the flood: one thread, as fast as it can.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender, TryRecvError};
use std::thread::{self, JoinHandle};

use anyhow::anyhow;
use quinn_udp::{Transmit, UdpSocketState};

use super::placement;

/// Most bytes and datagrams that one system call takes.
const MAX_BYTES: usize = 65_507;
const MAX_SEGMENTS: usize = 64;
/// The type of a packet with output, docs/protocol.md section 2.3.
pub(super) const TRAIN: u8 = 16;

/// Datagrams of one length that leave one after the other, or together.
pub(super) struct Volley {
    contents: Vec<u8>,
    size: usize,
}

impl Volley {
    /// As many datagrams of `size` bytes as one system call takes, each as `make` makes it.
    pub(super) fn of(size: usize, mut make: impl FnMut() -> Vec<u8>) -> Self {
        let count = (MAX_BYTES / size).clamp(1, MAX_SEGMENTS);
        Self { contents: (0..count).flat_map(|_| make()).collect(), size }
    }

    /// These datagrams in their order.
    pub(super) fn of_all(datagrams: &[Vec<u8>]) -> Arc<[Self]> {
        let alike = datagrams.chunk_by(|one, next| one.len() == next.len());
        let fitting =
            alike.flat_map(|alike| alike.chunks((MAX_BYTES / alike[0].len()).clamp(1, MAX_SEGMENTS)));
        fitting.map(|datagrams| Self { contents: datagrams.concat(), size: datagrams[0].len() }).collect()
    }

    pub(super) fn datagrams(&self) -> u64 {
        (self.contents.len() / self.size) as u64
    }
}

/// How datagrams reach the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// A system call for each.
    Apart,
    /// A system call for a volley, which loopback hands over as it is.
    Together,
}

/// Where a part of the flood comes from.
pub(super) struct Source {
    socket: UdpSocket,
    state: UdpSocketState,
    volleys: Arc<[Volley]>,
    next: usize,
}

impl Source {
    /// `next`: which of the volleys it begins with.
    pub(super) fn new(address: Ipv4Addr, volleys: Arc<[Volley]>, next: usize) -> anyhow::Result<Self> {
        let source = Self::from_socket(UdpSocket::bind((address, 0))?, volleys)?;
        Ok(Self { next, ..source })
    }

    pub(super) fn from_socket(socket: UdpSocket, volleys: Arc<[Volley]>) -> anyhow::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state, volleys, next: 0 })
    }

    /// Sends the next volley, and returns it.
    pub(super) fn fire(&mut self, target: SocketAddr, manner: Manner) -> &Volley {
        let volley = &self.volleys[self.next % self.volleys.len()];
        self.next += 1;
        let send = |contents, segment_size| {
            let transmit = Transmit { destination: target, ecn: None, contents, segment_size, src_ip: None };
            // What the system does not take is not sent.
            let _ = self.state.try_send((&self.socket).into(), &transmit);
        };
        match manner {
            Manner::Apart => volley.contents.chunks(volley.size).for_each(|datagram| send(datagram, None)),
            Manner::Together => send(&volley.contents, (volley.datagrams() > 1).then_some(volley.size)),
        }
        volley
    }

    /// Sends one datagram, and returns its length. A server looks at it, since it comes alone.
    pub(super) fn fire_once(&mut self, target: SocketAddr) -> anyhow::Result<u64> {
        let volley = &self.volleys[self.next % self.volleys.len()];
        self.next += 1;
        Ok(self.socket.send_to(&volley.contents[..volley.size], target)? as u64)
    }

    /// How many packets with output have come back since the last look; those that the system has coalesced
    /// count as one.
    pub(super) fn packets(&self) -> anyhow::Result<u64> {
        let (mut packets, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => packets += u64::from(buffer[..length].get(1) == Some(&TRAIN)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(packets),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Where to, and how.
pub(super) type Aim = (SocketAddr, Manner);

/// The thread. It rests until it is aimed.
pub(super) struct Flooder {
    orders: Sender<Option<Aim>>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<anyhow::Result<Vec<Source>>>,
}

impl Flooder {
    pub(super) fn start(mut sources: Vec<Source>, core: Option<usize>) -> Self {
        let (orders, received) = mpsc::channel::<Option<Aim>>();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let thread = thread::spawn(move || {
            placement::pin(core)?;
            let (mut aim, mut turn) = (None, 0);
            loop {
                let order = match aim {
                    None => received.recv().map_err(|_| TryRecvError::Disconnected),
                    Some(_) => received.try_recv(),
                };
                match order {
                    Ok(order) => aim = order,
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return Ok(sources),
                }
                if let Some((target, manner)) = aim {
                    counter.fetch_add(sources[turn].fire(target, manner).datagrams(), Relaxed);
                    turn = (turn + 1) % sources.len();
                }
            }
        });
        Self { orders, sent, thread }
    }

    pub(super) fn aim(&self, aim: Option<Aim>) {
        // One that has failed says so in the end.
        let _ = self.orders.send(aim);
    }

    /// How many datagrams it has sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether it has failed.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    pub(super) fn finish(self) -> anyhow::Result<Vec<Source>> {
        drop(self.orders);
        self.thread.join().map_err(|_| anyhow!("the flooder panicked"))?
    }
}

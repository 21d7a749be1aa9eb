//! Sending trains: many packets with one system call where the system segments them.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit};
use trickles::server::{Batch, Outbox};

use crate::clock::Clock;
use crate::runtime::{AsyncTimer, AsyncUdpSocket};

/// Most bytes of one system call: what one IPv4 packet could hold, segmented or not.
const MAX_BYTES: usize = 65_507;

/// How long a full socket is waited for. The wait holds up the whole server, as a slow network card would;
/// it ends because packets for an interface that is down must not hold up those for others for ever.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where an answer goes to, and the address it leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) to: SocketAddr,
    pub(crate) from: Option<IpAddr>,
}

impl Route {
    /// Back to where a datagram came from.
    pub(crate) fn back(meta: &RecvMeta) -> Self {
        Self { to: meta.addr, from: meta.dst_ip }
    }
}

/// The sending half of a server's socket.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: Arc<dyn AsyncUdpSocket>,
    /// Most packets of one system call. Not asked of the socket each time, because packets larger than the
    /// path takes look to it like a system that does not segment, and a client chooses how large they are.
    segments: AtomicUsize,
    /// Whether it has any address of the machine, so that the one that answers leave from is to be said.
    any_address: bool,
    /// Whether queues on the way may mark packets instead of dropping them.
    ecn: AtomicBool,
    dropped: AtomicU64,
}

impl Sender {
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Self {
        let segments = socket.max_gso_segments().into();
        let any_address = socket.local_addr().map_or(true, |address| address.ip().is_unspecified());
        Self { socket, segments, any_address, ecn: false.into(), dropped: 0.into() }
    }

    /// Whether packets leave together where the system segments them.
    pub(crate) fn set_offload(&self, enabled: bool) {
        let segments = if enabled { self.socket.max_gso_segments() } else { 1 };
        self.segments.store(segments, Relaxed);
    }

    /// Whether packets say that queues may mark them.
    pub(crate) fn set_ecn(&self, enabled: bool) {
        self.ecn.store(enabled, Relaxed);
    }

    /// How many packets the system did not take.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Sends a batch. What the system does not take at once is lost, as it might be anywhere on its way.
    pub(crate) fn send_now(&self, batch: Batch<'_>, route: Route) {
        if let Some(rest) = self.try_send(batch, route) {
            self.drop_packets(rest.packets().count());
        }
    }

    /// Sends a batch, waiting for a full socket as long as `timer` and [`PATIENCE`] allow. What the system
    /// does not take is lost.
    pub(crate) async fn send(&self, batch: Batch<'_>, route: Route, timer: &mut Pin<Box<dyn AsyncTimer>>) {
        let mut unsent = self.try_send(batch, route);
        if unsent.is_some() {
            timer.as_mut().reset(Clock::after(PATIENCE));
        }
        while let Some(rest) = unsent {
            if !poll_fn(|cx| self.poll_writable(timer, cx)).await {
                return self.drop_packets(rest.packets().count());
            }
            unsent = self.try_send(rest, route);
        }
    }

    /// Sends what is in `outbox` behind the first `sent` bytes, as [`send`](Self::send) does; how many bytes are sent
    /// then. `rest`: whether packets at the end that fill no system call may wait for others to follow.
    pub(crate) async fn send_from(
        &self,
        outbox: &Outbox,
        sent: usize,
        rest: bool,
        route: Route,
        timer: &mut Pin<Box<dyn AsyncTimer>>,
    ) -> usize {
        let (mut end, mut done) = (0, sent);
        for Batch { contents, segment_size } in outbox.batches() {
            let start = end;
            end += contents.len();
            let Some(unsent) = contents.get(sent.saturating_sub(start)..) else { continue };
            let mut count = unsent.len();
            if rest && end == outbox.len() && count.is_multiple_of(segment_size) {
                count -= count % self.call_length(segment_size);
            }
            self.send(Batch { contents: &unsent[..count], segment_size }, route, timer).await;
            done = end - (unsent.len() - count);
        }
        done
    }

    /// How many bytes one system call takes, in packets of this size.
    fn call_length(&self, segment_size: usize) -> usize {
        self.segments.load(Relaxed).min(MAX_BYTES / segment_size).max(1) * segment_size
    }

    /// Sends a batch: what is left of it if the socket is full.
    fn try_send<'a>(&self, batch: Batch<'a>, route: Route) -> Option<Batch<'a>> {
        let Batch { mut contents, segment_size } = batch;
        while !contents.is_empty() {
            let (first, rest) = contents.split_at(contents.len().min(self.call_length(segment_size)));
            let segmented = first.len() > segment_size;
            match self.transmit(first, segmented.then_some(segment_size), route) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Some(Batch { contents, segment_size });
                }
                Err(_) if segmented => {
                    let sent = self.send_apart(first, segment_size, route);
                    if sent < first.len() {
                        return Some(Batch { contents: &contents[sent..], segment_size });
                    }
                }
                Err(_) => self.drop_packets(1),
                Ok(()) => {}
            }
            contents = rest;
        }
        None
    }

    /// Sends one by one the packets that could not be sent together: how many bytes, until the socket is full.
    fn send_apart(&self, contents: &[u8], segment_size: usize, route: Route) -> usize {
        let (mut done, mut sent) = (0, false);
        for packet in contents.chunks(segment_size) {
            match self.transmit(packet, None, route) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.drop_packets(1),
                Ok(()) => sent = true,
            }
            done += packet.len();
        }
        // Only now is it certain that segmentation was at fault and not the packets.
        if sent && self.socket.max_gso_segments() == 1 {
            self.segments.store(1, Relaxed);
        }
        done
    }

    fn transmit(&self, contents: &[u8], segment_size: Option<usize>, route: Route) -> io::Result<()> {
        let (destination, src_ip) = (route.to, route.from.filter(|_| self.any_address));
        let ecn = self.ecn.load(Relaxed).then_some(EcnCodepoint::Ect0);
        self.socket.try_send(&Transmit { destination, ecn, contents, segment_size, src_ip })
    }

    fn drop_packets(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Relaxed);
    }

    /// Whether the socket became writable before the timer expired.
    fn poll_writable(&self, timer: &mut Pin<Box<dyn AsyncTimer>>, cx: &mut Context<'_>) -> Poll<bool> {
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        self.socket.poll_writable(cx).map(|result| result.is_ok())
    }
}

#[cfg(test)]
mod tests;

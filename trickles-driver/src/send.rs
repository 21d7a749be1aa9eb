//! Sending trains: many packets with one system call where the system segments them.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn_udp::Transmit;
use trickles::server::Batch;

use crate::clock::Clock;
use crate::runtime::{AsyncTimer, AsyncUdpSocket, Runtime};

/// Most bytes of one system call: what one IPv4 packet could hold, segmented or not.
const MAX_BYTES: usize = 65_507;

/// How long a full socket is waited for. The wait holds up the whole server, as a slow network card would;
/// it ends because packets for an interface that is down must not hold up those for others for ever.
const PATIENCE: Duration = Duration::from_millis(10);

/// The sending half of a server's socket.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: Arc<dyn AsyncUdpSocket>,
    timer: Pin<Box<dyn AsyncTimer>>,
    /// Most packets of one system call. Not asked of the socket each time, because packets larger than the
    /// path takes look to it like a system that does not segment, and a client chooses how large they are.
    segments: usize,
    dropped: u64,
}

impl Sender {
    pub(crate) fn new(runtime: &dyn Runtime, socket: Arc<dyn AsyncUdpSocket>) -> Self {
        let segments = socket.max_gso_segments();
        Self { socket, timer: runtime.new_timer(Clock::after(PATIENCE)), segments, dropped: 0 }
    }

    /// How many packets the system did not take.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Sends a batch to `to` from the address `from`. What the system does not take is lost, as it might be
    /// anywhere on its way.
    pub(crate) async fn send(&mut self, batch: Batch<'_>, to: SocketAddr, from: Option<IpAddr>) {
        let segment_size = batch.segment_size;
        let fitting = self.segments.min(MAX_BYTES / segment_size).max(1);
        for contents in batch.contents.chunks(fitting * segment_size) {
            let segmented = contents.len() > segment_size;
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents,
                segment_size: segmented.then_some(segment_size),
                src_ip: from,
            };
            match self.transmit(&transmit).await {
                Ok(()) => {}
                Err(error) if segmented && error.kind() != ErrorKind::WouldBlock => {
                    self.send_apart(&transmit, segment_size).await;
                }
                Err(_) => self.dropped += contents.len().div_ceil(segment_size) as u64,
            }
        }
    }

    /// Sends one by one the packets that could not be sent together.
    async fn send_apart(&mut self, transmit: &Transmit<'_>, segment_size: usize) {
        let mut sent = false;
        for contents in transmit.contents.chunks(segment_size) {
            match self.transmit(&Transmit { contents, segment_size: None, ..transmit.clone() }).await {
                Ok(()) => sent = true,
                Err(_) => self.dropped += 1,
            }
        }
        // Only now is it certain that segmentation was at fault and not the packets.
        if sent && self.socket.max_gso_segments() == 1 {
            self.segments = 1;
        }
    }

    async fn transmit(&mut self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut waiting = false;
        loop {
            match self.socket.try_send(transmit) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !waiting {
                        self.timer.as_mut().reset(Clock::after(PATIENCE));
                        waiting = true;
                    }
                    if !poll_fn(|cx| self.poll_writable(cx)).await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// Whether the socket became writable before the timer expired.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        self.socket.poll_writable(cx).map(|result| result.is_ok())
    }
}

#[cfg(test)]
mod tests;

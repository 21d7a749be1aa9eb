//! Servers whose runtime does not matter.

use std::io;
use std::net::SocketAddr;
use std::ops::DerefMut;

use async_trait::async_trait;
use futures::Stream;
use trickles::key_ring::KeyRing;
use trickles::stats::Stats;

use super::{Event, EventServer, EventStats};

/// A server that is a stream of events, on whichever runtime. The server types of the runtime crates are
/// [`EventServer`]s with constructors of their own, and dereference to one.
///
/// ```
/// use futures::StreamExt;
/// use trickles_driver::{Event, TricklesServer};
///
/// /// Refuses everybody, until there is nobody left.
/// async fn refuse_all(mut server: Box<dyn TricklesServer>) -> std::io::Result<()> {
///     server.close();
///     while let Some(event) = server.next().await {
///         if let Event::Opened(minisocket) = event? {
///             minisocket.refuse(403);
///         }
///     }
///     server.drain().await;
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait TricklesServer: Stream<Item = io::Result<Event>> + Send + Unpin {
    /// The address it serves on.
    ///
    /// # Errors
    /// Those of the system.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// What became of the datagrams received.
    fn stats(&self) -> Stats;

    /// What became of the events handed out.
    fn event_stats(&self) -> EventStats;

    /// Replaces the key ring: keys may come and go at any time.
    fn set_key_ring(&mut self, ring: KeyRing);

    /// Lets the stream end once the events that have arrived are handed out.
    fn close(&mut self);

    /// Waits until every event that was handed out is answered, refused, ignored or parked.
    ///
    /// Cancel safe.
    async fn drain(&mut self);
}

#[async_trait]
impl TricklesServer for EventServer {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    fn event_stats(&self) -> EventStats {
        self.event_stats()
    }

    fn set_key_ring(&mut self, ring: KeyRing) {
        self.set_key_ring(ring);
    }

    fn close(&mut self) {
        self.close();
    }

    async fn drain(&mut self) {
        self.drain().await;
    }
}

#[async_trait]
impl<S> TricklesServer for S
where
    S: DerefMut<Target = EventServer> + Stream<Item = io::Result<Event>> + Send + Unpin,
{
    fn local_addr(&self) -> io::Result<SocketAddr> {
        (**self).local_addr()
    }

    fn stats(&self) -> Stats {
        (**self).stats()
    }

    fn event_stats(&self) -> EventStats {
        (**self).event_stats()
    }

    fn set_key_ring(&mut self, ring: KeyRing) {
        (**self).set_key_ring(ring);
    }

    fn close(&mut self) {
        (**self).close();
    }

    async fn drain(&mut self) {
        (**self).drain().await;
    }
}

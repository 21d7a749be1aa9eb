//! What concerns a server that runs elsewhere.

use std::fmt;
use std::sync::{Arc, Weak};

use trickles::key_ring::KeyRing;
use trickles::stats::Stats;

use super::EventStats;
use super::shared::Shared;

/// A way to a server that is running, in another thread say, as those on several cores do.
///
/// It keeps nothing alive: once the server and all events it has handed out are gone, its socket is closed, so that
/// the system gives its clients to others.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Weak<Shared>,
}

impl ServerHandle {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }

    /// What became of the datagrams received; `None` once the server is gone. Those of several servers can be
    /// summed.
    pub fn stats(&self) -> Option<Stats> {
        Some(self.shared.upgrade()?.lock().server.stats().clone())
    }

    /// What became of the events handed out; `None` once the server is gone.
    pub fn event_stats(&self) -> Option<EventStats> {
        Some(self.shared.upgrade()?.lock().stats)
    }

    /// The share of Hellos that the system lets through, 1 unless there is a
    /// [flood](super::EventServer::hello_share) of them; `None` once the server is gone.
    pub fn hello_share(&self) -> Option<f64> {
        Some(self.shared.upgrade()?.hello_share.get())
    }

    /// Replaces the key ring from the next datagram on; whether the server is still there.
    pub fn set_key_ring(&self, ring: KeyRing) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        shared.lock().server.set_key_ring(ring);
        true
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

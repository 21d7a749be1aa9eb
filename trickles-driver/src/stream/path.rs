//! What all streams on one socket share.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use trickles::client::{Client, ClientConfig};

use super::shared::Shared;
use super::task::Task;
use super::waiters::register;
use crate::clock::Clock;
use crate::runtime::{AsyncUdpSocket, Runtime};
use crate::{seed, socket};

/// A socket that is connected to one server, so that the network's errors reach it and nobody else's datagrams do, and
/// what the task that drives its streams is told.
pub(super) struct Path {
    pub(super) socket: Arc<dyn AsyncUdpSocket>,
    pub(super) clock: Clock,
    pub(super) server: SocketAddr,
    /// Whether several datagrams pass between this program and the system at once.
    pub(super) offload: bool,
    inbox: Mutex<Inbox>,
    strays: AtomicU64,
}

/// What the task is to do.
#[derive(Default)]
struct Inbox {
    /// Streams it does not have yet.
    opened: Vec<Arc<Shared>>,
    /// Streams it is to look after.
    called: Vec<u64>,
    /// Whether no more streams will be opened.
    closed: bool,
    /// Why the task has ended before that.
    stopped: Option<ErrorKind>,
    task: Option<Waker>,
}

impl Path {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, server: SocketAddr, offload: bool) -> Arc<Self> {
        let (clock, inbox) = (Clock::from_zero(), Mutex::default());
        Arc::new(Self { socket, clock, server, offload, inbox, strays: 0.into() })
    }

    /// Opens a socket, and has its streams driven.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn open(
        runtime: &dyn Runtime,
        server: SocketAddr,
        local: Option<SocketAddr>,
        offload: bool,
    ) -> io::Result<Arc<Self>> {
        let socket = socket::connect(server, local)?;
        let plain = if offload { None } else { Some(socket.try_clone()?) };
        let path = Self::new(runtime.wrap_udp_socket(socket)?, server, offload);
        if let Some(socket) = plain {
            socket::set_receive_offload(&socket, false);
        }
        runtime.spawn(Box::pin(Task::new(runtime, path.clone())));
        Ok(path)
    }

    /// Opens a stream, which the task will see to.
    ///
    /// # Errors
    /// The system's, when it has no random bytes.
    pub(super) fn open_stream(self: &Arc<Self>, config: ClientConfig) -> io::Result<Arc<Shared>> {
        let client = Client::new(config, seed()?, self.clock.now());
        let shared = Arc::new(Shared::new(self.clone(), client));
        let mut inbox = self.inbox();
        if inbox.stopped.is_some() {
            shared.lock().stopped = inbox.stopped;
        } else {
            inbox.opened.push(shared.clone());
        }
        wake(inbox);
        Ok(shared)
    }

    /// Has the task look after one of its streams.
    pub(super) fn call(&self, id: u64) {
        let mut inbox = self.inbox();
        inbox.called.push(id);
        wake(inbox);
    }

    /// Ends the task, once all streams have ended.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox();
        inbox.closed = true;
        wake(inbox);
    }

    /// Whether the task has ended.
    pub(super) fn has_stopped(&self) -> bool {
        self.inbox().stopped.is_some()
    }

    /// How many datagrams came that no stream expected.
    pub(super) fn strays(&self) -> u64 {
        self.strays.load(Relaxed)
    }

    pub(super) fn count_stray(&self) {
        self.strays.fetch_add(1, Relaxed);
    }

    /// For the task: `adopt` takes the streams that were opened; then `called` has those it is to look after. It is
    /// woken when there is more. Whether it may end when it has no streams.
    pub(super) fn collect(
        &self,
        cx: &Context<'_>,
        mut adopt: impl FnMut(Arc<Shared>),
        called: &mut Vec<u64>,
    ) -> bool {
        let mut inbox = self.inbox();
        register(&mut inbox.task, cx);
        for shared in inbox.opened.drain(..) {
            called.push(shared.id);
            adopt(shared);
        }
        called.append(&mut inbox.called);
        inbox.closed
    }

    /// For the task: it has ended. Returns the streams it does not know of.
    pub(super) fn stop(&self, reason: ErrorKind) -> Vec<Arc<Shared>> {
        let mut inbox = self.inbox();
        inbox.stopped.get_or_insert(reason);
        std::mem::take(&mut inbox.opened)
    }

    /// Nothing in here is ever half done.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut inbox: MutexGuard<'_, Inbox>) {
    let task = inbox.task.take();
    drop(inbox);
    if let Some(task) = task {
        task.wake();
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Path")
            .field("server", &self.server)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

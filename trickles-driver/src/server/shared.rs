//! What a server shares with the events it has handed out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use trickles::server::{
    AnswerError, Demand, Minisocket as Request, Next, Outbox, Output, Received, Reply, RequestId, Reset,
    Server,
};
use trickles::time::Timestamp;

use super::event::{Event, Minisocket, Occasion};
use super::prepared::Prepared;
use super::slots::{Slots, Ticket};
use super::thinning::HelloShare;
use crate::clock::Clock;
use crate::send::{Route, Sender};

/// What became of the events of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventStats {
    /// Requests that took the place of an earlier one that asked for the same and was not answered yet.
    pub repeated: u64,
    /// Events whose clients have come to ask for something else instead.
    pub superseded: u64,
    /// Parked events that had to make room for others.
    pub evicted: u64,
    /// Requests that found no room and were told to come again.
    pub turned_away: u64,
    /// Answers to events that had been superseded or evicted.
    pub void: u64,
}

pub(crate) struct Shared {
    pub(super) sender: Sender,
    pub(super) clock: Clock,
    /// After how long a client that is turned away asks again.
    pub(super) pending: Duration,
    pub(super) hello_share: HelloShare,
    core: Mutex<Core>,
}

pub(super) struct Core {
    pub(super) server: Server,
    pub(super) slots: Slots<RequestId, Held>,
    pub(super) stats: EventStats,
    outbox: Outbox,
    /// Waits until no event is busy.
    drained: Option<Waker>,
}

/// An event that awaits its answer.
pub(super) struct Held {
    request: Request<'static>,
    route: Route,
    /// After how long its client was told to ask again, once it has been parked.
    parked: Option<Duration>,
    /// Waits until it is void.
    waker: Option<Waker>,
}

impl Shared {
    pub(super) fn new(server: Server, sender: Sender, pending: Duration, slots: usize) -> Self {
        let core = Core {
            server,
            slots: Slots::new(slots),
            stats: EventStats::default(),
            outbox: Outbox::default(),
            drained: None,
        };
        let (clock, hello_share) = (Clock::unix(), HelloShare::default());
        Self { sender, clock, pending, hello_share, core: Mutex::new(core) }
    }

    /// A panic in an application's [`Output`] leaves nothing half done but an answer.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one datagram: what it amounts to, if that is a new event, and whether it was of any use.
    pub(super) fn admit(self: &Arc<Self>, datagram: &[u8], route: Route) -> (Option<Event>, bool) {
        let now = self.clock.now();
        let mut core = self.lock();
        let Core { server, outbox, .. } = &mut *core;
        outbox.clear();
        let received = server.receive(datagram, route.to, now, outbox);
        core.flush(&self.sender, route);
        match received {
            None => (None, false),
            Some(Received::Reset { stream, code }) => (Some(Event::Closed { stream, code }), true),
            Some(Received::Event(request)) => (self.hold(core, request.into_owned(), route, now), true),
        }
    }

    /// Finds a place for a request, and hands out the event unless that has been done already.
    fn hold(
        self: &Arc<Self>,
        mut core: MutexGuard<'_, Core>,
        mut request: Request<'static>,
        route: Route,
        now: Timestamp,
    ) -> Option<Event> {
        let Core { server, slots, stats, outbox, .. } = &mut *core;
        let id = request.id();
        let (mut superseded, mut evicted) = (None, None);
        if let Some(ticket) = slots.find(id)
            && let Some(held) = slots.get_mut(ticket)
        {
            match held.request.renew(request) {
                Ok(()) => {
                    held.route = route;
                    stats.repeated += 1;
                    if let Some(delay) = held.parked {
                        server.park(&held.request, delay, now, outbox);
                        slots.park(ticket);
                        core.flush(&self.sender, route);
                    }
                    return None;
                }
                Err(newer) => request = newer,
            }
            stats.superseded += 1;
            superseded = slots.remove(ticket);
        }
        if slots.is_full() {
            evicted = slots.evict();
            // Those that have been handed out come first: else nothing would ever be finished.
            let Some(Held { request, route, parked, .. }) = &evicted else {
                stats.turned_away += 1;
                server.park(&request, self.pending, now, outbox);
                core.flush(&self.sender, route);
                return None;
            };
            stats.evicted += 1;
            server.park(request, parked.unwrap_or(self.pending), now, outbox);
            let route = *route;
            core.flush(&self.sender, route);
        }
        let occasion = Occasion::of(&request.event());
        let demand = request.demand();
        let ticket = core.slots.insert(id, Held { request, route, parked: None, waker: None });
        drop(core);
        [superseded, evicted].into_iter().flatten().filter_map(|held| held.waker).for_each(Waker::wake);
        let opens = occasion.state.is_none();
        let minisocket = Minisocket::new(self.clone(), ticket, occasion);
        Some(match demand {
            Demand::Next if opens => Event::Opened(minisocket),
            Demand::Next => Event::Input(minisocket),
            Demand::Store => Event::Chunk(minisocket),
            Demand::Output => Event::OutputWanted(minisocket),
        })
    }

    /// Answers what is in the slot, if it is still there.
    pub(super) fn reply(
        &self,
        ticket: Ticket,
        reply: Reply,
        output: &mut dyn Output,
    ) -> Result<(), AnswerError> {
        let now = self.clock.now();
        self.finish(ticket, |server, request, outbox| server.respond(request, reply, output, now, outbox))
            .unwrap_or(Ok(()))
    }

    pub(super) fn refuse(&self, ticket: Ticket, reset: Reset) {
        self.finish(ticket, |server, request, outbox| server.refuse(request, reset, outbox));
    }

    fn finish<T>(
        &self,
        ticket: Ticket,
        act: impl FnOnce(&mut Server, Request<'static>, &mut Outbox) -> T,
    ) -> Option<T> {
        let mut core = self.lock();
        let Some(held) = core.slots.remove(ticket) else {
            core.stats.void += 1;
            return None;
        };
        let Core { server, outbox, .. } = &mut *core;
        outbox.clear();
        let result = act(server, held.request, outbox);
        core.flush(&self.sender, held.route);
        wake_drained(core);
        Some(result)
    }

    /// Drops what is in the slot.
    pub(super) fn release(&self, ticket: Ticket) {
        let mut core = self.lock();
        core.slots.remove(ticket);
        wake_drained(core);
    }

    pub(super) fn park(&self, ticket: Ticket, delay: Duration) {
        let now = self.clock.now();
        let mut core = self.lock();
        let Core { server, slots, outbox, .. } = &mut *core;
        let Some(held) = slots.get_mut(ticket) else { return };
        held.parked = Some(delay);
        outbox.clear();
        server.park(&held.request, delay, now, outbox);
        let route = held.route;
        slots.park(ticket);
        core.flush(&self.sender, route);
        wake_drained(core);
    }

    /// The output that the newest request in the slot asks for.
    pub(super) fn wanted(&self, ticket: Ticket, next: Option<&Next>) -> Prepared {
        let mut core = self.lock();
        let held = core.slots.get_mut(ticket);
        held.map_or_else(Prepared::default, |held| Prepared::new(&held.request.wanted(next)))
    }

    pub(super) fn has_news(&self, ticket: Ticket) -> bool {
        self.lock().slots.get_mut(ticket).is_some_and(|held| held.request.has_news())
    }

    pub(super) fn is_void(&self, ticket: Ticket) -> bool {
        self.lock().slots.get_mut(ticket).is_none()
    }

    pub(super) fn poll_voided(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<()> {
        match self.lock().slots.get_mut(ticket) {
            Some(held) => {
                held.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }

    /// Whether no event is left that is neither answered nor parked.
    pub(super) fn poll_drained(&self, cx: &Context<'_>) -> Poll<()> {
        let mut core = self.lock();
        if core.slots.busy() == 0 {
            return Poll::Ready(());
        }
        core.drained = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Core {
    /// Sends what is in the outbox, without waiting for anything.
    fn flush(&mut self, sender: &Sender, route: Route) {
        self.outbox.batches().for_each(|batch| sender.send_now(batch, route));
        self.outbox.clear();
    }
}

/// A waker may do anything, dropping a minisocket included: the lock goes first.
fn wake_drained(mut core: MutexGuard<'_, Core>) {
    let waker = if core.slots.busy() == 0 { core.drained.take() } else { None };
    drop(core);
    waker.into_iter().for_each(Waker::wake);
}

//! Who waits for what.

use std::collections::BTreeMap;
use std::task::{Context, Waker};

use trickles::client::Client;

/// What one can wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interest {
    /// The server's first answer.
    Connected,
    /// Bytes to read, or the end.
    Readable,
    /// Room for bytes to write, or the end.
    Writable,
    /// All that was written being consumed.
    Flushed,
}

/// Who waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    /// The task that polled last, of all that call a method `poll_…`: nothing says when it stops waiting.
    Polled,
    /// A future with an identifier of its own, which deregisters when it is dropped.
    Future(u64),
}

/// The wakers of all that wait on one stream.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_interest: [Group; Interest::ALL.len()],
}

#[derive(Debug, Default)]
struct Group {
    polled: Option<Waker>,
    futures: BTreeMap<u64, Waker>,
}

impl Interest {
    const ALL: [Self; 4] = [Self::Connected, Self::Readable, Self::Writable, Self::Flushed];

    /// Whether waiting is over. A failure ends every wait.
    pub(super) fn is_met(self, client: &Client) -> bool {
        client.failure().is_some()
            || match self {
                Self::Connected => client.is_connected(),
                Self::Readable => client.is_readable(),
                Self::Writable => client.is_writable(),
                Self::Flushed => client.is_flushed(),
            }
    }
}

impl Waiters {
    pub(super) fn register(&mut self, interest: Interest, waiter: Waiter, cx: &Context<'_>) {
        let group = &mut self.by_interest[interest as usize];
        match waiter {
            Waiter::Polled => register(&mut group.polled, cx),
            Waiter::Future(id) => {
                let waker = group.futures.entry(id).or_insert_with(|| cx.waker().clone());
                waker.clone_from(cx.waker());
            }
        }
    }

    pub(super) fn deregister(&mut self, interest: Interest, id: u64) {
        self.by_interest[interest as usize].futures.remove(&id);
    }

    /// Moves to `wakers` all that wait for an interest that `is_over`.
    pub(super) fn take(&mut self, is_over: impl Fn(Interest) -> bool, wakers: &mut Vec<Waker>) {
        for interest in Interest::ALL {
            let group = &mut self.by_interest[interest as usize];
            if (group.polled.is_some() || !group.futures.is_empty()) && is_over(interest) {
                wakers.extend(group.polled.take());
                wakers.extend(std::mem::take(&mut group.futures).into_values());
            }
        }
    }

    /// How many wakers are kept.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.by_interest.iter().map(|group| group.futures.len() + usize::from(group.polled.is_some())).sum()
    }
}

pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

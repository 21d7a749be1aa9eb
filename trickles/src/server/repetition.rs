//! Requests that ask again for what an earlier one asked for.

use std::net::IpAddr;

use super::{Demand, Minisocket};

/// What a request and its repetitions have in common, and no other request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId {
    client: IpAddr,
    /// While it opens, the name its client gave it; then the server's.
    stream: u64,
    demand: Demand,
    /// Offset of the input; without any, the first position claimed.
    at: u64,
}

impl<'a> Minisocket<'a> {
    /// Tells this request from all but its repetitions.
    pub fn id(&self) -> RequestId {
        let at = match &self.input {
            _ if self.presented.is_none() => 0,
            Some(input) => input.offset,
            None => self.runs.iter().next().map_or(0, |(run, _)| run.first),
        };
        let stream = self.opened_as.unwrap_or(self.continuation.stream);
        RequestId { client: self.client.ip(), stream, demand: self.demand, at }
    }

    /// Puts `newer`, which asks for the same once more, into the place of this request, so that an answer to
    /// what [`event`](Self::event) and [`wanted`](Self::wanted) have shown reaches the client under its newest
    /// request.
    ///
    /// # Errors
    /// `newer`, if it does not ask for the same. If it has the same [id](Self::id), it comes instead of this one:
    /// the client awaits no answer to this one any more.
    #[expect(clippy::result_large_err, reason = "it is not an error but the event that comes next")]
    pub fn renew(&mut self, mut newer: Self) -> Result<(), Self> {
        let same_state = self.user_continuation() == newer.user_continuation();
        if self.id() != newer.id() || !same_state || !self.brings_no_more_than(&newer) {
            return Err(newer);
        }
        if self.presented.is_none() {
            // The application knows the stream by the name that it has been shown.
            newer.continuation.stream = self.continuation.stream;
        }
        *self = newer;
        Ok(())
    }

    /// Whether what the application makes of this request serves as an answer to `newer`.
    fn brings_no_more_than(&self, newer: &Self) -> bool {
        match (&self.input, &newer.input) {
            // Further runs are asked for again.
            (None, None) => self.runs.iter().next() == newer.runs.iter().next(),
            (Some(shown), Some(newer)) => {
                // An end of the input that has not been shown must not be taken for consumed.
                let same_end = shown.bytes.len() < newer.bytes.len() && !shown.fin || shown.fin == newer.fin;
                same_end && newer.bytes.starts_with(&shown.bytes)
            }
            _ => false,
        }
    }
}

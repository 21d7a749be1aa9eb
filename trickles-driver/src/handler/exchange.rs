//! From one event to its answer.

use std::ops::Range;
use std::pin::pin;

use futures::future::{Either, FutureExt, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trickles::server::{Next, Reply, Reset, Unanswered};

use super::state::{self, StateError};
use super::{Answer, BROKEN, Handler, Request};
use crate::server::{Event, Minisocket, Piece, Prepared};

/// Where output of unknown length ends.
const UNKNOWN: u64 = u64::MAX;

/// Has `handler` answer an event. Gives up once nobody awaits it.
pub(super) async fn exchange<H: Handler>(handler: &H, event: Event) {
    let (minisocket, outcome) = match event {
        Event::Opened(minisocket) | Event::Input(minisocket) => {
            let outcome = unless_void(&minisocket, input(handler, &minisocket)).await;
            (minisocket, outcome)
        }
        Event::Chunk(minisocket) => {
            let outcome = unless_void(&minisocket, store(handler, &minisocket)).await;
            (minisocket, outcome)
        }
        Event::OutputWanted(minisocket) => {
            let outcome = unless_void(&minisocket, output(handler, &minisocket)).await;
            (minisocket, outcome)
        }
        Event::Closed { stream, code } => return handler.reset(stream, code),
    };
    match outcome {
        Some(Ok((reply, mut output))) => {
            let client = minisocket.client();
            if let Err(error) = minisocket.reply(reply, &mut output) {
                tracing::error!(%client, %error, "the handler's answer was not taken");
            }
        }
        Some(Err(Unanswered::Reset(code))) => minisocket.refuse(code),
        Some(Err(Unanswered::Later(delay))) => {
            let mut minisocket = minisocket;
            minisocket.park(delay);
        }
        None => {}
    }
}

type Outcome = Result<(Reply, Prepared), Unanswered>;

async fn unless_void(minisocket: &Minisocket, work: impl Future<Output = Outcome>) -> Option<Outcome> {
    match select(pin!(work), pin!(minisocket.voided())).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

async fn input<H: Handler>(handler: &H, minisocket: &Minisocket) -> Outcome {
    let answer = handler.input(request(minisocket)?).await?;
    let next = following(answer, minisocket.output()).map_err(|error| broken(minisocket, error))?;
    let output = fill(handler, minisocket, Some(&next)).await?;
    Ok((Reply::Next(next), output))
}

async fn store<H: Handler>(handler: &H, minisocket: &Minisocket) -> Outcome {
    let stored = handler.store(request(minisocket)?).await?;
    let output = fill(handler, minisocket, None).await?;
    Ok((Reply::Stored(stored), output))
}

async fn output<H: Handler>(handler: &H, minisocket: &Minisocket) -> Outcome {
    if minisocket.has_news() {
        return Ok((Reply::Output, fill(handler, minisocket, None).await?));
    }
    let mut prepared = minisocket.wanted(None);
    // The first bytes of the stream are those that appear first.
    if let Some(first) = prepared.pieces.iter_mut().min_by_key(|piece| piece.range.start) {
        first.bytes = regenerate(handler, minisocket, first).await?;
        fill_pieces(handler, minisocket, &mut prepared.pieces).await?;
    }
    Ok((Reply::Output, prepared))
}

/// Regenerates what is wanted beside something that should be known soon.
async fn fill<H: Handler>(
    handler: &H,
    minisocket: &Minisocket,
    next: Option<&Next>,
) -> Result<Prepared, Reset> {
    let mut prepared = minisocket.wanted(next);
    fill_pieces(handler, minisocket, &mut prepared.pieces).await?;
    Ok(prepared)
}

/// Regenerates what is missing of some pieces, as far as it exists.
async fn fill_pieces<H: Handler>(
    handler: &H,
    minisocket: &Minisocket,
    pieces: &mut [Piece],
) -> Result<(), Reset> {
    for piece in pieces.iter_mut().filter(|piece| piece.bytes.is_empty()) {
        let bytes = regenerate(handler, minisocket, piece);
        piece.bytes = if piece.output.end == UNKNOWN {
            // It may never appear, and what is there already is not to wait for it.
            bytes.now_or_never().transpose()?.unwrap_or_default()
        } else {
            bytes.await?
        };
    }
    Ok(())
}

async fn regenerate<H: Handler>(
    handler: &H,
    minisocket: &Minisocket,
    piece: &Piece,
) -> Result<Vec<u8>, Reset> {
    let state = state::decode(&piece.state).map_err(|error| broken(minisocket, error))?;
    let start = piece.output.start;
    handler.output(state, piece.range.start - start..piece.range.end - start).await
}

fn request<S: DeserializeOwned>(minisocket: &Minisocket) -> Result<Request<'_, S>, Reset> {
    let state = minisocket.state().map(state::decode).transpose();
    let (input, offset, fin) =
        minisocket.input().map_or((&[][..], 0, false), |input| (input.bytes, input.offset, input.fin));
    Ok(Request {
        stream: minisocket.stream(),
        client: minisocket.client(),
        state: state.map_err(|error| broken(minisocket, error))?,
        input,
        offset,
        fin,
    })
}

fn following<S: Serialize>(answer: Answer<S>, before: Range<u64>) -> Result<Next, StateError> {
    let Answer { state, consumed, output, finished, any_order } = answer;
    // What was announced without an end goes on from where it began.
    let start = if before.end == UNKNOWN { before.start } else { before.end };
    let end = output.map_or(UNKNOWN, |length| start.saturating_add(length));
    Ok(Next { state: state::encode(&state)?, output: start..end, finished, consumed, any_order })
}

fn broken(minisocket: &Minisocket, error: StateError) -> Reset {
    tracing::error!(client = %minisocket.client(), %error, "the stream cannot go on");
    Reset(BROKEN)
}

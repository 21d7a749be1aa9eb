//! The [`Site`] as an application of the transport.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};

use crate::site::{self, Later, OutputError, Site, StoreError};

/// A stream is reset with this code when the file changed during the response.
pub const CHANGED: u32 = 1;
/// A stream is reset with this code when its state is not one that this service issued.
pub const INVALID: u32 = 2;
/// A stream is reset with this code when the file could not be read.
pub const READ: u32 = 3;

/// A stream is reset with this code when a chunk of an upload could not be stored.
pub const WRITE: u32 = 4;

/// Serves a [`Site`] to streams.
#[derive(Debug)]
pub struct FileService(pub Site);

impl Application for FileService {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let (offset, bytes, fin) =
            event.input.map_or((0, &[][..], false), |input| (input.offset, input.bytes, input.fin));
        let now = UNIX_EPOCH + Duration::from_micros(event.now.as_micros());
        let Event { stream, state, .. } = *event;
        let input = site::Input { stream, state, offset, bytes, fin, produced: event.output.end, now };
        let next = self.0.input(input).map_err(|Later(delay)| Unanswered::Later(delay))?;
        let site::Next { state, output, finished, consumed, any_order } = next;
        Ok(Next { state, output, finished, consumed, any_order })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        let (Some(state), Some(input)) = (event.state, event.input) else { return Ok(0) };
        self.0.store(event.stream, state, input.offset, input.bytes).map_err(|error| match error {
            StoreError::Invalid => Unanswered::Reset(INVALID),
            StoreError::Write(error) => {
                tracing::warn!(%error, "cannot store");
                Unanswered::Reset(WRITE)
            }
        })
    }
}

impl Output for FileService {
    fn read(
        &mut self,
        state: &[u8],
        _output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        self.0.output(state, offset, buffer).map_err(|error| match error {
            OutputError::Changed => Reset(CHANGED),
            OutputError::Invalid => Reset(INVALID),
            OutputError::Read(error) => {
                tracing::warn!(%error, "cannot read");
                Reset(READ)
            }
        })
    }
}

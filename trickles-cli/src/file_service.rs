//! The [`Site`] as an application of the transport.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};

use crate::site::{self, OutputError, Site};

/// A stream is reset with this code when the file changed during the response.
pub const CHANGED: u32 = 1;
/// A stream is reset with this code when its state is not one that this service issued.
pub const INVALID: u32 = 2;
/// A stream is reset with this code when the file could not be read.
pub const READ: u32 = 3;

/// Serves a [`Site`] to streams.
#[derive(Debug)]
pub struct FileService(pub Site);

impl Application for FileService {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let (input, fin) = event.input.map_or((&[][..], false), |input| (input.bytes, input.fin));
        let now = UNIX_EPOCH + Duration::from_micros(event.now.as_micros());
        let next = self.0.input(event.state, input, fin, event.output.end, now);
        let site::Next { state, output, finished, consumed } = next;
        Ok(Next { state, output, finished, consumed, ..Next::default() })
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

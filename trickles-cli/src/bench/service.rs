//! The server's side over Trickles.

use std::ops::Range;

use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};

use super::{REQUEST, RESPONSE, Request};

/// A stream is reset with this code when it asks for what there is not.
const INVALID: u32 = 1;

/// Answers requests with zeros. A stranger gets no more from it than from any other service: each byte costs a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BenchService;

impl Application for BenchService {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let (input, fin) = event.input.map_or((&[][..], false), |input| (input.bytes, input.fin));
        let end = event.output.end;
        let next = |uploading, consumed, output, any_order, finished| Next {
            state: vec![u8::from(uploading)],
            output: end..end + output,
            finished,
            consumed,
            any_order,
        };
        if event.state == Some(&[1]) {
            // All of the upload is stored.
            return Ok(next(false, 0, 1, 0, fin));
        }
        let Some(request) = input.first_chunk::<REQUEST>() else {
            return Ok(next(false, 0, 0, 0, fin));
        };
        let last = fin && input.len() == REQUEST;
        Ok(match Request::decode(request).ok_or(Reset(INVALID))? {
            Request::Respond => next(false, REQUEST, RESPONSE as u64, 0, last),
            Request::Download(length) => next(false, REQUEST, length, 0, last),
            Request::Upload(length) => next(true, REQUEST, 0, length, false),
        })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        Ok(event.input.map_or(0, |input| input.bytes.len()))
    }
}

impl Output for BenchService {
    fn read(&mut self, _: &[u8], output: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        let count = buffer.len().min(output.end.saturating_sub(offset) as usize);
        buffer[..count].fill(0);
        Ok(count)
    }
}

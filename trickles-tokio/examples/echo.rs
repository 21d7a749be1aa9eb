//! Sends back what it receives.
//!
//! ```console
//! $ cargo run --example echo [ADDRESS [KEY_FILE]]
//! ```

mod common;

use std::error::Error;
use std::ops::Range;

use trickles_tokio::trickles::server::{Reset, Unanswered};
use trickles_tokio::{Answer, Handler, Request};

/// Most bytes echoed at a time: they travel with the client, in the state.
const MOST: usize = 600;

pub(crate) struct Echo;

impl Handler for Echo {
    /// What is to be sent back.
    type State = Vec<u8>;

    async fn input(&self, request: Request<'_, Vec<u8>>) -> Result<Answer<Vec<u8>>, Unanswered> {
        let count = request.input.len().min(MOST);
        let answer = Answer::new(count, request.input[..count].to_vec()).output(count as u64);
        let last = request.fin && count == request.input.len();
        Ok(if last { answer.finish() } else { answer })
    }

    async fn output(&self, bytes: Vec<u8>, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        Ok(bytes[range.start as usize..range.end as usize].to_vec())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    common::run(Echo).await
}

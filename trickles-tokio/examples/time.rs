//! Tells everybody who connects the time, in seconds of the Unix epoch.
//!
//! ```console
//! $ cargo run --example time [ADDRESS [KEY_FILE]]
//! ```

mod common;

use std::error::Error;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use trickles_tokio::trickles::server::{Reset, Unanswered};
use trickles_tokio::{Answer, Handler, Request};

pub(crate) struct Time;

impl Handler for Time {
    /// When the stream opened: a packet that is lost and sent again has to say the same.
    type State = u64;

    #[expect(clippy::disallowed_methods, reason = "the time is what it serves")]
    async fn input(&self, request: Request<'_, u64>) -> Result<Answer<u64>, Unanswered> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Answer::new(request.input.len(), now).output(text(now).len() as u64).finish())
    }

    async fn output(&self, time: u64, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        Ok(text(time)[range.start as usize..range.end as usize].to_vec())
    }
}

fn text(time: u64) -> Vec<u8> {
    format!("{time}\n").into_bytes()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    common::run(Time).await
}

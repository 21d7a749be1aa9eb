//! Server-sent events: every line of the file `events.log` is one, also those that are yet to be written.
//!
//! ```console
//! $ cargo run --example events [ADDRESS [KEY_FILE]]
//! $ date >> events.log
//! ```
//!
//! A client sends the number of the first event it wants, as a line.

mod common;

use std::error::Error;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use trickles_tokio::trickles::server::{Reset, Unanswered};
use trickles_tokio::{Answer, Handler, Request};

/// How often the log is looked at while somebody waits.
const INTERVAL: Duration = Duration::from_millis(50);
/// A stream is reset with this code when it begins with anything but a number, or the log cannot be read.
pub(crate) const NO_EVENTS: Reset = Reset(1);

pub(crate) struct Events(pub(crate) PathBuf);

impl Handler for Events {
    /// The number of the first event that is sent, if that is known yet. With it, the same bytes follow from the
    /// log on any server, at any time.
    type State = Option<u64>;

    async fn input(&self, request: Request<'_, Self::State>) -> Result<Answer<Self::State>, Unanswered> {
        if let Some(first @ Some(_)) = request.state {
            return Ok(Answer::new(request.input.len(), first).output_later());
        }
        match request.input.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                let number = str::from_utf8(&request.input[..end]).map_err(|_| NO_EVENTS)?;
                let number = number.parse().map_err(|_| NO_EVENTS)?;
                Ok(Answer::new(end + 1, Some(number)).output_later())
            }
            None if request.fin || request.input.len() > 20 => Err(NO_EVENTS.into()),
            None => Ok(Answer::new(0, None)),
        }
    }

    /// Stays pending until there is something to send.
    async fn output(&self, first: Option<u64>, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        let first = first.ok_or(NO_EVENTS)?;
        loop {
            let log = tokio::fs::read_to_string(&self.0).await.map_err(|_| NO_EVENTS)?;
            let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let numbered = complete.lines().enumerate().skip(first as usize);
            let text: String = numbered.map(|(id, line)| format!("id: {id}\ndata: {line}\n\n")).collect();
            if let Some(fresh @ [_, ..]) = text.as_bytes().get(range.start as usize..) {
                return Ok(fresh[..fresh.len().min((range.end - range.start) as usize)].to_vec());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    common::run(Events("events.log".into())).await
}

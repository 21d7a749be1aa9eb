//! Looks up keys, one a line, and answers each with a line: its value, or nothing.
//!
//! ```console
//! $ cargo run --example lookup [ADDRESS [KEY_FILE]]
//! ```

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;

use trickles_tokio::trickles::server::{Reset, Unanswered};
use trickles_tokio::{Answer, Handler, Request};

/// Longest line, in bytes.
const MAX_LINE: usize = 500;
/// A stream with a longer one is reset with this code.
pub(crate) const TOO_LONG: u32 = 1;

pub(crate) struct Lookup(pub(crate) BTreeMap<String, String>);

impl Handler for Lookup {
    /// The answer. The table could change while it is being sent, and the answer must not.
    type State = String;

    async fn input(&self, request: Request<'_, String>) -> Result<Answer<String>, Unanswered> {
        let Some(end) = request.input.iter().position(|&byte| byte == b'\n') else {
            if request.input.len() > MAX_LINE {
                return Err(Unanswered::Reset(TOO_LONG));
            }
            let answer = Answer::new(0, String::new());
            return Ok(if request.fin { answer.finish() } else { answer });
        };
        let key = String::from_utf8_lossy(&request.input[..end]);
        let mut value = self.0.get(&*key).cloned().unwrap_or_default();
        value.push('\n');
        let length = value.len() as u64;
        let answer = Answer::new(end + 1, value).output(length);
        Ok(if request.fin && end + 1 == request.input.len() { answer.finish() } else { answer })
    }

    async fn output(&self, value: String, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        Ok(value.as_bytes()[range.start as usize..range.end as usize].to_vec())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let table = [("paper", "A4"), ("stone", "granite"), ("scissors", "steel")];
    common::run(Lookup(table.map(|(key, value)| (key.into(), value.into())).into())).await
}

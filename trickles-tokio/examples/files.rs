//! Sends the file that the first line names, from the current directory.
//!
//! ```console
//! $ cargo run --example files [ADDRESS [KEY_FILE]]
//! ```

mod common;

use std::error::Error;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use trickles_tokio::trickles::server::{Reset, Unanswered};
use trickles_tokio::{Answer, Handler, Request};

/// A stream is reset with this code when there is no such file.
pub(crate) const NOT_FOUND: Reset = Reset(404);
/// A stream is reset with this code when the file has changed.
pub(crate) const CHANGED: Reset = Reset(409);

pub(crate) struct Files(pub(crate) PathBuf);

/// A file on its way. That its length stays is taken for a sign that its contents do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sending {
    name: String,
    length: u64,
}

impl Handler for Files {
    type State = Option<Sending>;

    async fn input(&self, request: Request<'_, Self::State>) -> Result<Answer<Self::State>, Unanswered> {
        let Some(end) = request.input.iter().take(500).position(|&byte| byte == b'\n') else {
            let hopeless = request.fin || request.input.len() >= 500;
            return if hopeless { Err(NOT_FOUND.into()) } else { Ok(Answer::new(0, None)) };
        };
        let name = String::from_utf8_lossy(&request.input[..end]).into_owned();
        // Nothing outside of the directory, unless a symbolic link leads there.
        let inside = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
        let metadata = tokio::fs::metadata(self.0.join(&name)).await;
        let file = metadata.ok().filter(|metadata| inside && metadata.is_file()).ok_or(NOT_FOUND)?;
        let length = file.len();
        Ok(Answer::new(request.input.len(), Some(Sending { name, length })).output(length).finish())
    }

    async fn output(&self, sending: Self::State, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        self.read(&sending.ok_or(CHANGED)?, range).await.map_err(|_| CHANGED)
    }
}

impl Files {
    async fn read(&self, sending: &Sending, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.0.join(&sending.name)).await?;
        if file.metadata().await?.len() != sending.length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        file.seek(SeekFrom::Start(range.start)).await?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    common::run(Files(".".into())).await
}

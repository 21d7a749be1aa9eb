//! What every server does: it answers commands of 64 bytes, as many as come on a stream.

use std::ops::Range;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Length of a command, and of a request.
pub const COMMAND: usize = 64;
/// Length of the answer to a request.
pub const ANSWER: u64 = 1024;
/// What applications read and write at once.
pub const PIECE: usize = 64 << 10;

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// To send so many bytes.
    Send(u64),
    /// To take so many bytes that follow, and then to send one.
    Take(u64),
}

impl Command {
    /// As it is sent.
    pub fn encode(self) -> [u8; COMMAND] {
        let (kind, length) = match self {
            Self::Send(length) => (1, length),
            Self::Take(length) => (2, length),
        };
        let mut command = [0; COMMAND];
        command[0] = kind;
        command[1..9].copy_from_slice(&length.to_be_bytes());
        command
    }

    /// What was sent.
    ///
    /// # Errors
    /// For bytes that are no command.
    pub fn decode(command: &[u8]) -> Result<Self> {
        let length = command.get(1..9).and_then(|length| length.try_into().ok());
        let length = u64::from_be_bytes(length.context("a command has 64 bytes")?);
        match command[0] {
            1 => Ok(Self::Send(length)),
            2 => Ok(Self::Take(length)),
            kind => anyhow::bail!("there is no command {kind}"),
        }
    }
}

/// Bytes that tell where in a stream they are: a transfer that is wrong must not be the fastest.
pub struct Pattern(Box<[u8]>);

/// After so many bytes it begins anew: a prime, so that no block of a usual size is like the next.
const PERIOD: usize = 65_521;

impl Pattern {
    /// The one of this process: nobody is to pay for it by the stream.
    pub fn shared() -> &'static Self {
        static PATTERN: LazyLock<Pattern> = LazyLock::new(|| {
            let byte = |at: usize| ((at % PERIOD) as u32).wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
            Pattern((0..PERIOD + PIECE).map(byte).collect())
        });
        &PATTERN
    }

    /// The bytes of a stream from `offset` on, at most `length` and a piece.
    pub fn at(&self, offset: u64, length: usize) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        &self.0[start..start + length.min(PIECE)]
    }

    /// Whether the first and the last of `bytes` are those at `offset` in a stream: all of them would cost as much
    /// as receiving them.
    pub fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        let sample = bytes.len().min(16);
        let end = offset + (bytes.len() - sample) as u64;
        bytes[..sample] == *self.at(offset, sample) && bytes[bytes.len() - sample..] == *self.at(end, sample)
    }
}

/// Serves one stream until its client ends it.
///
/// # Errors
/// Those of the stream.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let pattern = Pattern::shared();
    let mut command = [0; COMMAND];
    let mut buffer = Vec::new();
    while stream.read_exact(&mut command).await.is_ok() {
        match Command::decode(&command)? {
            Command::Send(length) => {
                let mut offset = 0;
                while offset < length {
                    let piece = pattern.at(offset, (length - offset).min(PIECE as u64) as usize);
                    stream.write_all(piece).await?;
                    offset += piece.len() as u64;
                }
            }
            Command::Take(length) => {
                buffer.resize(PIECE, 0);
                take(&mut stream, 0..length, pattern, &mut buffer).await?;
                stream.write_all(&[1]).await?;
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

/// Reads the bytes of `range` and compares samples of them with the pattern.
///
/// # Errors
/// Those of the stream, and for other bytes.
pub async fn take(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    range: Range<u64>,
    pattern: &Pattern,
    buffer: &mut [u8],
) -> Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let most = (range.end - offset).min(buffer.len() as u64) as usize;
        let count = stream.read(&mut buffer[..most]).await?;
        ensure!(count > 0, "the stream ended at {offset} of {} bytes", range.end);
        ensure!(pattern.matches(offset, &buffer[..count]), "wrong bytes from {offset} on");
        offset += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_they_were() {
        for command in [Command::Send(7), Command::Take(u64::MAX)] {
            assert_eq!(Command::decode(&command.encode()).expect("a command"), command);
        }
        assert!(Command::decode(&[9; COMMAND]).is_err() && Command::decode(&[1; 8]).is_err());
    }

    #[test]
    fn the_pattern_tells_offsets_apart() {
        let pattern = Pattern::shared();
        let bytes = pattern.at(100, 5000).to_vec();
        assert!(pattern.matches(100, &bytes) && !pattern.matches(101, &bytes));
        assert!(!pattern.matches(100 + PIECE as u64, &bytes));
        let last = PERIOD as u64 * 3 - 1;
        assert!(pattern.matches(last, pattern.at(last, PIECE)));
    }
}

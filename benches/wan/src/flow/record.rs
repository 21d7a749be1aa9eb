//! What flows write down of themselves, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One line of a flow's record. Moments are microseconds of the Unix epoch, of one clock for all processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Line {
    /// The client begins to connect.
    Start { at: u64 },
    /// Bytes that have arrived by then, and how the sender saw the path: packets and microseconds, as far as known.
    Progress { at: u64, bytes: u64, window: Option<u32>, rtt: Option<u32> },
    /// Nothing arrived for so many microseconds up to then, though something had arrived before.
    Gap { at: u64, micros: u64 },
    /// A transfer is complete: so many bytes in so many microseconds, from the beginning of its connection.
    Done { at: u64, bytes: u64, micros: u64 },
    /// The flow failed.
    Failed { at: u64, error: String },
}

/// Microseconds of the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "what is measured here is time, of several processes")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros() as u64
}

/// Writes a record.
pub(crate) struct Recorder(BufWriter<File>);

impl Recorder {
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        Ok(Self(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?)))
    }

    /// Adds a line. It is flushed, since processes in a lab are killed at its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&mut self, line: &Line) -> Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")?;
        Ok(self.0.flush()?)
    }
}

/// Reads a record; a last line that was cut short is left out.
///
/// # Errors
/// When there is no such file, or something else is in it.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let lines: Vec<String> = BufReader::new(File::open(path)?).lines().collect::<Result<_, _>>()?;
    let last = lines.len().saturating_sub(1);
    let mut record = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => record.push(line),
            Err(_) if index == last => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Ok(record)
}

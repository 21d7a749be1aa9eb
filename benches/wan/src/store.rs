//! Results on disk, one run a line: what was interrupted goes on where it was.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::flow::Contender;
use crate::outcome::Outcome;

/// A run and what it has shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Of the scenario.
    pub(crate) name: String,
    pub(crate) contender: Contender,
    pub(crate) seed: u32,
    pub(crate) outcome: Outcome,
}

/// All runs so far.
pub(crate) struct Store {
    file: File,
    runs: Vec<Run>,
}

impl Store {
    /// Opens the file at `path`, with what is in it; a line that was cut short is forgotten.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let runs = load(path)?;
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if std::fs::read(path)?.last().is_some_and(|&last| last != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self { file, runs })
    }

    /// Whether a run is there.
    pub(crate) fn has(&self, name: &str, contender: Contender, seed: u32) -> bool {
        self.runs.iter().any(|run| run.name == name && run.contender == contender && run.seed == seed)
    }

    /// Keeps a run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&mut self, run: Run) -> Result<()> {
        let mut line = serde_json::to_string(&run)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.runs.push(run);
        Ok(())
    }
}

/// The runs in a file; none if there is no file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn load(path: &Path) -> Result<Vec<Run>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.with_context(|| path.display().to_string())?,
    };
    let lines: Vec<String> = BufReader::new(file).lines().collect::<Result<_, _>>()?;
    Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

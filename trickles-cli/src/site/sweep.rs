//! The removal of part files whose uploads were abandoned.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, DirEntry};

use super::uploads::PREFIX;

/// Part files are abandoned when nothing has been stored in them for this long.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Removes the abandoned part files in `root` and below.
pub(super) fn sweep(root: &Dir, now: SystemTime) {
    let mut directories = vec![PathBuf::from(".")];
    while let Some(directory) = directories.pop() {
        if let Err(error) = sweep_directory(root, &directory, now, &mut directories) {
            tracing::debug!(?directory, %error, "cannot look for abandoned uploads");
        }
    }
}

fn sweep_directory(
    root: &Dir,
    directory: &Path,
    now: SystemTime,
    below: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in root.read_dir(directory)? {
        let entry = entry?;
        // Symbolic links are neither followed nor removed.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            below.push(directory.join(entry.file_name()));
        } else if kind.is_file() && is_abandoned(&entry, now).unwrap_or(false) {
            tracing::info!(?directory, name = ?entry.file_name(), "removing an abandoned upload");
            entry.remove_file()?;
        }
    }
    Ok(())
}

fn is_abandoned(entry: &DirEntry, now: SystemTime) -> io::Result<bool> {
    if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
        return Ok(false);
    }
    let modified = entry.metadata()?.modified()?.into_std();
    Ok(now.duration_since(modified).is_ok_and(|age| age >= ABANDONED))
}

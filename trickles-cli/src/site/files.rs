//! The files of a site, and which of them are open.

use std::fmt;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use cap_fs_ext::{MetadataExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use serde::{Deserialize, Serialize};

use super::OutputError;

const MAX_OPEN: usize = 64;
const NANOS: i64 = 1_000_000_000;

/// Which version of which file; its text form is the opaque part of an entity tag.
///
/// A change within one tick of the file system's clock that keeps the length goes unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) length: u64,
    /// In nanoseconds since the Unix epoch.
    modified: i64,
    pub(super) inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let modified = match metadata.modified()?.into_std().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        };
        Ok(Self { length: metadata.len(), modified, inode: metadata.ino() })
    }

    /// The time of modification in seconds since the Unix epoch.
    pub(super) fn modified(&self) -> u64 {
        u64::try_from(self.modified.div_euclid(NANOS)).unwrap_or(0)
    }

    /// The file that the strong entity tag `tag`, with its quotes, stands for.
    pub(super) fn from_tag(tag: &str) -> Option<Self> {
        let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
        let mut numbers = tag.splitn(3, '-').map(|number| u64::from_str_radix(number, 16).ok());
        let (length, modified, inode) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let identity = Self { length, modified: modified.cast_signed(), inode };
        // Tags are compared byte by byte: another way to write the same numbers is another tag.
        (identity.to_string() == tag).then_some(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.length, self.modified, self.inode)
    }
}

/// What a path names.
pub(super) enum Found {
    File(Identity),
    Directory,
    /// Nothing that can be served.
    Missing,
}

#[derive(Debug)]
struct Open {
    path: String,
    identity: Identity,
    file: File,
}

/// A directory, and a cache of files open in it.
#[derive(Debug)]
pub(super) struct Files {
    root: Dir,
    /// The most recently used last.
    open: Vec<Open>,
}

impl Files {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { root: Dir::open_ambient_dir(root, ambient_authority())?, open: Vec::new() })
    }

    /// The directory.
    pub(super) fn root(&self) -> &Dir {
        &self.root
    }

    /// What `path`, relative to the root, names now.
    pub(super) fn find(&mut self, path: &str) -> io::Result<Found> {
        self.look_up(path).or_else(|error| if is_missing(&error) { Ok(Found::Missing) } else { Err(error) })
    }

    fn look_up(&mut self, path: &str) -> io::Result<Found> {
        // Opening a device can have side effects, so that its kind must be known before.
        let metadata = self.root.metadata(path)?;
        if metadata.is_dir() {
            return Ok(Found::Directory);
        }
        if !metadata.is_file() {
            return Ok(Found::Missing);
        }
        let identity = Identity::of(&metadata)?;
        if self.cached(path, identity).is_some() {
            return Ok(Found::File(identity));
        }
        match self.open_file(path)? {
            Some(open) => {
                let identity = open.identity;
                self.insert(open);
                Ok(Found::File(identity))
            }
            None => Ok(Found::Missing),
        }
    }

    /// Fills `buffer` with the bytes from `offset` on of the file that was `identity` at `path`.
    ///
    /// A file that was replaced is read as long as it is in the cache: `identity` tells which one is meant.
    pub(super) fn read(
        &mut self,
        path: &str,
        identity: Identity,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), OutputError> {
        let index = match self.cached(path, identity) {
            Some(index) => index,
            None => match self.open_file(path) {
                Ok(Some(open)) if open.identity == identity => self.insert(open),
                Ok(_) => return Err(OutputError::Changed),
                Err(error) if is_missing(&error) => return Err(OutputError::Changed),
                Err(error) => return Err(error.into()),
            },
        };
        let file = &mut self.open[index].file;
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buffer));
        // Looking after the read rather than before it leaves no moment for a write to go unnoticed.
        if Identity::of(&file.metadata()?)? != identity {
            self.open.remove(index);
            return Err(OutputError::Changed);
        }
        Ok(read?)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.open.len()
    }

    /// Where a file is in the cache; makes it the most recently used.
    fn cached(&mut self, path: &str, identity: Identity) -> Option<usize> {
        let index = self.open.iter().position(|open| open.identity == identity && open.path == path)?;
        self.open[index..].rotate_left(1);
        Some(self.open.len() - 1)
    }

    /// Returns where the file is in the cache then.
    fn insert(&mut self, open: Open) -> usize {
        if self.open.len() == MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push(open);
        self.open.len() - 1
    }

    /// Opens what `path` names now; `None` unless it is a regular file.
    fn open_file(&self, path: &str) -> io::Result<Option<Open>> {
        // By now it can be a pipe, on which a blocking open would wait for a writer.
        let file = self.root.open_with(path, OpenOptions::new().read(true).nonblock(true))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        Ok(Some(Open { path: path.to_owned(), identity: Identity::of(&metadata)?, file }))
    }
}

/// Whether `error` means that there is nothing to serve, rather than that it cannot be told.
fn is_missing(error: &io::Error) -> bool {
    // An attempt to leave the root is `PermissionDenied`, a NUL in the path `InvalidInput`.
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidFilename
    )
}

//! Uploads: into a part file beside the name, which takes the name when it is complete.
//!
//! The part file's name is a digest of the stream and of where in it the upload lies, so that any replica of
//! the site stores any chunk, in any order, any number of times. It is made when the request is accepted and
//! by nothing else: chunks that come late make no files.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::ops::Range;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use cap_fs_ext::MetadataExt;
use cap_std::fs::{Dir, OpenOptions};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Later;
use super::files::Identity;
use super::put::Condition;
use super::request::{Head, Request};
use super::response::{Answer, Status, fill};
use super::sweep::sweep;
use super::verify::Verifier;
use crate::digest_field::Digest;
use crate::progress::hex;

/// What the names of part files begin with.
pub(super) const PREFIX: &str = ".trickles-upload-";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
/// How often part files that were abandoned are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Of how many uploads it is remembered how they ended.
const MAX_ENDED: usize = 256;

/// An upload that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    /// Relative to the root.
    path: String,
    /// Where in the stream's input the content begins.
    start: u64,
    pub(super) length: u64,
    digest: Option<Digest>,
    condition: Condition,
    /// Of the part file, and of the file that it becomes.
    inode: u64,
    /// Nothing had the name.
    created: bool,
    pub(super) keep_alive: bool,
    /// Where in the stream's output `100 Continue` lies, if that is wanted.
    produced: u64,
    expects_continue: bool,
}

impl Upload {
    /// The stream offsets of what is said before the content comes.
    pub(super) fn output(&self) -> Range<u64> {
        let length = if self.expects_continue { CONTINUE.len() } else { 0 };
        self.produced..self.produced.saturating_add(length as u64)
    }

    /// See [`Site::output`](super::Site::output); `None` if there is nothing at `offset`.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        let Range { start, end } = self.output();
        let from = usize::try_from(offset.checked_sub(start)?).ok()?;
        (offset <= end).then(|| fill(buffer, &CONTINUE.as_bytes()[from..]))
    }

    /// Whether this is what its part file has become.
    fn became(&self, found: &Identity) -> bool {
        found.inode == self.inode && found.length == self.length
    }

    fn part(&self, stream: u64) -> String {
        part(stream, self.start, &self.path)
    }
}

/// The path of the part file of the upload to `path` whose content begins at `start` of `stream`.
fn part(stream: u64, start: u64, path: &str) -> String {
    let place = [&stream.to_be_bytes()[..], &start.to_be_bytes(), path.as_bytes()].concat();
    let digest = <Sha256 as sha2::Digest>::digest(place);
    let directory = path.rfind('/').map_or("", |slash| &path[..=slash]);
    format!("{directory}{PREFIX}{}", hex(&digest[..16]))
}

/// Whether `path` names a part file, or something in the place of one.
pub(super) fn is_reserved(path: &str) -> bool {
    // There are file systems to which capital letters are the same.
    path.split(['/', '\\'])
        .any(|name| name.get(..PREFIX.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(PREFIX)))
}

/// What uploads need besides their states, none of which has to last.
#[derive(Debug)]
pub(super) struct Uploads {
    root: Dir,
    /// The longest that is accepted, in bytes.
    limit: u64,
    verifier: Verifier,
    /// How the most recent uploads ended, by their part files: a state can be presented again after that.
    ended: VecDeque<(String, Answer)>,
    swept: SystemTime,
    sweeping: Option<JoinHandle<()>>,
}

impl Uploads {
    pub(super) fn new(root: Dir, limit: u64, now: SystemTime) -> Self {
        let mut uploads = Self {
            root,
            limit,
            verifier: Verifier::default(),
            ended: VecDeque::new(),
            swept: now,
            sweeping: None,
        };
        uploads.sweep(now);
        uploads
    }

    /// Removes the part files that were abandoned, beside other work.
    fn sweep(&mut self, now: SystemTime) {
        if self.sweeping.as_ref().is_some_and(|sweeping| !sweeping.is_finished()) {
            return;
        }
        self.swept = now;
        match self.root.try_clone() {
            Ok(root) => self.sweeping = Some(thread::spawn(move || sweep(&root, now))),
            Err(error) => tracing::warn!(%error, "cannot look for abandoned uploads"),
        }
    }

    /// Makes the part file for a request whose head is complete. `start`, `produced`: where its content and
    /// its response lie in the stream.
    pub(super) fn accept(
        &mut self,
        head: &Head,
        request: &Request,
        stream: u64,
        (start, produced): (u64, u64),
        now: SystemTime,
    ) -> Result<Upload, Status> {
        if now.duration_since(self.swept).is_ok_and(|since| since >= SWEEP_INTERVAL) {
            self.sweep(now);
        }
        let length = head.content_length()?;
        if length > self.limit {
            return Err(Status::ContentTooLarge);
        }
        let path = &request.path;
        if path.is_empty() || path.ends_with('/') {
            return Err(Status::Conflict);
        }
        if is_reserved(path) {
            return Err(Status::Forbidden);
        }
        let found = self.find(path)?;
        let condition = head.put.condition(found)?;
        let part = part(stream, start, path);
        // Not truncated: when the request is repeated, chunks can be in it.
        let file = self.root.open_with(&part, OpenOptions::new().write(true).create(true));
        let metadata = file.and_then(|file| file.metadata()).map_err(|error| refusal(&error))?;
        Ok(Upload {
            path: path.clone(),
            start,
            length,
            digest: head.put.digest,
            condition,
            inode: metadata.ino(),
            created: found.is_none(),
            keep_alive: !head.close(),
            produced,
            expects_continue: head.put.expects_continue && length > 0,
        })
    }

    /// The file that has the name.
    fn find(&self, path: &str) -> Result<Option<Identity>, Status> {
        match self.root.metadata(path) {
            Ok(metadata) if metadata.is_dir() => Err(Status::Conflict),
            // What is written to a device or a pipe is not stored.
            Ok(metadata) if !metadata.is_file() => Err(Status::Forbidden),
            Ok(metadata) => Identity::of(&metadata).map(Some).map_err(|error| refusal(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Stores `bytes`, the input from stream offset `offset` on; returns how many that are.
    pub(super) fn store(&self, upload: &Upload, stream: u64, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let at = offset.checked_sub(upload.start).filter(|&at| at <= upload.length);
        let at = at.ok_or(ErrorKind::InvalidInput)?;
        let within = usize::try_from(upload.length - at).unwrap_or(usize::MAX).min(bytes.len());
        let part = upload.part(stream);
        // Opened for each chunk: at any time another replica can give the file its name.
        match self.root.open_with(&part, OpenOptions::new().write(true)) {
            Ok(mut file) => {
                let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&bytes[..within]));
                if let Err(error) = written {
                    self.remove(&part);
                    return Err(error);
                }
            }
            // The upload has ended, and the chunk is a repeated one; or else the end will find out.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(within)
    }

    /// Gives the file its name once all of it is stored and right. Repeated, it answers the same.
    ///
    /// Only when an upload has been replaced by another one, this process was restarted, and the client has
    /// not had the answer, is it told of a conflict and not of its success.
    pub(super) fn complete(&mut self, upload: &Upload, stream: u64) -> Result<Answer, Later> {
        let part = upload.part(stream);
        if let Some((_, answer)) = self.ended.iter().find(|(ended, _)| *ended == part) {
            // The request that it began with may have been repeated.
            self.remove(&part);
            return Ok(answer.clone());
        }
        let answer = match self.settle(upload, &part)? {
            Ok(identity) => Answer::Stored { identity, created: upload.created },
            Err(status) => Answer::Status(status),
        };
        self.remove(&part);
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((part, answer.clone()));
        Ok(answer)
    }

    fn settle(&mut self, upload: &Upload, part: &str) -> Result<Result<Identity, Status>, Later> {
        let named = match self.find(&upload.path) {
            Ok(found) => found,
            Err(status) => return Ok(Err(status)),
        };
        let committed = named.filter(|found| upload.became(found));
        let path = if committed.is_some() { &upload.path } else { part };
        let file = match self.root.open(path) {
            Ok(file) => file,
            // It was there. Another replica is ahead of this one, or somebody has removed or replaced it.
            Err(_) if committed.is_none() && self.committed(upload).is_some() => {
                return self.settle(upload, part);
            }
            Err(error) => return Ok(Err(refusal(&error))),
        };
        match file.metadata() {
            // The client has said that it is all there.
            Ok(metadata) if metadata.len() != upload.length => return Ok(Err(Status::BadRequest)),
            Ok(_) => {}
            Err(error) => return Ok(Err(refusal(&error))),
        }
        let digest = match self.verifier.poll(part, file, upload.digest.is_some(), upload.length)? {
            Ok(digest) => digest,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        if digest != upload.digest {
            return Ok(Err(if committed.is_some() { Status::Conflict } else { Status::Unprocessable }));
        }
        Ok(match committed {
            Some(identity) => Ok(identity),
            None => upload.condition.check(named).and_then(|()| self.commit(upload, part)),
        })
    }

    /// Gives the part file its name.
    fn commit(&self, upload: &Upload, part: &str) -> Result<Identity, Status> {
        let Self { root, .. } = self;
        let done = match upload.condition {
            // This fails when there is a file, which renaming would replace.
            Condition::Missing => root.hard_link(part, root, &upload.path),
            _ => root.rename(part, root, &upload.path),
        };
        match done.and_then(|()| Identity::of(&root.metadata(&upload.path)?)) {
            Ok(identity) => Ok(identity),
            // Another replica may have been faster.
            Err(error) => self.committed(upload).ok_or_else(|| match error.kind() {
                ErrorKind::AlreadyExists => Status::PreconditionFailed,
                _ => refusal(&error),
            }),
        }
    }

    /// The uploaded file, if it has its name.
    fn committed(&self, upload: &Upload) -> Option<Identity> {
        self.find(&upload.path).ok().flatten().filter(|found| upload.became(found))
    }

    fn remove(&self, part: &str) {
        match self.root.remove_file(part) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(part, %error, "cannot remove");
            }
            _ => {}
        }
    }
}

/// How a request is refused when the file system does.
fn refusal(error: &io::Error) -> Status {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Status::Conflict,
        // An attempt to leave the root is one of these.
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Status::Forbidden,
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => Status::BadRequest,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Status::InsufficientStorage
        }
        _ => {
            tracing::warn!(%error, "cannot store");
            Status::InternalError
        }
    }
}

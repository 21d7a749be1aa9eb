//! What takes too long to be done between two requests: to hash an upload and to bring it to the disk.

use std::io::{self, Read};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cap_std::fs::File;
use sha2::{Digest as _, Sha256};

use super::Later;
use crate::digest_field::Digest;

/// How many files are worked on at the same time.
const MAX_RUNNING: usize = 4;
/// How many results wait to be asked for.
const MAX_JOBS: usize = 64;
/// Bytes in a microsecond, about: after how long it pays to ask again.
const RATE: u64 = 1000;

/// The result of a job: the digest, if it is wanted.
type Verified = io::Result<Option<Digest>>;

/// Threads that work on files while the site answers other requests.
///
/// A result that is lost is worked out again when it is asked for.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    /// By name, the oldest first.
    jobs: Vec<(String, JoinHandle<Verified>)>,
}

impl Verifier {
    /// Makes sure that `file` is on the disk, and finds its digest, if that is wanted. Asked again with the
    /// same `name` it tells the result, once there is one.
    pub(super) fn poll(
        &mut self,
        name: &str,
        file: File,
        digest: bool,
        length: u64,
    ) -> Result<Verified, Later> {
        let later = Duration::from_micros(length / RATE);
        let later = Later(later.clamp(Duration::from_millis(5), Duration::from_millis(50)));
        if let Some(index) = self.jobs.iter().position(|(job, _)| job == name) {
            if !self.jobs[index].1.is_finished() {
                return Err(later);
            }
            let (_, thread) = self.jobs.remove(index);
            return Ok(thread.join().unwrap_or_else(|_| Err(io::Error::other("cannot verify the file"))));
        }
        let finished = |(_, thread): &(String, JoinHandle<Verified>)| thread.is_finished();
        if self.jobs.iter().filter(|&job| !finished(job)).count() >= MAX_RUNNING {
            return Err(later);
        }
        if self.jobs.len() >= MAX_JOBS
            && let Some(oldest) = self.jobs.iter().position(finished)
        {
            self.jobs.remove(oldest);
        }
        match thread::Builder::new().name("verify".to_owned()).spawn(move || verify(file, digest)) {
            Ok(thread) => self.jobs.push((name.to_owned(), thread)),
            Err(error) => return Ok(Err(error)),
        }
        Err(later)
    }
}

fn verify(file: File, digest: bool) -> Verified {
    thread::scope(|scope| {
        // The disk writes what the processor reads.
        let written = scope.spawn(|| file.sync_data());
        let found = digest.then(|| hash(&file)).transpose();
        written.join().unwrap_or_else(|_| Err(io::Error::other("cannot write the file")))?;
        found
    })
}

fn hash(mut file: &File) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}

//! Where a download goes: by way of a file beside it, from which an interrupted download continues.

use std::ffi::OsString;
use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

use crate::http_client::{Resume, is_strong_tag};

/// Where a download goes.
#[derive(Debug)]
pub(crate) enum Destination {
    Stdout,
    /// A pipe, a terminal or a device: what is written there is gone.
    Device(PathBuf),
    File(Part),
}

/// An incomplete download beside the file that it will become.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    complete: PathBuf,
    /// `FILE.part`.
    path: PathBuf,
    /// `FILE.part.etag` remembers which version of the file it is a part of.
    tag_path: PathBuf,
    resume: Option<Resume>,
}

/// What takes in the bytes of a download.
pub(crate) struct Sink {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    name: String,
    part: Option<Part>,
}

impl Destination {
    /// The file `path`, which nothing is done to before there is a response.
    pub(crate) async fn new(path: &Path) -> Result<Self> {
        let name = path.display();
        match fs::metadata(path).await {
            Ok(metadata) => {
                ensure!(!metadata.is_dir(), "{name} is a directory: name a file in it");
                // To replace a device by a file would be a disaster.
                if !metadata.is_file() {
                    return Ok(Self::Device(path.to_owned()));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write to {name}")),
        }
        Ok(Self::File(Part::find(path).await))
    }

    /// What is there from an earlier run.
    pub(crate) fn resume(&self) -> Option<&Resume> {
        match self {
            Self::Stdout | Self::Device(_) => None,
            Self::File(part) => part.resume.as_ref(),
        }
    }

    /// Takes the whole file, whose entity tag is `tag`, if it has one; drops what is there.
    pub(crate) async fn whole(&self, tag: Option<&str>) -> Result<Sink> {
        let writer: Box<dyn AsyncWrite + Send + Unpin> = match self {
            Self::Stdout => Box::new(tokio::io::stdout()),
            Self::Device(path) => {
                let file = OpenOptions::new().write(true).open(path).await;
                Box::new(file.with_context(|| self.context())?)
            }
            Self::File(part) => Box::new(part.start_over(tag).await.with_context(|| self.context())?),
        };
        Ok(self.sink(writer))
    }

    /// Takes what is missing of the file; adds what is there to `digest`.
    pub(crate) async fn rest(&self, digest: Option<&mut Sha256>) -> Result<Sink> {
        match self {
            Self::Stdout | Self::Device(_) => self.whole(None).await,
            Self::File(part) => {
                let file = part.continue_with(digest).await.with_context(|| self.context())?;
                Ok(self.sink(Box::new(file)))
            }
        }
    }

    /// Forgets what is there.
    pub(crate) fn forget(&mut self) {
        if let Self::File(part) = self {
            part.resume = None;
        }
    }

    fn sink(&self, writer: Box<dyn AsyncWrite + Send + Unpin>) -> Sink {
        let part = if let Self::File(part) = self { Some(part.clone()) } else { None };
        Sink { writer, name: self.context(), part }
    }

    fn context(&self) -> String {
        match self {
            Self::Stdout => "cannot write to standard output".to_owned(),
            Self::Device(path) | Self::File(Part { path, .. }) => {
                format!("cannot write to {}", path.display())
            }
        }
    }
}

impl Sink {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).await.with_context(|| self.name.clone())
    }

    /// Waits until all that was written is where the next run finds it.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.writer.flush().await.with_context(|| self.name.clone())
    }

    /// The download is complete.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.flush().await?;
        match &self.part {
            Some(part) => part.finish().await.with_context(|| self.name.clone()),
            None => Ok(()),
        }
    }
}

impl Part {
    async fn find(complete: &Path) -> Self {
        let (path, tag_path) = (with_suffix(complete, ".part"), with_suffix(complete, ".part.etag"));
        let there =
            fs::metadata(&path).await.ok().filter(|metadata| metadata.is_file() && metadata.len() > 0);
        let tag = fs::read_to_string(&tag_path).await.ok().filter(|tag| is_strong_tag(tag));
        let resume = there.zip(tag).map(|(metadata, tag)| Resume { offset: metadata.len(), tag });
        Self { complete: complete.to_owned(), path, tag_path, resume }
    }

    async fn start_over(&self, tag: Option<&str>) -> io::Result<File> {
        // In this order the tag is never that of another version than the bytes, wherever this is interrupted.
        remove_if_there(&self.tag_path).await?;
        let file = File::create(&self.path).await?;
        if let Some(tag) = tag {
            fs::write(&self.tag_path, tag).await?;
        }
        Ok(file)
    }

    async fn continue_with(&self, digest: Option<&mut Sha256>) -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).await?;
        let offset = self.resume.as_ref().map_or(0, |resume| resume.offset);
        if let Some(digest) = digest
            && hash(&mut (&mut file).take(offset), digest).await? < offset
        {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it became shorter in the meantime"));
        }
        file.seek(SeekFrom::Start(offset)).await?;
        Ok(file)
    }

    async fn finish(&self) -> io::Result<()> {
        fs::rename(&self.path, &self.complete).await?;
        remove_if_there(&self.tag_path).await
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

async fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Adds all that `reader` gives to `digest`; returns how many bytes that are.
async fn hash(reader: &mut (impl AsyncRead + Unpin), digest: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(total),
            count => {
                digest.update(&buffer[..count]);
                total += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn interrupted(path: &Path, tag: Option<&str>, bytes: &[u8]) -> Sink {
        let mut sink = Destination::new(path).await.unwrap().whole(tag).await.unwrap();
        sink.write(bytes).await.unwrap();
        sink.flush().await.unwrap();
        sink
    }

    #[tokio::test]
    async fn the_next_run_continues_what_it_finds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        drop(interrupted(&path, Some("\"tag\""), b"01234").await);

        let destination = Destination::new(&path).await.unwrap();
        assert_eq!(destination.resume(), Some(&Resume { offset: 5, tag: "\"tag\"".into() }));
        let mut digest = Sha256::new();
        let mut sink = destination.rest(Some(&mut digest)).await.unwrap();
        sink.write(b"56").await.unwrap();
        sink.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"0123456");
        assert_eq!(digest.finalize(), Sha256::digest(b"01234"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_identified_is_not_continued() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        drop(interrupted(&path, Some("\"tag\""), b"").await);
        assert_eq!(Destination::new(&path).await.unwrap().resume(), None);
        drop(interrupted(&path, None, b"0123").await);
        assert_eq!(Destination::new(&path).await.unwrap().resume(), None);
        std::fs::write(with_suffix(&path, ".part.etag"), "\"a\r\nb\"").unwrap();
        assert_eq!(Destination::new(&path).await.unwrap().resume(), None);
    }

    #[tokio::test]
    async fn a_file_that_exists_is_replaced_only_by_a_complete_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let sink = interrupted(&path, None, b"new").await;
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        sink.finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Destination::new(directory.path()).await.is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_device_is_written_to_and_never_replaced() {
        let path = Path::new("/dev/null");
        assert!(matches!(Destination::new(path).await.unwrap(), Destination::Device(_)));
        interrupted(path, Some("\"tag\""), b"x").await.finish().await.unwrap();
        assert!(!path.metadata().unwrap().is_file());
    }
}

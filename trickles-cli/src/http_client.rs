//! As much of an HTTP/1.1 client as one `GET` or one `PUT` needs.

use std::io::{Cursor, ErrorKind};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Chain};
use trickles_tokio::TricklesStream;

use crate::connect::{Builder, MAX_EARLY_INPUT, connect};
use crate::digest_field::{self, Digest};
use crate::url::Url;

/// The longest response head.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 100;

/// The server answers with a status from which no file can be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answers {status} {reason}{hint}")]
pub(crate) struct StatusError {
    status: u16,
    reason: String,
    hint: String,
}

/// What is there already of the file that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    /// From where on the file is wanted.
    pub(crate) offset: u64,
    /// The entity tag of the version to be continued; of any other the whole file is wanted.
    pub(crate) tag: String,
}

/// What a response says about its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    status: u16,
    reason: String,
    /// The length of the body; without one the body lasts until the stream ends.
    pub(crate) length: Option<u64>,
    /// The strong entity tag, with its quotes.
    pub(crate) tag: Option<String>,
    /// The first byte of the range that the body is.
    range_start: Option<u64>,
    location: Option<String>,
}

/// The body of a response.
pub(crate) type Body = Chain<Cursor<Vec<u8>>, TricklesStream>;

/// What a server makes of a request.
pub(crate) enum Answer {
    /// The whole file.
    Whole(Head, Body),
    /// What was missing of it.
    Rest(Head, Body),
    /// No such range can be had: the file is to be asked for from its beginning.
    NoRange,
}

/// Asks for the file at `url`, or for the rest of it.
pub(crate) async fn get(url: &Url, resume: Option<&Resume>, builder: Builder) -> Result<Answer> {
    let mut stream = send(url, &request(url, resume), builder).await?;
    let (head, rest) = read_head(&mut stream).await?;
    match (head.status, resume) {
        (200, _) => Ok(Answer::Whole(head, Cursor::new(rest).chain(stream))),
        (206, Some(resume)) => {
            let expected = Some(resume.offset);
            ensure!(head.range_start == expected, "the server sends a range that was not asked for");
            let same = head.tag.as_ref().is_none_or(|tag| *tag == resume.tag);
            ensure!(same, "the server sends a range of a version that was not asked for");
            Ok(Answer::Rest(head, Cursor::new(rest).chain(stream)))
        }
        (416, Some(_)) => Ok(Answer::NoRange),
        _ => Err(head.into_error().into()),
    }
}

/// What is uploaded.
pub(crate) struct Content<R> {
    pub(crate) reader: R,
    /// In bytes.
    pub(crate) length: u64,
    pub(crate) digest: Digest,
}

/// Stores `content` at `url`; returns whether there was no file before. `progress` is told how many bytes
/// have been written each time.
pub(crate) async fn put(
    url: &Url,
    content: Content<impl AsyncRead + Unpin>,
    builder: Builder,
    progress: impl Fn(u64),
) -> Result<bool> {
    let request = put_request(url, content.length, &content.digest);
    let stream = send(url, &request, builder).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let answer = read_head(&mut reader);
    tokio::pin!(answer);
    let (head, _) = tokio::select! {
        // A server may refuse before it has seen everything.
        answer = &mut answer => answer?,
        written = write_content(content, &mut writer, progress) => {
            written?;
            answer.await?
        }
    };
    match head.status {
        201 => Ok(true),
        200 | 204 => Ok(false),
        _ => Err(head.into_error().into()),
    }
}

fn put_request(url: &Url, length: u64, digest: &Digest) -> String {
    let Url { target, .. } = url;
    let (authority, version) = (url.authority(), env!("CARGO_PKG_VERSION"));
    let digest = digest_field::format(digest);
    format!(
        "PUT {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: trickles/{version}\r\n\
         Connection: close\r\nContent-Length: {length}\r\nRepr-Digest: {digest}\r\n\r\n"
    )
}

async fn write_content(
    content: Content<impl AsyncRead + Unpin>,
    writer: &mut (impl AsyncWrite + Unpin),
    progress: impl Fn(u64),
) -> Result<()> {
    let mut reader = content.reader.take(content.length);
    let mut buffer = vec![0; 64 << 10];
    let mut left = content.length;
    while left > 0 {
        let count = reader.read(&mut buffer).await.context("cannot read the file")?;
        ensure!(count > 0, "the file became shorter while it was being uploaded");
        match writer.write_all(&buffer[..count]).await {
            // The server has seen enough: its response says why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
        left -= count as u64;
        progress(count as u64);
    }
    Ok(())
}

fn request(url: &Url, resume: Option<&Resume>) -> String {
    let Url { target, .. } = url;
    let (authority, version) = (url.authority(), env!("CARGO_PKG_VERSION"));
    let range = resume.map_or_else(String::new, |Resume { offset, tag }| {
        format!("Range: bytes={offset}-\r\nIf-Range: {tag}\r\n")
    });
    format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: trickles/{version}\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n{range}\r\n"
    )
}

/// Opens a stream to the first of the host's addresses that answers.
async fn send(url: &Url, request: &str, builder: Builder) -> Result<TricklesStream> {
    let (early, rest) = request.as_bytes().split_at(request.len().min(MAX_EARLY_INPUT));
    let mut stream = connect(&url.host, url.port, &builder.early_data(early)).await?;
    match stream.write_all(rest).await {
        // The server has seen enough: its response says why.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        result => result?,
    }
    Ok(stream)
}

/// Reads a response head; returns it with what was read of the body.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Head, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(MAX_HEAD);
    loop {
        // Informational responses precede the one that counts.
        while let Some((head, length)) = Head::parse(&bytes)? {
            bytes.drain(..length);
            if head.status >= 200 {
                return Ok((head, bytes));
            }
        }
        ensure!(bytes.len() < MAX_HEAD, "the response begins with too long a head");
        let read = stream.take((MAX_HEAD - bytes.len()) as u64).read_buf(&mut bytes).await?;
        ensure!(read > 0, "the stream ended before the response began");
    }
}

impl Head {
    /// The head at the beginning of `bytes` and its length, once it is complete.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes).context("the answer is not an HTTP response")? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
        let reason = response.reason.unwrap_or_default().to_owned();
        let mut head = Self { status: response.code.unwrap_or_default(), reason, ..Self::default() };
        for header in response.headers.iter() {
            let value = str::from_utf8(header.value).unwrap_or_default().trim_ascii();
            head.header(header.name, value)?;
        }
        Ok(Some((head, length)))
    }

    fn into_error(self) -> StatusError {
        let hint = self.location.map(|to| format!(" (it points to {to})")).unwrap_or_default();
        StatusError { status: self.status, reason: self.reason, hint }
    }

    fn header(&mut self, name: &str, value: &str) -> Result<()> {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length = value.parse().context("the response has no proper Content-Length")?;
                ensure!(self.length.is_none_or(|other| other == length), "the response has two lengths");
                self.length = Some(length);
            }
            "etag" => self.tag = is_strong_tag(value).then(|| value.to_owned()),
            "content-range" => self.range_start = range_start(value),
            "location" => self.location = Some(value.escape_default().to_string()),
            "transfer-encoding" => {
                bail!("the response has the transfer encoding {value}, not supported here")
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether `tag` can be used in a condition.
pub(crate) fn is_strong_tag(tag: &str) -> bool {
    let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    opaque.is_some_and(|tag| {
        tag.len() <= 200 && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    })
}

fn range_start(value: &str) -> Option<u64> {
    let (first, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> Url {
        "trickles://h:1/a".parse().unwrap()
    }

    async fn head(bytes: &str) -> Result<(Head, Vec<u8>)> {
        // One byte at a time, as a network might.
        let mut stream = tokio_test_stream(bytes);
        let (head, mut rest) = read_head(&mut stream).await?;
        stream.read_to_end(&mut rest).await?;
        Ok((head, rest))
    }

    fn tokio_test_stream(bytes: &str) -> impl AsyncRead + Unpin {
        let (reader, mut writer) = tokio::io::duplex(1);
        let bytes = bytes.as_bytes().to_vec();
        tokio::spawn(async move { writer.write_all(&bytes).await });
        reader
    }

    #[test]
    fn a_request_asks_for_the_rest_of_the_version_that_is_there() {
        let resume = Resume { offset: 7, tag: "\"x\"".into() };
        let text = request(&url(), Some(&resume));
        assert!(text.starts_with("GET /a HTTP/1.1\r\nHost: h:1\r\n"), "{text}");
        assert!(text.ends_with("Range: bytes=7-\r\nIf-Range: \"x\"\r\n\r\n"), "{text}");
        assert!(!request(&url(), None).contains("Range"));
    }

    #[test]
    fn an_upload_says_what_it_is() {
        let text = put_request(&url(), 5, &[0; 32]);
        assert!(text.starts_with("PUT /a HTTP/1.1\r\nHost: h:1\r\n"), "{text}");
        let end = format!("Content-Length: 5\r\nRepr-Digest: sha-256=:{}=:\r\n\r\n", "A".repeat(43));
        assert!(text.ends_with(&end), "{text}");
    }

    #[tokio::test]
    async fn no_more_is_uploaded_than_was_announced() {
        for (length, whole) in [(3, true), (5, true), (7, false)] {
            let content = Content { reader: &b"01234"[..], length, digest: [0; 32] };
            let mut written = Vec::new();
            assert_eq!(write_content(content, &mut written, |_| {}).await.is_ok(), whole);
            assert_eq!(written, b"01234"[..written.len()]);
            assert!(!whole || written.len() as u64 == length);
        }
    }

    #[tokio::test]
    async fn a_head_ends_where_the_body_begins() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Partial Content\r\nETag: \"a-b\"\r\n\
                    content-length: 3\r\nContent-Range: bytes 5-7/8\r\nX: y\r\n\r\nabc";
        let (head, body) = head(text).await.unwrap();
        assert_eq!((head.status, head.reason.as_str()), (206, "Partial Content"));
        assert_eq!((head.length, head.range_start, head.tag.as_deref()), (Some(3), Some(5), Some("\"a-b\"")));
        assert_eq!(body, b"abc");
    }

    #[tokio::test]
    async fn what_is_no_response_is_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let bad = [
            ("", "ended before"),
            ("HTTP/1.1 200 O", "ended before"),
            ("hello\r\n\r\n", "not an HTTP response"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunked"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two lengths"),
            (long.as_str(), "too long"),
        ];
        for (text, part) in bad {
            let error = format!("{:#}", head(text).await.unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_strong_tags_are_remembered() {
        assert!(is_strong_tag("\"\"") && is_strong_tag("\"a-1\""));
        for tag in ["", "\"", "W/\"a\"", "a", "\"a\"b\"", "\"a\r\nb\"", "\"a b\""] {
            assert!(!is_strong_tag(tag), "{tag}");
        }
    }
}

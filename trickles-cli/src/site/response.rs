//! Responses, regenerated from the little that distinguishes them.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::OutputError;
use super::files::{Files, Identity};

/// What stands for itself in a `Location`; a backslash, which browsers take for a slash, does not.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The last second that HTTP can express.
const LAST_DATE: u64 = 253_402_300_799;

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    BadRequest,
    Forbidden,
    NotFound,
    Conflict,
    LengthRequired,
    PreconditionFailed,
    ContentTooLarge,
    UriTooLong,
    ExpectationFailed,
    Unprocessable,
    HeaderFieldsTooLarge,
    InternalError,
    VersionNotSupported,
    InsufficientStorage,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::Conflict => "409 Conflict",
            Self::LengthRequired => "411 Length Required",
            Self::PreconditionFailed => "412 Precondition Failed",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::UriTooLong => "414 URI Too Long",
            Self::ExpectationFailed => "417 Expectation Failed",
            Self::Unprocessable => "422 Unprocessable Content",
            Self::HeaderFieldsTooLarge => "431 Request Header Fields Too Large",
            Self::InternalError => "500 Internal Server Error",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
            Self::InsufficientStorage => "507 Insufficient Storage",
        }
    }
}

/// What a response says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// A file, or a part of it.
    File {
        path: String,
        identity: Identity,
        part: Option<Range<u64>>,
    },
    NotModified(Identity),
    /// The range lies outside of the file, which is that long.
    Unsatisfiable(u64),
    /// The path of a directory, without a slash at its end.
    Moved(String),
    /// The file was uploaded; `created`: there was none before.
    Stored {
        identity: Identity,
        created: bool,
    },
    /// `uploads`: whether `PUT` is allowed.
    MethodNotAllowed {
        uploads: bool,
    },
    Status(Status),
}

impl Answer {
    /// Whether it is unknown, or unwise to rely on, where the next request begins.
    pub(super) fn ends_stream(&self) -> bool {
        matches!(
            self,
            Self::Status(
                Status::BadRequest
                    | Status::LengthRequired
                    | Status::UriTooLong
                    | Status::HeaderFieldsTooLarge
                    | Status::InternalError
                    | Status::VersionNotSupported
            )
        )
    }

    fn status(&self) -> &'static str {
        match self {
            Self::File { part: None, .. } => "200 OK",
            Self::File { part: Some(_), .. } => "206 Partial Content",
            Self::NotModified(_) => "304 Not Modified",
            Self::Unsatisfiable(_) => "416 Range Not Satisfiable",
            Self::Moved(_) => "301 Moved Permanently",
            Self::Stored { created: true, .. } => "201 Created",
            Self::Stored { created: false, .. } => "204 No Content",
            Self::MethodNotAllowed { .. } => "405 Method Not Allowed",
            Self::Status(status) => status.line(),
        }
    }

    fn body(&self) -> Body<'_> {
        match self {
            Self::File { path, identity, part } => {
                Body::File { path, identity: *identity, range: part.clone().unwrap_or(0..identity.length) }
            }
            Self::NotModified(_) | Self::Stored { created: false, .. } => Body::None,
            _ => Body::Text(format!("{}\n", self.status())),
        }
    }
}

/// The content of a response to `GET`.
enum Body<'a> {
    None,
    Text(String),
    File { path: &'a str, identity: Identity, range: Range<u64> },
}

impl Body<'_> {
    fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len() as u64,
            Self::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }
}

/// A response, and where in the stream it lies. Its text form is its head.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Response {
    start: u64,
    head_length: u64,
    /// When it was made, in seconds since the Unix epoch.
    date: u64,
    keep_alive: bool,
    head_only: bool,
    answer: Answer,
}

impl Response {
    /// A response that begins at stream offset `start`.
    pub(super) fn new(
        answer: Answer,
        start: u64,
        now: SystemTime,
        keep_alive: bool,
        head_only: bool,
    ) -> Self {
        let date = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut response = Self { start, head_length: 0, date, keep_alive, head_only, answer };
        response.head_length = response.to_string().len() as u64;
        response
    }

    pub(super) fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    pub(super) fn status(&self) -> &'static str {
        self.answer.status()
    }

    /// The stream offsets of the response.
    pub(super) fn output(&self) -> Range<u64> {
        let body = if self.head_only { 0 } else { self.answer.body().length() };
        self.start..self.start.saturating_add(self.head_length).saturating_add(body)
    }

    /// See [`Site::output`](super::Site::output).
    pub(super) fn read(
        &self,
        files: &mut Files,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, OutputError> {
        let output = self.output();
        if offset < output.start || offset > output.end {
            return Err(OutputError::Invalid);
        }
        let wanted = usize::try_from(output.end - offset).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        // Both relative to the part of the response that they are in.
        let in_head = offset - self.start;
        let in_body = in_head.saturating_sub(self.head_length);

        let mut filled = 0;
        if in_head < self.head_length {
            let head = self.to_string();
            // Another release may write another head, whose bytes must not mix with those sent so far.
            if head.len() as u64 != self.head_length {
                return Err(OutputError::Changed);
            }
            filled = fill(buffer, &head.as_bytes()[in_head as usize..]);
        }
        let rest = &mut buffer[filled..];
        if !rest.is_empty() {
            match self.answer.body() {
                Body::File { path, identity, range } => {
                    files.read(path, identity, range.start.saturating_add(in_body), rest)?;
                }
                Body::Text(text) => {
                    fill(rest, &text.as_bytes()[in_body as usize..]);
                }
                Body::None => return Err(OutputError::Invalid),
            }
        }
        Ok(wanted)
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.answer.body();
        write!(f, "HTTP/1.1 {}\r\n", self.status())?;
        write!(f, "Server: trickles/{}\r\n", env!("CARGO_PKG_VERSION"))?;
        write!(f, "Date: {}\r\n", date(self.date))?;
        write!(f, "Connection: {}\r\n", if self.keep_alive { "keep-alive" } else { "close" })?;
        match &body {
            Body::None => {}
            Body::Text(_) => write!(f, "Content-Type: text/plain; charset=utf-8\r\n")?,
            Body::File { path, .. } => {
                let mime = mime_guess::from_path(path).first_or_octet_stream();
                let charset = if mime.type_() == mime_guess::mime::TEXT { "; charset=utf-8" } else { "" };
                write!(f, "Content-Type: {}{charset}\r\n", mime.essence_str())?;
            }
        }
        if !matches!(body, Body::None) {
            write!(f, "Content-Length: {}\r\n", body.length())?;
        }
        match &self.answer {
            Answer::File { identity, .. } | Answer::NotModified(identity) => {
                // RFC 9110 section 8.8.2.1: never later than `Date`.
                let modified = identity.modified().min(self.date);
                write!(f, "Last-Modified: {}\r\nETag: \"{identity}\"\r\n", date(modified))?;
                write!(f, "Accept-Ranges: bytes\r\n")?;
            }
            Answer::Unsatisfiable(length) => write!(f, "Content-Range: bytes */{length}\r\n")?,
            Answer::Moved(path) => write!(f, "Location: /{}/\r\n", utf8_percent_encode(path, ENCODED))?,
            Answer::Stored { identity, .. } => write!(f, "ETag: \"{identity}\"\r\n")?,
            Answer::MethodNotAllowed { uploads } => {
                write!(f, "Allow: GET, HEAD{}\r\n", if *uploads { ", PUT" } else { "" })?;
            }
            Answer::Status(_) => {}
        }
        if let Answer::File { identity, part: Some(part), .. } = &self.answer {
            let last = part.end.saturating_sub(1);
            write!(f, "Content-Range: bytes {}-{last}/{}\r\n", part.start, identity.length)?;
        }
        write!(f, "\r\n")
    }
}

/// Copies as much as fits; returns how much that is.
pub(super) fn fill(to: &mut [u8], from: &[u8]) -> usize {
    let length = to.len().min(from.len());
    to[..length].copy_from_slice(&from[..length]);
    length
}

fn date(seconds: u64) -> HttpDate {
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_DATE)))
}

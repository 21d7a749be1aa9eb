//! Request heads, read line by line.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::conditions::{Conditions, number};
use super::put::Put;
use super::response::Status;

pub(super) const MAX_LINE: usize = 1000;

/// Limits of a whole request head, in bytes and in header fields.
const MAX_HEAD: usize = 8192;
const MAX_HEADERS: u8 = 100;

/// The longest path, in bytes: it has to fit in the state.
const MAX_PATH: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Other,
}

/// A request line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) method: Method,
    /// HTTP/1.1 rather than HTTP/1.0.
    current: bool,
    /// Decoded, relative to the root; it ends with a slash, or is empty, for a directory.
    pub(super) path: String,
}

impl Request {
    fn parse(line: &[u8]) -> Result<Self, Status> {
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse(line);
        match (parsed, request.method, request.path, request.version) {
            (Ok(_), Some(method), Some(target), Some(version)) => {
                let method = match method {
                    "GET" => Method::Get,
                    "HEAD" => Method::Head,
                    "PUT" => Method::Put,
                    _ => Method::Other,
                };
                // Other methods can have other targets, such as `*`.
                let path = if method == Method::Other { String::new() } else { path(target)? };
                Ok(Self { method, current: version == 1, path })
            }
            (Err(httparse::Error::Version), ..) => Err(Status::VersionNotSupported),
            _ => Err(Status::BadRequest),
        }
    }
}

/// As much of a request head as has arrived.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Head {
    request: Option<Request>,
    bytes: u16,
    headers: u8,
    host: bool,
    /// The client wants to end the stream.
    close: bool,
    /// The length of the content that follows the head.
    length: Option<u64>,
    /// The content has a transfer coding.
    encoded: bool,
    /// Of `GET` and `HEAD`.
    pub(super) conditions: Conditions,
    /// Of `PUT`.
    pub(super) put: Put,
}

/// How far a head has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// More lines follow.
    Part,
    /// Only the empty line at the end has been left: the head is an upload's, and these were to wait.
    Held,
    Whole,
}

impl Head {
    /// Takes in complete lines up to the end of the head; `hold`: not the last one of an upload.
    ///
    /// Returns how many bytes that are.
    pub(super) fn read(&mut self, input: &[u8], hold: bool) -> Result<(usize, Read), Status> {
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            let Some(end) = rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n') else {
                return if rest.len() < MAX_LINE { Ok((consumed, Read::Part)) } else { Err(self.too_long()) };
            };
            let line = &rest[..=end];
            if hold && is_empty(line) && self.method() == Some(Method::Put) {
                return Ok((consumed, Read::Held));
            }
            consumed += line.len();
            if self.line(line)? {
                return Ok((consumed, Read::Whole));
            }
        }
    }

    /// Takes in one line; returns whether it ends the head.
    fn line(&mut self, line: &[u8]) -> Result<bool, Status> {
        match u16::try_from(usize::from(self.bytes) + line.len()) {
            Ok(bytes) if usize::from(bytes) <= MAX_HEAD => self.bytes = bytes,
            _ => return Err(self.too_long()),
        }
        match (&mut self.request, is_empty(line)) {
            // RFC 9112 section 2.2: some clients send an empty line after a request.
            (None, true) => Ok(false),
            (request @ None, false) => {
                let request = request.insert(Request::parse(line)?);
                self.close = !request.current;
                Ok(false)
            }
            (Some(_), true) => Ok(true),
            (Some(_), false) => self.header(line).map(|()| false),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Status> {
        self.headers = self.headers.saturating_add(1);
        if self.headers > MAX_HEADERS {
            return Err(self.too_long());
        }
        let line = [line, b"\n"].concat();
        let mut header = [httparse::EMPTY_HEADER];
        if !httparse::parse_headers(&line, &mut header).is_ok_and(|status| status.is_complete()) {
            return Err(Status::BadRequest);
        }
        let [header] = header;
        let value = str::from_utf8(header.value).map(str::trim_ascii).unwrap_or_default();
        match header.name.to_ascii_lowercase().as_str() {
            "host" if self.host => return Err(Status::BadRequest),
            "host" => self.host = true,
            "connection" => {
                self.close |=
                    value.split(',').any(|option| option.trim_ascii().eq_ignore_ascii_case("close"));
            }
            "content-length" => {
                let length = number(value).ok_or(Status::BadRequest)?;
                if self.length.replace(length).is_some_and(|other| other != length) {
                    return Err(Status::BadRequest);
                }
            }
            "transfer-encoding" => self.encoded = true,
            name if self.method() == Some(Method::Put) => self.put.header(name, value)?,
            name => self.conditions.header(name, value),
        }
        Ok(())
    }

    fn too_long(&self) -> Status {
        if self.request.is_none() { Status::UriTooLong } else { Status::HeaderFieldsTooLarge }
    }

    /// Whether any of a request has arrived.
    pub(super) fn begun(&self) -> bool {
        self.request.is_some()
    }

    pub(super) fn method(&self) -> Option<Method> {
        self.request.as_ref().map(|request| request.method)
    }

    /// Whether what follows this head is no further request.
    pub(super) fn ends_stream(&self) -> bool {
        self.close || self.has_content()
    }

    /// Whether the client wants no more than this answered.
    pub(super) fn close(&self) -> bool {
        self.close
    }

    fn has_content(&self) -> bool {
        self.encoded || self.length.is_some_and(|length| length > 0)
    }

    /// The length of the content, which has to be known before it comes.
    pub(super) fn content_length(&self) -> Result<u64, Status> {
        match self.length {
            Some(length) if !self.encoded => Ok(length),
            // RFC 9112 section 6.1: two lengths that differ are an attack.
            Some(_) => Err(Status::BadRequest),
            None => Err(Status::LengthRequired),
        }
    }

    /// The request, if this complete head is well-formed. Only an upload has content.
    pub(super) fn check(&self) -> Result<&Request, Status> {
        match &self.request {
            Some(request) if request.current && !self.host => Err(Status::BadRequest),
            Some(request) if matches!(request.method, Method::Put | Method::Other) => Ok(request),
            Some(request) if !self.has_content() => Ok(request),
            _ => Err(Status::BadRequest),
        }
    }
}

/// Whether this line ends a head.
fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// The path that `target` names, decoded and relative to the root.
fn path(target: &str) -> Result<String, Status> {
    let path = origin_form(target).split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(Status::BadRequest);
    }
    if path.len() > MAX_PATH {
        return Err(Status::UriTooLong);
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| Status::BadRequest)?;
    let segments: Vec<_> = path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
    let directory = path.ends_with('/') || path.ends_with("/.");
    Ok(segments.join("/") + if directory && !segments.is_empty() { "/" } else { "" })
}

/// Strips the scheme and the authority: RFC 9112 section 3.2.2 obliges every server to accept them.
fn origin_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            if rest[end..].starts_with('/') { &rest[end..] } else { "/" }
        }
        _ => target,
    }
}

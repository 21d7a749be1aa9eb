//! Addresses of files: `trickles://HOST[:PORT]/PATH`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The port when none is named.
pub(crate) const DEFAULT_PORT: u16 = 4433;

/// What RFC 3986 does not allow in a path or a query, except `%`: that begins what is encoded already.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What else has to be encoded in a name.
const SEGMENT: &AsciiSet = &ENCODED.add(b'%').add(b'/').add(b'?').add(b'#');

/// Why something is not the address of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("expected trickles://HOST[:PORT]/PATH")]
    Scheme,
    #[error("there is no host in it")]
    NoHost,
    #[error("`{0}` is not a host")]
    Host(String),
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("user names are not supported")]
    User,
}

/// The address of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// A name or an address; without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query as they go into a request; begins with a slash.
    pub(crate) target: String,
}

impl Url {
    /// Host and port, as they go into a request.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The file `name` in the directory that this is, or what this is if it is no directory.
    pub(crate) fn or_in_directory(mut self, name: &str) -> Self {
        if self.target.ends_with('/') && !self.target.contains('?') {
            self.target.extend(utf8_percent_encode(name, SEGMENT));
        }
        self
    }

    /// The name of the file, if that is safe to use for a file in the current directory.
    pub(crate) fn file_name(&self) -> Option<String> {
        let path = self.target.split('?').next()?;
        let name = percent_decode_str(path.rsplit('/').next()?).decode_utf8().ok()?;
        // A name that begins with a dot is hidden, or a directory.
        let unsafe_in_name = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':');
        let safe = !name.is_empty() && !name.starts_with('.') && !name.contains(unsafe_in_name);
        safe.then(|| name.into_owned())
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("trickles") {
            return Err(UrlError::Scheme);
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority)?;
        let target = utf8_percent_encode(target, ENCODED).to_string();
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        Ok(Self { host, port, target })
    }
}

fn split_authority(authority: &str) -> Result<(String, u16), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::User);
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(|| UrlError::Host(authority.to_owned()))?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host(host.to_owned()))?;
        let port = match port.strip_prefix(':') {
            None if !port.is_empty() => return Err(UrlError::Port(port.to_owned())),
            port => port,
        };
        (host, port)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if host.contains(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.' | '_')) {
            return Err(UrlError::Host(host.to_owned()));
        }
        (host, port)
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match port {
        None | Some("") => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(number) if number > 0 => number,
            _ => return Err(UrlError::Port(port.to_owned())),
        },
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trickles://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, u16, String) {
        let url: Url = url.parse().unwrap();
        (url.host, url.port, url.target)
    }

    #[test]
    fn hosts_ports_and_targets_are_told_apart() {
        let expect = |host: &str, port, target: &str| (host.to_owned(), port, target.to_owned());
        assert_eq!(parts("trickles://a.example/b/c"), expect("a.example", 4433, "/b/c"));
        assert_eq!(parts("TRICKLES://10.0.0.1:80"), expect("10.0.0.1", 80, "/"));
        assert_eq!(parts("trickles://[::1]/x?y#z"), expect("::1", 4433, "/x?y"));
        assert_eq!(parts("trickles://[2001:db8::2]:99?q"), expect("2001:db8::2", 99, "/?q"));
        assert_eq!(parts("trickles://h:/a b/ü%20%"), expect("h", 4433, "/a%20b/%C3%BC%20%"));
        assert_eq!(parts("trickles://h/a://b@c"), expect("h", 4433, "/a://b@c"));
    }

    #[test]
    fn errors_name_the_part_at_fault() {
        let error = |url: &str| url.parse::<Url>().unwrap_err();
        assert_eq!(error("http://h/"), UrlError::Scheme);
        assert_eq!(error("h/x"), UrlError::Scheme);
        assert_eq!(error("trickles:///x"), UrlError::NoHost);
        assert_eq!(error("trickles://:80/x"), UrlError::NoHost);
        assert_eq!(error("trickles://u@h/x"), UrlError::User);
        assert_eq!(error("trickles://h:0/x"), UrlError::Port("0".into()));
        assert_eq!(error("trickles://h:65536/x"), UrlError::Port("65536".into()));
        assert_eq!(error("trickles://[::1]80/x"), UrlError::Port("80".into()));
        assert_eq!(error("trickles://::1/x"), UrlError::NoHost);
        assert_eq!(error("trickles://[h]/x"), UrlError::Host("h".into()));
        assert_eq!(error("trickles://[::1/x"), UrlError::Host("[::1".into()));
        assert_eq!(error("trickles://a\r\nb/x"), UrlError::Host("a\r\nb".into()));
    }

    #[test]
    fn what_is_displayed_is_the_same_url() {
        for text in ["trickles://h:1/a?b", "trickles://[::1]:4433/%20", "trickles://10.0.0.1:80/"] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn a_directory_takes_the_name_of_a_file() {
        let target = |target: &str| {
            format!("trickles://h{target}").parse::<Url>().unwrap().or_in_directory("a b%/?#ü").target
        };
        assert_eq!(target("/x/"), "/x/a%20b%25%2F%3F%23%C3%BC");
        assert_eq!(target(""), "/a%20b%25%2F%3F%23%C3%BC");
        assert_eq!(target("/x"), "/x");
        assert_eq!(target("/x/?y/"), "/x/?y/");
    }

    #[test]
    fn only_names_that_stay_in_the_directory_are_taken() {
        let name = |target: &str| format!("trickles://h{target}").parse::<Url>().unwrap().file_name();
        assert_eq!(name("/a/b.txt?c/d").as_deref(), Some("b.txt"));
        assert_eq!(name("/a%20b%C3%BC").as_deref(), Some("a bü"));
        let refused = [
            "", "/", "/a/", "/..", "/.", "/.bashrc", "/a%2fb", "/%2e%2e", "/..%5cx", "/C:x", "/a%00b", "/%ff",
        ];
        for target in refused {
            assert_eq!(name(target), None, "{target}");
        }
    }
}

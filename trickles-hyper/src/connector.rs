//! The connector.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use tower_service::Service;
use trickles::client::ClientConfig;
use trickles_tokio::TricklesStream;

use crate::io::TricklesIo;

/// The port of a `trickles://` URI that names none.
pub const DEFAULT_PORT: u16 = 4433;
/// The port of an `http://` URI that names none.
const HTTP_PORT: u16 = 80;

/// Opens streams to the hosts of `trickles://` and `http://` URIs, without a port to port 4433 or 80.
///
/// An `http://` URI asks for Trickles too: the scheme says what is spoken, and this connector what carries it.
/// `https://` is refused, since nothing here encrypts.
///
/// A stream outlives its server, so that a client keeps connections that it would have lost over TCP. What it
/// does not do is repeat a request whose stream failed: that is the client's decision as ever.
#[derive(Clone, Debug, Default)]
pub struct TricklesConnector {
    config: ClientConfig,
}

impl TricklesConnector {
    /// A connector with the default [`ClientConfig`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A connector whose streams have this configuration.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use trickles::client::ClientConfig;
    /// use trickles_hyper::TricklesConnector;
    ///
    /// let timeout = Duration::from_secs(5);
    /// let config = ClientConfig { connect_timeout: timeout, timeout, ..ClientConfig::default() };
    /// let connector = TricklesConnector::with_config(config);
    /// ```
    pub fn with_config(config: ClientConfig) -> Self {
        Self { config }
    }
}

impl Service<Uri> for TricklesConnector {
    type Response = TricklesIo;
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a URI without a host or with another scheme; else the
    /// error of [`TricklesStream::connect`].
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let config = self.config.clone();
        Connecting(Box::pin(async move {
            let stream = TricklesStream::builder().client_config(config).connect(server(&uri)?).await?;
            Ok(TricklesIo::new(stream))
        }))
    }
}

/// A stream that is being opened. Dropping it gives up.
pub struct Connecting(Pin<Box<dyn Future<Output = io::Result<TricklesIo>> + Send>>);

impl Future for Connecting {
    type Output = io::Result<TricklesIo>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}

/// The host, without brackets, and the port that `uri` leads to.
fn server(uri: &Uri) -> io::Result<(&str, u16)> {
    let invalid = |message: String| io::Error::new(ErrorKind::InvalidInput, message);
    let default = match uri.scheme_str() {
        Some("trickles") => DEFAULT_PORT,
        Some("http") => HTTP_PORT,
        Some(scheme) => return Err(invalid(format!("expected trickles:// or http://, not {scheme}://"))),
        None => return Err(invalid(format!("{uri} has no scheme"))),
    };
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| invalid(format!("{uri} has no host")))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host, uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_tells_the_server() {
        let server = |uri: &str| server(&uri.parse().unwrap()).map(|(host, port)| (host.to_owned(), port));
        let expect = |host: &str, port| (host.to_owned(), port);
        assert_eq!(server("trickles://a.example/b").unwrap(), expect("a.example", 4433));
        assert_eq!(server("http://10.0.0.1/").unwrap(), expect("10.0.0.1", 80));
        assert_eq!(server("trickles://[::1]:99/?q").unwrap(), expect("::1", 99));
        assert_eq!(server("http://[2001:db8::2]/").unwrap(), expect("2001:db8::2", 80));
        for refused in ["https://a.example/", "/path", "a.example:80", "ftp://h/"] {
            assert_eq!(server(refused).unwrap_err().kind(), ErrorKind::InvalidInput, "{refused}");
        }
    }
}

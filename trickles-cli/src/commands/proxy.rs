//! `trickles proxy`.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args};
use tokio::net::TcpListener;

use crate::connect::StreamArguments;
use crate::exit::UsageError;
use crate::interrupt::Interrupt;
use crate::proxy::{Proxy as Service, Target};
use crate::server_process::LISTENING_ON;
use crate::url::Url;

const EXAMPLES: &str = "\
Examples:
  trickles proxy --to trickles://10.0.0.1           http://127.0.0.1:8080/ leads to the files there
  trickles proxy --to trickles://host:99 --listen 127.0.0.1:0
                                                    on any free port
  trickles proxy --socks5 --listen '[::1]:1080'     to whatever server a program asks for, as in
      curl --socks5-hostname '[::1]:1080' http://10.0.0.1:4433/list.txt
      chromium --proxy-server='socks5://[::1]:1080' http://10.0.0.1:4433/

The first line on standard output is `listening on ADDRESS`.

Exit codes: 0 ended by SIGINT, SIGTERM or SIGHUP, 1 error, 2 wrong usage";

/// Let programs that speak TCP reach Trickles servers.
///
/// Every TCP connection is joined with one stream, which outlives the server: when that is killed and started
/// again, the program at this end sees no more than a pause. Only programs on this machine
/// can connect, unless --allow-remote is given.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("target").required(true))]
pub(crate) struct Proxy {
    /// The address to listen on for TCP connections; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The server that all connections lead to, as trickles://HOST:PORT; the port can be left out if it is 4433.
    #[arg(long, value_name = "URL", value_parser = parse_server, group = "target")]
    to: Option<Url>,

    /// Be a SOCKS5 server: each connection leads to the host and port that it asks for.
    #[arg(long, group = "target")]
    socks5: bool,

    /// Listen on an address that other machines can connect to. They need no password, and with --socks5 they
    /// reach whatever this machine reaches.
    #[arg(long)]
    allow_remote: bool,

    #[command(flatten)]
    stream: StreamArguments,

    /// End when standard input does, so as not to outlive the program that has started the proxy.
    #[arg(long)]
    until_eof: bool,
}

impl Proxy {
    pub(crate) async fn run(self) -> Result<()> {
        if !self.listen.ip().is_loopback() && !self.allow_remote {
            let message =
                format!("other machines could connect to {}: that needs --allow-remote", self.listen);
            return Err(UsageError(message).into());
        }
        let mut interrupt = Interrupt::new()?;
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", self.listen))?;
        self.announce(listener.local_addr()?).context("cannot write to standard output")?;
        let builder = self.stream.builder();
        let target = match self.to {
            Some(server) => Target::Server { host: server.host, port: server.port },
            None => Target::Socks5,
        };
        tokio::select! {
            never = Service::new(target, builder).run(listener) => match never {},
            () = interrupt.received_or_end_of_input(self.until_eof) => Ok(()),
        }
    }

    fn announce(&self, address: SocketAddr) -> io::Result<()> {
        let hint = match &self.to {
            Some(server) => format!("http://{address}/ leads to trickles://{}/", server.authority()),
            None => format!("use with `curl --socks5-hostname {address} http://HOST:PORT/FILE`"),
        };
        // In one piece: a program that reads the first line only may close the pipe then.
        let text = format!("{LISTENING_ON}{address}\n{hint}\n");
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

fn parse_server(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    if url.target == "/" {
        Ok(url)
    } else {
        Err("expected trickles://HOST[:PORT], without a path".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_no_path() {
        let authority = |text| parse_server(text).map(|url| url.authority());
        assert_eq!(authority("trickles://h"), Ok("h:4433".to_owned()));
        assert_eq!(authority("trickles://[::1]:9/"), Ok("[::1]:9".to_owned()));
        for bad in ["trickles://h/file", "trickles://h?q", "http://h", "h:4433", "trickles://"] {
            assert!(authority(bad).is_err(), "{bad}");
        }
    }
}

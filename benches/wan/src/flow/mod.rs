//! What runs inside the lab: servers and clients of either transport, as processes of their own.

pub(crate) mod client;
pub(crate) mod record;
pub(crate) mod server;

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Where the lab's server is.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The port of both transports.
pub(crate) const PORT: u16 = 7000;
/// Length of a request.
pub(crate) const REQUEST: usize = 32;
/// What applications read and write at once.
pub(crate) const PIECE: usize = 64 << 10;
/// More than any flow moves: a transfer that is ended by time.
pub(crate) const ENDLESS: u64 = 1 << 40;

/// Where the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// From the server.
    Download,
    /// To the server.
    Upload,
}

impl Direction {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// Trickles.
    Trickles,
    /// The kernel's TCP with CUBIC.
    Cubic,
    /// The kernel's TCP with Reno.
    Reno,
    /// The kernel's TCP with BBR.
    Bbr,
}

impl Contender {
    /// All, ours first.
    pub(crate) const ALL: [Self; 4] = [Self::Trickles, Self::Cubic, Self::Reno, Self::Bbr];
    /// Those of the kernel.
    pub(crate) const KERNEL: [Self; 3] = [Self::Cubic, Self::Reno, Self::Bbr];

    /// Its name, by which the kernel knows its own.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trickles => "trickles",
            Self::Cubic => "cubic",
            Self::Reno => "reno",
            Self::Bbr => "bbr",
        }
    }
}

/// What a client asks for at the beginning of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) direction: Direction,
    /// How many bytes, or at most how many if the sender ends an upload early.
    pub(crate) length: u64,
    /// Who is to send them.
    pub(crate) contender: Contender,
}

impl Request {
    pub(crate) fn encode(self) -> [u8; REQUEST] {
        let mut bytes = [0; REQUEST];
        bytes[0] = u8::from(self.direction == Direction::Upload);
        bytes[1] = self.contender as u8;
        bytes[8..16].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// `None` for what is no request.
    pub(crate) fn decode(bytes: &[u8; REQUEST]) -> Option<Self> {
        let direction = match bytes[0] {
            0 => Direction::Download,
            1 => Direction::Upload,
            _ => return None,
        };
        let contender = *Contender::ALL.get(usize::from(bytes[1]))?;
        let length = bytes[8..16].iter().fold(0, |length, &byte| length << 8 | u64::from(byte));
        (length <= ENDLESS).then_some(Self { direction, length, contender })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_they_were() {
        for contender in Contender::ALL {
            for direction in [Direction::Download, Direction::Upload] {
                let request = Request { direction, length: 77, contender };
                assert_eq!(Request::decode(&request.encode()), Some(request));
            }
        }
        assert_eq!(Request::decode(&[2; REQUEST]), None);
        assert_eq!(Request::decode(&[255; REQUEST]), None);
    }
}

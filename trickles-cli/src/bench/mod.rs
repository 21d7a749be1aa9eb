//! What `trickles bench` measures, over Trickles and over TCP.

pub(crate) mod client;
pub(crate) mod report;
pub(crate) mod service;
pub(crate) mod tcp;

/// Bytes of every request, over either transport.
pub(crate) const REQUEST: usize = 64;
/// Bytes of an ordinary response.
pub(crate) const RESPONSE: usize = 1024;
/// The largest transfer that can be asked for, in bytes.
pub(crate) const MAX_TRANSFER: u64 = 16 << 30;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// [`RESPONSE`] bytes.
    Respond,
    /// So many bytes.
    Download(u64),
    /// To take the so many bytes that follow, and to answer with one byte then.
    Upload(u64),
}

impl Request {
    pub(crate) fn encode(self) -> [u8; REQUEST] {
        let (kind, length) = match self {
            Self::Respond => (0, 0),
            Self::Download(length) => (1, length),
            Self::Upload(length) => (2, length),
        };
        let mut bytes = [0; REQUEST];
        bytes[0] = kind;
        bytes[1..9].copy_from_slice(&u64::to_be_bytes(length));
        bytes
    }

    /// `None` for what is no request, or for more than is allowed.
    pub(crate) fn decode(bytes: &[u8; REQUEST]) -> Option<Self> {
        let length = bytes[1..9].iter().fold(0, |length, &byte| length << 8 | u64::from(byte));
        match bytes[0] {
            0 => Some(Self::Respond),
            1 if length <= MAX_TRANSFER => Some(Self::Download(length)),
            2 if length <= MAX_TRANSFER => Some(Self::Upload(length)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_understood_within_their_bounds() {
        for request in [Request::Respond, Request::Download(7), Request::Upload(MAX_TRANSFER)] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        for request in [Request::Download(MAX_TRANSFER + 1), Request::Upload(u64::MAX)] {
            assert_eq!(Request::decode(&request.encode()), None);
        }
        assert_eq!(Request::decode(&[3; REQUEST]), None);
    }
}

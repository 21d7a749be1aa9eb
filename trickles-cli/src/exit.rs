//! Exit codes.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use trickles::client::Failure;

use crate::connect::HostError;
use crate::file_service::CHANGED;
use crate::http_client::StatusError;

/// How the exit codes are explained to users.
pub(crate) const HELP: &str = "\
Exit codes:
  0  success
  1  any other error, such as one of the file system
  2  wrong usage
  3  the server has no such file, does not take one, or answers with another HTTP error
  4  there is no such host, nobody listens there, or nobody offers this service
  5  timed out
  6  the server does not know the stream's key: it has lost or changed its key ring
  7  the file changed while it was being downloaded
  130  interrupted";

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Other = 1,
    Usage = 2,
    Status = 3,
    Unreachable = 4,
    TimedOut = 5,
    UnknownKey = 6,
    Changed = 7,
    Interrupted = 130,
}

/// The command cannot be carried out as it was given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// A signal asked the program to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

impl Exit {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(|cause| {
                if cause.is::<UsageError>() {
                    Some(Self::Usage)
                } else if cause.is::<StatusError>() {
                    Some(Self::Status)
                } else if cause.is::<HostError>() {
                    Some(Self::Unreachable)
                } else if cause.is::<Interrupted>() {
                    Some(Self::Interrupted)
                } else {
                    cause.downcast_ref().and_then(Self::of_io)
                }
            })
            .unwrap_or(Self::Other)
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match failure(error) {
            Some(Failure::Refused | Failure::NoService) => Some(Self::Unreachable),
            Some(Failure::TimedOut) => Some(Self::TimedOut),
            Some(Failure::UnknownKey) => Some(Self::UnknownKey),
            Some(Failure::Reset(CHANGED)) => Some(Self::Changed),
            Some(_) => None,
            None => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    Some(Self::Unreachable)
                }
                ErrorKind::TimedOut => Some(Self::TimedOut),
                _ => None,
            },
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the stream failed, if that is what `error` tells.
pub(crate) fn failure(error: &io::Error) -> Option<Failure> {
    error.get_ref()?.downcast_ref().copied()
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_exit_code_follows_from_the_cause_however_deep_it_lies() {
        let of = |error: io::Error| Exit::of(&Err::<(), _>(error).context("while").unwrap_err());
        let stream = |failure| of(io::Error::other::<Failure>(failure));
        assert_eq!(stream(Failure::Refused), Exit::Unreachable);
        assert_eq!(stream(Failure::NoService), Exit::Unreachable);
        assert_eq!(stream(Failure::TimedOut), Exit::TimedOut);
        assert_eq!(stream(Failure::UnknownKey), Exit::UnknownKey);
        assert_eq!(stream(Failure::Reset(CHANGED)), Exit::Changed);
        assert_eq!(stream(Failure::Reset(CHANGED + 1)), Exit::Other);
        assert_eq!(stream(Failure::Expired), Exit::Other);
        assert_eq!(of(ErrorKind::NetworkUnreachable.into()), Exit::Unreachable);
        assert_eq!(of(ErrorKind::PermissionDenied.into()), Exit::Other);
        assert_eq!(Exit::of(&UsageError("no".into()).into()), Exit::Usage);
        assert_eq!(Exit::of(&anyhow::anyhow!("anything")), Exit::Other);
    }
}

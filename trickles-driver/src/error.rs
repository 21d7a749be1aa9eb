//! What a stream's errors are called in `std::io`.

use std::io::{self, ErrorKind};

use trickles::client::{Failure, WriteError};

/// The [`io::Error`] for a [`Failure`] or a [`WriteError`].
///
/// A [`Failure`] stays available as the inner error, also where it came out of a [`WriteError`]:
///
/// ```
/// use std::io::ErrorKind;
/// use trickles::client::{Failure, WriteError};
///
/// let error = trickles_driver::io_error(WriteError::Failed(Failure::Reset(7)));
/// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
/// let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
/// assert_eq!(failure, Some(&Failure::Reset(7)));
/// ```
pub fn io_error(error: impl Into<WriteError>) -> io::Error {
    match error.into() {
        WriteError::Closed => io::Error::new(ErrorKind::BrokenPipe, WriteError::Closed),
        WriteError::Failed(failure) => io::Error::new(kind(failure), failure),
    }
}

/// What `TcpStream` calls the nearest thing that can happen to it.
fn kind(failure: Failure) -> ErrorKind {
    match failure {
        // As with a port nobody listens at, there is nobody behind this label.
        Failure::Refused | Failure::NoService => ErrorKind::ConnectionRefused,
        Failure::Version(_) => ErrorKind::Unsupported,
        Failure::TimedOut | Failure::Expired => ErrorKind::TimedOut,
        // In all of these the server's side is what makes it impossible to go on.
        Failure::Reset(_) | Failure::UnknownKey | Failure::InputRefused => ErrorKind::ConnectionReset,
        Failure::Aborted => ErrorKind::ConnectionAborted,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_kinds_an_application_of_tcp_expects() {
        let table = [
            (Failure::Refused, ErrorKind::ConnectionRefused),
            (Failure::NoService, ErrorKind::ConnectionRefused),
            (Failure::UnknownKey, ErrorKind::ConnectionReset),
            (Failure::Version(9), ErrorKind::Unsupported),
            (Failure::TimedOut, ErrorKind::TimedOut),
            (Failure::Reset(7), ErrorKind::ConnectionReset),
            (Failure::Aborted, ErrorKind::ConnectionAborted),
            (Failure::InputRefused, ErrorKind::ConnectionReset),
            (Failure::Expired, ErrorKind::TimedOut),
        ];
        for (failure, kind) in table {
            for error in [io_error(failure), io_error(WriteError::Failed(failure))] {
                assert_eq!(error.kind(), kind, "{failure:?}");
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                assert_eq!(inner, Some(&failure));
            }
        }
        let error = io_error(WriteError::Closed);
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(&WriteError::Closed));
    }
}

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

fn kind(failure: Failure) -> ErrorKind {
    match failure {
        // As with a port nobody listens at, there is nobody behind this label.
        Failure::Refused | Failure::NoService => ErrorKind::ConnectionRefused,
        Failure::Version(_) => ErrorKind::Unsupported,
        Failure::TimedOut | Failure::Expired => ErrorKind::TimedOut,
        Failure::Reset(_) | Failure::UnknownKey => ErrorKind::ConnectionReset,
        _ => ErrorKind::Other,
    }
}

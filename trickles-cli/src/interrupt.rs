//! Requests to end the program.

use std::{io, thread};

use tokio::sync::oneshot;

/// The signals by which a user or a service manager ends a program.
#[derive(Debug)]
pub(crate) struct Interrupt {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 3],
}

impl Interrupt {
    /// From here on the signals no longer end the process by themselves.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Resolves when one of the signals comes.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn received(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// Resolves when one of the signals comes or, if `until_eof`, when standard input has ended.
    pub(crate) async fn received_or_end_of_input(&mut self, until_eof: bool) {
        tokio::select! {
            () = self.received() => {}
            () = end_of_input(), if until_eof => {}
        }
    }
}

async fn end_of_input() {
    let (ended, end) = oneshot::channel::<()>();
    // A thread of its own, since a runtime does not shut down while a read in one of its threads is blocked.
    thread::spawn(move || {
        let result = io::copy(&mut io::stdin(), &mut io::sink());
        tracing::debug!(?result, "standard input ended");
        drop(ended);
    });
    end.await.unwrap_or_default();
}

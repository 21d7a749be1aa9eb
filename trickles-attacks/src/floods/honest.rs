//! The honest client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::io::AsyncReadExt;
use trickles_tokio::TricklesStream;

use super::{pattern, pause, placement};

/// A download without end, every byte of which is compared.
pub(super) struct Download {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Download {
    /// Returns once the first bytes are here: a flood of Hellos is there before most other clients', which is
    /// not what is measured.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn start(server: SocketAddr, core: Option<usize>) -> anyhow::Result<Self> {
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (received.clone(), stop.clone());
        let thread = thread::spawn(move || {
            placement::pin(core)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(read_until(server, &counter, &stopped))
        });
        let this = Self { received, stop, thread };
        while this.received() == 0 {
            if this.has_ended() {
                this.finish()?;
                bail!("there was nothing to download");
            }
            pause(Duration::from_millis(1));
        }
        Ok(this)
    }

    /// How many bytes have arrived, all of them right.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Whether it has failed.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    ///
    /// # Errors
    /// When a byte was wrong, or the stream failed.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.stop.store(true, Relaxed);
        self.thread.join().map_err(|_| anyhow!("the honest client panicked"))?
    }
}

async fn read_until(server: SocketAddr, received: &AtomicU64, stop: &AtomicBool) -> anyhow::Result<()> {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut stream = TricklesStream::builder().bind(local).connect(server).await?;
    let mut buffer = vec![0; pattern::LONGEST];
    while !stop.load(Relaxed) {
        let offset = received.load(Relaxed);
        let count = stream.read(&mut buffer).await?;
        if count == 0 || buffer[..count] != *pattern::at(offset, count) {
            bail!("wrong bytes at {offset}");
        }
        received.store(offset + count as u64, Relaxed);
    }
    Ok(())
}

//! A relay on the way to a server, by which a test knows how far a client is.

use std::net::{SocketAddr, UdpSocket};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

pub(super) struct Relay {
    /// Where the client sends to.
    near: Arc<UdpSocket>,
    /// From where it goes on to the server.
    far: Arc<UdpSocket>,
    server: SocketAddr,
}

impl Relay {
    pub(super) fn new(server: SocketAddr) -> Self {
        let socket = || Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        Self { near: socket(), far: socket(), server }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.near.local_addr().unwrap()
    }

    /// Relays until the client has ended; `sent` is told how many datagrams it has sent, before each of them
    /// goes on.
    pub(super) fn run(self, client: &mut Child, mut sent: impl FnMut(u64)) {
        let port = Arc::new(AtomicU16::new(0));
        let (near, far, to) = (self.near.clone(), self.far.clone(), port.clone());
        // It ends with the process.
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok((length, _)) = far.recv_from(&mut buffer) {
                let client = SocketAddr::from(([127, 0, 0, 1], to.load(Ordering::Relaxed)));
                let _ = near.send_to(&buffer[..length], client);
            }
        });
        // Only to look now and then whether the client is still there.
        self.near.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut buffer = [0; 1 << 16];
        let mut count = 0;
        while client.try_wait().unwrap().is_none() {
            let Ok((length, from)) = self.near.recv_from(&mut buffer) else { continue };
            port.store(from.port(), Ordering::Relaxed);
            count += 1;
            sent(count);
            let _ = self.far.send_to(&buffer[..length], self.server);
        }
    }
}

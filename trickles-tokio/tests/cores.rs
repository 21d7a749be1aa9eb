//! Servers on several cores: sockets of one address, a thread and a runtime for each.

#![cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use trickles_suite::application::{Lines, bytes};
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::replay::{FilterConfig, ReplayFilter};
use trickles_tokio::trickles::server::ServerConfig;
use trickles_tokio::trickles::stats::{Discard, Stats};
use trickles_tokio::{Server, ServerHandle, TricklesStream, bind_many, replay_filter};

const LENGTH: usize = 2_000_000;

/// One server on several threads.
struct Cores {
    address: SocketAddr,
    loops: Vec<Loop>,
}

struct Loop {
    handle: ServerHandle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

fn ring(id: u16) -> KeyRing {
    KeyRing::new(&[(id, [id as u8; 32])]).unwrap()
}

impl Cores {
    async fn start(count: usize) -> Self {
        let filter = FilterConfig { cells_per_generation: 1 << 16, ..FilterConfig::default() };
        let filter = replay_filter(filter).unwrap();
        let sockets = bind_many([(Ipv4Addr::LOCALHOST, 0).into()], count).unwrap();
        let address = sockets[0].local_addr().unwrap();
        let mut loops = Vec::new();
        for socket in sockets {
            loops.push(Loop::start(socket, filter.clone()).await);
        }
        Self { address, loops }
    }

    fn stats(&self) -> Vec<Stats> {
        self.loops.iter().map(|one| one.handle.stats().unwrap()).collect()
    }
}

impl Loop {
    async fn start(socket: UdpSocket, filter: Arc<dyn ReplayFilter>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, handle) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut server =
                    Server::from_socket(socket, ServerConfig::default(), ring(1), filter).unwrap();
                started.send(server.handle()).unwrap();
                server.run_until(&mut Lines, async { drop(stopped.await) }).await.unwrap();
            });
        });
        Self { handle: handle.await.unwrap(), stop, thread }
    }

    /// Ends it, and closes its socket.
    fn end(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
        assert!(self.handle.stats().is_none() && !self.handle.set_key_ring(ring(1)));
    }
}

/// Asks for `LENGTH` bytes, which all arrive.
async fn fetch(server: SocketAddr, seed: u64) {
    let mut stream = TricklesStream::connect(server).await.unwrap();
    ask(&mut stream, seed).await;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert!(received == bytes(seed, 0, LENGTH));
}

async fn ask(stream: &mut TricklesStream, seed: u64) {
    stream.write_all(format!("GET {LENGTH} {seed}\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn clients_are_distributed_and_the_counters_can_be_summed() {
    let cores = Cores::start(4).await;
    // That all of so many find the same loop does not happen.
    for seed in 0..32 {
        fetch(cores.address, seed).await;
    }
    let stats = cores.stats();
    assert!(stats.iter().filter(|one| one.events > 0).count() > 1, "{stats:?}");
    let sum: Stats = stats.into_iter().sum();
    assert!(sum.sent_bytes > 32 * LENGTH as u64);
}

/// Leads to a server; each datagram from another of several ports.
async fn relay(server: SocketAddr, near: Arc<tokio::net::UdpSocket>) {
    let client = Arc::new(std::sync::Mutex::new(None));
    let mut far = Vec::new();
    for _ in 0..8 {
        let socket = Arc::new(tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let (back, near, client) = (socket.clone(), near.clone(), client.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((length, _)) = back.recv_from(&mut buffer).await {
                let to: Option<SocketAddr> = *client.lock().unwrap();
                near.send_to(&buffer[..length], to.unwrap()).await.unwrap();
            }
        });
        far.push(socket);
    }
    let mut buffer = vec![0; 1 << 16];
    for next in (0..far.len()).cycle() {
        let (length, from) = near.recv_from(&mut buffer).await.unwrap();
        *client.lock().unwrap() = Some(from);
        far[next].send_to(&buffer[..length], server).await.unwrap();
    }
}

#[tokio::test]
async fn any_loop_answers_any_request_of_a_stream() {
    let cores = Cores::start(4).await;
    let near = Arc::new(tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let address = near.local_addr().unwrap();
    tokio::select! {
        () = fetch(address, 7) => {}
        () = relay(cores.address, near) => unreachable!("it goes on for ever"),
    }
    let stats = cores.stats();
    assert!(stats.iter().filter(|one| one.sent_bytes > 0).count() > 1, "{stats:?}");
}

#[tokio::test]
async fn streams_survive_the_loops_that_served_them() {
    let mut cores = Cores::start(3).await;
    let mut streams = Vec::new();
    for seed in 0..6 {
        let mut stream = TricklesStream::connect(cores.address).await.unwrap();
        ask(&mut stream, seed).await;
        let mut first = vec![0; 1000];
        stream.read_exact(&mut first).await.unwrap();
        streams.push((seed, stream, first));
    }
    cores.loops.remove(0).end();
    cores.loops.remove(0).end();
    for (seed, mut stream, mut received) in streams {
        stream.read_to_end(&mut received).await.unwrap();
        assert!(received == bytes(seed, 0, LENGTH));
    }
    assert!(cores.stats()[0].events > 0);
}

#[tokio::test]
async fn new_keys_reach_every_loop() {
    let cores = Cores::start(2).await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(TricklesStream::connect(cores.address).await.unwrap());
    }
    assert!(cores.stats().iter().all(|one| one.received > 0), "each has clients");
    for one in &cores.loops {
        assert!(one.handle.set_key_ring(ring(2)));
    }
    for stream in &mut streams {
        let request = format!("GET {LENGTH} 1\n");
        // Written or not, it is not answered.
        drop(stream.write_all(request.as_bytes()).await);
        assert!(stream.read_exact(&mut [0]).await.is_err());
    }
    assert!(cores.stats().iter().all(|one| one.discarded(Discard::UnknownKey) > 0));
    fetch(cores.address, 1).await;
}

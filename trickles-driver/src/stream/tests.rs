use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Wake, Waker};

use trickles::client::ClientConfig;
use trickles::wire::{Notice, Response};

use super::path::Path;
use super::task::Task;
use super::*;
use crate::fake::{FakeRuntime, FakeSocket};
use crate::runtime::Runtime;

impl RuntimeStream for ByteStream {
    const RUNTIME: &'static dyn Runtime = &FakeRuntime;
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn server() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9).into()
}

/// A stream that nothing drives and that nobody answers.
fn undriven(config: ClientConfig) -> ByteStream {
    let path = Path::new(FakeSocket::new(1, |_, _| Ok(())), server(), true);
    let client = Client::new(config, [0; 16], path.clock.now());
    ByteStream { shared: Arc::new(Shared::new(path, client)) }
}

fn waiting(stream: &ByteStream) -> usize {
    stream.shared.lock().waiting()
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn nobody_waits_for_a_task_that_is_gone() {
    let endpoint = Endpoint::<ByteStream>::new(vec![server()], StreamOptions::default()).unwrap();
    let error = crate::fake::run(endpoint.connect()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let path = Path::open(&FakeRuntime, server(), None, true).unwrap();
    let stream = ByteStream { shared: path.open_stream(ClientConfig::default()).unwrap() };
    let Poll::Ready(Err(error)) = stream.poll_read(&mut noop(), &mut [0]) else { panic!("it waits") };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(stream.poll_read_ready(&mut noop()).is_ready());
    crate::fake::run(stream.readable());
}

#[test]
fn everybody_who_waits_is_woken() {
    let stream = undriven(ClientConfig::default());
    let counts: [_; 4] = std::array::from_fn(|_| Arc::new(Count::default()));
    let [peeking, readable, reading, shutting_down] = counts.clone().map(Waker::from);
    let mut buffer = [0];
    let mut peek = Box::pin(stream.peek(&mut buffer));
    assert!(peek.as_mut().poll(&mut Context::from_waker(&peeking)).is_pending());
    let mut wait = Box::pin(stream.readable());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&readable)).is_pending());
    assert!(stream.poll_read(&mut Context::from_waker(&reading), &mut [0]).is_pending());
    assert!(stream.poll_shutdown(&mut Context::from_waker(&shutting_down)).is_pending());
    assert_eq!(waiting(&stream), 4);
    let mut state = stream.shared.lock();
    state.client.reset(1);
    stream.shared.follow(state);
    assert_eq!(counts.map(|count| count.0.load(Relaxed)), [1; 4]);
    assert_eq!(waiting(&stream), 0);
    let Poll::Ready(Err(error)) = peek.as_mut().poll(&mut noop()) else { panic!("it does not fail") };
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert!(wait.as_mut().poll(&mut noop()).is_ready());
}

#[test]
fn a_future_that_is_dropped_waits_no_longer() {
    let stream = undriven(ClientConfig::default());
    for _ in 0..3 {
        let mut wait = Box::pin(stream.readable());
        assert!(wait.as_mut().poll(&mut noop()).is_pending());
        assert!(wait.as_mut().poll(&mut noop()).is_pending());
        assert_eq!(waiting(&stream), 1);
        drop(wait);
        assert_eq!(waiting(&stream), 0);
    }
}

#[test]
fn the_end_of_writing_wakes_those_who_wait_to_write() {
    let stream = undriven(ClientConfig { send_buffer: 4, ..ClientConfig::default() });
    assert_eq!(stream.try_write(b"abcdef").unwrap(), 4);
    assert_eq!(stream.try_write(b"ef").unwrap_err().kind(), ErrorKind::WouldBlock);
    let count = Arc::new(Count::default());
    let mut wait = Box::pin(stream.writable());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&Waker::from(count.clone()))).is_pending());
    assert!(stream.poll_shutdown(&mut noop()).is_pending());
    assert_eq!(count.0.load(Relaxed), 1);
    assert!(wait.as_mut().poll(&mut noop()).is_ready());
    assert_eq!(stream.try_write(b"ef").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn what_is_done_leaves_at_once_though_it_has_to_be_waited_for() {
    let stream = undriven(ClientConfig::default());
    let sent = || stream.shared.lock().client.stats().sent;
    assert!(stream.poll_read(&mut noop(), &mut [0]).is_pending());
    assert_eq!(sent(), 0);
    assert!(stream.poll_shutdown(&mut noop()).is_pending());
    assert_eq!(sent(), 1);
}

#[test]
fn slices_are_written_until_there_is_no_room() {
    let stream = undriven(ClientConfig { send_buffer: 8, ..ClientConfig::default() });
    let slices = [&b""[..], b"abc", b"", b"defg", b"hij"].map(IoSlice::new);
    assert_eq!(stream.try_write_vectored(&slices).unwrap(), 8);
    assert!(stream.poll_write_vectored(&mut noop(), &slices).is_pending());
    assert_eq!(stream.try_write_vectored(&[]).unwrap(), 0);
}

#[test]
fn options_out_of_their_bounds_are_refused() {
    let bounds = [
        ClientConfig { packet_size: Some(999), ..ClientConfig::default() },
        ClientConfig { packet_size: Some(9001), ..ClientConfig::default() },
        ClientConfig { service: vec![0; 256], ..ClientConfig::default() },
    ];
    for client in bounds {
        let options = StreamOptions { client, ..StreamOptions::default() };
        let error = Endpoint::<ByteStream>::new(vec![server()], options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn the_local_address_must_be_free_and_ours() {
    let holder = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let foreign = (Ipv4Addr::new(192, 0, 2, 1), 0).into();
    let table =
        [(holder.local_addr().unwrap(), ErrorKind::AddrInUse), (foreign, ErrorKind::AddrNotAvailable)];
    for (local, kind) in table {
        let options = StreamOptions { bind: Some(local), ..StreamOptions::default() };
        let endpoint = Endpoint::<ByteStream>::new(vec![server()], options).unwrap();
        assert_eq!(crate::fake::run(endpoint.connect()).unwrap_err().kind(), kind);
    }
}

/// A path with a task that is polled by hand, and so many streams.
fn driven(count: usize) -> (Arc<FakeSocket>, Arc<Path>, Task, Vec<ByteStream>) {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    let path = Path::new(socket.clone(), server(), true);
    let task = Task::new(&FakeRuntime, path.clone());
    let config = || ClientConfig { packet_size: Some(1200), ..ClientConfig::default() };
    let open = |_| ByteStream { shared: path.open_stream(config()).unwrap() };
    let streams = (0..count).map(open).collect();
    (socket, path, task, streams)
}

/// An answer to the first request of a stream: try again.
fn answer(stream: &ByteStream) -> Vec<u8> {
    let notice = Response::Notice { echo: stream.shared.id.wrapping_add(1), notice: Notice::Pending(1000) };
    let mut datagram = Vec::new();
    notice.emit(&mut datagram);
    datagram
}

#[test]
fn answers_reach_the_stream_that_expects_them() {
    let (socket, path, mut task, streams) = driven(3);
    assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    assert_eq!(socket.take_sent(), [(1200, None); 3]);
    let stray = [answer(&streams[0]), vec![0; 3]].map(|mut datagram| {
        let last = datagram.len().min(10) - 1;
        datagram[last] ^= 0x80;
        datagram
    });
    let order = [2, 0, 0, 1, 0].map(|index| answer(&streams[index]));
    socket.arrived.lock().unwrap().extend(order.into_iter().chain(stray).map(|datagram| {
        let stride = datagram.len();
        (datagram, stride)
    }));
    assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    assert_eq!([0, 1, 2].map(|index: usize| streams[index].stats().received), [3, 1, 1]);
    assert!(streams.iter().all(|stream| stream.stats().discarded_total() == 0));
    assert_eq!(path.strays(), 2);
}

#[test]
fn all_streams_go_on_when_a_full_socket_is_writable_again() {
    let (socket, _path, mut task, streams) = driven(3);
    socket.full.store(100, Relaxed);
    assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    assert_eq!((socket.take_sent(), streams[0].stats().sent), (vec![], 1));
    // It is asked whether it is writable until it is.
    for _ in 0..100 {
        assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    }
    assert_eq!(socket.take_sent(), [(1200, None); 3]);
}

#[test]
fn a_task_ends_with_the_last_stream_of_an_endpoint_that_is_gone() {
    let (_socket, path, mut task, mut streams) = driven(2);
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut poll = || Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending());
    streams.pop();
    assert_eq!(count.0.load(Relaxed), 1);
    path.close();
    assert!(poll().is_pending());
    streams.pop();
    assert_eq!(count.0.load(Relaxed), 2);
    assert!(poll().is_ready());
    // One that is not closed waits for more streams.
    let (_socket, path, mut task, streams) = driven(1);
    drop(streams);
    assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    path.close();
    assert!(Pin::new(&mut task).poll(&mut noop()).is_ready());
}

#[test]
fn a_stream_that_nobody_holds_asks_for_nothing_more() {
    let (socket, _path, mut task, streams) = driven(2);
    drop(streams);
    assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    assert_eq!(socket.take_sent(), []);
}

#[test]
fn a_task_that_is_dropped_takes_all_its_streams_along() {
    let (_socket, path, mut task, mut streams) = driven(2);
    assert!(Pin::new(&mut task).poll(&mut noop()).is_pending());
    let late = || ByteStream { shared: path.open_stream(ClientConfig::default()).unwrap() };
    streams.push(late());
    drop(task);
    assert!(path.has_stopped());
    streams.push(late());
    for stream in streams {
        assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}

//! Handlers, whose answers take time or break the rules.

use std::future::{pending, ready};
use std::net::UdpSocket;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use trickles_tokio::trickles::client::{Client, ClientConfig, Failure};
use trickles_tokio::trickles::server::{Reset, Unanswered};
use trickles_tokio::trickles::time::Timestamp;
use trickles_tokio::{Answer, BROKEN, Handler, Request, TricklesStream, serve};

use crate::{bind, exchange, failure};

/// Answers the end of the input with so many bytes, after a while.
#[derive(Clone, Default)]
struct Slow {
    calls: Arc<AtomicUsize>,
    delay: Duration,
    state: Vec<u8>,
}

const LENGTH: u64 = 100_000;

impl Handler for Slow {
    type State = Vec<u8>;

    async fn input(&self, request: Request<'_, Vec<u8>>) -> Result<Answer<Vec<u8>>, Unanswered> {
        if request.input.is_empty() {
            return Ok(Answer::new(0, Vec::new()));
        }
        self.calls.fetch_add(1, Relaxed);
        tokio::time::sleep(self.delay).await;
        Ok(Answer::new(request.input.len(), self.state.clone()).output(LENGTH).finish())
    }

    async fn output(&self, _: Vec<u8>, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        tokio::task::yield_now().await;
        Ok(range.map(|offset| offset as u8).collect())
    }
}

#[tokio::test]
async fn a_slow_handler_is_asked_once_and_its_answer_arrives() {
    let (address, server) = bind().await;
    let handler = Slow { delay: Duration::from_millis(700), ..Slow::default() };
    let calls = handler.calls.clone();
    tokio::spawn(serve(server, handler).into_future());
    let mut stream = TricklesStream::connect(address).await.unwrap();
    stream.write_all(b"input").await.unwrap();
    let mut output = Vec::new();
    stream.read_to_end(&mut output).await.unwrap();
    assert!(output == (0..LENGTH).map(|offset| offset as u8).collect::<Vec<_>>());
    assert_eq!(calls.load(Relaxed), 1);
}

#[tokio::test]
async fn a_state_that_is_too_long_resets_the_stream_and_nothing_else() {
    let (address, server) = bind().await;
    let handler = Slow { state: vec![0; 701], ..Slow::default() };
    tokio::spawn(serve(server, handler).into_future());
    for _ in 0..2 {
        assert_eq!(failure(exchange(address, b"input").await), Failure::Reset(BROKEN));
    }
}

#[tokio::test]
async fn what_has_arrived_is_answered_before_a_graceful_end() {
    let (address, server) = bind().await;
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = ClientConfig { early_input: b"input".to_vec(), ..ClientConfig::default() };
    let mut datagram = Vec::new();
    assert!(Client::new(config, [1; 16], Timestamp::ZERO).poll_transmit(Timestamp::ZERO, &mut datagram));
    client.send_to(&datagram, address).unwrap();
    let handler = Slow::default();
    let calls = handler.calls.clone();
    serve(server, handler).with_graceful_shutdown(ready(())).await.unwrap();
    assert_eq!(calls.load(Relaxed), 1);
    client.set_nonblocking(true).unwrap();
    assert!(client.recv(&mut datagram).is_ok());
}

/// Never has any output; says when somebody waits for it, and when nobody does any more.
struct Silent(UnboundedSender<&'static str>);

struct Waiting(UnboundedSender<&'static str>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

impl Handler for Silent {
    type State = ();

    async fn input(&self, request: Request<'_, ()>) -> Result<Answer<()>, Unanswered> {
        Ok(Answer::new(request.input.len(), ()).output_later())
    }

    async fn output(&self, (): (), range: Range<u64>) -> Result<Vec<u8>, Reset> {
        let _waiting = Waiting(self.0.clone());
        if range.start == 0 {
            self.0.send("begun").unwrap();
        }
        pending().await
    }
}

async fn expect(news: &mut UnboundedReceiver<&'static str>, what: &str) {
    while news.recv().await.unwrap() != what {}
}

#[tokio::test]
async fn waiting_for_output_ends_when_others_need_the_room() {
    let (address, mut server) = bind().await;
    server.set_event_slots(1);
    let (sender, mut news) = unbounded_channel();
    tokio::spawn(serve(server, Silent(sender)).into_future());
    let _first = TricklesStream::connect(address).await.unwrap();
    expect(&mut news, "begun").await;
    let _second = TricklesStream::connect(address).await.unwrap();
    expect(&mut news, "dropped").await;
}

#[tokio::test]
async fn waiting_for_output_does_not_keep_a_server_from_its_end() {
    let (address, server) = bind().await;
    let (sender, mut news) = unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let signal = async { drop(stopped.await) };
    let serving = tokio::spawn(serve(server, Silent(sender)).with_graceful_shutdown(signal).into_future());
    let _stream = TricklesStream::connect(address).await.unwrap();
    expect(&mut news, "begun").await;
    drop(stop);
    serving.await.unwrap().unwrap();
    expect(&mut news, "dropped").await;
}

/// Takes 100,000 bytes in any order.
struct Store(Arc<Mutex<Vec<u8>>>);

impl Handler for Store {
    type State = bool;

    async fn input(&self, request: Request<'_, bool>) -> Result<Answer<bool>, Unanswered> {
        Ok(match request.state {
            None => Answer::new(0, false).any_order(LENGTH),
            Some(_) => Answer::new(request.input.len(), true).output(6).finish(),
        })
    }

    async fn output(&self, _: bool, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        Ok(b"stored"[range.start as usize..range.end as usize].to_vec())
    }

    async fn store(&self, request: Request<'_, bool>) -> Result<usize, Unanswered> {
        tokio::task::yield_now().await;
        let start = request.offset as usize;
        self.0.lock().unwrap()[start..start + request.input.len()].copy_from_slice(request.input);
        Ok(request.input.len())
    }
}

#[tokio::test]
async fn chunks_are_stored_by_their_offset() {
    let (address, server) = bind().await;
    let stored = Arc::new(Mutex::new(vec![0; LENGTH as usize]));
    tokio::spawn(serve(server, Store(stored.clone())).into_future());
    let bytes: Vec<u8> = (0..LENGTH).map(|offset| (offset % 251) as u8).collect();
    assert_eq!(exchange(address, &bytes).await.unwrap(), b"stored");
    assert!(*stored.lock().unwrap() == bytes);
}

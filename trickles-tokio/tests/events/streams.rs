//! Events as they come out of the stream.

use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles_tokio::trickles::client::Failure;
use trickles_tokio::trickles::server::{Next, Output, Reset};
use trickles_tokio::{Event, Minisocket, Server, TricklesServer, TricklesStream};

use crate::{bind, exchange, failure};

/// Output that is its own state.
struct State;

impl Output for State {
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        let rest = state.get((offset - output.start) as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Sends the input back.
fn echo(minisocket: &Minisocket) -> Next {
    let input = minisocket.input();
    let (bytes, fin) = input.map_or((&[][..], false), |input| (input.bytes, input.fin));
    let bytes = &bytes[..bytes.len().min(700)];
    let start = minisocket.output().end;
    Next {
        state: bytes.to_vec(),
        output: start..start + bytes.len() as u64,
        finished: fin && minisocket.input().is_some_and(|input| input.bytes.len() == bytes.len()),
        consumed: bytes.len(),
        any_order: 0,
    }
}

fn answer(event: Event) {
    match event {
        Event::Opened(minisocket) | Event::Input(minisocket) => {
            let next = echo(&minisocket);
            minisocket.answer(next, &mut State).unwrap();
        }
        Event::OutputWanted(minisocket) => minisocket.send(&mut State).unwrap(),
        event => panic!("{event:?}"),
    }
}

/// Looks at what arrives until `done`, which may take no event.
async fn take_repetitions(server: &mut Server, done: impl Fn(&Server) -> bool) {
    poll_fn(|cx| match server.poll_next_unpin(cx) {
        Poll::Ready(event) => panic!("{event:?}"),
        Poll::Pending if done(server) => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

#[tokio::test]
async fn any_server_is_a_stream_of_events_that_any_thread_can_answer() {
    let (address, server) = bind().await;
    let mut server: Box<dyn TricklesServer> = Box::new(server);
    let (events, queue) = std::sync::mpsc::channel();
    let answering = thread::spawn(move || queue.into_iter().for_each(answer));
    let bytes: Vec<u8> = (0..50_000u32).map(|index| (index % 251) as u8).collect();
    let client = exchange(address, &bytes);
    tokio::pin!(client);
    let echoed = loop {
        tokio::select! {
            event = server.next() => events.send(event.unwrap().unwrap()).unwrap(),
            echoed = &mut client => break echoed.unwrap(),
        }
    };
    assert!(echoed == bytes);
    server.close();
    while let Some(event) = server.next().await {
        events.send(event.unwrap()).unwrap();
    }
    drop(events);
    server.drain().await;
    answering.join().unwrap();
    assert!(server.stats().events > 0 && server.local_addr().unwrap() == address);
}

#[tokio::test]
async fn a_slow_application_sees_repeated_openings_and_input_once() {
    let (address, mut server) = bind().await;
    let client = tokio::spawn(async move {
        let mut stream = TricklesStream::connect(address).await.unwrap();
        stream.write_all(b"input").await.unwrap();
        let mut echoed = [0; 5];
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"input");
    });
    let Event::Opened(minisocket) = server.next().await.unwrap().unwrap() else { panic!("it opens") };
    take_repetitions(&mut server, |server| server.event_stats().repeated >= 2).await;
    answer(Event::Opened(minisocket));
    let Event::Input(minisocket) = server.next().await.unwrap().unwrap() else { panic!("it brings input") };
    assert_eq!(minisocket.input().unwrap().bytes, b"input");
    take_repetitions(&mut server, |server| server.event_stats().repeated >= 4).await;
    answer(Event::Input(minisocket));
    assert_eq!(server.event_stats().void, 0);
    let serving = async {
        while let Some(event) = server.next().await {
            answer(event.unwrap());
        }
    };
    tokio::select! {
        () = serving => panic!("it does not end"),
        result = client => result.unwrap(),
    }
}

#[tokio::test]
async fn output_is_pushed_once_it_exists_to_clients_whose_requests_are_parked() {
    let (address, mut server) = bind().await;
    let client = tokio::spawn(async move {
        let mut stream = TricklesStream::connect(address).await.unwrap();
        let mut pushed = [0; 4];
        stream.read_exact(&mut pushed).await.unwrap();
        assert_eq!(&pushed, b"news");
        stream
    });
    let Event::Opened(minisocket) = server.next().await.unwrap().unwrap() else { panic!("it opens") };
    let next = Next { state: b"news".to_vec(), output: 0..u64::MAX, ..Next::default() };
    // There is nothing to send yet.
    minisocket.answer(next, &mut trickles_tokio::Prepared::default()).unwrap();
    let mut parked = Vec::new();
    while parked.len() < 2 {
        match server.next().await.unwrap().unwrap() {
            Event::OutputWanted(mut minisocket) => {
                minisocket.park(Duration::from_millis(200));
                parked.push(minisocket);
            }
            event => panic!("{event:?}"),
        }
    }
    parked.into_iter().for_each(|minisocket| minisocket.send(&mut State).unwrap());
    let serving = async {
        while let Some(event) = server.next().await {
            answer(event.unwrap());
        }
    };
    tokio::select! {
        () = serving => panic!("it does not end"),
        stream = client => drop(stream.unwrap()),
    }
}

#[tokio::test]
async fn a_refused_client_is_told_why() {
    let (address, mut server) = bind().await;
    let client = tokio::spawn(TricklesStream::connect(address));
    let Event::Opened(minisocket) = server.next().await.unwrap().unwrap() else { panic!("it opens") };
    minisocket.refuse(403);
    assert_eq!(failure(client.await.unwrap()), Failure::Reset(403));
}

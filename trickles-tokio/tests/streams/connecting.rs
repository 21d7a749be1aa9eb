//! How streams begin, and how they do not.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles::client::Failure;
use trickles_tokio::TricklesStream;

use crate::server::{Running, any};
use crate::{ask, read_rest};

fn failure(error: &io::Error) -> Option<Failure> {
    error.get_ref()?.downcast_ref().copied()
}

/// An address at which nobody listens.
fn deserted() -> SocketAddr {
    UdpSocket::bind(any()).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn nobody_answers() {
    let silent = UdpSocket::bind(any()).unwrap();
    let timeout = Duration::from_millis(200);
    let address = silent.local_addr().unwrap();
    let builder = TricklesStream::builder().connect_timeout(timeout);
    let mut connect = pin!(builder.connect(address));
    tokio::select! {
        biased;
        () = tokio::time::sleep(timeout - Duration::from_millis(50)) => {}
        result = &mut connect => panic!("{result:?} before its time"),
    }
    let error = connect.await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::TimedOut, Some(Failure::TimedOut)));
    // It was tried.
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 2000]).unwrap() > 0);
}

#[tokio::test]
async fn a_server_that_is_gone_is_waited_for_as_long_as_configured() {
    let server = Running::start().await;
    let builder = TricklesStream::builder().timeout(Duration::from_millis(300));
    let mut stream = builder.connect(server.address).await.unwrap();
    server.kill().await;
    stream.write_all(b"GET 1 1\n").await.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::TimedOut, Some(Failure::TimedOut)));
    assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn the_local_address_can_be_chosen() {
    let server = Running::start().await;
    let port = deserted().port();
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let builder = TricklesStream::builder().bind(local);
    let mut stream = builder.connect(server.address).await.unwrap();
    assert_eq!(stream.local_addr().unwrap(), local);
    ask(&mut stream, 1000, 1).await;
    read_rest(&mut stream, 0, 1000, 1).await;
    let error = builder.connect(server.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let foreign = TricklesStream::builder().bind((Ipv4Addr::new(192, 0, 2, 1), 0));
    let error = foreign.connect(server.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

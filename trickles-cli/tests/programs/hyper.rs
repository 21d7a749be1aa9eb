//! hyper's client, with the connector of `trickles-hyper`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tower_service::Service;
use trickles_hyper::{Connecting, TricklesConnector, TricklesIo};

use super::{Fixture, LARGE};

/// Counts the connections.
#[derive(Clone, Default)]
struct Counting {
    connector: TricklesConnector,
    connections: Arc<AtomicUsize>,
}

impl Service<Uri> for Counting {
    type Response = TricklesIo;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connector.call(uri)
    }
}

#[derive(Clone)]
struct Client {
    client: legacy::Client<Counting, Empty<Bytes>>,
    connections: Arc<AtomicUsize>,
    server: SocketAddr,
}

impl Client {
    fn new(server: SocketAddr) -> Self {
        let connector = Counting::default();
        let connections = connector.connections.clone();
        Self { client: legacy::Client::builder(TokioExecutor::new()).build(connector), connections, server }
    }

    async fn request(&self, method: &str, path: &str, range: Option<&str>) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("trickles://{}{path}", self.server));
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        self.client.request(request.body(Empty::new()).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> Bytes {
        let response = self.request("GET", path, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        body(response).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn body(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 20_000);
    let server = fixture.serve();
    let client = Client::new(server.address);
    for _ in 0..50 {
        assert!(client.get("/data.bin").await == bytes);
    }
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn every_kind_of_answer_keeps_the_connection() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 300_000);
    let server = fixture.serve();
    let client = Client::new(server.address);

    let head = client.request("HEAD", "/data.bin", None).await;
    assert_eq!(
        (head.status(), &head.headers()[CONTENT_LENGTH]),
        (StatusCode::OK, &"300000".parse().unwrap())
    );
    assert!(body(head).await.is_empty());

    let part = client.request("GET", "/data.bin", Some("bytes=1000-199999")).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()[CONTENT_RANGE], "bytes 1000-199999/300000");
    assert!(body(part).await == bytes[1000..200_000]);

    let outside = client.request("GET", "/data.bin", Some("bytes=300000-")).await;
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    body(outside).await;

    let missing = client.request("GET", "/none", None).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(body(missing).await, "404 Not Found\n");

    assert!(client.get("/data.bin").await == bytes);
    assert_eq!(client.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_do_not_mix() {
    let fixture = Fixture::new();
    let files =
        [1, 10_000, 300_000, 2_000_000].map(|length| (length, fixture.file(&format!("{length}"), length)));
    let server = fixture.serve();
    let client = Client::new(server.address);
    let mut requests = JoinSet::new();
    for index in 0..32 {
        let (client, (length, bytes)) = (client.clone(), files[index % files.len()].clone());
        requests.spawn(async move { assert!(client.get(&format!("/{length}")).await == bytes, "{length}") });
    }
    requests.join_all().await;
    assert!(client.connections() > 1);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let fixture = Fixture::new();
    let expected = Sha256::digest(fixture.file("large.bin", LARGE));
    let server = fixture.serve();
    let mut response = Client::new(server.address).request("GET", "/large.bin", None).await;
    let mut digest = Sha256::new();
    while let Some(frame) = response.body_mut().frame().await {
        digest.update(frame.unwrap().data_ref().unwrap());
    }
    assert_eq!(digest.finalize(), expected);
}

#[tokio::test]
async fn a_connection_outlives_its_server() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 20_000);
    let mut server = fixture.serve();
    let client = Client::new(server.address);
    for _ in 0..3 {
        assert!(client.get("/data.bin").await == bytes);
        let address = server.kill();
        server = fixture.serve_with("keys", &address.to_string());
    }
    assert!(client.get("/data.bin").await == bytes);
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn errors_tell_what_is_wrong() {
    let client = Client::new("127.0.0.1:1".parse().unwrap());
    let request = Request::get("https://localhost/").body(Empty::new()).unwrap();
    let error = client.client.request(request).await.unwrap_err();
    assert!(error.is_connect());

    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let request = Request::get(format!("trickles://{free}/")).body(Empty::new()).unwrap();
    let error = client.client.request(request).await.unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused), "{error:?}");
}

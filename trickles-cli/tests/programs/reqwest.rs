//! reqwest's client, by way of the proxy.

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Client, ClientBuilder, Proxy, StatusCode};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::{Fixture, LARGE, proxy, socks_proxy};

/// reqwest reaches SOCKS servers only when it is built with TLS, and wants to know whose. Nothing here uses it.
fn builder() -> ClientBuilder {
    // Another test may have done it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy()
}

/// Exercises `client`, for which the files are at `base`.
async fn exercise(client: &Client, base: &str, bytes: &[u8]) {
    let url = format!("{base}/data.bin");
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.bytes().await.unwrap() == bytes);

    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()[CONTENT_LENGTH], bytes.len().to_string());
    assert!(head.bytes().await.unwrap().is_empty());

    let part = client.get(&url).header(RANGE, "bytes=-5000").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.headers()[CONTENT_RANGE].to_str().unwrap().starts_with("bytes "));
    assert!(part.bytes().await.unwrap() == bytes[bytes.len() - 5000..]);

    let missing = client.get(format!("{base}/none")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);

    let mut requests = JoinSet::new();
    for _ in 0..16 {
        let request = client.get(&url).send();
        requests.spawn(async { request.await.unwrap().bytes().await.unwrap() });
    }
    for body in requests.join_all().await {
        assert!(body == bytes);
    }
}

async fn assert_large_body(client: &Client, base: &str, expected: &[u8]) {
    let mut response = client.get(format!("{base}/large.bin")).send().await.unwrap();
    let mut digest = Sha256::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        digest.update(&chunk);
    }
    assert_eq!(digest.finalize()[..], *expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_stands_for_the_server() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 500_000);
    let large = Sha256::digest(fixture.file("large.bin", LARGE));
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let client = builder().build().unwrap();
    let base = format!("http://{}", proxy.address);
    exercise(&client, &base, &bytes).await;
    assert_large_body(&client, &base, &large).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_is_a_socks_server() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 500_000);
    let large = Sha256::digest(fixture.file("large.bin", LARGE));
    let server = fixture.serve();
    let proxy = socks_proxy();
    let base = format!("http://{}", server.address);
    for scheme in ["socks5", "socks5h"] {
        let socks = Proxy::all(format!("{scheme}://{}", proxy.address)).unwrap();
        let client = builder().proxy(socks).build().unwrap();
        exercise(&client, &base, &bytes).await;
        if scheme == "socks5h" {
            assert_large_body(&client, &base, &large).await;
        }
    }
}

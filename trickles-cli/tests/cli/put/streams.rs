//! Uploads by other clients than this program's.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles_tokio::TricklesStream;

use super::*;

/// What a server answers to these requests, whose head lines end in `|`.
fn exchange(server: &Service, requests: &[(&str, &str)]) -> String {
    let bytes: String = requests.iter().map(|(head, content)| head.replace('|', "\r\n") + content).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut stream = TricklesStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    })
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect()
}

#[test]
fn requests_follow_an_upload() {
    let (fixture, server) = served();
    let answer = exchange(
        &server,
        &[
            ("PUT /one HTTP/1.1|Host: a|Content-Length: 5||", "hello"),
            ("PUT /two HTTP/1.1|Host: a|Content-Length: 0||", ""),
            ("PUT /one HTTP/1.1|Host: a|Expect: 100-continue|Content-Length: 6||", "hello!"),
            ("GET /one HTTP/1.1|Host: a|Connection: close||", ""),
        ],
    );
    assert_eq!(statuses(&answer), ["201", "201", "100", "204", "200"], "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello!"), "{answer}");
    assert_eq!(served_names(&fixture), ["one", "two"]);
}

#[test]
fn what_is_wrong_is_refused_and_leaves_nothing() {
    let (fixture, server) = served();
    fs::write(fixture.files().join("old"), "old").unwrap();
    let cases = [
        ("PUT /new HTTP/1.1|Host: a||", "", "411"),
        ("PUT /new HTTP/1.1|Host: a|Transfer-Encoding: chunked||", "1\r\nx\r\n0\r\n\r\n", "411"),
        ("PUT /old HTTP/1.1|Host: a|Content-Length: 1|If-None-Match: *||", "x", "412"),
        ("PUT /new HTTP/1.1|Host: a|Content-Length: 1|If-Match: *||", "x", "412"),
    ];
    for (head, content, status) in cases {
        assert_eq!(statuses(&exchange(&server, &[(head, content)])), [status], "{head}");
    }
    let digest = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    for path in ["/new", "/old"] {
        let head = format!(
            "PUT {path} HTTP/1.1|Host: a|Content-Length: 5|Repr-Digest: {digest}|Connection: close||"
        );
        assert_eq!(statuses(&exchange(&server, &[(&head, "hello")])), ["422"]);
    }
    assert_eq!(served_names(&fixture), ["old"]);
    assert_eq!(fs::read_to_string(fixture.files().join("old")).unwrap(), "old");
}

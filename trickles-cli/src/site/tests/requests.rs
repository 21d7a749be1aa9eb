use super::*;

/// `head` is answered with `status`, and `finished` tells whether that ends the stream.
#[track_caller]
fn check(head: &str, status: u16, finished: bool) -> Reply {
    let (reply, end) = Fixture::new().ask(head);
    assert_eq!((reply.status, end), (status, finished), "{head}");
    reply
}

#[test]
fn file() {
    let reply = check("GET /data.txt HTTP/1.1|Host: a||", 200, false);
    assert_eq!(reply.text(), TEXT);
    assert_eq!(reply.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("Content-Length"), Some("36"));
    assert_eq!(reply.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(reply.header("Date"), Some("Fri, 15 Jan 2027 08:00:00 GMT"));
    assert_eq!(reply.header("Last-Modified"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    assert_eq!(reply.header("Server"), Some(concat!("trickles/", env!("CARGO_PKG_VERSION"))));
    let tag = reply.header("ETag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2);
}

#[test]
fn empty_file_of_unknown_type() {
    let reply = check("GET /empty HTTP/1.1|Host: a||", 200, false);
    assert_eq!(reply.header("Content-Type"), Some("application/octet-stream"));
    assert_eq!(reply.header("Content-Length"), Some("0"));
    assert_eq!(reply.text(), "");
}

#[test]
fn head_has_the_same_header_and_no_body() {
    for target in ["/data.txt", "/empty", "/missing", "/docs", "/docs/"] {
        let mut fixture = Fixture::new();
        let (get, _) = fixture.ask(&format!("GET {target} HTTP/1.1|Host: a||"));
        let (head, _) = fixture.ask(&format!("HEAD {target} HTTP/1.1|Host: a||"));
        assert_eq!(head.status, get.status);
        assert_eq!(head.headers, get.headers);
        assert_eq!(head.text(), "");
    }
    assert_eq!(check("HEAD /data.txt HTTP/1.1||", 400, true).text(), "");
}

#[test]
fn connection_and_versions() {
    check("GET /data.txt HTTP/1.1|Host: a|Connection: keep-alive||", 200, false);
    check("GET /data.txt HTTP/1.1|Host: a|connection: foo , Close||", 200, true);
    check("GET /data.txt HTTP/1.0||", 200, true);
    check("GET /missing HTTP/1.1|Host: a|Connection: close||", 404, true);
    check("GET /data.txt HTTP/2.0|Host: a||", 505, true);
}

#[test]
fn empty_lines_first_and_bare_line_feeds() {
    check("||\nGET /data.txt HTTP/1.1\nHost: a\n\n", 200, false);
}

#[test]
fn malformed() {
    check("GET /data.txt HTTP/1.1||", 400, true);
    check("GET /data.txt HTTP/1.1|Host: a|Host: a||", 400, true);
    check("GET /data.txt HTTP/1.1|Host : a||", 400, true);
    check("GET /data.txt HTTP/1.1|Host: a| folded||", 400, true);
    check("GET /data.txt HTTP/1.1|Host: a|no colon||", 400, true);
    check("GET data.txt HTTP/1.1|Host: a||", 400, true);
    check("GET * HTTP/1.1|Host: a||", 400, true);
    check("GET /data.txt|", 400, true);
    check("\u{0}\u{1}|", 400, true);
}

#[test]
fn content() {
    check("GET /data.txt HTTP/1.1|Host: a|Content-Length: 0||", 200, false);
    check("GET /data.txt HTTP/1.1|Host: a|Content-Length: 5||hello", 400, true);
    check("GET /data.txt HTTP/1.1|Host: a|Content-Length: 99999999999999999999||", 400, true);
    check("GET /data.txt HTTP/1.1|Host: a|Content-Length: +0||", 400, true);
    check("GET /data.txt HTTP/1.1|Host: a|Transfer-Encoding: chunked||0||", 400, true);
}

#[test]
fn other_methods() {
    let reply = check("DELETE /data.txt HTTP/1.1|Host: a||", 405, false);
    assert_eq!(reply.header("Allow"), Some("GET, HEAD"));
    check("POST /data.txt HTTP/1.1|Host: a|Content-Length: 0||", 405, false);
    check("POST /data.txt HTTP/1.1|Host: a|Content-Length: 5||hello", 405, true);
    check("PUT /data.txt HTTP/1.1|Host: a|Transfer-Encoding: chunked||0||", 405, true);
    check("OPTIONS * HTTP/1.1|Host: a||", 405, false);
    check("get /data.txt HTTP/1.1|Host: a||", 405, false);
}

#[test]
fn limits() {
    check(&format!("GET /{} HTTP/1.1|Host: a||", "x".repeat(511)), 404, false);
    check(&format!("GET /{} HTTP/1.1|Host: a||", "x".repeat(512)), 414, true);
    check(&format!("GET /data.txt?{} HTTP/1.1|Host: a||", "x".repeat(900)), 200, false);
    check(&format!("GET /{}", "x".repeat(995)), 414, true);
    check(&format!("GET /data.txt HTTP/1.1|Host: a|X: {}||", "x".repeat(995)), 200, false);
    check(&format!("GET /data.txt HTTP/1.1|Host: a|X: {}||", "x".repeat(996)), 431, true);
    check(&format!("GET /data.txt HTTP/1.1|Host: a|X: {}", "x".repeat(1000)), 431, true);
    check(&format!("GET /data.txt HTTP/1.1|Host: a|{}|", "X: y|".repeat(99)), 200, false);
    check(&format!("GET /data.txt HTTP/1.1|Host: a|{}|", "X: y|".repeat(100)), 431, true);
    let line = format!("X: {}|", "x".repeat(495));
    check(&format!("GET /data.txt HTTP/1.1|Host: a|{}|", line.repeat(16)), 200, false);
    check(&format!("GET /data.txt HTTP/1.1|Host: a|{}|", line.repeat(17)), 431, true);
}

#[test]
fn longest_state() {
    let big = u64::MAX;
    let tag = format!("\"{big:x}-{:x}-{big:x}\"", i64::MIN);
    let head = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\nRange: bytes={big}-{big}\r\nIf-Range: {tag}\r\n\
         If-None-Match: {}{tag}\r\nIf-None-Match: {tag}\r\n\
         If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
        "x".repeat(511),
        format!("{tag}, ").repeat(5),
    );
    let mut fixture = Fixture::new();
    let first = fixture.input(None, &head.as_bytes()[..600], false, big);
    let second = fixture.input(Some(&first.state), &head.as_bytes()[first.consumed..], false, big);
    assert_eq!(first.consumed + second.consumed, head.len());
    assert!((650..=MAX_STATE - 10).contains(&second.state.len()), "{}", second.state.len());
}

#[test]
fn split_anywhere() {
    let heads = [
        "GET /data.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=3-9\r\nIf-Range: x\r\n\r\n",
        "\r\nHEAD /docs HTTP/1.1\nHost: a\n\n",
        "GET /%2e%2e/secret.txt HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    ];
    let mut fixture = Fixture::new();
    for head in heads {
        let whole = fixture.exchange(head.as_bytes(), &[], false);
        assert_eq!(whole.outputs.len(), 1);
        for first in 0..head.len() {
            for pieces in [vec![first], vec![first, 1], vec![first; head.len()]] {
                let split = fixture.exchange(head.as_bytes(), &pieces, false);
                assert_eq!(split.bytes(), whole.bytes());
                assert_eq!(split.finished, whole.finished);
            }
        }
    }
}

#[test]
fn pipelined() {
    let mut fixture = Fixture::new();
    let requests: Vec<_> = ["/data.txt", "/missing", "/docs/", "/docs"]
        .iter()
        .map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    let together = fixture.exchange(requests.concat().as_bytes(), &[], false);
    assert_eq!(together.outputs.len(), requests.len());
    assert!(!together.finished);
    for (request, output) in requests.iter().zip(&together.outputs) {
        assert_eq!(fixture.exchange(request.as_bytes(), &[], false).bytes(), output.bytes);
    }
    for pair in together.outputs.windows(2) {
        assert_eq!(pair[0].range.end, pair[1].range.start);
    }
}

#[test]
fn nothing_after_the_end() {
    let mut fixture = Fixture::new();
    let input = b"GET /data.txt HTTP/1.0\r\n\r\nGET /data.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    let exchange = fixture.exchange(input, &[], false);
    assert_eq!((exchange.outputs.len(), exchange.finished), (1, true));
    let output = &exchange.outputs[0];
    let next = fixture.input(Some(&output.state), b"GET", false, output.range.end);
    assert_eq!((next.consumed, next.finished, next.output.is_empty()), (3, true, true));
    assert_eq!(next.state, output.state);
}

#[test]
fn end_of_input() {
    let mut fixture = Fixture::new();
    let request = b"GET /data.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = fixture.exchange(&request.repeat(2), &[], true);
    assert_eq!((two.outputs.len(), two.finished), (2, true));
    assert_eq!(two.outputs[1].bytes, fixture.exchange(request, &[], false).bytes());
    for nothing in ["", "\r\n"] {
        let exchange = fixture.exchange(nothing.as_bytes(), &[], true);
        assert_eq!((exchange.outputs.len(), exchange.finished), (0, true));
    }
    for part in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        let exchange = fixture.exchange(part.as_bytes(), &[], true);
        assert!(exchange.finished);
        assert_eq!(Reply::parse(&exchange.bytes()).status, 400);
    }
    let output = &two.outputs[1];
    let next = fixture.input(Some(&output.state), b"", true, output.range.end);
    assert!(next.finished && next.output.is_empty());
}

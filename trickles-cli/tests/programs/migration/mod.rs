//! A small HTTP client before and after `TcpStream` has become `TricklesStream`, as the README shows it.

mod after;
mod before;

use super::{Fixture, proxy};

const README: &str = include_str!("../../../../README.md");

/// The first fenced block of a language.
fn block(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```\n").unwrap().0
}

#[test]
fn the_diff_in_the_readme_makes_one_client_of_the_other() {
    let (before, after) = (include_str!("before.rs"), include_str!("after.rs"));
    let diff = block("diff");
    let side = |sign: char| {
        let lines = diff.lines().filter(|line| line.starts_with([sign, ' ']));
        lines.map(|line| format!("{}\n", &line[1..])).collect::<String>()
    };
    assert_eq!((side('-'), side('+')), (before.to_owned(), after.to_owned()));
    assert_eq!(diff.lines().filter(|line| line.starts_with('+')).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clients_get_the_same() {
    let fixture = Fixture::new();
    std::fs::write(fixture.files().join("page.html"), "<p>hello</p>\n".repeat(10_000)).unwrap();
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let body = |response: String| response.split_once("\r\n\r\n").unwrap().1.to_owned();
    let tcp = body(before::get(&proxy.address.to_string(), "/page.html").await.unwrap());
    let trickles = body(after::get(&server.address.to_string(), "/page.html").await.unwrap());
    assert_eq!(tcp.len(), 130_000);
    assert!(tcp == trickles);
}

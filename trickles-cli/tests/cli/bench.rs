//! Measuring.

use super::{Service, assert_failed, assert_ok, trickles};

#[test]
fn all_rows_are_measured_over_both_transports() {
    let server = Service::start(trickles().args(["bench", "serve", "--listen", "127.0.0.1:0"]));
    let host = server.address.to_string();
    let run = |options: &[&str]| {
        let small = ["--size", "300K", "--seconds", "1", "--streams", "2", "--rounds", "1"];
        trickles().args(["bench", "run", &host]).args(small).args(options).output().unwrap()
    };
    let output = run(&["--json"]);
    assert_ok(&output);
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = figures.as_array().unwrap();
    let cases: Vec<_> = figures
        .iter()
        .map(|one| (one["row"].as_str().unwrap(), one["transport"].as_str().unwrap()))
        .collect();
    let rows = ["download", "upload", "requests", "connections"];
    let expected: Vec<_> = rows.iter().flat_map(|&row| [(row, "trickles"), (row, "tcp")]).collect();
    assert_eq!(cases, expected);
    for figure in figures {
        assert!(figure["per_second"].as_f64().unwrap() > 0.0, "{figure}");
    }
    assert!(figures[4]["latency"]["p999"].as_f64() >= figures[4]["latency"]["p50"].as_f64());

    let output = run(&["--rows", "download", "--no-tcp"]);
    assert_ok(&output);
    assert!(str::from_utf8(&output.stdout).unwrap().contains("Mbit/s"));
    assert_failed(&run(&["--rows", "nothing"]), 2, "nothing");
}

#[test]
fn a_host_that_does_not_serve_is_told() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let run = |host: &str, options: &[&str]| {
        trickles().args(["bench", "run", host, "--rounds", "1"]).args(options).output().unwrap()
    };
    assert_failed(&run(&address, &["--timeout", "5"]), 4, "Download over Trickles");
    assert_failed(&run(&address, &["--size", "17G"]), 2, "16G");
}

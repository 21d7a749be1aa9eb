//! How many instructions the hot paths take, counted by callgrind: the same on a busy machine as on a quiet one.
//! `scripts/check-instructions` compares the counts with those in `benches/instructions.txt`.

#![expect(missing_docs, reason = "gungraun's macros make modules without any")]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use trickles_benches::{Download, Exchange};

/// With its next request.
fn asked() -> Download {
    let mut download = Download::steady();
    download.ask();
    download
}

fn answered() -> Download {
    let mut download = asked();
    download.answer();
    download
}

fn repeated() -> (Download, Vec<u8>) {
    let download = answered();
    let request = download.request().to_vec();
    (download, request)
}

fn forged() -> (Download, Vec<u8>) {
    let download = answered();
    let request = download.forged();
    (download, request)
}

fn requested() -> Exchange {
    let mut exchange = Exchange::steady();
    exchange.send();
    exchange
}

fn replied() -> Exchange {
    let mut exchange = requested();
    exchange.answer();
    exchange
}

#[library_benchmark]
#[bench::opening(Download::opening())]
#[bench::claim(asked())]
fn answer(mut download: Download) -> Download {
    black_box(&mut download).answer();
    download
}

#[library_benchmark]
#[bench::request(requested())]
fn reply(mut exchange: Exchange) -> Exchange {
    black_box(&mut exchange).answer();
    exchange
}

#[library_benchmark]
#[bench::request(Exchange::steady())]
fn send(mut exchange: Exchange) -> Exchange {
    black_box(&mut exchange).send();
    exchange
}

#[library_benchmark]
#[bench::reply(replied())]
fn take(mut exchange: Exchange) -> Exchange {
    black_box(&mut exchange).take();
    exchange
}

#[library_benchmark]
#[bench::forged(forged())]
#[bench::repeated(repeated())]
fn refuse((mut download, request): (Download, Vec<u8>)) -> Download {
    black_box(&mut download).refuse(&request);
    download
}

#[library_benchmark]
#[bench::answer(answered())]
fn receive(mut download: Download) -> Download {
    black_box(&mut download).receive();
    download
}

#[library_benchmark]
#[bench::claim(Download::steady())]
fn ask(mut download: Download) -> Download {
    black_box(&mut download).ask();
    download
}

library_benchmark_group!(name = server; benchmarks = answer, reply, refuse);
library_benchmark_group!(name = client; benchmarks = receive, ask, send, take);

main!(library_benchmark_groups = server, client);

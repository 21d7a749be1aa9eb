//! How long each step of the packet path takes. `cargo bench -p trickles-benches --bench packet_path`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trickles::continuation::Continuation;
use trickles::epoch::{CurveId, Epoch};
use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter, blocks};
use trickles::time::Timestamp;
use trickles::wire::{Request, Response};
use trickles_benches::{Download, Exchange};

/// Times `measured` and nothing else of each turn.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn only<T>(
    turns: u64,
    state: &mut T,
    prepare: impl Fn(&mut T),
    measured: impl Fn(&mut T),
    rest: impl Fn(&mut T),
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..turns {
        prepare(state);
        let begin = Instant::now();
        measured(state);
        total += begin.elapsed();
        rest(state);
    }
    total
}

fn codec(criterion: &mut Criterion) {
    let mut download = Download::steady();
    let request = download.ask().to_vec();
    criterion.bench_function("codec: read a claim", |bencher| {
        bencher.iter(|| Request::parse(black_box(&request)));
    });
    let parsed = Request::parse(&request).expect("clients send requests");
    let mut out = Vec::new();
    criterion.bench_function("codec: write a claim", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&parsed).emit(request.len(), &mut out);
        });
    });
    download.answer();
    let packet = download.outbox.packets().last().expect("it is answered").to_vec();
    criterion.bench_function("codec: read a packet", |bencher| {
        bencher.iter(|| Response::parse(black_box(&packet)));
    });
    let Some(Request::Claim(claim)) = Request::parse(&request) else { unreachable!("a claim") };
    criterion.bench_function("codec: read a continuation", |bencher| {
        bencher.iter(|| Continuation::peek(black_box(claim.continuation)));
    });
}

fn windows(criterion: &mut Criterion) {
    for curve in [CurveId::Reno, CurveId::Cubic] {
        let epoch =
            Epoch::born(curve, 1 << 40, 10).recover((1 << 40) + 500, 250, 20_000).expect("a position");
        criterion.bench_function(&format!("window function: {curve:?}"), |bencher| {
            bencher.iter(|| black_box(&epoch).allowed(black_box(777)));
        });
    }
}

fn filter(criterion: &mut Criterion) {
    let now = Timestamp::from_millis(1);
    let filter = FingerprintFilter::new(FilterConfig::default(), [7; 16], now);
    let mut first = 0u64;
    criterion.bench_function("replay filter: grant 16 positions", |bencher| {
        bencher.iter(|| {
            first += 16;
            // A flow has some thousands of packets.
            for (block, mask) in blocks(first..first + 16) {
                black_box(filter.grant(1, first >> 12, block, mask, now));
            }
        });
    });
}

fn path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet path");
    let mut download = Download::steady();
    let packets: usize = (0..50)
        .map(|_| {
            download.ask();
            download.answer();
            download.receive();
            download.outbox.packets().count()
        })
        .sum();
    println!("{} packets an answer", packets as f64 / 50.0);
    let forged = download.forged();
    group.bench_function("server: refuse a forged claim", |bencher| {
        bencher.iter(|| download.refuse(black_box(&forged)));
    });
    let repeated = download.request().to_vec();
    group.bench_function("server: refuse a repeated claim", |bencher| {
        bencher.iter(|| download.refuse(black_box(&repeated)));
    });
    let mut opening = Download::opening();
    group.bench_function("server: answer a Hello", |bencher| {
        bencher.iter(|| opening.answer());
    });
    let mut exchange = Exchange::steady();
    group.bench_function("server: answer a request", |bencher| {
        bencher.iter_custom(|turns| {
            only(turns, &mut exchange, Exchange::send, Exchange::answer, |exchange| _ = exchange.take())
        });
    });
    group.bench_function("client: send a request", |bencher| {
        bencher.iter_custom(|turns| {
            let rest = |exchange: &mut Exchange| {
                exchange.answer();
                exchange.take();
            };
            only(turns, &mut exchange, |_| {}, Exchange::send, rest)
        });
    });
    group.bench_function("client: take its answer", |bencher| {
        bencher.iter_custom(|turns| {
            let prepare = |exchange: &mut Exchange| {
                exchange.send();
                exchange.answer();
            };
            only(turns, &mut exchange, prepare, |exchange| _ = exchange.take(), |_| {})
        });
    });
    group.throughput(Throughput::Elements(packets as u64 / 50));
    group.bench_function("server: answer a claim", |bencher| {
        bencher.iter_custom(|turns| {
            only(
                turns,
                &mut download,
                |download| _ = download.ask(),
                Download::answer,
                |download| {
                    download.receive();
                },
            )
        });
    });
    group.bench_function("client: take an answer", |bencher| {
        bencher.iter_custom(|turns| {
            let prepare = |download: &mut Download| {
                download.ask();
                download.answer();
            };
            only(turns, &mut download, prepare, |download| _ = download.receive(), |_| {})
        });
    });
    group.bench_function("client: make a claim", |bencher| {
        bencher.iter_custom(|turns| {
            let rest = |download: &mut Download| {
                download.answer();
                download.receive();
            };
            only(turns, &mut download, |_| {}, |download| _ = download.ask(), rest)
        });
    });
    group.finish();
}

criterion_group!(benches, codec, windows, filter, path);
criterion_main!(benches);

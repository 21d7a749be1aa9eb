//! How fast uploads are, beside downloads.
//!
//! `cargo run --release -p trickles-tokio --example transfer_rates [MEBIBYTES [ROUNDS [PACKET_SIZE]]]` moves so many
//! bytes over loopback, from client to server and from server to client in turns, and prints the medians. The server
//! has a thread of its own; it keeps what is uploaded in any order in memory, and takes in what is uploaded in
//! order as a checksum.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use trickles_tokio::trickles::client::ClientConfig;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_tokio::{Server, TricklesStream};

const PIECE: usize = 64 << 10;

/// Answers `d LENGTH` with so many bytes; takes so many in order after `o LENGTH`, and in any order after
/// `a LENGTH`.
#[derive(Default)]
struct Transfers {
    stored: Vec<u8>,
}

impl Application for Transfers {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let Some(input) = event.input else { return Ok(Next::default()) };
        let state = event.state.unwrap_or_default();
        let (mode, rest) = match state.split_first_chunk::<9>() {
            Some((state, _)) => (state[0], u64::from_be_bytes(state[1..].try_into().unwrap_or_default())),
            None => {
                let end = input.bytes.iter().position(|&byte| byte == b'\n').ok_or(Reset(1))?;
                let length =
                    std::str::from_utf8(&input.bytes[2..end]).ok().and_then(|text| text.parse().ok());
                let (mode, length): (u8, u64) = (input.bytes[0], length.ok_or(Reset(2))?);
                let any_order = if mode == b'a' { length } else { 0 };
                if mode == b'a' {
                    // Memory that is used again: it costs the system nothing to hand out.
                    self.stored.resize(length as usize, 0);
                }
                let output = 0..if mode == b'd' { length } else { 0 };
                let state = [&[mode][..], &length.to_be_bytes(), &(end as u64 + 1).to_be_bytes()].concat();
                return Ok(Next { state, consumed: end + 1, output, any_order, finished: mode == b'd' });
            }
        };
        // All is stored, or another piece is summed up.
        let left = if mode == b'a' { 0 } else { rest.saturating_sub(input.bytes.len() as u64) };
        let sum: u64 = input.bytes.iter().map(|&byte| u64::from(byte)).sum();
        let state = [&[mode][..], &left.to_be_bytes(), &sum.to_be_bytes()].concat();
        let output = 0..u64::from(left == 0);
        Ok(Next { state, consumed: input.bytes.len(), output, finished: left == 0, any_order: 0 })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        let begin = event.state.and_then(|state| state.get(9..17)).and_then(|state| state.try_into().ok());
        let begin = u64::from_be_bytes(begin.ok_or(Reset(3))?);
        let input = event.input.ok_or(Reset(4))?;
        let at = (input.offset - begin) as usize;
        self.stored[at..at + input.bytes.len()].copy_from_slice(input.bytes);
        Ok(input.bytes.len())
    }
}

impl Output for Transfers {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.fill(offset as u8);
        Ok(buffer.len())
    }
}

/// Mbit/s of one transfer.
async fn transfer(
    server: SocketAddr,
    mode: char,
    length: u64,
    packet_size: Option<u16>,
) -> Result<f64, Box<dyn Error>> {
    let early = format!("{mode} {length}\n");
    let config = ClientConfig { packet_size, early_input: early.into(), ..ClientConfig::default() };
    let mut stream = TricklesStream::builder().client_config(config).connect(server).await?;
    let started = tokio::time::Instant::now();
    let mut buffer = vec![7; PIECE];
    if mode != 'd' {
        let mut left = length;
        while left > 0 {
            let count = left.min(PIECE as u64);
            stream.write_all(&buffer[..count as usize]).await?;
            left -= count;
        }
        stream.shutdown().await?;
    }
    let mut received = 0;
    while let count @ 1.. = stream.read(&mut buffer).await? {
        received += count as u64;
    }
    assert_eq!(received, if mode == 'd' { length } else { 1 }, "{mode}");
    Ok(length as f64 * 8.0 / started.elapsed().as_secs_f64() / 1e6)
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let length = arguments.first().unwrap_or(&256) << 20;
    let rounds = *arguments.get(1).unwrap_or(&7);
    let packet_size = arguments.get(2).map(|&size| u16::try_from(size)).transpose()?;
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let keys = KeyRing::new(&[(1, [7; 32])]).expect("one key");
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let server = Server::bind(address, ServerConfig::default(), keys).await;
            let mut server = server.expect("a socket");
            let _ = tell.send(server.local_addr());
            server.run(&mut Transfers::default()).await.expect("a socket that works");
        });
    });
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let server = told.await??;
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (mode, rates) in ['d', 'a', 'o'].into_iter().zip(&mut rates) {
                rates.push(transfer(server, mode, length, packet_size).await?);
            }
        }
        let medians = rates.each_mut().map(|rates| median(rates));
        let names = ["download", "upload in any order", "upload in order"];
        let mebibytes = length >> 20;
        let size = packet_size.map_or("of the default size".to_owned(), |size| format!("of {size} bytes"));
        println!("{mebibytes} MiB over loopback, packets {size}, medians of {rounds} rounds");
        for (name, rate) in names.into_iter().zip(medians) {
            println!("{name:<20} {rate:7.0} Mbit/s  {:5.2} of a download", rate / medians[0]);
        }
        Ok(())
    })
}

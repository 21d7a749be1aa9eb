//! The tests that every runtime crate has to pass, written once.
//!
//! A runtime crate says in its own tests what it consists of, and runs what is here:
//! - [`streams()`]: a [`Platform`], that is a `TricklesStream` and a `Server`, keeps the promises of Trickles;
//! - [`behaviour()`]: any [`Transport`], be it Trickles or TCP, does what a program that was written for TCP expects;
//! - [`combinators()`]: what others offer for any stream of bytes works on a [`Transport`].
//!
//! All three are lists of tests for [`run`]. The server's side is an [`application`] that can say everything
//! again; [`Running`] serves it over Trickles and [`tcp`] over TCP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod application;
mod behaviour;
mod combinators;
mod platform;
mod running;
mod streams;
pub mod tcp;

use std::process::ExitCode;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
pub use libtest_mimic::Trial;

pub use behaviour::behaviour;
pub use combinators::combinators;
pub use platform::{Executor, Platform, Transport};
pub use running::{Running, any, ring};
pub use streams::streams;

/// Runs the tests that the command line selects, as the test harness of Rust does.
pub fn run(tests: impl IntoIterator<Item = Vec<Trial>>) -> ExitCode {
    let tests = tests.into_iter().flatten().collect();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), tests).exit_code()
}

/// `list!(T: Transport; a, b)` defines a function that lists the tests `a::<T>` and `b::<T>`. A test that is not
/// listed is dead code, which the compiler reports.
macro_rules! list {
    ($subject:ident: $bound:ident; $($test:ident),+ $(,)?) => {
        pub(crate) fn tests<$subject: $bound>(name: &str) -> Vec<$crate::Trial> {
            let module = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$(
                $crate::Trial::test(format!("{name}::{module}::{}", stringify!($test)), || {
                    <$subject::Executor as $crate::Executor>::block_on($test::<$subject>());
                    Ok(())
                })
            ),+]
        }
    };
}
use list;

/// Asks for `length` bytes, and for nothing after that.
pub async fn ask(stream: &mut (impl AsyncWrite + Unpin), length: usize, seed: u64) {
    stream.write_all(format!("GET {length} {seed}\n").as_bytes()).await.unwrap();
    stream.close().await.unwrap();
}

/// Reads to the end of the stream, and expects bytes `from..to` of what was asked for.
pub async fn expect_rest(stream: &mut (impl AsyncRead + Unpin), from: usize, to: usize, seed: u64) {
    expect_all(stream, &application::bytes(seed, from, to)).await;
}

/// Reads to the end of the stream, and expects `expected`.
pub async fn expect_all(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len(), expected.len());
    assert!(received == expected);
}

/// Reads bytes `from..to` of what was asked for.
async fn expect_bytes(stream: &mut (impl AsyncRead + Unpin), from: usize, to: usize, seed: u64) {
    let mut received = vec![0; to - from];
    stream.read_exact(&mut received).await.unwrap();
    assert!(received == application::bytes(seed, from, to));
}

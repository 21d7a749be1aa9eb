//! What the fuzzers' programs have in common. Each searches through the inputs of one target of
//! [`trickles_attacks::fuzz`]:
//!
//! ```console
//! $ cargo install cargo-fuzz
//! $ cargo fuzz run --sanitizer none continuation
//! ```
//!
//! Built without `cargo fuzz`, a program runs its target once for each file it is given.

#[cfg(fuzzing)]
pub use libfuzzer_sys;

use std::path::Path;
use std::process::ExitCode;

/// The main program of the target of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trickles_attacks::fuzz::run($name, bytes));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay($name, std::env::args_os().skip(1))
        }
    };
}

/// Runs a target on files.
pub fn replay(target: &str, files: impl Iterator<Item = impl AsRef<Path>>) -> ExitCode {
    let mut replayed = 0;
    for file in files {
        let file = file.as_ref();
        println!("{}", file.display());
        match std::fs::read(file) {
            Ok(bytes) => trickles_attacks::fuzz::run(target, &bytes),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
        replayed += 1;
    }
    if replayed == 0 {
        eprintln!(
            "usage: {target} FILE...\n\nTo search for inputs: cargo fuzz run --sanitizer none {target}"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

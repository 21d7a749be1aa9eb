//! Every input that a fuzzer has found worth keeping, again.

use trickles_attacks::fuzz::{TARGETS, corpus};

#[test]
fn no_input_of_the_corpora_finds_anything() {
    for target in TARGETS {
        let corpus = corpus(target.name).unwrap_or_else(|error| panic!("{error:#}"));
        for (name, bytes) in &corpus {
            println!("{}/{name}", target.name);
            (target.run)(bytes);
        }
    }
}

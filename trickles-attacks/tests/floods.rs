//! A flood costs a server neither memory nor bytes, and its clients nothing but time.

use std::path::Path;

use trickles_attacks::floods::{Flood, Style, attempt};

/// How many datagrams each flood has, twice.
const DATAGRAMS: u64 = 20_000;
/// What the honest client has to get meanwhile.
const DOWNLOAD: u64 = 16 << 20;

#[test]
fn floods_find_nothing_to_exhaust() {
    for (flood, style) in Flood::ALL.into_iter().flat_map(|flood| Style::ALL.map(|style| (flood, style))) {
        let program = Path::new(env!("CARGO_BIN_EXE_trickles-attacks"));
        let trial = attempt(program, style, flood, DATAGRAMS, DOWNLOAD);
        let trial = trial.unwrap_or_else(|error| panic!("{flood:?}, {style:?}: {error:#}"));
        println!("{flood:?}, {style:?}: {trial:?}");
        assert!(trial.downloaded >= DOWNLOAD, "{flood:?}, {style:?}: {trial:?}");
        assert!(trial.growth <= 1024, "{flood:?}, {style:?}: {trial:?}");
        let exchanged = trial.exchanged;
        assert!(exchanged.from_server <= 3 * exchanged.to_server, "{flood:?}, {style:?}: {trial:?}");
        assert!(flood != Flood::Replay || exchanged.packets == 0, "{flood:?}, {style:?}: {trial:?}");
    }
}

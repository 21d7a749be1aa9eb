//! A flood costs a server neither memory nor bytes, and its clients nothing but time.

use std::path::Path;

use trickles_attacks::floods::{Flood, attempt};

/// How many datagrams each flood has, twice.
const DATAGRAMS: u64 = 20_000;
/// What the honest client has to get meanwhile.
const DOWNLOAD: u64 = 16 << 20;

#[test]
fn floods_find_nothing_to_exhaust() {
    for flood in Flood::ALL {
        let trial = attempt(Path::new(env!("CARGO_BIN_EXE_trickles-attacks")), flood, DATAGRAMS, DOWNLOAD);
        let trial = trial.unwrap_or_else(|error| panic!("{flood:?}: {error:#}"));
        println!("{flood:?}: {trial:?}");
        assert!(trial.downloaded >= DOWNLOAD, "{flood:?}: {trial:?}");
        assert!(trial.growth <= 1024, "{flood:?}: {trial:?}");
        let exchanged = trial.exchanged;
        assert!(exchanged.from_server <= 3 * exchanged.to_server, "{flood:?}: {trial:?}");
        assert!(flood != Flood::Replay || exchanged.packets == 0, "{flood:?}: {trial:?}");
    }
}

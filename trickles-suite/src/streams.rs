//! Trickles streams over real sockets on the loopback interface.

mod closing;
mod connecting;
mod serving;
mod sharing;
mod transfer;

use crate::Trial;
use crate::platform::Platform;

/// What a runtime crate has to do, whatever its runtime. `name` stands before the names of the tests.
pub fn streams<P: Platform>(name: &str) -> Vec<Trial> {
    [
        connecting::tests::<P>(name),
        transfer::tests::<P>(name),
        closing::tests::<P>(name),
        serving::tests::<P>(name),
        sharing::tests::<P>(name),
    ]
    .into_iter()
    .flatten()
    .collect()
}

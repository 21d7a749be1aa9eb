//! What a program that was written for TCP relies on. Nothing here knows which transport it is about.

mod bytes;
mod ending;
mod failing;

use crate::Trial;
use crate::platform::Transport;

/// What TCP and Trickles do alike. `name` stands before the names of the tests.
pub fn behaviour<T: Transport>(name: &str) -> Vec<Trial> {
    [bytes::tests::<T>(name), ending::tests::<T>(name), failing::tests::<T>(name)]
        .into_iter()
        .flatten()
        .collect()
}

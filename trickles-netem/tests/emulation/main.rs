//! Tests of the emulator through its public interface.

mod bottleneck;
mod chance;
mod checksum;
mod properties;

use std::time::Duration;

use trickles_netem::{Delivery, Link, Path};

/// Takes out all that is on its way.
fn drain<T: Clone>(link: &mut Link<T>) -> Vec<Delivery<T>> {
    std::iter::from_fn(|| link.deliver(link.next_delivery()?)).collect()
}

/// Offers `count` datagrams of `size` zero bytes at time zero, tagged with their position.
fn flood(link: &mut Link<u64>, count: u64, size: usize) {
    for tag in 0..count {
        link.send(Duration::ZERO, vec![0; size], false, tag);
    }
}

/// What comes out of a path into which `count` datagrams of 32 zero bytes went.
fn run(path: Path, seed: u64, count: u64) -> (Vec<Delivery<u64>>, Link<u64>) {
    let mut link = Link::new(path, seed);
    flood(&mut link, count, 32);
    (drain(&mut link), link)
}

/// The sorted tags of the deliveries.
fn tags(deliveries: &[Delivery<u64>]) -> Vec<u64> {
    let mut tags: Vec<_> = deliveries.iter().map(|delivery| delivery.tag).collect();
    tags.sort_unstable();
    tags
}

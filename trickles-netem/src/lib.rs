//! A deterministic network emulator for datagrams, in virtual time and without I/O.
//!
//! A [`Link`] carries datagrams in one direction. [`Link::send`] offers it one, [`Link::next_delivery`]
//! tells when the next one comes out and [`Link::deliver`] takes it out. What happens in between is set
//! by a [`Path`], in the order of a real network:
//!
//! 1. an outage swallows the datagram ([`Path::down`]),
//! 2. the bottleneck queues it, marks it, serialises it, or drops it when the queue is full,
//! 3. the medium behind the bottleneck loses or duplicates it,
//! 4. each copy is delayed, held back, or corrupted on its own.
//!
//! Time is a [`Duration`](std::time::Duration) since the start of the emulation and is always an argument:
//! the crate reads no clock. All chance comes from one seed, so the same calls give the same results to the
//! byte. Every datagram takes the same number of random draws whatever becomes of it: changing one
//! probability, or losing one datagram more, leaves the draws of all others as they were. Give each link of
//! an emulation a seed of its own, or their losses coincide.
//!
//! ```
//! use std::time::Duration;
//! use trickles_netem::{Link, Path};
//!
//! // 1 Mbit/s and 20 ms one way; the second datagram is lost.
//! let path = Path {
//!     rate: Some(1_000_000),
//!     delay: Duration::from_millis(20),
//!     drop_packets: [1].into(),
//!     ..Path::default()
//! };
//! let mut link = Link::new(path, 42);
//! for name in ["first", "second", "third"] {
//!     link.send(Duration::ZERO, vec![0; 97], false, name);
//! }
//!
//! let mut arrivals = Vec::new();
//! while let Some(now) = link.next_delivery() {
//!     while let Some(delivery) = link.deliver(now) {
//!         arrivals.push((delivery.at.as_millis(), delivery.tag));
//!     }
//! }
//! // Each datagram takes (97 + 28) * 8 bits at 1 bit/us, 1 ms.
//! assert_eq!(arrivals, [(21, "first"), (23, "third")]);
//! assert_eq!(link.stats().dropped_loss, 1);
//! ```

mod bottleneck;
mod fate;
mod link;
mod path;
mod stats;

pub use link::{Delivery, Link};
pub use path::Path;
pub use stats::Stats;

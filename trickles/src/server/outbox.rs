//! Datagrams ready to be sent, in one reused buffer.

use std::ops::Range;

use crate::wire::Buffer;

/// What a server wants sent in answer to one request: trains of equal-sized packets, in order.
///
/// Clear and reuse it: in steady state nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    pub(super) bytes: Buffer,
    batches: Vec<(Range<usize>, usize)>,
}

/// Packets that can leave together by UDP segmentation offload, in as many calls as the system wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The packets, one behind the other.
    pub contents: &'a [u8],
    /// Size of each packet, in bytes; the last one may be shorter.
    pub segment_size: usize,
}

impl<'a> Batch<'a> {
    /// The packets.
    pub fn packets(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.contents.chunks(self.segment_size)
    }
}

impl Outbox {
    /// Forgets what is in it, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.batches.clear();
    }

    /// How many bytes there are to send.
    pub fn len(&self) -> usize {
        self.batches.iter().map(|(range, _)| range.len()).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The batches in sending order.
    pub fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        self.batches.iter().map(|(range, segment_size)| Batch {
            contents: &self.bytes[range.clone()],
            segment_size: *segment_size,
        })
    }

    /// The packets in sending order.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        self.batches().flat_map(|batch| batch.packets())
    }

    /// Queues the packet that takes up `range` of the buffer, which follows the last one queued.
    pub(super) fn queue(&mut self, range: Range<usize>) {
        if let Some((last, segment_size)) = self.batches.last_mut() {
            let full = last.len().is_multiple_of(*segment_size);
            if full && last.end == range.start && range.len() <= *segment_size {
                last.end = range.end;
                return;
            }
        }
        let segment_size = range.len().max(1);
        self.batches.push((range, segment_size));
    }
}

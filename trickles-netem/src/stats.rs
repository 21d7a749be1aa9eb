/// What a [`Link`](crate::Link) has done since its creation.
///
/// Once the link is empty, `offered_packets + duplicated` equals `delivered_packets` plus the four
/// `dropped` counters. Byte counts are of payloads, without [`overhead`](crate::Path::overhead), unless
/// stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams given to [`Link::send`](crate::Link::send).
    pub offered_packets: u64,
    /// Payload bytes given to [`Link::send`](crate::Link::send).
    pub offered_bytes: u64,
    /// Copies taken out by [`Link::deliver`](crate::Link::deliver).
    pub delivered_packets: u64,
    /// Payload bytes taken out by [`Link::deliver`](crate::Link::deliver).
    pub delivered_bytes: u64,
    /// Datagrams dropped because the queue was full.
    pub dropped_queue: u64,
    /// Datagrams lost behind the bottleneck, by chance or by [`drop_packets`](crate::Path::drop_packets).
    pub dropped_loss: u64,
    /// Datagrams swallowed by an outage.
    pub dropped_down: u64,
    /// Datagrams larger than the path carries.
    pub dropped_large: u64,
    /// Corrupted copies dropped for their UDP checksum.
    pub dropped_checksum: u64,
    /// Corrupted copies taken out by [`Link::deliver`](crate::Link::deliver).
    pub corrupted_delivered: u64,
    /// Copies held back by [`reorder_delay`](crate::Path::reorder_delay).
    pub reordered: u64,
    /// Second copies made.
    pub duplicated: u64,
    /// Datagrams marked by the queue, lost ones included.
    pub ce_marked: u64,
    /// Most bytes that ever waited in the queue, overhead included.
    pub max_queue_bytes: usize,
}

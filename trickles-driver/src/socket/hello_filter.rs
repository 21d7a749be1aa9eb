//! A program for the system that drops Hellos at random.

use std::io;
use std::net::UdpSocket;

/// Has the system drop what begins as a Hello but for a `share` of it, chosen at random, before it is queued. From a
/// share of 1 on nothing is dropped any more. What the system was told of this kind before is void.
///
/// # Errors
/// Those of the system; [`Unsupported`](io::ErrorKind::Unsupported) for one that takes no such program.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn let_hellos_through(socket: &UdpSocket, share: f64) -> io::Result<()> {
    use nix::libc::{
        BPF_ABS, BPF_H, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SKF_AD_OFF, SKF_AD_RANDOM,
    };
    use socket2::{SockFilter, SockRef};
    use trickles::wire::HELLO_PREFIX;

    /// The program sees a datagram from its UDP header on.
    const UDP_HEADER: u32 = 8;

    let socket = SockRef::from(socket);
    if share >= 1.0 {
        return socket.detach_filter();
    }
    let instruction =
        |code: u32, if_true, if_false, operand| SockFilter::new(code as u16, if_true, if_false, operand);
    socket.attach_filter(&[
        // Datagrams too short for this are dropped: no protocol has any.
        instruction(BPF_LD | BPF_H | BPF_ABS, 0, 0, UDP_HEADER),
        instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, u16::from_be_bytes(HELLO_PREFIX).into()),
        instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, (SKF_AD_OFF + SKF_AD_RANDOM) as u32),
        instruction(BPF_JMP | BPF_JGE | BPF_K, 1, 0, (share * f64::from(u32::MAX)) as u32),
        // How many bytes are kept: all.
        instruction(BPF_RET | BPF_K, 0, 0, u32::MAX),
        instruction(BPF_RET | BPF_K, 0, 0, 0),
    ])
}

/// Has the system drop what begins as a Hello but for a `share` of it.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported).
#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn let_hellos_through(_: &UdpSocket, _: f64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
#[cfg(any(target_os = "android", target_os = "linux"))]
mod tests;

//! UDP with two system calls for as many requests as have come.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use anyhow::Result;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use crate::service::{ANSWER, COMMAND};

/// Requests that one system call takes.
const TOGETHER: usize = 64;

/// Answers requests.
pub(super) fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let socket = super::socket()?;
    announce(socket.local_addr()?);
    let fd = socket.as_raw_fd();
    let mut memory = [[0; COMMAND]; TOGETHER];
    let answer = [7; ANSWER as usize];
    let answers = [[IoSlice::new(&answer)]; TOGETHER];
    let mut received = MultiHeaders::<SockaddrIn>::preallocate(TOGETHER, None);
    let mut sent = MultiHeaders::<SockaddrIn>::preallocate(TOGETHER, None);
    loop {
        let mut slices = memory.each_mut().map(|request| [IoSliceMut::new(request)]);
        let requests = recvmmsg(fd, &mut received, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None)?;
        let clients: Vec<Option<SockaddrIn>> = requests.map(|request| request.address).collect();
        sendmmsg(fd, &mut sent, &answers[..clients.len()], &clients, [], MsgFlags::empty())?;
    }
}

use std::net::Ipv4Addr;

use trickles::wire::HELLO_PREFIX;

use super::*;

const COUNT: usize = 4000;

/// How many of so many datagrams that begin like this are let through.
fn arrived(receiver: &UdpSocket, beginning: &[u8]) -> usize {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = receiver.local_addr().unwrap();
    receiver.set_nonblocking(true).unwrap();
    let (mut arrived, mut buffer) = (0, [0; 2048]);
    for _ in 0..COUNT {
        sender.send_to(&[beginning, &[0; 100]].concat(), to).unwrap();
        // Loopback delivers while it sends.
        while receiver.recv(&mut buffer).is_ok() {
            arrived += 1;
        }
    }
    arrived
}

#[test]
fn hellos_are_dropped_at_random_and_nothing_else_is() {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let [version, _] = HELLO_PREFIX;
    let others = [[version, 2], [version + 1, 1], [0, 0]];
    for (share, expected) in [(0.0, 0..=0), (0.5, COUNT / 2 - 400..=COUNT / 2 + 400)] {
        let_hellos_through(&receiver, share).unwrap();
        let hellos = arrived(&receiver, &HELLO_PREFIX);
        assert!(expected.contains(&hellos), "{hellos} of {COUNT} at a share of {share}");
        for beginning in &others {
            assert_eq!(arrived(&receiver, beginning), COUNT, "{beginning:?} at a share of {share}");
        }
    }
    let_hellos_through(&receiver, 1.0).unwrap();
    assert_eq!(arrived(&receiver, &HELLO_PREFIX), COUNT);
}

//! Answers of two processings of the same input do not mix.

use std::ops::Range;
use std::time::Duration;

use trickles::epoch::CurveId;
use trickles::server::{Application, Event, Next, Outbox, Output, Received, Reply, Reset, Unanswered};
use trickles::user_continuation::MAX_STATE;
use trickles::wire::{Input, Response};

use trickles_attacks::lab::liar::hello;
use trickles_attacks::lab::{Lab, Liar, Spec};

/// Answers all input with the next number; its state regenerates all numbers of the stream.
struct Dice(u8);

impl Application for Dice {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        self.0 += 1;
        let state: Vec<u8> = event.state.unwrap_or_default().iter().copied().chain([self.0]).collect();
        let consumed = event.input.map_or(0, |input| input.bytes.len());
        Ok(Next { output: 0..state.len() as u64, state, consumed, ..Next::default() })
    }
}

impl Output for Dice {
    fn read(&mut self, state: &[u8], _: Range<u64>, at: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.copy_from_slice(&state[at as usize..at as usize + buffer.len()]);
        Ok(buffer.len())
    }
}

#[test]
fn bytes_that_the_presented_state_regenerates_come_from_no_other() {
    let (mut lab, mut dice) = (Lab::new(), Dice(0));
    let mut liar = Liar::at(1);
    let opened = lab.exchange_with(&mut dice, &hello(CurveId::Cubic, 1, 4200), liar.address);
    liar.receive(&opened);
    lab.wait(Duration::from_millis(10));
    let train = liar.trains[0].clone();
    let mut show = |position: u64, user: &[u8], offset| {
        let input = Input { offset, bytes: b"x", fin: false };
        let spec = Spec::show(&train, train.fields.first + position, input);
        // Different requests have different echo values.
        let spec = Spec { echo: position, user: Some(user), want: 2, ..spec };
        lab.exchange_with(&mut dice, &liar.request(&spec).unwrap(), liar.address)
    };
    let opened = opened.user.unwrap();
    let held = show(0, &opened, 4).user.unwrap();
    // A delayed copy has the same input processed again, and what is sent ahead goes on from there.
    show(1, &opened, 4);
    show(2, &opened, 5);
    let answer = show(3, &held, 6);
    assert_eq!(answer.data, [(0, vec![1, 2])]);
}

/// An application can say what follows whatever the event is, in a state as long as any.
#[test]
fn what_follows_fits_beside_input_that_is_refused() {
    let mut lab = Lab::new();
    let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    lab.wait(Duration::from_millis(10));
    let train = liar.trains[0].clone();
    let request = |position: u64, offset, bytes| {
        let input = Input { offset, bytes, fin: false };
        liar.request(&Spec { echo: position, ..Spec::show(&train, train.fields.first + position, input) })
            .unwrap()
    };
    assert!(lab.exchange(&request(0, 4, b"BIG\n"), liar.address).user.is_some());
    let (mut outbox, datagram) = (Outbox::default(), request(1, 100, b"x"));
    let received = lab.server.receive(&datagram, liar.address, lab.now, &mut outbox);
    let Some(Received::Event(event)) = received else { panic!("{received:?}") };
    let state = vec![1; MAX_STATE];
    let next = Next { state, output: 0..1, ..Next::default() };
    lab.server.respond(event, Reply::Next(next), &mut Dice(0), lab.now, &mut outbox).unwrap();
    let packets: Vec<_> = outbox.packets().map(|packet| Response::parse(packet).unwrap()).collect();
    assert!(matches!(packets[..], [Response::Train(_)]), "{packets:?}");
}

//! A claim that leaves out what the server remembers is worth what the whole one is, and nothing to anybody else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use trickles::continuation::Continuation;
use trickles::epoch::{CurveId, SlowStartExit};
use trickles::replay::FilterConfig;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles::stats::Discard;
use trickles::user_continuation::{Lineage, UserContinuation};
use trickles::wire::{Input, Notice};

use trickles_attacks::lab::liar::hello;
use trickles_attacks::lab::{Answer, Endless, Kind, Lab, Liar, RANGE, Spec, Train, key_ring, runs_of};

const INPUT: &[u8] = &[7; 300];

/// A stream at the beginning of an upload, and the train that opened it.
fn uploading() -> (Lab, Liar, Train) {
    let mut lab = Lab::new();
    let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    lab.wait(Duration::from_millis(10));
    let train = liar.trains[0].clone();
    (lab, liar, train)
}

/// A claim of a position of the train with the next input.
fn show<'a>(liar: &Liar, train: &'a Train, at: u64, exit: Option<SlowStartExit>) -> Spec<'a> {
    let user = UserContinuation::peek(&liar.user).unwrap();
    let input = Input { offset: user.input.start, bytes: INPUT, fin: false };
    Spec { exit, ..Spec::show(train, train.fields.first + at, input) }
}

/// What of an answer does not tell one processing of the input from another.
fn comparable(answer: &Answer) -> (Vec<Continuation>, Vec<Notice>, Option<UserContinuation<'_>>, u64) {
    let trains = answer.trains.iter().map(|train| train.fields).collect();
    let user = answer.user.as_deref().map(|user| UserContinuation::peek(user).unwrap());
    let user = user.map(|user| UserContinuation { lineage: Lineage::default(), ..user });
    (trains, answer.notices.clone(), user, answer.packets)
}

#[test]
fn it_is_answered_as_the_whole_one_is() {
    let (mut whole, mut sender, train) = uploading();
    let (mut abbreviated, mut shortener, _) = uploading();
    let mut trains = vec![train];
    for _ in 0..20 {
        let train = trains.remove(0);
        for at in 0..u64::from(train.fields.count) {
            let spec = show(&sender, &train, at, train.fields.epoch.exit);
            let long = sender.request(&spec).unwrap();
            let short = shortener.abbreviated(&spec).unwrap();
            assert!(short.len() + 100 < long.len(), "{} and {} bytes", short.len(), long.len());
            let one = whole.exchange(&long, sender.address);
            let other = abbreviated.exchange_presenting(&mut Endless, &train.fields, &short, sender.address);
            assert_eq!(comparable(&one), comparable(&other));
            assert!(one.user.is_some() && one.packets == 1);
            sender.receive(&one);
            shortener.receive(&other);
            trains.extend(one.trains);
        }
        whole.wait(Duration::from_millis(10));
        abbreviated.wait(Duration::from_millis(10));
    }
    // So is one that declares a loss, and after it one of either epoch.
    let lost = trains[0].fields.first;
    let mut later: Vec<Train> = Vec::new();
    for train in &trains[1..6] {
        let user = UserContinuation::peek(&sender.user).unwrap();
        let input = Input { offset: user.input.start, bytes: INPUT, fin: false };
        let runs = runs_of(train.numbers(), 8);
        let kind = Kind::Recover { lost, rtt: 1000 };
        let spec = Spec { want: 0, input: Some(input), ..Spec::new(train, kind, runs) };
        let one = whole.exchange(&sender.request(&spec).unwrap(), sender.address);
        let short = shortener.abbreviated(&spec).unwrap();
        let other = abbreviated.exchange_presenting(&mut Endless, &train.fields, &short, sender.address);
        assert_eq!(comparable(&one), comparable(&other));
        sender.receive(&one);
        shortener.receive(&other);
        later.extend(one.trains);
    }
    assert!(later.iter().any(|train| train.fields.epoch.base > lost));
    assert_eq!(abbreviated.discarded(Discard::Forgotten), 0);
}

#[test]
fn it_is_refused_wherever_something_else_is_remembered() {
    let (mut lab, liar, train) = uploading();
    let datagram = liar.abbreviated(&show(&liar, &train, 0, train.fields.epoch.exit)).unwrap();
    let mut forgotten = 0;
    let mut assert_refused = |lab: &mut Lab, datagram: &[u8], from, hint: &str| {
        let answer = lab.exchange_presenting(&mut Endless, &train.fields, datagram, from);
        assert_eq!((answer.packets, answer.notices), (0, vec![Notice::Forgotten]), "{hint}");
        assert!(answer.bytes < datagram.len());
        forgotten += 1;
    };
    // Any bit of what is presented.
    for bit in 8 * 10..8 * (datagram.len() - INPUT.len() - 4 - 1 - 2) {
        let mut forged = datagram.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let before = lab.server.stats().discarded_total();
        let answer = lab.exchange_presenting(&mut Endless, &train.fields, &forged, liar.address);
        assert_eq!(answer.packets, 0, "bit {bit}");
        assert_eq!(lab.server.stats().discarded_total(), before + 1, "bit {bit}");
        lab.wait(Duration::from_millis(1));
    }
    // Another address, another port, another process.
    let elsewhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 4)), liar.address.port());
    assert_refused(&mut lab, &datagram, elsewhere, "address");
    let port = SocketAddr::new(liar.address.ip(), liar.address.port() + 1);
    assert_refused(&mut lab, &datagram, port, "port");
    let mut replica = lab.beside(77);
    assert_refused(&mut replica, &datagram, liar.address, "replica");
    // Another user continuation than the one that the client goes on from.
    let mut behind = liar.clone();
    behind.user = {
        let mut other = lab.beside(78);
        let answer = other.exchange(&liar.request(&show(&liar, &train, 1, None)).unwrap(), liar.address);
        answer.user.unwrap()
    };
    let unrelated = behind.abbreviated(&show(&behind, &train, 0, train.fields.epoch.exit)).unwrap();
    assert_refused(&mut lab, &unrelated, liar.address, "lineage");
    // A proof that is none.
    let spec = show(&liar, &train, 0, train.fields.epoch.exit);
    for proof in [0, 1, u64::MAX, 1 << 63] {
        assert_refused(&mut lab, &liar.abbreviated_with_proof(&spec, proof).unwrap(), liar.address, "proof");
    }
    // What is declared is checked as in a whole claim.
    let kind = Kind::Recover { lost: train.fields.first + 1, rtt: 10_000 };
    let nothing_held = liar.abbreviated(&Spec { kind, carried: Some(0), ..spec.clone() }).unwrap();
    let before = lab.discarded(Discard::Field);
    assert_eq!(lab.exchange_presenting(&mut Endless, &train.fields, &nothing_held, liar.address).packets, 0);
    assert_eq!(lab.discarded(Discard::Field), before + 1);
    // It is granted once, and to nobody after the keys have changed.
    assert_eq!(lab.exchange_presenting(&mut Endless, &train.fields, &datagram, liar.address).packets, 1);
    let again = lab.exchange_presenting(&mut Endless, &train.fields, &datagram, liar.address);
    assert_eq!(again.notices, [Notice::Spent]);
    lab.server.set_key_ring(key_ring());
    assert_refused(&mut lab, &datagram, liar.address, "keys");
}

#[test]
fn what_is_remembered_is_not_remembered_for_longer_than_it_is_valid() {
    let lifetime = Duration::from_secs(5);
    let config = ServerConfig { user_continuation_lifetime: lifetime, ..ServerConfig::default() };
    let mut lab = Lab::with(config, FilterConfig { shards: 1, ..FilterConfig::default() });
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let train = liar.trains[0].clone();
    lab.wait(Duration::from_millis(10));
    let spec = |liar: &Liar, at| liar.abbreviated(&show(liar, &train, at, None)).unwrap();
    let first = spec(&liar, 0);
    let answer = lab.exchange_presenting(&mut Endless, &train.fields, &first, liar.address);
    assert_eq!(answer.packets, 1);
    liar.receive(&answer);
    lab.wait(lifetime);
    let late = lab.exchange_presenting(&mut Endless, &train.fields, &spec(&liar, 1), liar.address);
    assert_eq!(late.notices, [Notice::Forgotten]);
}

/// Nothing is remembered where there is no cache, and nothing breaks.
#[test]
fn a_server_without_memory_says_so() {
    let config = ServerConfig { input_cache: 0, ..ServerConfig::default() };
    let mut lab = Lab::with(config, FilterConfig { shards: 1, ..FilterConfig::default() });
    let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let train = liar.trains[0].clone();
    lab.wait(Duration::from_millis(10));
    let request = liar.abbreviated(&show(&liar, &train, 0, None)).unwrap();
    let answer = lab.exchange_presenting(&mut Endless, &train.fields, &request, liar.address);
    assert_eq!(answer.notices, [Notice::Forgotten]);
}

/// Shows input of an upload in any order, and says whether the application has been shown it as what follows the range.
struct Uploading {
    lab: Lab,
    liar: Liar,
    next: u64,
}

impl Uploading {
    fn new(config: ServerConfig) -> Self {
        let mut lab = Lab::with(config, FilterConfig { shards: 1, ..FilterConfig::default() });
        let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
        lab.wait(Duration::from_millis(10));
        let mut uploading = Self { lab, liar, next: 0 };
        let start = uploading.start();
        uploading.show(start, b"PUT\n", false, false);
        let user = UserContinuation::peek(&uploading.liar.user).unwrap();
        assert!(user.any_order && user.input == (start + 4..start + 4 + RANGE));
        uploading
    }

    fn start(&self) -> u64 {
        UserContinuation::peek(&self.liar.user).unwrap().input.start
    }

    /// The user continuation that the answer brings, if it brings one.
    fn show(&mut self, offset: u64, bytes: &[u8], fin: bool, presumed: bool) -> Option<Vec<u8>> {
        let train = self.liar.trains[0].clone();
        let input = Input { offset, bytes, fin };
        let spec = Spec { presumed, ..Spec::show(&train, train.fields.first + self.next, input) };
        self.next += 1;
        let answer = self.liar.claim(&mut self.lab, &Spec { echo: self.next, ..spec });
        assert_eq!(answer.packets, 1);
        let user = answer.user.clone();
        if !presumed {
            self.liar.receive(&answer);
        }
        user
    }
}

#[test]
fn what_is_presumed_to_be_stored_is_shown_if_the_server_knows() {
    let mut uploading = Uploading::new(ServerConfig::default());
    let start = uploading.start();
    let (end, half) = (start + RANGE, RANGE as usize / 2);
    assert_eq!(uploading.show(end, b"x", false, true), None);
    // Out of order, and some of it twice.
    uploading.show(start + RANGE / 2, &vec![7; half], false, false);
    assert_eq!(uploading.show(end, b"", false, true), None);
    uploading.show(start + 10, &vec![7; half], false, false);
    // An end before that of the range needs no more than what is before it.
    assert_eq!(uploading.show(start + 9, b"", true, true), None);
    uploading.show(start, &[7; 9], false, false);
    let shown = uploading.show(start + 9, b"", true, true);
    assert!(shown.is_some());
    // What has followed has taken the place of what was remembered: that is told to who asks again.
    assert_eq!(uploading.show(end, b"", false, true), shown);
    // The client's word is as good as before.
    assert!(uploading.show(end, b"", false, false).is_some());
}

#[test]
fn a_server_that_knows_all_to_be_stored_goes_on() {
    let mut uploading = Uploading::new(ServerConfig::default());
    let start = uploading.start();
    uploading.show(start, &vec![7; RANGE as usize], false, false);
    let next = uploading.show(start + RANGE, b"x", false, true).unwrap();
    assert_eq!(UserContinuation::peek(&next).unwrap().input.start, start + RANGE + 1);
}

#[test]
fn a_server_does_not_know_what_another_has_stored_nor_more_pieces_than_it_remembers() {
    let mut uploading = Uploading::new(ServerConfig::default());
    let start = uploading.start();
    uploading.show(start, &vec![7; RANGE as usize / 2], false, false);
    let mut other = uploading.lab.beside(77);
    std::mem::swap(&mut uploading.lab, &mut other);
    uploading.show(start + RANGE / 2, &vec![7; RANGE as usize / 2], false, false);
    assert_eq!(uploading.show(start + RANGE, b"", false, true), None);

    let config = ServerConfig { input_cache: 0, ..ServerConfig::default() };
    let mut forgetful = Uploading::new(config);
    let start = forgetful.start();
    forgetful.show(start, &vec![7; RANGE as usize], false, false);
    assert_eq!(forgetful.show(start + RANGE, b"", false, true), None);
    assert!(forgetful.show(start + RANGE, b"", false, false).is_some());
}

/// Takes a terabyte in any order and remembers where it was last shown something.
struct Shelf(u64);

impl Application for Shelf {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let consumed = event.input.map_or(0, |input| input.bytes.len());
        Ok(Next { consumed, any_order: 1 << 40, ..Next::default() })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        self.0 = event.input.unwrap().offset;
        Ok(event.input.unwrap().bytes.len())
    }
}

impl Output for Shelf {
    fn read(&mut self, _: &[u8], _: Range<u64>, _: u64, _: &mut [u8]) -> Result<usize, Reset> {
        Ok(0)
    }
}

#[test]
fn chunks_are_stored_where_they_belong_however_far_behind_others() {
    let (mut lab, mut shelf) = (Lab::new(), Shelf(0));
    let mut liar = Liar::at(1);
    let opened = lab.exchange_with(&mut shelf, &hello(CurveId::Cubic, 1, 4200), liar.address);
    liar.receive(&opened);
    lab.wait(Duration::from_millis(10));
    let train = liar.trains[0].clone();
    let start = UserContinuation::peek(&liar.user).unwrap().input.start;
    for (at, distance) in [1 << 20, 1 << 31, 1 << 32, (1 << 32) + 5, (1 << 40) - 300].into_iter().enumerate()
    {
        let offset = start + distance;
        let input = Input { offset, bytes: INPUT, fin: false };
        let spec = Spec::show(&train, train.fields.first + at as u64, input);
        let datagram = liar.abbreviated(&spec).unwrap();
        let answer = lab.exchange_presenting(&mut shelf, &train.fields, &datagram, liar.address);
        assert_eq!((answer.packets, shelf.0), (1, offset));
    }
}

//! What is run: a path, and who moves what over it.

use std::fmt;

use crate::flow::{Contender, Direction};

/// Bytes of the largest packet of the lab's links, with its IP header.
pub(crate) const MTU: u64 = 1500;
/// A queue of less than this holds no burst at all: the lab's links are not run with one.
const LEAST_QUEUE: u64 = 3 * MTU;

/// A path with one bottleneck in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Path {
    /// Megabits a second, in each direction.
    pub(crate) rate: f64,
    /// Round trip in milliseconds, without the queue.
    pub(crate) rtt: f64,
    /// Room of the queue, in products of rate and round trip.
    pub(crate) queue: f64,
    /// Random loss in per cent, in each direction.
    pub(crate) loss: f64,
}

impl Path {
    /// The one that most scenarios change one thing of.
    pub(crate) const USUAL: Self = Self { rate: 100.0, rtt: 40.0, queue: 1.0, loss: 0.0 };

    /// Product of rate and round trip in bytes.
    pub(crate) fn product(&self) -> f64 {
        self.rate * 1e6 / 8.0 * self.rtt / 1e3
    }

    /// Room of the queue in bytes.
    pub(crate) fn queue_bytes(&self) -> u64 {
        ((self.product() * self.queue) as u64).max(LEAST_QUEUE)
    }

    /// Bytes on the path when the queue is full.
    pub(crate) fn bytes(&self) -> usize {
        self.product() as usize + self.queue_bytes() as usize
    }

    /// The lab's options for it.
    pub(crate) fn options(&self) -> Vec<String> {
        let mut options = vec![
            ("--rate", format!("{}mbit", self.rate)),
            ("--delay", format!("{}ms", self.rtt / 2.0)),
            ("--queue", self.queue_bytes().to_string()),
        ];
        if self.loss > 0.0 {
            options.push(("--loss", format!("{}%", self.loss)));
        }
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, rtt, queue, loss } = self;
        write!(f, "{rate} Mbit/s, {rtt} ms, {queue} BDP, {loss} % loss")
    }
}

/// How much a flow moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// So many bytes, again and again over fresh connections.
    Bytes(u64),
    /// As much as it can until its time is over.
    Endless,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} KiB", bytes >> 10),
            Self::Endless => f.write_str("long"),
        }
    }
}

/// Some flows of one contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) contender: Contender,
    pub(crate) flows: usize,
    /// When they begin, in seconds.
    pub(crate) after: u32,
}

/// Which question a scenario answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Set {
    /// One flow at a time.
    Alone,
    /// Flows of ours and of the kernel's in one bottleneck.
    Beside,
    /// Paths that misbehave.
    Ugly,
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) set: Set,
    /// What is special, where it is not only the path.
    pub(crate) title: String,
    pub(crate) path: Path,
    pub(crate) direction: Direction,
    pub(crate) amount: Amount,
    /// Empty where each contender runs alone.
    pub(crate) groups: Vec<Group>,
    /// Further options of the lab.
    pub(crate) options: Vec<String>,
    /// How long flows last, in seconds.
    pub(crate) seconds: u32,
}

impl Scenario {
    /// One flow of each contender at a time.
    pub(crate) fn alone(path: Path, direction: Direction, amount: Amount) -> Self {
        let seconds = match amount {
            Amount::Endless if path.rtt > 100.0 => 15,
            Amount::Endless => 10,
            Amount::Bytes(_) => 12,
        };
        Self {
            set: Set::Alone,
            title: String::new(),
            path,
            direction,
            amount,
            groups: Vec::new(),
            options: Vec::new(),
            seconds,
        }
    }

    /// Whether short transfers are repeated.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self.amount, Amount::Bytes(_))
    }

    /// Whether the course of a flow is drawn: of one alone, over a queue so long that its window shows.
    pub(crate) fn shows_course(&self) -> bool {
        self.set == Set::Alone
            && !self.is_short()
            && self.direction == Direction::Download
            && self.path == Path { queue: 4.0, ..Path::USUAL }
    }

    /// Whether the delay varies.
    pub(crate) fn has_jitter(&self) -> bool {
        self.options.iter().any(|option| option == "--jitter")
    }

    /// What distinguishes it from all others, in results that are kept.
    pub(crate) fn name(&self) -> String {
        let direction = match self.direction {
            Direction::Download => "down",
            Direction::Upload => "up",
        };
        match self.set {
            Set::Alone => format!("alone: {}, {direction}, {}", self.path, self.amount),
            Set::Beside => format!("beside: {}", self.title),
            Set::Ugly => format!("ugly: {}", self.title),
        }
    }
}

//! The header fields that make a response depend on the version of the file: conditions and ranges.

use std::ops::Range;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::files::Identity;
use super::request::Method;
use super::response::Answer;

/// How many entity tags of a condition fit in a state.
///
/// To disregard one costs the transfer of a file that the client has, or refuses an upload; nothing is wrong.
const MAX_TAGS: usize = 3;

/// What a request asks of the version of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Conditions {
    range: Option<ByteRange>,
    if_range: Option<IfRange>,
    if_none_match: Option<Tags>,
    /// In seconds since the Unix epoch, as all dates here.
    if_modified_since: Option<u64>,
}

impl Conditions {
    /// Takes in the header field `name`, in lower case; a value that cannot be understood counts as absent.
    pub(super) fn header(&mut self, name: &str, value: &str) {
        match name {
            "range" => self.range = ByteRange::parse(value),
            "if-range" => self.if_range = Some(IfRange::parse(value)),
            "if-none-match" => self.if_none_match.get_or_insert_default().add(value, true),
            "if-modified-since" => self.if_modified_since = parse_date(value),
            _ => {}
        }
    }

    /// What to answer when the file is `identity` at `path`, as RFC 9110 section 13.2.2 orders the conditions.
    pub(super) fn select(&self, path: String, identity: Identity, method: Method) -> Answer {
        let unmodified = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => tags.matches(identity),
            (None, Some(date)) => identity.modified() <= date,
            (None, None) => false,
        };
        if unmodified {
            return Answer::NotModified(identity);
        }
        let range = self.range.as_ref().filter(|_| {
            // There is no way to express a range of an empty file.
            method == Method::Get
                && identity.length > 0
                && self.if_range.as_ref().is_none_or(|condition| condition.holds(identity))
        });
        match range.map(|range| range.of(identity.length)) {
            None => Answer::File { path, identity, part: None },
            Some(Some(part)) => Answer::File { path, identity, part: Some(part) },
            Some(None) => Answer::Unsatisfiable(identity.length),
        }
    }
}

/// A single range of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ByteRange {
    /// From the first to the last, inclusive.
    Span(u64, u64),
    From(u64),
    /// That many at the end.
    Last(u64),
}

impl ByteRange {
    /// `None` for several ranges, too: a server may ignore any range.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        let (first, last) = range.trim_ascii().split_once('-')?;
        match (unit.eq_ignore_ascii_case("bytes"), first, last) {
            (false, ..) => None,
            (true, "", last) => Some(Self::Last(number(last)?)),
            (true, first, "") => Some(Self::From(number(first)?)),
            (true, first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Span(first, last))
            }
        }
    }

    /// The offsets in a file of `length` bytes; `None` if that has none of them.
    pub(super) fn of(&self, length: u64) -> Option<Range<u64>> {
        let range = match *self {
            Self::Span(first, last) => first..last.saturating_add(1).min(length),
            Self::From(first) => first..length,
            Self::Last(count) => length.saturating_sub(count)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The version of which a range is wanted; of any other, the whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum IfRange {
    Tag(Identity),
    Date(u64),
    /// A tag that this server did not issue, or a weak one.
    Other,
}

impl IfRange {
    fn parse(value: &str) -> Self {
        let tag = Identity::from_tag(value).map(Self::Tag);
        tag.or_else(|| parse_date(value).map(Self::Date)).unwrap_or(Self::Other)
    }

    fn holds(&self, identity: Identity) -> bool {
        match *self {
            Self::Tag(wanted) => wanted == identity,
            Self::Date(date) => date == identity.modified(),
            Self::Other => false,
        }
    }
}

/// The versions that a condition names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tags {
    any: bool,
    tags: Vec<Identity>,
}

impl Tags {
    /// `weak`: whether a weak tag stands for the same version as the strong one.
    pub(super) fn add(&mut self, value: &str, weak: bool) {
        self.any |= value == "*";
        // A tag with a comma in it is none of ours, and neither is any piece of it.
        let tags = value.split(',').map(str::trim_ascii);
        let tags = tags.map(|tag| tag.strip_prefix("W/").filter(|_| weak).unwrap_or(tag));
        let room = MAX_TAGS.saturating_sub(self.tags.len());
        self.tags.extend(tags.filter_map(Identity::from_tag).take(room));
    }

    pub(super) fn matches(&self, identity: Identity) -> bool {
        self.any || self.tags.contains(&identity)
    }

    /// Whether every version is meant.
    pub(super) fn any(&self) -> bool {
        self.any
    }
}

/// Digits only; saturates.
pub(super) fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn parse_date(value: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(value).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

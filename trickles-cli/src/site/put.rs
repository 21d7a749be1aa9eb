//! What the header of a `PUT` says of the upload beyond its length.

use serde::{Deserialize, Serialize};

use super::conditions::Tags;
use super::files::Identity;
use super::response::Status;
use crate::digest_field::{self, Digest};

/// The header fields that only a `PUT` has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Put {
    /// `If-None-Match: *`.
    create_only: bool,
    if_match: Option<Tags>,
    pub(super) digest: Option<Digest>,
    /// `Expect: 100-continue`.
    pub(super) expects_continue: bool,
}

/// What must hold, until the upload takes its name, for the file that has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Condition {
    None,
    /// There is none.
    Missing,
    Exists,
    /// It is this one.
    Is(Identity),
}

impl Put {
    /// Takes in the header field `name`, in lower case.
    pub(super) fn header(&mut self, name: &str, value: &str) -> Result<(), Status> {
        match name {
            "if-none-match" if value == "*" => self.create_only = true,
            // To store in spite of a condition that is not understood would be wrong, and so would a part of a
            // file in the place of the file (RFC 9110 section 14.5).
            "if-none-match" | "if-unmodified-since" | "content-range" => return Err(Status::BadRequest),
            "if-match" => self.if_match.get_or_insert_default().add(value, false),
            "repr-digest" | "content-digest" => {
                let digest = digest_field::parse(value).map_err(|_| Status::BadRequest)?;
                if digest.is_some() && self.digest.is_some_and(|other| digest != Some(other)) {
                    return Err(Status::BadRequest);
                }
                self.digest = digest.or(self.digest);
            }
            "expect" if value.eq_ignore_ascii_case("100-continue") => self.expects_continue = true,
            "expect" => return Err(Status::ExpectationFailed),
            _ => {}
        }
        Ok(())
    }

    /// The condition, given the file that has the name when the upload begins.
    pub(super) fn condition(&self, found: Option<Identity>) -> Result<Condition, Status> {
        let condition = match (&self.if_match, found) {
            (None, _) if self.create_only => Condition::Missing,
            (None, _) => Condition::None,
            (Some(_), _) if self.create_only => return Err(Status::PreconditionFailed),
            (Some(tags), _) if tags.any() => Condition::Exists,
            (Some(tags), Some(found)) if tags.matches(found) => Condition::Is(found),
            (Some(_), _) => return Err(Status::PreconditionFailed),
        };
        condition.check(found).map(|()| condition)
    }
}

impl Condition {
    /// Whether it holds while the file that has the name is `found`.
    pub(super) fn check(self, found: Option<Identity>) -> Result<(), Status> {
        let holds = match self {
            Self::None => true,
            Self::Missing => found.is_none(),
            Self::Exists => found.is_some(),
            Self::Is(identity) => found == Some(identity),
        };
        if holds { Ok(()) } else { Err(Status::PreconditionFailed) }
    }
}

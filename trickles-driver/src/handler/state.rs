//! States as they travel.

use serde::Serialize;
use serde::de::DeserializeOwned;
use trickles::server::AnswerError;
use trickles::user_continuation::MAX_STATE;

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateError {
    /// It cannot be carried, or not be written.
    Encode,
    TooLong(usize),
    /// It is not of this type.
    Decode,
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encode => f.write_str("the state cannot be encoded"),
            Self::TooLong(length) => AnswerError::StateTooLong(*length).fmt(f),
            Self::Decode => f.write_str("the state is not one of this handler"),
        }
    }
}

pub(super) fn encode(state: &impl Serialize) -> Result<Vec<u8>, StateError> {
    let bytes = postcard::to_stdvec(state).map_err(|_| StateError::Encode)?;
    if bytes.len() > MAX_STATE { Err(StateError::TooLong(bytes.len())) } else { Ok(bytes) }
}

pub(super) fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, StateError> {
    postcard::from_bytes(bytes).map_err(|_| StateError::Decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_too_long_says_so() {
        // Two bytes of length.
        assert_eq!(encode(&vec![7u8; MAX_STATE - 2]).unwrap().len(), MAX_STATE);
        let error = encode(&vec![7u8; MAX_STATE - 1]).unwrap_err();
        assert_eq!(error.to_string(), "the next state has 701 bytes, the most is 700");
    }

    #[test]
    fn a_state_of_another_type_does_not_decode() {
        let bytes = encode(&"text").unwrap();
        assert_eq!(decode::<String>(&bytes).unwrap(), "text");
        assert_eq!(decode::<(u64, String)>(&bytes), Err(StateError::Decode));
    }
}

//! Output that was made before it is sent.

use std::ops::Range;

use trickles::server::{Output, Reset, Wanted};

/// The output bytes an event asks for, to be filled in by an application that needs time for that.
///
/// What is left empty is not sent; its client asks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// In the order in which they are sent.
    pub pieces: Vec<Piece>,
}

/// A range of output bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The state that regenerates them.
    pub state: Vec<u8>,
    /// All that this state regenerates.
    pub output: Range<u64>,
    /// The bytes wanted.
    pub range: Range<u64>,
    /// What there is of them, from the first on.
    pub bytes: Vec<u8>,
}

impl Prepared {
    pub(super) fn new(wanted: &[Wanted<'_>]) -> Self {
        let piece = |wanted: &Wanted<'_>| Piece {
            state: wanted.state.into(),
            output: wanted.output.clone(),
            range: wanted.range.clone(),
            bytes: Vec::new(),
        };
        Self { pieces: wanted.iter().map(piece).collect() }
    }
}

impl Output for Prepared {
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        let mut filled = 0;
        // A packet may reach from one piece into the next.
        for piece in self.pieces.iter().filter(|piece| piece.output == output && piece.state == state) {
            let skipped = (offset + filled as u64).checked_sub(piece.range.start);
            let rest = skipped.and_then(|skipped| piece.bytes.get(usize::try_from(skipped).ok()?..));
            if let Some(rest) = rest {
                let count = rest.len().min(buffer.len() - filled);
                buffer[filled..filled + count].copy_from_slice(&rest[..count]);
                filled += count;
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(state: &[u8], start: u64, bytes: &[u8]) -> Piece {
        let range = start..start + bytes.len() as u64;
        Piece { state: state.into(), output: 0..100, range, bytes: bytes.into() }
    }

    #[test]
    fn pieces_that_follow_one_another_are_read_as_one() {
        let mut prepared = Prepared { pieces: vec![piece(b"s", 10, b"abc"), piece(b"s", 13, b"de")] };
        let mut buffer = [0; 4];
        assert_eq!(prepared.read(b"s", 0..100, 11, &mut buffer), Ok(4));
        assert_eq!(&buffer, b"bcde");
    }

    #[test]
    fn what_was_made_of_another_state_is_not_sent() {
        let mut prepared = Prepared { pieces: vec![piece(b"s", 10, b"abc")] };
        assert_eq!(prepared.read(b"t", 0..100, 10, &mut [0; 3]), Ok(0));
        assert_eq!(prepared.read(b"s", 0..200, 10, &mut [0; 3]), Ok(0));
        assert_eq!(prepared.read(b"s", 0..100, 9, &mut [0; 3]), Ok(0));
    }
}

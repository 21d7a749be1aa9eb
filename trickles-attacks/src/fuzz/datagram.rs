//! Any bytes as a datagram, and as what datagrams carry.

use trickles::continuation::{Continuation, SEALED_LENGTH};
use trickles::user_continuation::UserContinuation;
use trickles::wire::{Envelope, Frame, Request, Response, TRAIN_HEADER};

/// What is read is written again as it was; padding aside, the same bytes come out.
pub(super) fn run(bytes: &[u8]) {
    if let Some(request) = Request::parse(bytes) {
        let mut again = Vec::new();
        request.emit(bytes.len(), &mut again);
        assert_eq!(again, bytes, "a request has one form");
        let envelope = Envelope::parse(bytes).expect("it is the beginning of a request");
        if let Request::Claim(claim) = &request {
            assert!(claim.length() <= bytes.len());
            let sealed = envelope.continuation.expect("claims present one");
            assert_eq!(claim.continuation, sealed);
            peek(sealed);
            let _ = UserContinuation::peek(claim.user_continuation);
            let positions: u64 = claim.runs.iter().map(|(run, _)| run.positions().count() as u64).sum();
            assert_eq!(positions, claim.runs.positions());
        }
    }
    if let Some(response) = Response::parse(bytes) {
        match response {
            Response::Train(train) => {
                for expected in [0, 1 << 40, u64::MAX] {
                    let numbers = train.numbers(expected);
                    assert!(numbers.is_none_or(|numbers| numbers.start as u32 == train.number));
                }
                let mut frames = Vec::new();
                for frame in train.frames.iter() {
                    if let Frame::Continuation(sealed) = frame {
                        peek(sealed);
                    }
                    frame.emit(&mut frames);
                }
                let (written, padding) = bytes[TRAIN_HEADER..].split_at(frames.len());
                assert!(written == frames && padding.iter().all(|&byte| byte == 0), "frames have one form");
            }
            Response::Notice { .. } => {
                let mut again = Vec::new();
                response.emit(&mut again);
                assert_eq!(Response::parse(&again), Some(response));
                assert!(again.len() <= bytes.len());
            }
        }
    }
    if let Some(sealed) = bytes.first_chunk::<SEALED_LENGTH>() {
        peek(sealed);
    }
    let _ = UserContinuation::peek(bytes);
}

/// The closed forms take whatever a continuation may say.
fn peek(sealed: &[u8; SEALED_LENGTH]) {
    let Some(fields) = Continuation::peek(sealed) else { return };
    assert!(fields.first >= fields.epoch.base && fields.earned < fields.first && fields.end() > fields.first);
    let share = fields.epoch.share(&(fields.first..fields.end()));
    assert!(share.end - share.start <= 2 * u64::from(fields.count));
}

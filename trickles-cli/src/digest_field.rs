//! The SHA-256 digest in an HTTP header field (RFC 9530 sections 2 and 3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

const KEY: &str = "sha-256=";

/// The value of `Repr-Digest` or `Content-Digest`.
pub(crate) fn format(digest: &Digest) -> String {
    format!("{KEY}:{}:", STANDARD.encode(digest))
}

/// The SHA-256 digest in such a value, `None` if it has only digests of other kinds.
///
/// # Errors
/// When the digest is not well-formed.
pub(crate) fn parse(value: &str) -> Result<Option<Digest>, base64::DecodeSliceError> {
    let mut members =
        value.split(',').map(|member| member.split(';').next().unwrap_or_default().trim_ascii());
    let Some(digest) = members.rfind(|member| member.starts_with(KEY)).map(|member| &member[KEY.len()..])
    else {
        return Ok(None);
    };
    let encoded = digest.strip_prefix(':').and_then(|digest| digest.strip_suffix(':')).unwrap_or_default();
    let mut bytes = Digest::default();
    match STANDARD.decode_slice(encoded, &mut bytes)? {
        32 => Ok(Some(bytes)),
        length => Err(base64::DecodeError::InvalidLength(length).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let digest = [0xa5; 32];
        assert_eq!(parse(&format(&digest)), Ok(Some(digest)));
        let among_others = format!("sha-512=:AAAA:, {};q=1 ,md5=:AA==:", format(&digest));
        assert_eq!(parse(&among_others), Ok(Some(digest)));
        assert_eq!(parse("sha-512=:AAAA:"), Ok(None));
        assert_eq!(parse(""), Ok(None));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let whole = STANDARD.encode([1; 32]);
        let long = STANDARD.encode([1; 33]);
        for digest in ["", ":", "::", ":AAAA:", "?0", &whole, &format!(":{long}:"), &format!(":{whole}")] {
            assert!(parse(&format!("sha-256={digest}")).is_err(), "{digest}");
        }
    }
}

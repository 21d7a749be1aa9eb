//! The keys of a service: several by id, one that signs, all that verify (docs/protocol.md section 3).

use std::fmt;
use std::net::IpAddr;

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Length of a ring key, in bytes.
pub const KEY_LENGTH: usize = 32;
/// Length of a continuation's authentication tag, in bytes: HMAC-SHA-256, truncated.
pub const TAG_LENGTH: usize = 16;

type HmacSha256 = Hmac<Sha256>;

/// Why a key ring was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is no key in it.
    #[error("the key ring holds no key")]
    Empty,
    /// Two keys have the same id.
    #[error("key id {0} occurs twice")]
    Duplicate(u16),
    /// A line is not `ID HEX`, with ID from 0 to 65535 and 64 hexadecimal digits.
    #[error("line {0} is not a key: expected an id and 64 hexadecimal digits, as in `1 00ff...`")]
    Malformed(usize),
}

/// One ring key, expanded into one key per purpose; no derived key serves two. All of it is wiped when dropped.
#[derive(Clone)]
pub(crate) struct Keys {
    id: u16,
    continuation: HmacSha256,
    user_continuation: HmacSha256,
    pub(crate) nonce: Zeroizing<[u8; 16]>,
    pub(crate) tag: Zeroizing<[u8; 16]>,
}

impl Keys {
    fn derive(id: u16, secret: &[u8; KEY_LENGTH]) -> Self {
        Self {
            id,
            continuation: keyed(&expand(secret, b"trickles continuation")),
            user_continuation: keyed(&expand(secret, b"trickles user continuation")),
            nonce: half(&expand(secret, b"trickles nonce")),
            tag: half(&expand(secret, b"trickles tag")),
        }
    }

    pub(crate) fn id(&self) -> u16 {
        self.id
    }
}

fn keyed(key: &[u8; 32]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn expand(secret: &[u8; KEY_LENGTH], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = keyed(secret);
    mac.update(label);
    let mut out = Zeroizing::new([0; 32]);
    mac.finalize_into((&mut *out).into());
    out
}

/// Overwrites what the functions called before have left on the stack: what is moved leaves a copy behind.
#[inline(never)]
fn wipe_stack() {
    [0_u8; 16 << 10].zeroize();
}

fn half(key: &[u8; 32]) -> Zeroizing<[u8; 16]> {
    let mut out = Zeroizing::new([0; 16]);
    out.copy_from_slice(&key[..16]);
    out
}

/// The key ring of a service.
///
/// Every replica of a service holds the same keys. Rotation is: distribute the new key to all, let it sign,
/// and retire the old one once no continuation signed by it can be fresh.
///
/// ```
/// use trickles::key_ring::KeyRing;
/// let ring = KeyRing::new(&[(1, [7; 32])])?;
/// assert_eq!(ring.signing_id(), 1);
/// let two = KeyRing::parse(&format!("2 {}\n1 {}\n", "0b".repeat(32), "07".repeat(32)))?;
/// assert_eq!(two.signing_id(), 2);
/// # Ok::<(), trickles::key_ring::KeyRingError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Keys>,
}

impl KeyRing {
    /// Builds a ring from `(id, secret)` pairs; the first one signs, all verify.
    ///
    /// The ring keeps what it derives from the secrets and wipes that when dropped. The caller's copies are the
    /// caller's to wipe.
    ///
    /// # Errors
    /// [`KeyRingError::Empty`] without keys, [`KeyRingError::Duplicate`] when an id occurs twice.
    pub fn new(keys: &[(u16, [u8; KEY_LENGTH])]) -> Result<Self, KeyRingError> {
        let keys = keys.iter().map(|(id, secret)| Keys::derive(*id, secret)).collect();
        wipe_stack();
        Self::of(keys)
    }

    fn of(keys: Vec<Keys>) -> Result<Self, KeyRingError> {
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        for (index, Keys { id, .. }) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.id == *id) {
                return Err(KeyRingError::Duplicate(*id));
            }
        }
        Ok(Self { keys })
    }

    /// Reads a ring from text: one key a line, `ID HEX` with 64 hexadecimal digits; empty lines and lines
    /// that begin with `#` are skipped. The first key signs.
    ///
    /// # Errors
    /// [`KeyRingError`], naming the line at fault.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let ring = Self::read(text);
        wipe_stack();
        ring
    }

    fn read(text: &str) -> Result<Self, KeyRingError> {
        // A vector that grows leaves its contents behind where they were.
        let mut keys = Vec::with_capacity(text.lines().count());
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(parse_line(line).ok_or(KeyRingError::Malformed(index + 1))?);
        }
        Self::of(keys)
    }

    /// The id of the key that signs.
    pub fn signing_id(&self) -> u16 {
        self.signing().id
    }

    pub(crate) fn signing(&self) -> &Keys {
        &self.keys[0]
    }

    pub(crate) fn get(&self, id: u16) -> Option<&Keys> {
        self.keys.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id)).finish()
    }
}

fn parse_line(line: &str) -> Option<Keys> {
    let (id, digits) = line.split_once(char::is_whitespace)?;
    let digits = digits.trim().as_bytes();
    if digits.len() != 2 * KEY_LENGTH {
        return None;
    }
    let mut secret = Zeroizing::new([0; KEY_LENGTH]);
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(Keys::derive(id.parse().ok()?, &secret))
}

/// Seals and opens continuations under one service label.
#[derive(Clone, Debug)]
pub(crate) struct Seal {
    pub(crate) ring: KeyRing,
    pub(crate) service: Box<[u8]>,
}

/// Which kind of continuation a tag is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Continuation,
    UserContinuation,
}

impl Seal {
    fn mac(&self, keys: &Keys, purpose: Purpose, client: Option<IpAddr>, body: &[u8]) -> HmacSha256 {
        let mut mac = match purpose {
            Purpose::Continuation => keys.continuation.clone(),
            Purpose::UserContinuation => keys.user_continuation.clone(),
        };
        mac.update(&[crate::wire::VERSION, self.service.len() as u8]);
        mac.update(&self.service);
        match client.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => mac.update(&address.octets()),
            Some(IpAddr::V6(address)) => mac.update(&address.octets()),
            None => {}
        }
        mac.update(body);
        mac
    }

    /// The tag of `body` under `keys`.
    pub(crate) fn tag(
        &self,
        keys: &Keys,
        purpose: Purpose,
        client: Option<IpAddr>,
        body: &[u8],
    ) -> [u8; TAG_LENGTH] {
        let full: [u8; 32] = self.mac(keys, purpose, client, body).finalize().into_bytes().into();
        let mut tag = [0; TAG_LENGTH];
        tag.copy_from_slice(&full[..TAG_LENGTH]);
        tag
    }

    /// Whether `tag` is that of `body`, in constant time.
    pub(crate) fn verify(
        &self,
        keys: &Keys,
        purpose: Purpose,
        client: Option<IpAddr>,
        body: &[u8],
        tag: &[u8; TAG_LENGTH],
    ) -> bool {
        self.mac(keys, purpose, client, body).verify_truncated_left(tag).is_ok()
    }
}

#[cfg(test)]
mod tests;

//! API keys: 256 random bits behind `cm_`, kept as their SHA-256 only.
//!
//! A fast hash is right here: the key is random, so there is nothing to guess, and a slow one would be a
//! gift to whoever sends bad keys by the thousand.

use sha2::{Digest, Sha256};
use std::fmt;

/// What every key begins with.
pub(super) const PREFIX: &str = "cm_";
/// Longer ones are no keys, and not worth hashing.
const LONGEST: usize = 128;

/// A key in clear, as its owner sees it once. Has no `Debug`.
pub struct ApiKey(String);

impl ApiKey {
    /// The key of these random bytes.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        let mut key = String::with_capacity(PREFIX.len() + 64);
        key.push_str(PREFIX);
        for byte in bytes {
            key.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        }
        Self(key)
    }

    /// The key itself, to be shown to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash::digest(self.0.as_bytes())
    }

    /// What its owner recognises it by: its first and last characters.
    pub fn hint(&self) -> String {
        format!("{}…{}", &self.0[..PREFIX.len() + 4], &self.0[self.0.len() - 4..])
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of what a client presents; `None` when that cannot be a key at all.
    pub fn of_presented(key: &[u8]) -> Option<Self> {
        let rest = key.strip_prefix(PREFIX.as_bytes())?;
        let well_formed =
            key.len() <= LONGEST && rest.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
        well_formed.then(|| Self::digest(key))
    }

    /// The hash a database holds.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As a database holds it.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn digest(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// Not even the hash is shown.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_all_its_bits_and_is_found_by_its_hash() {
        let mut bytes = [0xab; 32];
        bytes[31] = 0x01;
        let key = ApiKey::from_random(&bytes);
        assert_eq!((key.reveal().len(), &key.reveal()[..7]), (67, "cm_abab"));
        assert_eq!(KeyHash::of_presented(key.reveal().as_bytes()), Some(key.hash()));
        assert_eq!(key.hint(), "cm_abab…ab01");
    }

    #[test]
    fn what_cannot_be_a_key_is_not_hashed() {
        let long = format!("cm_{}", "a".repeat(LONGEST));
        for text in ["", "sk-abc", "CM_abc", "cm_a b", "cm_'; DROP TABLE keys", "cm_é", &long] {
            assert_eq!(KeyHash::of_presented(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_hash_is_not_printed() {
        assert_eq!(format!("{:?}", ApiKey::from_random(&[7; 32]).hash()), "KeyHash(…)");
    }
}

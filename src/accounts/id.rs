//! Names of accounts, keys and processes.

use std::fmt;
use std::str::FromStr;

/// Makes a 64-bit id shown as a prefix and 16 hexadecimal digits. Ids are random, so that none can be
/// guessed from another, and positive, since databases count in signed integers.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The id of these random bits.
            pub const fn from_random(bits: u64) -> Self {
                Self((bits & i64::MAX as u64) as i64)
            }

            /// The id a database holds.
            pub const fn new(value: i64) -> Self {
                Self(value)
            }

            /// As a database holds it.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{:016x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.strip_prefix(concat!($prefix, "_")).filter(|d| d.len() == 16).ok_or(BadId)?;
                let all_hex = digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
                let value = i64::from_str_radix(digits, 16).ok().filter(|_| all_hex);
                value.map(Self).ok_or(BadId)
            }
        }
    };
}

id!(
    /// An account: who pays.
    AccountId, "acct"
);
id!(
    /// An API key of an account.
    KeyId, "key"
);
id!(
    /// One run of a process, which leases credits of accounts.
    BootId, "boot"
);

/// Text that is no id of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has its prefix, `_` and 16 hexadecimal digits")]
pub struct BadId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_name() {
        for bits in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = AccountId::from_random(bits);
            assert!(id.get() >= 0);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(KeyId::from_random(255).to_string(), "key_00000000000000ff");
    }

    #[test]
    fn other_text_is_no_id() {
        for text in
            ["", "acct_", "key_00000000000000ff", "acct_ff", "acct_+0000000000000f", "acct_00000000000000FF"]
        {
            assert_eq!(text.parse::<AccountId>(), Err(BadId), "{text}");
        }
    }
}

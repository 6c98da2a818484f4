//! Whom a limit counts.

use crate::accounts::AccountId;
use std::net::IpAddr;

/// Shared buckets of one kind of key.
const BUCKETS: u32 = 1 << 16;

/// What requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Where they come from.
    Address(Prefix),
    /// Who pays.
    Account(AccountId),
}

/// The first bits of an address, the others zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// Of IPv4.
    V4(u32),
    /// Of IPv6: nobody is handed less than a /64.
    V6(u64),
}

impl Key {
    /// One client: an IPv4 address, or a /64 of IPv6. An IPv4 address within IPv6 is that address.
    pub fn address(ip: IpAddr) -> Self {
        Self::prefix(ip, 32)
    }

    /// The network a client is in, where addresses are easy to come by: a /24 of IPv4, or a /64 of IPv6.
    pub fn network(ip: IpAddr) -> Self {
        Self::prefix(ip, 24)
    }

    fn prefix(ip: IpAddr, v4_bits: u32) -> Self {
        Self::Address(match ip.to_canonical() {
            IpAddr::V4(ip) => Prefix::V4(ip.to_bits() & u32::MAX << (32 - v4_bits)),
            IpAddr::V6(ip) => Prefix::V6((ip.to_bits() >> 64) as u64),
        })
    }

    /// The bucket it shares when there is no room for one of its own: with all of its /16 (IPv4), or its
    /// /32 (IPv6), or by chance (accounts). There are at most three times [`BUCKETS`] of them.
    pub(super) fn bucket(self) -> u32 {
        match self {
            Self::Address(Prefix::V4(bits)) => bits >> 16,
            Self::Address(Prefix::V6(bits)) => BUCKETS + scatter(bits >> 32),
            Self::Account(account) => 2 * BUCKETS + scatter(account.get() as u64),
        }
    }
}

/// One of [`BUCKETS`], by the golden ratio: neighbours end up far from each other.
const fn scatter(bits: u64) -> u32 {
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_same(key: fn(IpAddr) -> Key, one: &str, other: &str, expect: bool) {
        let of = |ip: &str| key(ip.parse().expect("an address"));
        assert_eq!(of(one) == of(other), expect, "{one} and {other}");
    }

    #[test]
    fn an_ipv4_address_stands_alone_and_an_ipv6_address_for_its_64() {
        check_same(Key::address, "192.0.2.1", "192.0.2.1", true);
        check_same(Key::address, "192.0.2.1", "192.0.2.2", false);
        check_same(Key::address, "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true);
        check_same(Key::address, "2001:db8:1:2::1", "2001:db8:1:3::1", false);
    }

    #[test]
    fn an_ipv4_address_within_ipv6_is_itself() {
        check_same(Key::address, "192.0.2.1", "::ffff:192.0.2.1", true);
        check_same(Key::network, "::ffff:192.0.2.1", "192.0.2.9", true);
    }

    #[test]
    fn a_network_is_a_24_or_a_64() {
        check_same(Key::network, "192.0.2.1", "192.0.2.255", true);
        check_same(Key::network, "192.0.2.1", "192.0.3.1", false);
        check_same(Key::network, "2001:db8:1:2::1", "2001:db8:1:2:3::", true);
        check_same(Key::network, "2001:db8:1:2::1", "2001:db8:1:3::1", false);
    }

    #[test]
    fn buckets_are_shared_by_16_by_32_and_not_between_kinds() {
        let bucket = |ip: &str| Key::address(ip.parse().expect("an address")).bucket();
        assert_eq!(bucket("192.0.2.1"), bucket("192.0.255.7"));
        assert_ne!(bucket("192.0.2.1"), bucket("192.1.2.1"));
        assert_eq!(bucket("2001:db8:1:2::1"), bucket("2001:db8:ffff:2::1"));
        assert_ne!(bucket("2001:db8::1"), bucket("2001:db9::1"));
        for bits in [0, 1, u64::MAX] {
            let account = Key::Account(AccountId::from_random(bits)).bucket();
            assert!((2 * BUCKETS..3 * BUCKETS).contains(&account));
        }
        assert!((BUCKETS..2 * BUCKETS).contains(&bucket("ffff:ffff::")));
    }
}

//! Where a request comes from, when proxies stand in between.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The client's address: the peer's, unless that is a proxy we trust. Then `X-Forwarded-For` is read from
/// its end, where trusted proxies have written, up to the first hop that is not one of them; what stands
/// before it is the client's own text. When all hops are trusted, the first is the client.
///
/// A hop that is no address (`unknown`, a name, nothing) ends it at the peer: whoever can write one must
/// not choose the address to be counted by.
///
/// `forwarded`: the header's values in the order they came, which together are one list.
pub fn client_address(peer: IpAddr, forwarded: &[&[u8]], trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut client = peer;
    let mut hops = forwarded.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    while is_trusted(&client) {
        let Some(hop) = hops.next() else { break };
        match address_of(hop) {
            Some(ip) => client = ip,
            None => return peer,
        }
    }
    client
}

/// `ip`, `ip:port`, `[v6]` or `[v6]:port`.
fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    let ip = hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    ip.or_else(bare).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.2";
    const STRANGER: &str = "203.0.113.9";

    /// 10/8 and fd00::/8 are trusted.
    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], expect: &str) {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        let values: Vec<&[u8]> = forwarded.iter().map(|value| value.as_bytes()).collect();
        let found = client_address(peer.parse().expect("an address"), &values, &trusted);
        assert_eq!(found, expect.parse::<IpAddr>().expect("an address"), "{forwarded:?}");
    }

    #[test]
    fn whatever_a_stranger_writes_it_is_counted_by_its_own_address() {
        let shapes: [&[&str]; 20] = [
            &[],
            &[""],
            &["198.51.100.1"],
            &["198.51.100.1, 198.51.100.2"],
            &["10.0.0.2"],
            &["127.0.0.1"],
            &["::1"],
            &["198.51.100.1:80"],
            &["[2001:db8::1]:443"],
            &["2001:db8::1"],
            &["::ffff:198.51.100.1"],
            &["unknown"],
            &["_hidden, 198.51.100.1"],
            &["198.51.100.1", "198.51.100.2"],
            &["198.51.100.1", "10.0.0.2"],
            &[",,,"],
            &["198.51.100.1\t,\t10.0.0.2"],
            &["for=198.51.100.1"],
            &["0xc6.0x33.0x64.0x01"],
            &["203.0.113.10, 10.0.0.1, 10.0.0.2, 10.0.0.3"],
        ];
        for shape in shapes {
            check(STRANGER, shape, STRANGER);
        }
    }

    #[test]
    fn behind_a_proxy_what_the_client_wrote_itself_changes_nothing() {
        for spoof in [
            "198.51.100.1",
            "10.0.0.7",
            "unknown",
            "",
            "198.51.100.1, 10.0.0.7",
            "[::1]:1",
            "garbage, 198.51.100.1",
        ] {
            check(PROXY, &[&format!("{spoof}, {STRANGER}")], STRANGER);
            check(PROXY, &[spoof, STRANGER], STRANGER);
            check(PROXY, &[&format!("{spoof}, {STRANGER}, 10.9.9.9"), "10.0.0.1"], STRANGER);
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        check(PROXY, &[STRANGER], STRANGER);
        check(PROXY, &["203.0.113.9:4711"], STRANGER);
        check(PROXY, &["::ffff:203.0.113.9"], STRANGER);
        check(PROXY, &["[::ffff:203.0.113.9]:1"], STRANGER);
        check(PROXY, &["2001:db8::7"], "2001:db8::7");
        check(PROXY, &["[2001:db8::7]"], "2001:db8::7");
        check(PROXY, &["[2001:db8::7]:443"], "2001:db8::7");
        check("fd00::2", &[STRANGER], STRANGER);
        check("::ffff:10.0.0.2", &[STRANGER], STRANGER);
    }

    #[test]
    fn several_headers_are_one_list() {
        check(PROXY, &["198.51.100.1", "203.0.113.9, 10.0.0.1", " 10.0.0.3 "], STRANGER);
    }

    #[test]
    fn a_hop_that_is_no_address_ends_at_the_peer() {
        let hops = [
            "unknown",
            "",
            "example.org",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:99999",
            "[fe80::1%eth0]",
            "[1.2.3.4]",
            "é",
        ];
        for hop in hops {
            check(PROXY, &[&format!("198.51.100.1, {hop}")], PROXY);
            check(PROXY, &[&format!("198.51.100.1, {hop}, 10.0.0.1")], PROXY);
        }
        let bytes: &[u8] = b"198.51.100.1, \xff";
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let peer = PROXY.parse().expect("an address");
        assert_eq!(client_address(peer, &[bytes], &trusted), peer);
    }

    #[test]
    fn without_a_stranger_among_the_hops_the_first_is_the_client() {
        check(PROXY, &[], PROXY);
        check(PROXY, &["10.0.0.5, 10.0.0.3"], "10.0.0.5");
    }
}

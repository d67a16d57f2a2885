//! Which addresses are out in the world: what a provider's host may resolve to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is public: not of this machine, this network or AWS's metadata, nor set aside for anything else
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>,
/// read 2026-11).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let set_aside = match a {
        0 | 10 | 127 | 224.. => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !set_aside
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, .., y, z] = v6.segments();
    let embedded = || {
        let ([high, low], [third, fourth]) = (y.to_be_bytes(), z.to_be_bytes());
        Ipv4Addr::new(high, low, third, fourth)
    };
    match (a, b) {
        // IPv4 in IPv6, by NAT64 or mapped, is where the IPv4 address is.
        (0x64, 0xff9b) => is_public_v4(embedded()),
        (0, 0) => v6.to_ipv4_mapped().is_some_and(is_public_v4),
        // 6to4, protocol assignments such as Teredo, documentation: nothing of a provider is there.
        (0x2002, _) | (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
        // Only this block is given out: no unique local, link local or multicast address is in it.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_out_in_the_world_is_public() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "169.254.100.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "100::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "34.120.0.1",
            "100.63.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}

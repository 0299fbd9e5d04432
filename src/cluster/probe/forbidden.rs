//! Addresses that checks do not ask.
//!
//! A check's URL is written by a user of a namespace and asked by the operator, who may reach more than the user: its own
//! ports, the metadata service of a cloud, the API server. So the address is judged, after the name was looked up and
//! again after every redirect. Addresses of pods and Services are private ones; these are what checks are for.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Metadata and control addresses of clouds that are not link-local.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// A set of addresses.
#[derive(Debug, Clone)]
pub struct Forbidden {
    is_special: fn(IpAddr) -> bool,
    also: BTreeSet<IpAddr>,
}

impl Forbidden {
    /// The operator's own machine, its link, metadata services, whatever is no single host, and these addresses: those
    /// of the API server.
    pub fn strict(also: BTreeSet<IpAddr>) -> Self {
        Self { is_special, also }
    }

    /// These addresses and no others; for a server of one's own on loopback.
    pub fn only(also: BTreeSet<IpAddr>) -> Self {
        Self { is_special: |_| false, also }
    }

    /// Whether the address, or one that it stands for, is in the set.
    pub fn has(&self, address: IpAddr) -> bool {
        let embedded = match address {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(v6) => embedded(v6),
        };
        let mut forms = embedded.into_iter().map(IpAddr::V4).chain([address]);
        forms.any(|form| (self.is_special)(form) || self.also.contains(&form))
    }
}

fn is_special(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(v4) => {
                let [first, ..] = v4.octets();
                // 0.0.0.0/8 reaches the own machine; 240.0.0.0/4 is nobody's, broadcast included.
                first == 0 || first >= 240 || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast()
            }
        }
}

/// The IPv4 addresses that a gateway or the kernel may reach through this one: mapped, compatible, NAT64 (of the
/// well-known and of the local prefix), 6to4 and Teredo.
fn embedded(v6: Ipv6Addr) -> Vec<Ipv4Addr> {
    let segments = v6.segments();
    let at = |first: usize| Ipv4Addr::from((u32::from(segments[first]) << 16) | u32::from(segments[first + 1]));
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![at(6)],
        [0x64, 0xff9b, 1, ..] => vec![at(6), local_nat64(v6)],
        [0x2002, ..] => vec![at(1)],
        // Teredo: the server, and the client with its bits turned.
        [0x2001, 0, ..] => vec![at(2), Ipv4Addr::from(!u32::from(at(6)))],
        _ => Vec::new(),
    }
}

/// With the local prefix of 48 bits, eight zero bits stand in the middle of the address.
fn local_nat64(v6: Ipv6Addr) -> Ipv4Addr {
    let bytes = v6.octets();
    Ipv4Addr::new(bytes[6], bytes[7], bytes[9], bytes[10])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn set() -> Forbidden {
        Forbidden::strict(BTreeSet::from(["10.96.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]))
    }

    #[test]
    fn the_own_machine_its_link_and_the_api_server_are_not_asked_in_any_form() {
        let refused = [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "240.0.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "10.96.0.1",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.96.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a60:1",
            "64:ff9b:1::7f00:1",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:a60:1::",
            "2001:0:7f00:1::",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
        ];
        for address in refused {
            assert!(set().has(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn pods_services_and_public_hosts_are_asked() {
        let asked = [
            "10.96.0.2",
            "10.244.1.7",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "93.184.216.34",
            "169.253.255.255",
            "128.0.0.1",
            "fd00::2",
            "2606:2800:220:1::1",
            "2001:db8::1",
            "::ffff:10.96.0.2",
            "64:ff9b::a60:2",
            "2002:a60:2::",
        ];
        for address in asked {
            assert!(!set().has(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_set_of_ones_own_holds_nothing_else() {
        let own = Forbidden::only(BTreeSet::from(["127.0.0.2".parse().unwrap()]));
        assert!(own.has("127.0.0.2".parse().unwrap()) && own.has("::ffff:127.0.0.2".parse().unwrap()));
        assert!(!own.has("127.0.0.1".parse().unwrap()));
    }
}

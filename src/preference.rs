//! Which of several hosts is first when an IP is to be had: every host finds the same order without a word to the
//! others.
//!
//! By rendezvous hashing each IP has an order of its own among the hosts (Thaler and Ravishankar, 1998: "Using
//! name-based mappings to increase hit rates"), so that they share what becomes free at once. If a host is left
//! out, only what it would be first for goes to others, and is shared by them. All versions have to find the same:
//! the function is never changed.

/// What an operator says of a host, or of an IP on a host: who is first when the IP is free, the greater one, as in
/// VRRP. It never moves an IP that is held.
pub const DEFAULT_PRIORITY: u8 = 100;

/// How much a host is preferred for an IP; the greater one goes first. Priority goes before everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct Preference {
    /// What the operator of the host says.
    pub priority: u8,
    /// Different for each pair of IP and host, and evenly distributed.
    pub weight: u64,
}

impl Preference {
    /// How much a host with this priority is preferred for the IP with this election key.
    pub fn new(priority: u8, election_key: &str, host: &str) -> Preference {
        // No name and no key has a slash in it.
        let bytes = election_key.bytes().chain([b'/']).chain(host.bytes());
        Preference { priority, weight: mixed(bytes.fold(FNV_OFFSET, fnv_1a)) }
    }
}

/// FNV-1a with 64 bits (Fowler, Noll and Vo; RFC 9923).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv_1a(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// The last bytes of what FNV has read hardly change its high bits, by which hashes are compared: here each bit
/// changes all others (the finaliser of MurmurHash3).
fn mixed(hash: u64) -> u64 {
    let once = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let twice = (once ^ (once >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    twice ^ (twice >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many IPs each of these hosts is first for.
    fn shares(hosts: &[&str], ips: u32) -> Vec<usize> {
        let mut shares = vec![0; hosts.len()];
        for ip in 0..ips {
            let key = format!("10.{}.{}.{}_32", ip >> 16, (ip >> 8) & 255, ip & 255);
            let order = |place: &usize| Preference::new(9, &key, hosts[*place]);
            shares[(0..hosts.len()).max_by_key(order).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn it_is_the_same_in_all_versions() {
        assert_eq!(fnv_1a(FNV_OFFSET, b'a'), 0xaf63_dc4c_8601_ec8c, "as published");
        assert_eq!(mixed(1), 0xb456_bcfc_34c2_cb2c, "as published");
        let weight = |key, host| Preference::new(9, key, host).weight;
        assert_eq!(weight("10.0.0.1_32", "h1"), 0xd5d6_fa08_b99f_073b);
        assert_ne!(weight("10.0.0.1_32", "h1"), weight("10.0.0.1_3", "2h1"));
    }

    #[test]
    fn hosts_share_what_there_is() {
        for hosts in [&["h1", "h2", "h3"], &["web-a.example", "web-b.example", "web-c.example"]] {
            for ips in [50, 1000, 20_000] {
                let even = f64::from(ips) / 3.0;
                // Four standard deviations of as many throws of a dice.
                let most = 4.0 * (even * 2.0 / 3.0).sqrt();
                for share in shares(hosts, ips) {
                    let share = f64::from(u32::try_from(share).unwrap());
                    assert!((share - even).abs() < most, "{hosts:?}: {share} of {ips}");
                }
            }
        }
    }

    #[test]
    fn without_a_host_only_what_was_its_own_goes_to_others_who_share_it() {
        let (mut to_h2, mut to_h3) = (0, 0);
        for ip in 0..3000 {
            let key = format!("fd00::{ip:x}_128");
            let of = |host: &&str| Preference::new(9, &key, host);
            let all = ["h1", "h2", "h3"].into_iter().max_by_key(of).unwrap();
            let left = ["h2", "h3"].into_iter().max_by_key(of).unwrap();
            assert!(all == "h1" || all == left, "{key}: {all} {left}");
            to_h2 += u32::from(all == "h1" && left == "h2");
            to_h3 += u32::from(all == "h1" && left == "h3");
        }
        assert!(to_h2 > 400 && to_h3 > 400, "{to_h2} {to_h3}");
    }

    #[test]
    fn priority_goes_before_the_order_of_an_ip() {
        for key in ["10.0.0.1_32", "10.0.0.2_32", "10.0.0.3_32"] {
            assert!(Preference::new(101, key, "h1") > Preference::new(100, key, "h2"));
            assert!(Preference::new(101, key, "h2") > Preference::new(100, key, "h1"));
        }
    }
}

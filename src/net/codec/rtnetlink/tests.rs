use super::*;
use crate::net::codec::netlink::messages;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn payload_of(message: &[u8]) -> Vec<u8> {
    let read: Vec<_> = messages(message).collect();
    assert_eq!(read.len(), 1);
    read[0].unwrap().payload.to_vec()
}

/// `RTM_NEWADDR` for 10.0.0.1/32 on interface 3, as it is sent.
const ADD_V4: [u8; 56] = [
    56, 0, 0, 0, 20, 0, 0x05, 0x06, 9, 0, 0, 0, 0, 0, 0, 0, // header: create, exclusive, ack
    2, 32, 0, 0, 3, 0, 0, 0, // ifaddrmsg
    8, 0, 2, 0, 10, 0, 0, 1, // IFA_LOCAL
    8, 0, 1, 0, 10, 0, 0, 1, // IFA_ADDRESS
    8, 0, 8, 0, 0, 0, 0, 0, // IFA_FLAGS
    5, 0, 11, 0, 76, 0, 0, 0, // IFA_PROTO
];

#[test]
fn an_ipv4_address_is_added_with_local_and_prefix_address_and_the_mark() {
    assert_eq!(add_address(9, 3, cidr("10.0.0.1/32")), ADD_V4);
}

#[test]
fn what_is_added_is_what_is_read() {
    let info = decode_address(&ADD_V4[16..]).unwrap();
    let expected = AddressInfo {
        index: 3,
        cidr: cidr("10.0.0.1/32"),
        has_peer: false,
        flags: 0,
        protocol: MARK,
    };
    assert_eq!(info, expected);
    for text in ["10.0.0.1/24", "fd00::1/128", "fd00::1/64", "fe80::1/64"] {
        let info = decode_address(&payload_of(&add_address(1, 7, cidr(text)))).unwrap();
        assert_eq!((info.index, info.cidr, info.protocol), (7, cidr(text), MARK));
    }
}

#[test]
fn ipv6_is_added_without_detection_and_a_single_address_as_deprecated() {
    let header = |text| payload_of(&add_address(1, 3, cidr(text)))[..8].to_vec();
    assert_eq!(header("fd00::1/128"), [10, 128, 0, 0, 3, 0, 0, 0]);
    assert_eq!(header("fe80::1/64"), [10, 64, 0, 253, 3, 0, 0, 0]);

    let attribute = |text, kind| {
        let payload = payload_of(&add_address(1, 3, cidr(text)));
        netlink::find(&payload[8..], kind).map(<[u8]>::to_vec)
    };
    assert_eq!(attribute("fd00::1/128", 8), Some(vec![0x02, 0, 0, 0]));
    assert_eq!(attribute("fd00::1/64", 8), Some(vec![0x02, 0x02, 0, 0]));
    assert_eq!(attribute("10.0.0.1/24", 8), Some(vec![0, 0x02, 0, 0]));
    let deprecated = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(attribute("fd00::1/128", 6), Some(deprecated.to_vec()));
    assert_eq!(attribute("fd00::1/64", 6), None);
}

#[test]
fn an_address_is_removed_by_local_address_prefix_and_interface() {
    let expected = [
        40, 0, 0, 0, 21, 0, 0x05, 0, 9, 0, 0, 0, 0, 0, 0, 0, // header: request, ack
        2, 24, 0, 0, 3, 0, 0, 0, // ifaddrmsg
        8, 0, 2, 0, 10, 0, 0, 1, // IFA_LOCAL
        8, 0, 1, 0, 10, 0, 0, 1, // IFA_ADDRESS
    ];
    assert_eq!(delete_address(9, 3, cidr("10.0.0.1/24")), expected);
}

#[test]
fn one_end_of_a_pair_is_told_from_an_address_of_its_own() {
    let mut payload = ADD_V4[16..].to_vec();
    payload[8 + 12 + 3] = 2; // IFA_ADDRESS, the last byte
    let info = decode_address(&payload).unwrap();
    assert_eq!((info.cidr, info.has_peer), (cidr("10.0.0.1/32"), true));
}

#[test]
fn an_ipv6_address_is_usable_unless_detection_runs_or_failed() {
    let with_flags = |text: &str, flags: u32| AddressInfo {
        index: 1,
        cidr: cidr(text),
        has_peer: false,
        flags,
        protocol: 0,
    };
    assert!(with_flags("fd00::1/64", 0x80).is_usable());
    assert!(with_flags("fd00::1/64", 0x44).is_usable(), "optimistic");
    assert!(!with_flags("fd00::1/64", 0x40).is_usable(), "tentative");
    assert!(!with_flags("fd00::1/64", 0x08).is_usable(), "failed");
    assert!(with_flags("10.0.0.1/24", 0x01).is_secondary());
    assert!(!with_flags("fd00::1/64", 0x01).is_secondary(), "this bit means temporary");
}

/// A link as the kernel describes it, without what is not read: eth0, index 3, up and running.
fn link_payload() -> Vec<u8> {
    let mut payload = vec![0, 0, 1, 0, 3, 0, 0, 0, 0x43, 0x10, 0x01, 0, 0, 0, 0, 0];
    let attributes: [&[u8]; 4] = [
        &[9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0], // IFLA_IFNAME
        &[10, 0, 1, 0, 0x02, 0, 0, 0, 0, 0x2a, 0, 0],      // IFLA_ADDRESS
        &[8, 0, 47, 0, 5, 0, 0, 0],                        // IFLA_CARRIER_UP_COUNT
        &[108, 0, 26, 0x80, 88, 0, 2, 0x80, 84, 0, 1, 0],  // IFLA_AF_SPEC, AF_INET, conf
    ];
    payload.extend(attributes.concat());
    payload.extend([[0; 4]; 19].concat());
    payload.extend([1, 0, 0, 0]); // the twentieth setting: promote_secondaries
    let forwarding: [u8; 16] = [16, 0, 10, 0x80, 12, 0, 2, 0, 1, 0, 0, 0, 64, 0, 0, 0];
    payload.extend(forwarding);
    payload
}

#[test]
fn a_link_is_read_with_its_settings() {
    let link = decode_link(&link_payload()).unwrap();
    let expected = Link {
        index: 3,
        name: "eth0".to_owned(),
        flags: 0x11043,
        mac: Some([0x02, 0, 0, 0, 0, 0x2a]),
        carrier_ups: Some(5),
        forwards_ipv6: true,
        promotes_secondaries: Some(true),
    };
    assert_eq!(link, expected);
    assert!(link.is_up() && link.has_carrier());
    assert_eq!(link.announces_from(), link.mac);
}

#[test]
fn an_interface_that_knows_of_no_carrier_has_one() {
    let link = decode_link(&link_payload()).unwrap();
    // As `ip link` shows them: dummy, and loopback.
    let dummy = IFF_UP | IFF_NOARP | IFF_RUNNING | IFF_LOWER_UP | 0x2;
    let loopback = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP;
    for flags in [dummy, loopback] {
        assert!(Link { flags, ..link.clone() }.has_carrier());
    }
    // A port without a cable, and one behind which nobody has been authenticated yet.
    for flags in [IFF_UP, IFF_UP | IFF_LOWER_UP] {
        assert!(!Link { flags, ..link.clone() }.has_carrier());
    }
}

#[test]
fn nothing_is_announced_where_nobody_resolves_addresses() {
    let link = decode_link(&link_payload()).unwrap();
    let no_arp = Link { flags: link.flags | 0x80, ..link.clone() };
    let loopback = Link { flags: link.flags | 0x08, ..link.clone() };
    let tunnel = Link { mac: None, ..link };
    for link in [no_arp, loopback, tunnel] {
        assert_eq!(link.announces_from(), None);
    }
}

#[test]
fn an_interface_that_leaves_a_bridge_is_not_gone() {
    let mut payload = link_payload();
    payload[0] = 7; // AF_BRIDGE
    assert_eq!(decode_link(&payload), None);
}

#[test]
fn a_name_that_is_too_long_for_an_interface_is_looked_up_as_an_alternative_name() {
    let attribute = |name: &str| {
        let payload = payload_of(&get_link_by_name(1, name));
        netlink::attributes(&payload[16..]).map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(attribute("eth0"), [3]);
    assert_eq!(attribute("a-name-with-16-b"), [53]);
}

/// A record in etcd may have any text for an interface; an attribute ends at 64 KiB.
#[test]
fn of_a_name_that_no_interface_can_have_only_the_beginning_is_sent() {
    for length in [128, 1 << 17] {
        let payload = payload_of(&get_link_by_name(1, &"x".repeat(length)));
        assert_eq!(netlink::find(&payload[16..], 53).map(<[u8]>::len), Some(129), "{length}");
    }
}

#[test]
fn promote_secondaries_is_a_setting_inside_the_link() {
    let payload = payload_of(&set_promote_secondaries(1, 3, true));
    let expected = [20, 0, 26, 0x80, 16, 0, 2, 0x80, 12, 0, 1, 0x80, 8, 0, 20, 0, 1, 0, 0, 0];
    assert_eq!(payload[16..], expected);
}

#[test]
fn every_truncation_and_every_changed_byte_is_read_without_panic() {
    for good in [ADD_V4[16..].to_vec(), link_payload()] {
        for end in 0..good.len() {
            let _ = (decode_address(&good[..end]), decode_link(&good[..end]));
        }
        for position in 0..good.len() {
            for value in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[position] = value;
                let _ = (decode_address(&bytes), decode_link(&bytes));
            }
        }
    }
    assert_eq!(decode_address(&ADD_V4[16..23]), None);
    assert_eq!(decode_link(&link_payload()[..15]), None);
}

//! What holds for whatever the kernel and the neighbours say: properties for [`crate::fuzzing`].

mod frame;

use std::net::IpAddr;

use libc::{
    IFA_ADDRESS, IFA_FLAGS, IFA_LOCAL, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_CARRIER_UP_COUNT,
    IFLA_IFNAME, NDA_CACHEINFO, NDA_DST, NDA_LLADDR, NUD_REACHABLE,
};

pub use frame::frame;

use crate::net::codec::netlink::{Builder, Message};
use crate::net::codec::rtnetlink::{AddressInfo, Change, Link, MARK, Neighbour};
use crate::net::codec::sock_diag::Connection;
use crate::net::codec::{ethernet, netlink, rtnetlink, sock_diag};

/// The length of `struct nlmsghdr`, and of `struct nlattr`.
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// `NLMSG_ALIGNTO` and `NLA_ALIGNTO`
const ALIGNMENT: usize = 4;
/// `NLMSGERR_ATTR_MSG`
const ERROR_TEXT: u16 = 1;
/// `IFA_PROTO`
const IFA_PROTO: u16 = 11;
/// `AF_INET` with `IFLA_INET_CONF`, in which `promote_secondaries` is the twentieth number.
const IPV4_SETTINGS: [u16; 2] = [2, 1];
const PROMOTE_SECONDARIES: usize = 20;
/// `AF_INET6` with `IFLA_INET6_CONF`, in which `forwarding` is the first.
const IPV6_SETTINGS: [u16; 2] = [10, 2];
/// Bytes of a text that is put into an attribute here, which has a length of 16 bits.
const LONGEST_TEXT: usize = 60_000;

/// A datagram of netlink is messages, one after the other, and at most one place from where on it
/// makes no sense. What is understood of it is understood again when it is written anew. Every
/// text can be asked for as the name of an interface.
pub fn netlink(datagram: &[u8]) {
    let mut messages = netlink::messages(datagram);
    let mut start = 0;
    for message in messages.by_ref().map_while(Result::ok) {
        let end = start + HEADER + message.payload.len();
        assert_eq!(message.payload, &datagram[start + HEADER..end]);
        start = end.next_multiple_of(ALIGNMENT);
        // Behind the header of an address, behind that of a link, and from the beginning.
        let attributes = [8, 16, 0].into_iter().filter_map(|header| message.payload.get(header..));
        attributes.for_each(check_attributes);
        check_outcome(&message);
        check_change(&message);
        check_neighbour(&message);
        check_connection(&message);
    }
    assert_eq!(messages.next(), None, "behind what is malformed nothing can be found");
    let rest = datagram.get(start..).unwrap_or_default();
    let length = netlink::u32_at(rest, 0).and_then(|length| usize::try_from(length).ok());
    let is_whole = length.is_some_and(|length| (HEADER..=rest.len()).contains(&length));
    assert!(!is_whole, "a message is not read: {rest:?}");
    let name = String::from_utf8_lossy(datagram);
    let request = rtnetlink::get_link_by_name(1, &name);
    assert!(matches!(netlink::messages(&request).collect::<Vec<_>>()[..], [Ok(_)]));
}

fn check_attributes(payload: &[u8]) {
    let read: Vec<_> = netlink::attributes(payload).collect();
    let mut rest = payload;
    for (_, value) in &read {
        let end = ATTRIBUTE_HEADER + value.len();
        assert_eq!(*value, &rest[ATTRIBUTE_HEADER..end]);
        rest = rest.get(end.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    let length = netlink::u16_at(rest, 0).map(usize::from);
    let is_whole = length.is_some_and(|length| (ATTRIBUTE_HEADER..=rest.len()).contains(&length));
    assert!(!is_whole, "an attribute is not read: {rest:?}");
    let anew = |builder: Builder, (kind, value): &(u16, &[u8])| builder.attribute(*kind, value);
    let written = attributes_of(read.iter().fold(Builder::new(0, 0, 0, &[]), anew));
    assert_eq!(netlink::attributes(&written).collect::<Vec<_>>(), read);
}

fn check_outcome(message: &Message<'_>) {
    let Some(outcome) = netlink::outcome(message) else { return };
    assert!([netlink::ERROR, netlink::DONE].contains(&message.kind), "kind {}", message.kind);
    let Some(text) = outcome.text.as_ref().filter(|text| text.len() < LONGEST_TEXT) else { return };
    let payload = [&outcome.errno.saturating_neg().to_ne_bytes()[..], &[0; HEADER]].concat();
    let flags = netlink::CAPPED | netlink::ACK_ATTRIBUTES;
    let written = Builder::new(netlink::ERROR, flags, message.sequence, &payload)
        .attribute(ERROR_TEXT, &terminated(text))
        .finish();
    let read: Vec<_> = netlink::messages(&written).flatten().collect();
    assert_eq!(netlink::outcome(&read[0]), Some(outcome));
}

fn check_change(message: &Message<'_>) {
    match Change::decode(message) {
        Some(Change::Link(link) | Change::LinkGone(link)) => check_link(link),
        Some(Change::Address(info) | Change::AddressGone(info)) => check_address(info),
        None => {}
    }
}

fn check_link(link: Link) {
    if link.name.len() < LONGEST_TEXT {
        assert_eq!(rtnetlink::decode_link(&link_payload(&link)), Some(link));
    }
}

fn check_address(info: AddressInfo) {
    let request = rtnetlink::add_address(1, info.index, info.cidr);
    let added = rtnetlink::decode_address(&request[HEADER..]).expect("an address of ours");
    assert_eq!((added.index, added.cidr, added.protocol), (info.index, info.cidr, MARK));
    assert_eq!(rtnetlink::decode_address(&address_payload(&info)), Some(info));
}

fn check_neighbour(message: &Message<'_>) {
    let Some(neighbour) = Neighbour::decode(message) else { return };
    assert!(!ethernet::is_for_many(&neighbour.mac), "{neighbour:?}");
    let payload = neighbour_payload(&neighbour);
    let written = Message { payload: &payload, ..*message };
    assert_eq!(Neighbour::decode(&written), Some(neighbour));
}

/// A connection is asked for by its address, and reset by what the kernel has said of it.
fn check_connection(message: &Message<'_>) {
    let Some(connection) = Connection::decode(message) else { return };
    let request = sock_diag::reset(1, &connection);
    assert_eq!(request[HEADER + 8..], message.payload[4..52]);
    let ip = match connection.local() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let request = sock_diag::dump_connections(1, &[connection.local()]);
    let filter = netlink::find(&request[HEADER + 60..], 1).expect("the filter");
    assert!(filter.ends_with(&ip), "{filter:?} lets {ip:?} through");
}

/// A neighbour as the kernel writes it.
fn neighbour_payload(neighbour: &Neighbour) -> Vec<u8> {
    let (family, ip) = match neighbour.ip {
        IpAddr::V4(ip) => (2, ip.octets().to_vec()),
        IpAddr::V6(ip) => (10, ip.octets().to_vec()),
    };
    let mut header = [0; 12];
    header[0] = family;
    header[4..8].copy_from_slice(&neighbour.index.to_ne_bytes());
    header[8..10].copy_from_slice(&NUD_REACHABLE.to_ne_bytes());
    let written = Builder::new(0, 0, 0, &header)
        .attribute(NDA_DST, &ip)
        .attribute(NDA_LLADDR, &neighbour.mac)
        .attribute(NDA_CACHEINFO, &neighbour.confirmed.to_ne_bytes());
    attributes_of(written)
}

/// A link as the kernel writes it.
fn link_payload(link: &Link) -> Vec<u8> {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&link.index.to_ne_bytes());
    header[8..12].copy_from_slice(&link.flags.to_ne_bytes());
    let mut settings = Builder::new(0, 0, 0, &[]);
    if let Some(promotes) = link.promotes_secondaries {
        let mut numbers = [[0; 4]; PROMOTE_SECONDARIES];
        numbers[PROMOTE_SECONDARIES - 1] = u32::from(promotes).to_ne_bytes();
        settings = settings.nested(&IPV4_SETTINGS, &numbers.concat());
    }
    let forwarding = u32::from(link.forwards_ipv6).to_ne_bytes();
    settings = settings.nested(&IPV6_SETTINGS, &forwarding);
    let mut written = Builder::new(0, 0, 0, &header)
        .attribute(IFLA_IFNAME, &terminated(&link.name))
        .attribute(IFLA_AF_SPEC, &attributes_of(settings));
    if let Some(mac) = link.mac {
        written = written.attribute(IFLA_ADDRESS, &mac);
    }
    if let Some(ups) = link.carrier_ups {
        written = written.attribute(IFLA_CARRIER_UP_COUNT, &ups.to_ne_bytes());
    }
    attributes_of(written)
}

/// An address as the kernel writes it.
fn address_payload(info: &AddressInfo) -> Vec<u8> {
    let (family, local) = match info.cidr.addr() {
        IpAddr::V4(ip) => (2, ip.octets().to_vec()),
        IpAddr::V6(ip) => (10, ip.octets().to_vec()),
    };
    let mut address = local.clone();
    address[0] ^= u8::from(info.has_peer);
    let mut header = [family, info.cidr.prefix(), 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&info.index.to_ne_bytes());
    let written = Builder::new(0, 0, 0, &header)
        .attribute(IFA_ADDRESS, &address)
        .attribute(IFA_LOCAL, &local)
        .attribute(IFA_FLAGS, &info.flags.to_ne_bytes())
        .attribute(IFA_PROTO, &[info.protocol]);
    attributes_of(written)
}

/// What was put into a message, without its header.
fn attributes_of(builder: Builder) -> Vec<u8> {
    builder.finish().split_off(HEADER)
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

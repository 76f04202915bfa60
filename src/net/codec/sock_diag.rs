//! What sock_diag(7) says of TCP connections (`linux/inet_diag.h`), and the requests that LinK makes.
//!
//! A pure codec: reading never panics. Public for the fuzzer and for nobody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::{self, Builder, Message};

/// `TCPDIAG_GETSOCK`: of both families in one walk through the kernel's table, for which a request by
/// family would need two.
const GET_SOCKETS: u16 = 18;
/// `SOCK_DESTROY`
const DESTROY: u16 = 21;
/// `INET_DIAG_REQ_BYTECODE`
const FILTER: u16 = 1;
/// `INET_DIAG_BC_JMP` and `INET_DIAG_BC_S_COND`
const JUMP: u8 = 1;
const SOURCE: u8 = 7;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
/// The lengths of `struct inet_diag_req` and `struct inet_diag_sockid`, and of what precedes that in the
/// former and in `struct inet_diag_msg`.
const REQUEST: usize = 60;
const ID: usize = 48;
const BEFORE_ID: usize = 4;

/// A bit for each of `TCP_ESTABLISHED`, `TCP_SYN_SENT`, `TCP_FIN_WAIT1` and `TCP_CLOSE_WAIT`: in the others
/// nothing listens any more, or not yet, to what a reset would say.
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8;

/// A TCP connection of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    family: u8,
    /// Addresses, ports and a number that the kernel gives to no other socket.
    id: [u8; ID],
}

impl Connection {
    /// Reads what answers [`dump_connections`].
    pub fn decode(message: &Message<'_>) -> Option<Connection> {
        let family = *message.payload.first()?;
        let is_one = message.kind == GET_SOCKETS && [AF_INET, AF_INET6].contains(&family);
        let id = message.payload.get(BEFORE_ID..)?.first_chunk()?;
        is_one.then_some(Connection { family, id: *id })
    }

    /// Its address on this host, of IPv4 if that is what is spoken.
    pub fn local(&self) -> IpAddr {
        let [_, _, _, _, ip @ ..] = &self.id;
        let ip: [u8; 16] = std::array::from_fn(|position| ip[position]);
        match (self.family, ip) {
            (AF_INET, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).into(),
            (_, ip) => IpAddr::from(Ipv6Addr::from(ip)).to_canonical(),
        }
    }
}

/// Asks for the connections whose local address is one of these, or between them.
pub fn dump_connections(sequence: u32, addresses: &[IpAddr]) -> Vec<u8> {
    let mut header = [0; REQUEST];
    header[BEFORE_ID + ID..][..4].copy_from_slice(&STATES.to_ne_bytes());
    Builder::new(GET_SOCKETS, netlink::DUMP, sequence, &header)
        .attribute(FILTER, &filter(addresses))
        .finish()
}

/// Asks for a connection to be reset; fails when it has ended.
pub fn reset(sequence: u32, connection: &Connection) -> Vec<u8> {
    let fixed = [&[connection.family, TCP, 0, 0, 0, 0, 0, 0][..], &connection.id].concat();
    Builder::new(DESTROY, netlink::ACK, sequence, &fixed).finish()
}

/// The kernel's program that lets through what has its local address in the smallest network around the
/// addresses of either family: it costs the same however many they are.
fn filter(addresses: &[IpAddr]) -> Vec<u8> {
    let [v4, v6] = [AF_INET, AF_INET6].map(|family| condition(addresses, family));
    // The one holds: over the other, to the end.
    let jump =
        if v4.is_empty() || v6.is_empty() { Vec::new() } else { operation(JUMP, 4, 4 + v6.len()) };
    [v4, jump, v6].concat()
}

/// Goes on with what follows if the local address is in the network, else with what follows the next
/// jump: if there is none, beyond the end, which is a no.
fn condition(addresses: &[IpAddr], family: u8) -> Vec<u8> {
    let mut of_family = addresses.iter().filter(|ip| ip.is_ipv6() == (family == AF_INET6));
    let Some(first) = of_family.next() else {
        return Vec::new();
    };
    let first_bits = bits(*first);
    let differing = of_family.fold(0, |differing, ip| differing | (bits(*ip) ^ first_bits));
    let ip = match first {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let longest = u8::try_from(ip.len() * 8).unwrap_or(u8::MAX);
    let prefix = u8::try_from(differing.leading_zeros()).unwrap_or(u8::MAX).min(longest);
    // Of any port.
    let condition = [family, prefix, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let length = 4 + condition.len() + ip.len();
    [operation(SOURCE, length, length + 4), condition.to_vec(), ip].concat()
}

/// `struct inet_diag_bc_op`, with how far it is to the next operation if this one holds, and if not.
fn operation(code: u8, yes: usize, no: usize) -> Vec<u8> {
    let yes = u8::try_from(yes).unwrap_or(u8::MAX);
    let [low, high] = u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes();
    vec![code, yes, low, high]
}

/// An address as a number, those of IPv4 at its upper end.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn filter_of(addresses: &[&str]) -> Vec<u8> {
        filter(&addresses.iter().map(|text| ip(text)).collect::<Vec<_>>())
    }

    /// One that the kernel speaks of.
    fn payload(family: u8, local: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; 72];
        payload[0] = family;
        payload[1] = 1;
        payload[4..8].copy_from_slice(&[0x1b, 0x59, 0xc0, 0x00]);
        payload[8..8 + local.len()].copy_from_slice(local);
        payload[44..52].copy_from_slice(&[7; 8]);
        payload
    }

    fn decode(kind: u16, payload: &[u8]) -> Option<Connection> {
        Connection::decode(&Message { kind, flags: 0, sequence: 1, payload })
    }

    #[test]
    fn one_address_is_let_through_alone() {
        let v4 = [7, 16, 20, 0, 2, 32, 0, 0, 255, 255, 255, 255, 10, 0, 1, 1];
        assert_eq!(filter_of(&["10.0.1.1"]), v4);
        let mut v6 = vec![7, 28, 32, 0, 10, 128, 0, 0, 255, 255, 255, 255];
        v6.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(filter_of(&["fd00::1"]), v6);
        // Either of the two: what is the first jumps to the end.
        let both = [&v4[..], &[1, 4, 32, 0], &v6].concat();
        assert_eq!(filter_of(&["fd00::1", "10.0.1.1"]), both);
    }

    #[test]
    fn several_addresses_are_one_network() {
        let prefix = |addresses: &[&str]| filter_of(addresses)[5];
        assert_eq!(prefix(&["10.0.1.1", "10.0.1.1"]), 32);
        assert_eq!(prefix(&["10.0.1.1", "10.0.1.2"]), 30);
        assert_eq!(prefix(&["10.0.1.1", "10.0.1.2", "10.0.1.200"]), 24);
        assert_eq!(prefix(&["10.0.1.1", "192.168.1.1"]), 0);
        assert_eq!(prefix(&["fd00::1", "fd00::3"]), 126);
        assert_eq!(prefix(&["fd00::1", "2001:db8::1"]), 0);
    }

    #[test]
    fn a_request_is_as_long_as_the_header_file_says() {
        let request = dump_connections(3, &[ip("10.0.1.1")]);
        assert_eq!(request.len(), 16 + 60 + 4 + 16);
        assert_eq!(request[4..12], [18, 0, 0x01, 0x03, 3, 0, 0, 0]);
        assert_eq!(request[68..76], [0x16, 0x01, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_connection_is_told_by_its_address_and_reset_by_its_id() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 1, 1];
        let v6 = ip("fd00::1");
        let IpAddr::V6(octets) = v6 else { unreachable!() };
        for (family, local, expected) in [
            (2, &[10, 0, 1, 1][..], ip("10.0.1.1")),
            (10, &mapped[..], ip("10.0.1.1")),
            (10, &octets.octets()[..], v6),
        ] {
            let payload = payload(family, local);
            let connection = decode(18, &payload).unwrap();
            assert_eq!(connection.local(), expected);
            let request = reset(4, &connection);
            assert_eq!(request.len(), 16 + 56);
            assert_eq!(request[4..12], [21, 0, 0x05, 0, 4, 0, 0, 0]);
            assert_eq!(request[16..24], [family, 6, 0, 0, 0, 0, 0, 0]);
            assert_eq!(request[24..], payload[4..52]);
        }
    }

    #[test]
    fn what_is_no_connection_is_none() {
        let good = payload(2, &[10, 0, 1, 1]);
        assert_eq!(decode(20, &good), None);
        assert_eq!(decode(18, &payload(1, &[])), None, "AF_UNIX");
        for end in 0..52 {
            assert_eq!(decode(18, &good[..end]), None, "cut at {end}");
        }
        assert!(decode(18, &good[..52]).is_some());
    }
}

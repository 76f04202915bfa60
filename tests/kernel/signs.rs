//! How a neighbour is asked whether it is there: it may be one that boots, and makes sure that nobody else
//! has its address.

use std::net::Ipv4Addr;

use crossbeam_channel::bounded;
use link::net::codec::arp;
use link::net::codec::ethernet::{self, Mac};

use super::capture::Capture;
use super::lab::{Managed, address, cidr, eventually, ip, mac, manage, run, sysctl};
use super::neighbour::{Neighbour, ip_there};

/// The address that `v0` gives itself.
const LINK_LOCAL: &str = "fe80::ff:fe00:10/64";

/// Has this host look who is there, again and again, until the neighbour gets a frame.
fn look_until(vip: &Managed, capture: &Capture, is_wanted: impl Fn(&[u8]) -> bool) {
    eventually("the question", || {
        let (reply, told) = bounded(1);
        let within = std::time::Duration::from_millis(20);
        vip.client.listen(vip.cidr, within, Box::new(move |_| reply.send(()).unwrap()));
        told.recv().unwrap();
        capture.frames.try_iter().any(|(_, frame)| is_wanted(&frame))
    });
}

/// The kernel of this host knows the other one by an address.
fn know(neighbour: &Neighbour, ip_there: &str) -> Mac {
    let mac = neighbour.run(|| mac("v1"));
    ip(&format!("neigh replace {ip_there} lladdr {} dev v0 nud stale", ethernet::text(mac)));
    mac
}

#[test]
fn a_neighbour_that_looks_for_duplicates_of_its_address_finds_none() {
    run(|| {
        let neighbour = Neighbour::start();
        eventually("an address to ask from", || {
            address("v0", LINK_LOCAL).is_some_and(|it| it["tentative"] != true)
        });
        let capture = neighbour.run(|| {
            sysctl("net/ipv6/conf/v1/accept_dad", "1");
            sysctl("net/ipv6/conf/v1/dad_transmits", "60");
            ip("addr add fd00::9/64 dev v1");
            Capture::on("v1")
        });
        know(&neighbour, "fd00::9");
        let (vip, here) = (manage("fd00::1/128"), mac("v0"));
        for _ in 0..3 {
            look_until(&vip, &capture, |frame| {
                let solicits = frame[12..14] == [0x86, 0xdd] && frame[54] == 135;
                solicits && frame[6..12] == here && frame[62..78] == cidr_bytes("fd00::9/64")
            });
        }
        let there = neighbour.run(|| address("v1", "fd00::9/64").unwrap());
        // Detection takes a minute: had it ended, nothing would be shown.
        assert!(there["tentative"] == true && there["dadfailed"] != true, "{there}");
    });
}

fn cidr_bytes(text: &str) -> [u8; 16] {
    match cidr(text).addr() {
        std::net::IpAddr::V6(ip) => ip.octets(),
        std::net::IpAddr::V4(_) => panic!("{text}"),
    }
}

/// The question that a host asks which has to do with the neighbour.
fn ordinary(from: [u8; 4], there: Mac) -> Vec<u8> {
    let here = mac("v0");
    let packet = arp::Packet {
        operation: arp::Operation::Request,
        sender_mac: here,
        sender_ip: from.into(),
        target_mac: [0; 6],
        target_ip: Ipv4Addr::new(10, 0, 0, 9),
    };
    ethernet::encode(there, here, ethernet::ARP, &packet.encode())
}

#[test]
fn a_neighbour_is_asked_from_an_address_of_this_host_in_its_subnet_or_from_another() {
    run(|| {
        sysctl("net/ipv4/conf/v0/promote_secondaries", "1");
        let neighbour = Neighbour::start();
        ip_there(&neighbour, "add", "10.0.0.9/24");
        let capture = neighbour.run(|| Capture::on("v1"));
        let there = know(&neighbour, "10.0.0.9");
        let vip = manage("10.0.0.3/24");
        vip.bind();
        // LinK's own is none of the host's: until there is one, the question names none.
        let asked = |from| look_until(&vip, &capture, |frame| *frame == ordinary(from, there));
        asked([0; 4]);
        ip("addr add 192.0.2.5/24 dev v0");
        asked([192, 0, 2, 5]);
        ip("addr add 10.0.0.5/24 dev v0");
        asked([10, 0, 0, 5]);
    });
}

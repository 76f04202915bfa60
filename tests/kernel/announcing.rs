//! What neighbours see, and when.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant, SystemTime};

use etherparse::{EtherType, IpNumber, SlicedPacket, TransportSlice};
use link::net::{Announce, Desired, Report};

use super::capture::{Capture, Seen};
use super::lab::{PATIENCE, TWICE, ip, mac, manage, manage_with, run, sysctl};

const OVERRIDE: u8 = 0x20;
const ROUTER: u8 = 0x80;

/// A Linux neighbour ignores a second update that comes within this (arp(7), `locktime`).
const LOCK_TIME: Duration = Duration::from_secs(1);

#[test]
fn an_ipv4_address_is_announced_by_request_and_reply() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let mac = mac("v0");
        let arp = || {
            let frames = std::iter::from_fn(|| capture.frames.recv_timeout(PATIENCE).ok());
            // Before it is bound, everybody is asked for a sign, in the name of nobody.
            let is_arp = |frame: &[u8]| frame[12..14] == [0x08, 0x06] && frame[28..32] != [0; 4];
            let mut arp = frames.filter(|(_, frame)| is_arp(frame));
            arp.next().unwrap().1
        };
        let ethernet = [&[0xff; 6][..], &mac, &[0x08, 0x06]].concat();
        let sender = [&mac[..], &[10, 0, 0, 1]].concat();
        let request = [&ethernet[..], &[0, 1, 8, 0, 6, 4, 0, 1], &sender, &[0; 6], &[10, 0, 0, 1]];
        let reply = [&ethernet[..], &[0, 1, 8, 0, 6, 4, 0, 2], &sender, &mac, &[10, 0, 0, 1]];
        assert_eq!(arp(), request.concat());
        assert_eq!(arp(), reply.concat());
    });
}

/// Waits for an advertisement and has an independent decoder read it; its flags.
fn checked_advertisement(capture: &Capture, target: &str, mac: [u8; 6]) -> u8 {
    let target: Ipv6Addr = target.parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, frame) = capture.frames.recv_deadline(deadline).expect("an advertisement");
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else {
            continue;
        };
        if icmp.type_u8() != 136 || icmp.slice()[8..24] != target.octets() {
            continue;
        }
        let ethernet = packet.link.unwrap().to_header().unwrap().ethernet2().unwrap();
        assert_eq!(ethernet.destination, [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(ethernet.source, mac);
        assert_eq!(ethernet.ether_type, EtherType::IPV6);
        let net = packet.net.unwrap();
        let ipv6 = net.ipv6_ref().unwrap().header();
        assert_eq!(ipv6.source_addr(), target);
        assert_eq!(ipv6.destination_addr(), "ff02::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!((ipv6.hop_limit(), ipv6.next_header()), (255, IpNumber::IPV6_ICMP));
        assert!(icmp.is_checksum_valid(ipv6.source(), ipv6.destination()));
        assert_eq!(icmp.code_u8(), 0);
        assert_eq!(icmp.slice()[24..], [&[2, 1][..], &mac].concat());
        return icmp.slice()[4];
    }
}

#[test]
fn an_ipv6_address_is_announced_by_an_advertisement_that_overrides() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("fd00::1/128");
        vip.bind();
        assert_eq!(checked_advertisement(&capture, "fd00::1", mac("v0")), OVERRIDE);
    });
}

#[test]
fn a_router_says_that_it_is_one() {
    run(|| {
        sysctl("net/ipv6/conf/v0/forwarding", "1");
        let capture = Capture::on("v1");
        let vip = manage("fe80::1/64");
        vip.bind();
        assert_eq!(checked_advertisement(&capture, "fe80::1", mac("v0")), OVERRIDE | ROUTER);
    });
}

#[test]
fn announcements_are_repeated_outside_the_lock_time_of_neighbours() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let mac = mac("v0");
        let times: Vec<_> = (0..4).map(|_| capture.arp_pair("10.0.0.1", mac)).collect();
        for pair in times.windows(2) {
            let gap = pair[1].duration_since(pair[0]).unwrap();
            assert!(gap >= LOCK_TIME, "{gap:?}");
        }
    });
}

#[test]
fn a_fixed_schedule_ends_after_its_count() {
    run(|| {
        let capture = Capture::on("v1");
        let announce =
            Announce { fixed: Some((Duration::from_millis(100), 3)), ..Announce::default() };
        let vip = manage_with(announce, "10.0.0.1/32", "v0");
        vip.bind();
        let mac = mac("v0");
        let times: Vec<_> = (0..3).map(|_| capture.arp_pair("10.0.0.1", mac)).collect();
        let length = times[2].duration_since(times[0]).unwrap();
        assert!(length >= Duration::from_millis(150), "{length:?}");
        capture.expect_none("10.0.0.1", Duration::from_millis(500));
    });
}

#[test]
fn a_restart_that_moves_nothing_announces_once() {
    run(|| {
        manage("10.0.0.1/32").bind();
        let capture = Capture::on("v1");
        let vip = manage("10.0.0.1/32");
        vip.set(Desired::Bound);
        capture.arp_pair("10.0.0.1", mac("v0"));
        capture.expect_none("10.0.0.1", Duration::from_millis(1500));
    });
}

#[test]
fn nothing_is_announced_after_the_address_was_given_up() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("10.0.0.1/32");
        vip.bind();
        capture.arp_pair("10.0.0.1", mac("v0"));
        vip.set(Desired::Unbound);
        vip.expect(Report::Bound(false));
        capture.expect_none("10.0.0.1", Duration::from_millis(1500));
        // Not even if it is asked for.
        vip.address.announce();
        vip.settle();
        capture.expect_none("10.0.0.1", Duration::from_millis(100));
    });
}

#[test]
fn an_owner_can_be_made_to_announce_again_in_full() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage_with(TWICE, "10.0.0.1/32", "v0");
        vip.bind();
        let mac = mac("v0");
        capture.arp_burst("10.0.0.1", mac);
        vip.address.announce();
        capture.arp_burst("10.0.0.1", mac);
    });
}

#[test]
fn an_address_is_bound_but_not_announced_where_nobody_resolves_addresses() {
    run(|| {
        let on_loopback = manage_with(Announce::default(), "10.0.0.2/32", "lo");
        on_loopback.bind();
        ip("link set v0 arp off");
        let capture = Capture::on("v1");
        let vip = manage("10.0.0.1/32");
        vip.bind();
        vip.settle();
        capture.expect_none("10.0.0.1", Duration::from_millis(300));
        // Where they are resolved again, it is announced.
        ip("link set v0 arp on");
        capture.arp_pair("10.0.0.1", mac("v0"));
    });
}

#[test]
fn the_first_announcement_follows_the_order_within_milliseconds() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("10.0.0.1/32");
        vip.expect_start(false);
        let mac = mac("v0");
        let mut latencies = Vec::new();
        for _ in 0..51 {
            let ordered = SystemTime::now();
            vip.set(Desired::Bound);
            let seen = capture.arp_pair("10.0.0.1", mac);
            latencies.push(seen.duration_since(ordered).unwrap());
            vip.set(Desired::Unbound);
            vip.settle();
        }
        latencies.sort();
        let (median, last) = (latencies[25], latencies[50]);
        println!("order to first frame: median {median:?}, slowest {last:?} of 51");
        assert!(median < Duration::from_millis(20), "{latencies:?}");
    });
}

#[test]
fn the_advertisement_comes_from_the_same_burst_as_arp() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("fd00::1/128");
        vip.bind();
        let first = capture.next("fd00::1");
        let second = capture.next("fd00::1");
        assert_eq!(first.1, Seen::Advertisement(OVERRIDE, mac("v0")));
        assert_eq!(second.1, first.1);
        assert!(second.0.duration_since(first.0).unwrap() >= LOCK_TIME);
    });
}

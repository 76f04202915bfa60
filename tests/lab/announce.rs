//! What is on the wire and on the interface.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::harness::*;

#[test]
fn an_announcement_is_an_arp_request_and_an_arp_reply() {
    let mut lab = Lab::new(2);
    let mut capture = lab.client.capture();
    lab.start_all();
    lab.offer(VIP);
    let owner = lab[lab.await_owner(VIP)].mac();
    eventually("two rounds", || capture.announcements(VIP.ip()).len() >= 4);
    let frames = capture.announcements(VIP.ip());
    let operations: Vec<u16> = frames[..4].iter().map(|frame| frame.arp().operation).collect();
    assert_eq!(operations, [1, 2, 1, 2]);
    for frame in &frames {
        let arp = frame.arp();
        assert_eq!((frame.source, frame.destination), (owner, Mac::BROADCAST));
        assert_eq!((arp.sender_mac, arp.sender, arp.target), (owner, arp.target, arp.sender));
        assert_eq!(arp.sender, VIP.ip());
        // RFC 5227, section 1.1: ignored in a request, by convention zero.
        let target_mac = if arp.operation == 1 { Mac([0; 6]) } else { owner };
        assert_eq!(arp.target_mac, target_mac);
    }
}

#[test]
fn announcements_are_repeated_more_than_a_second_apart() {
    let mut lab = Lab::new(1);
    let mut capture = lab.client.capture();
    lab.start_all();
    lab.offer(VIP);
    eventually("four rounds", || capture.announcements(VIP.ip()).len() >= 8);
    let frames = capture.announcements(VIP.ip());
    let requests: Vec<_> = frames.iter().filter(|frame| frame.arp().operation == 1).collect();
    for pair in requests.windows(2) {
        // Linux neighbours ignore updates inside one second.
        let step = pair[1].at - pair[0].at;
        assert!(step > Duration::from_secs(1), "{step:?}");
    }
}

#[test]
fn the_new_owner_announces_and_the_client_follows() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let mut capture = lab.client.capture();
    lab[owner].api().failover(VIP).expect(204);
    let heir = lab[lab.await_owner_other_than(owner, VIP)].mac();
    capture.wait_for("an announcement by the new owner", |frame| {
        frame.announces(VIP.ip()) && frame.source == heir
    });
    assert_eq!(lab.client.neighbour(VIP.ip()), Some(heir.to_string()));
    capture.forget();
    eventually("more announcements", || capture.announcements(VIP.ip()).len() >= 2);
    let sources: Vec<Mac> = capture.announcements(VIP.ip()).iter().map(|f| f.source).collect();
    assert!(sources.iter().all(|source| *source == heir), "the former owner is silent");
}

#[test]
fn an_ipv6_address_is_reachable_and_advertised() {
    let mut lab = Lab::new(2);
    let mut capture = lab.client.capture();
    lab.start_all();
    lab.offer(VIP6);
    let owner = lab.await_owner(VIP6);
    lab.await_reachable(VIP6);
    let frame = capture.wait_for_announcement(VIP6.ip());
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let told = frame.advertisement();
    assert_eq!((told.destination, told.hop_limit), (all_nodes, 255));
    assert!(told.checksum_ok && told.overrides && !told.solicited);
    assert_eq!(told.target_mac, Some(lab[owner].mac()));
    // RFC 2464, section 7: the group's Ethernet address.
    let all_nodes_mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!((frame.source, frame.destination), (lab[owner].mac(), all_nodes_mac));
    lab[owner].power_off();
    lab.await_owner(VIP6);
    lab.await_reachable(VIP6);
}

#[test]
fn an_address_removed_by_hand_is_back_within_a_second_and_announced() {
    for vip in [VIP, VIP6] {
        let lab = Lab::sharing(1, vip);
        lab.await_owner(vip);
        lab.await_reachable(vip);
        let mut capture = lab.client.capture();
        lab[H1].ip(&format!("addr del {vip} dev eth0"));
        within(Duration::from_secs(1), "it is back", || lab[H1].binds(vip.ip()));
        capture.wait_for_announcement(vip.ip());
        lab.await_reachable(vip);
    }
}

#[test]
fn after_link_down_and_up_the_address_is_there_and_announced() {
    for vip in [VIP, VIP6] {
        let mut lab = Lab::builder(1).management_network().build();
        lab.start_all();
        lab.offer(vip);
        lab.await_owner(vip);
        lab.await_reachable(vip);
        lab[H1].link_down();
        let mut capture = lab.client.capture();
        lab[H1].link_up();
        capture.wait_for_announcement(vip.ip());
        lab.await_reachable(vip);
    }
}

#[test]
fn a_new_card_gets_the_address_and_announces_with_its_own_mac() {
    let mut lab = Lab::builder(1).management_network().build();
    lab.start_all();
    lab.offer(VIP);
    lab.await_owner(VIP);
    lab[H1].remove_card();
    let mut capture = lab.client.capture();
    lab[H1].insert_card();
    let announced = capture.wait_for_announcement(VIP.ip());
    assert_eq!((announced.source, announced.arp().sender_mac), (lab[H1].mac(), lab[H1].mac()));
    lab.await_reachable(VIP);
}

#[test]
fn an_admins_addresses_are_not_touched() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let admins = ["10.0.9.1", "fd00::9:1"];
    lab[owner].ip("addr add 10.0.9.1/16 dev eth0");
    lab[owner].ip("addr add fd00::9:1/64 dev eth0 nodad");
    let before = lab[owner].addresses();
    lab[owner].terminate();
    lab[owner].restart();
    lab[owner].await_status(VIP, "STANDBY");
    let mut after = lab[owner].addresses();
    for address in admins {
        assert!(after.contains(&address.parse().unwrap()), "{address} is gone");
    }
    after.push(VIP.ip());
    let sorted = |mut addresses: Vec<_>| {
        addresses.sort_unstable();
        addresses
    };
    assert_eq!(sorted(after), sorted(before), "all but the VIP are as they were");
}

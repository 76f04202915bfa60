//! Other programs change addresses; the actuator puts them right.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use link::net::{Announce, Desired, Net, Report};
use link::network::Unusable;
use link::policy::Connections;

use super::capture::{Capture, Seen};
use super::lab::{
    Managed, Monitor, TWICE, UNASKED, address, adopt, cidr, eventually, has, ip, ip_batch, link,
    mac, manage, manage_with, run, sysctl, unusable,
};

/// What is reported when an address vanished and was put back.
fn expect_restored(vip: &Managed) {
    vip.expect(Report::Bound(false));
    vip.expect(Report::Bound(true));
}

#[test]
fn an_address_that_is_removed_comes_back_at_once_and_is_announced_in_full() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage_with(TWICE, "10.0.0.1/32", "v0");
        vip.bind();
        let mac = mac("v0");
        capture.arp_burst("10.0.0.1", mac);
        let removed = Instant::now();
        ip("addr del 10.0.0.1/32 dev v0");
        expect_restored(&vip);
        assert!(removed.elapsed() < UNASKED, "{:?}", removed.elapsed());
        assert!(has("v0", "10.0.0.1/32"));
        capture.arp_burst("10.0.0.1", mac);
    });
}

/// Removes all addresses; not giving up when some come back meanwhile.
fn flush() {
    ip("-loops 0 addr flush dev v0");
}

#[test]
fn an_interface_that_is_flushed_gets_all_its_addresses_back() {
    run(|| {
        ip("addr add 10.0.0.9/24 dev v0");
        let vips = ["10.0.0.1/32", "10.0.0.2/24", "fd00::1/128"].map(manage);
        vips.iter().for_each(Managed::bind);
        flush();
        let flushed = Instant::now();
        for vip in &vips {
            let text = vip.cidr.to_string();
            eventually("it comes back", || has("v0", &text));
        }
        assert!(flushed.elapsed() < UNASKED, "{:?}", flushed.elapsed());
        assert!(!has("v0", "10.0.0.9/24"), "not LinK's business");
    });
}

#[test]
fn an_address_that_is_removed_again_and_again_comes_back_each_time() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        for _ in 0..10 {
            ip("addr del 10.0.0.1/32 dev v0");
            expect_restored(&vip);
        }
        vip.expect_silence();
    });
}

#[test]
fn an_address_that_is_removed_among_thousands_of_changes_comes_back() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let mut batch = String::new();
        for n in 0..3000 {
            writeln!(batch, "addr add 10.1.{}.{}/32 dev v0", n / 250, n % 250).unwrap();
        }
        ip_batch(&batch);
        flush();
        let flushed = Instant::now();
        eventually("it comes back", || has("v0", "10.0.0.1/32"));
        assert!(flushed.elapsed() < UNASKED, "{:?}", flushed.elapsed());
    });
}

/// How many notices the netlink sockets of this namespace have lost.
fn lost_notices() -> u32 {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let drops = sockets.lines().skip(1).map(|line| line.split_whitespace().nth(8).unwrap());
    drops.map(|drops| drops.parse::<u32>().unwrap()).sum()
}

#[test]
fn an_address_that_is_removed_while_notices_are_lost_comes_back() {
    run(|| {
        let (go_on, wait) = crossbeam_channel::bounded::<()>(0);
        let vip = manage("10.0.0.1/32");
        vip.bind();
        // A report that blocks, which none may: the actuator stands still in it.
        let stand_still = move |report| {
            if report == Report::Bound(false) {
                let _ = wait.recv();
            }
        };
        let _standing = vip.client.manage(cidr("10.0.0.2/32"), "v0", false, Box::new(stand_still));
        let mut batch = String::new();
        for _ in 0..4000 {
            batch.push_str("link set lo mtu 65535\nlink set lo mtu 65536\n");
        }
        for _ in 0..10 {
            if lost_notices() == 0 {
                ip_batch(&batch);
            }
        }
        assert!(lost_notices() > 0);
        ip("addr del 10.0.0.1/32 dev v0");
        let removed = Instant::now();
        drop(go_on);
        expect_restored(&vip);
        assert!(removed.elapsed() < UNASKED, "{:?}", removed.elapsed());
    });
}

#[test]
fn what_no_notice_tells_of_is_seen_in_the_regular_comparison() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage("fd00::1/128");
        vip.bind();
        let is_router =
            |seen: &Seen| matches!(seen, Seen::Advertisement(flags, _) if flags & 0x80 != 0);
        assert!(!is_router(&capture.next("fd00::1").1));
        sysctl("net/ipv6/conf/v0/forwarding", "1");
        eventually("it says that it is a router", || {
            vip.address.announce();
            is_router(&capture.next("fd00::1").1)
        });
    });
}

#[test]
fn an_unwanted_address_that_somebody_adds_is_removed() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.expect_start(false);
        vip.set(Desired::Unbound);
        vip.settle();
        manage("10.0.0.1/32").bind();
        vip.expect(Report::Bound(true));
        vip.expect(Report::Bound(false));
        assert!(!has("v0", "10.0.0.1/32"));
    });
}

#[test]
fn two_programs_that_disagree_do_not_keep_the_machine_busy() {
    run(|| {
        let one = manage("10.0.0.1/32");
        one.expect_start(false);
        let other = manage("10.0.0.1/32");
        other.expect_start(false);
        let monitor = Monitor::start();
        one.set(Desired::Bound);
        other.set(Desired::Unbound);
        let end = Instant::now() + Duration::from_secs(2);
        let mut last = 0;
        while Instant::now() < end {
            last += one.reports.recv_deadline(end).iter().count();
        }
        // Ten changes at once and four a second, of each; every one is reported once.
        assert!((10..100).contains(&last), "{last} reports");
        assert!(monitor.changes().len() < 100);
    });
}

#[test]
fn an_address_whose_detection_failed_is_replaced() {
    run(|| {
        sysctl("net/ipv6/conf/v1/disable_ipv6", "0");
        ip("addr add fd00::1/64 dev v1 nodad");
        ip("addr add fd00::1/128 dev v0");
        eventually("detection fails", || {
            address("v0", "fd00::1/128").is_some_and(|shown| shown["dadfailed"] == true)
        });
        let vip = adopt("fd00::1/128");
        vip.bind();
        let shown = address("v0", "fd00::1/128").unwrap();
        assert_eq!(shown["dadfailed"], serde_json::Value::Null);
        assert_eq!(shown["nodad"], true);
    });
}

#[test]
fn an_address_whose_detection_does_not_end_is_replaced() {
    run(|| {
        ip("link set v1 down");
        eventually("the carrier is lost", || link("v0")["operstate"] != "UP");
        ip("addr add fd00::1/128 dev v0");
        assert_eq!(address("v0", "fd00::1/128").unwrap()["tentative"], true);
        let vip = adopt("fd00::1/128");
        vip.expect(unusable(Unusable::NoCarrier));
        vip.expect(Report::Bound(false));
        vip.set(Desired::Bound);
        vip.expect(Report::Bound(true));
        let shown = address("v0", "fd00::1/128").unwrap();
        assert_eq!(shown["tentative"], serde_json::Value::Null);
    });
}

#[test]
fn changes_that_are_no_business_of_the_actuator_are_not_reported() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        ip("addr add 10.0.0.2/32 dev v0");
        ip("addr add 10.0.0.1/24 dev v0");
        ip("addr del 10.0.0.1/24 dev v0");
        ip("link add w0 type veth peer name w1");
        ip("link del w0");
        vip.expect_silence();
    });
}

#[test]
fn the_actuator_ends_quickly_in_the_middle_of_work() {
    run(|| {
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        let manage = |n| {
            let vip = cidr(&format!("10.0.{}.{}/32", n / 250, n % 250));
            let address = client.manage(vip, "v0", false, Box::new(|_| {}));
            address.set(Desired::Bound);
            address
        };
        let _addresses: Vec<_> = (0..500).map(manage).collect();
        let start = Instant::now();
        drop(net);
        assert!(start.elapsed() < UNASKED, "took {:?}", start.elapsed());
        assert!(has("v0", "10.0.1.249/32"));
    });
}

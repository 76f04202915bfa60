//! Addresses come to the interface and leave it, exactly those.

use std::time::Instant;

use link::net::{Announce, Desired, Net, Report};
use link::policy::Connections;

use super::capture::{Capture, announcement};
use super::lab::{
    Monitor, PATIENCE, TWICE, UNASKED, address, cidr, eventually, has, ip, ip_json, link, manage,
    manage_with, run, settle, sink, sysctl, usable,
};

#[test]
fn an_ipv4_address_is_bound_and_unbound() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.expect_start(false);
        vip.set(Desired::Bound);
        vip.expect(Report::Bound(true));
        let shown = address("v0", "10.0.0.1/32").unwrap();
        assert_eq!(shown["scope"], "global");
        assert_eq!(vip.client.own_address(cidr("10.0.0.1/32").addr()), Ok(None), "it is LinK's");

        vip.set(Desired::Unbound);
        vip.expect(Report::Bound(false));
        assert!(!has("v0", "10.0.0.1/32"));
        vip.expect_silence();
    });
}

#[test]
fn an_ipv6_address_is_usable_at_once_and_never_a_source_address() {
    run(|| {
        ip("-6 addr add fd00::2/64 dev v0 nodad");
        let vip = manage("fd00::1/128");
        vip.bind();
        let shown = address("v0", "fd00::1/128").unwrap();
        assert_eq!(shown["nodad"], true);
        assert_eq!(shown["tentative"], serde_json::Value::Null);
        assert_eq!(shown["deprecated"], true);
        assert_eq!(shown["preferred_life_time"], 0);
        assert_eq!(shown["valid_life_time"], u32::MAX);
        let route = ip_json("-6 route get fd00::99");
        assert_eq!(route[0]["prefsrc"], "fd00::2");

        vip.set(Desired::Unbound);
        vip.expect(Report::Bound(false));
        assert!(!has("v0", "fd00::1/128"));
        assert!(has("v0", "fd00::2/64"));
    });
}

#[test]
fn a_shorter_prefix_brings_no_route() {
    run(|| {
        for text in ["10.0.0.1/24", "fd00::1/64", "fe80::1/64"] {
            let vip = manage(text);
            vip.bind();
            let shown = address("v0", text).unwrap();
            assert_eq!(shown["noprefixroute"], true, "{text}");
            assert_eq!(shown["deprecated"], serde_json::Value::Null, "{text}");
            let scope = if text.starts_with("fe80") { "link" } else { "global" };
            assert_eq!(shown["scope"], scope, "{text}");
        }
        let routes = [ip_json("-4 route"), ip_json("-6 route")].map(|routes| routes.to_string());
        assert!(!routes[0].contains("10.0.0.0/24"), "{}", routes[0]);
        assert!(!routes[1].contains("fd00::/64"), "{}", routes[1]);
    });
}

#[test]
fn an_undecided_address_is_left_as_it_was_found() {
    run(|| {
        manage("10.0.0.1/32").bind();
        let monitor = Monitor::start();
        let present = manage("10.0.0.1/32");
        present.expect_start(true);
        let absent = manage("10.0.0.2/32");
        absent.expect_start(false);
        assert_eq!(monitor.changes(), Vec::<String>::new());

        ip("addr del 10.0.0.1/32 dev v0");
        present.expect(Report::Bound(false));
        manage("10.0.0.2/32").bind();
        absent.expect(Report::Bound(true));
    });
}

#[test]
fn an_address_that_is_there_already_is_kept_without_a_flap() {
    run(|| {
        for text in ["10.0.0.1/32", "fd00::1/128"] {
            manage(text).bind();
            let monitor = Monitor::start();
            let vip = manage(text);
            vip.set(Desired::Bound);
            vip.expect_start(true);
            vip.expect_silence();
            assert_eq!(monitor.changes(), Vec::<String>::new());
        }
    });
}

#[test]
fn a_left_over_that_is_not_wanted_is_removed() {
    run(|| {
        manage("10.0.0.1/32").bind();
        ip("addr add 10.0.0.2/32 dev v0");
        let vip = manage("10.0.0.1/32");
        vip.set(Desired::Unbound);
        vip.expect_start(true);
        vip.expect(Report::Bound(false));
        assert!(!has("v0", "10.0.0.1/32"));
        assert!(has("v0", "10.0.0.2/32"));
    });
}

#[test]
fn what_carries_the_mark_and_is_not_managed_is_a_left_over() {
    run(|| {
        ip("addr add 10.0.0.9/32 dev v0");
        for text in ["10.0.0.1/32", "10.0.0.2/32", "fd00::1/128"] {
            manage(text).bind();
        }
        ip("link add w0 type veth peer name w1");
        ip("link set w1 up");
        ip("link set w0 up");
        eventually("the carrier", || link("w0")["operstate"] == "UP");
        let elsewhere = manage_with(Announce::default(), "10.0.0.2/32", "w0");
        elsewhere.bind();
        drop(elsewhere);

        let vip = manage("10.0.0.2/32");
        // A process that another test has begun may have the socket of a former agent still.
        eventually("the left-overs are gone", || {
            vip.client.remove_left_overs(Vec::new());
            !has("v0", "10.0.0.1/32") && !has("v0", "fd00::1/128") && !has("w0", "10.0.0.2/32")
        });
        vip.settle();
        assert!(has("v0", "10.0.0.2/32"), "managed");
        assert!(has("v0", "10.0.0.9/32"), "somebody else's");
    });
}

#[test]
fn left_overs_are_removed_when_nothing_is_managed() {
    run(|| {
        manage("10.0.0.1/32").bind();
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        eventually("the left-over is gone", || {
            net.client().remove_left_overs(Vec::new());
            !has("v0", "10.0.0.1/32")
        });
    });
}

#[test]
fn what_another_agent_on_this_host_has_is_no_left_over() {
    run(|| {
        manage("10.0.0.3/32").bind();
        let other = manage("10.0.0.1/32");
        other.bind();
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        net.client().remove_left_overs(vec![(cidr("10.0.0.3/32"), "v0".to_owned())]);
        eventually("its own is gone", || !has("v0", "10.0.0.3/32"));
        settle(&net.client());
        assert!(has("v0", "10.0.0.1/32"));
        other.expect_silence();
        drop(other);
        // A process that another test has begun may have its socket still.
        eventually("nobody else is there", || {
            net.client().remove_left_overs(Vec::new());
            !has("v0", "10.0.0.1/32")
        });
    });
}

#[test]
fn an_address_that_is_forgotten_stays() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        drop(vip.address);
        settle(&vip.client);
        assert!(has("v0", "10.0.0.1/32"));
    });
}

/// Who sends both does not wait for the first.
#[test]
fn an_address_that_is_forgotten_as_soon_as_it_is_unwanted_is_removed() {
    run(|| {
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        for number in 1..=20 {
            let text = format!("10.0.0.{number}/32");
            let (reports, reported) = sink();
            let address = client.manage(cidr(&text), "v0", false, reports);
            address.set(Desired::Bound);
            while reported.recv_timeout(PATIENCE).unwrap() != Report::Bound(true) {}
            address.set(Desired::Unbound);
            drop(address);
            settle(&client);
            assert!(!has("v0", &text), "{text}");
        }
        // Nobody has looked yet whether it is there.
        manage("10.0.0.99/32").bind();
        let address = client.manage(cidr("10.0.0.99/32"), "v0", false, Box::new(|_| {}));
        address.set(Desired::Unbound);
        drop(address);
        settle(&client);
        assert!(!has("v0", "10.0.0.99/32"));
    });
}

#[test]
fn whoever_managed_an_address_before_has_no_say_in_it() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let (reports, reported) = sink();
        let newer = vip.client.manage(vip.cidr, "v0", false, reports);
        newer.set(Desired::Bound);
        vip.set(Desired::Unbound);
        vip.address.probe(true);
        drop(vip.address);
        settle(&vip.client);
        assert!(has("v0", "10.0.0.1/32"));
        ip("addr del 10.0.0.1/32 dev v0");
        eventually("it is managed still", || has("v0", "10.0.0.1/32"));
        newer.set(Desired::Unbound);
        eventually("it does as the newer one says", || !has("v0", "10.0.0.1/32"));
        settle(&vip.client);
        let bound = [true, false, true, false].map(Report::Bound);
        assert!(reported.try_iter().skip(1).eq(bound), "the first is of the interface");
        assert_eq!(vip.reports.try_recv().ok(), None);
    });
}

#[test]
fn two_hundred_addresses_are_bound_at_once() {
    run(|| {
        let capture = Capture::on("v1");
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        let texts: Vec<_> = (1..=100)
            .flat_map(|n| [format!("10.0.1.{n}/32"), format!("fd00::{n:x}/128")])
            .collect();
        let vips: Vec<_> = texts
            .iter()
            .map(|text| {
                let (reports, reported) = sink();
                let address = client.manage(cidr(text), "v0", false, reports);
                address.set(Desired::Bound);
                (address, reported)
            })
            .collect();
        settle(&client);
        for (text, (_, reported)) in texts.iter().zip(&vips) {
            let reports: Vec<_> = reported.try_iter().collect();
            let expected = [usable("v0"), Report::Bound(false), Report::Bound(true)];
            assert_eq!(reports, expected, "{text}");
            assert!(has("v0", text));
        }
        let mut missing: Vec<_> =
            texts.iter().map(|text| text.split('/').next().unwrap()).collect();
        let deadline = Instant::now() + PATIENCE;
        while !missing.is_empty() {
            let (_, frame) = capture.frames.recv_deadline(deadline).expect("all are announced");
            missing.retain(|ip| announcement(ip, &frame).is_none());
        }
    });
}

#[test]
fn what_was_ordered_before_the_end_is_done_and_stays() {
    run(|| {
        let vip = manage_with(TWICE, "10.0.0.1/32", "v0");
        vip.bind();
        let other = vip.client.manage(cidr("10.0.0.2/32"), "v0", false, Box::new(|_| {}));
        other.set(Desired::Bound);
        let start = Instant::now();
        drop(vip.net);
        assert!(start.elapsed() < UNASKED, "took {:?}", start.elapsed());
        assert!(has("v0", "10.0.0.1/32"));
        assert!(has("v0", "10.0.0.2/32"));

        vip.address.set(Desired::Unbound);
        let answer = vip.client.own_address(cidr("10.0.0.1/32").addr()).unwrap_err();
        assert_eq!(answer.to_string(), "the network actuator has ended");
    });
}

#[test]
fn an_actuator_that_has_nothing_to_do_ends_when_it_is_told() {
    run(|| {
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        settle(&net.client());
        let (ended, end) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || {
            drop(net);
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(PATIENCE), Ok(()));
    });
}

#[test]
fn an_address_that_the_host_has_itself_is_told_the_moment_it_is_there_or_gone() {
    run(|| {
        ip("addr add 10.0.0.9/24 dev v0");
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        let own = |text: &str| client.own_address(cidr(text).addr()).unwrap();
        assert_eq!(own("127.0.0.1/32"), Some(cidr("127.0.0.1/8")), "on another interface");
        assert_eq!(own("10.0.0.9/32"), Some(cidr("10.0.0.9/24")));
        for added in ["10.0.0.8/24", "10.0.0.8 peer 10.0.0.7/32", "fd00::8/64"] {
            let address = added.split([' ', '/']).next().unwrap();
            assert_eq!(own(address), None);
            // One of IPv6 is tentative, and the kernel tells nothing of it yet.
            ip(&format!("addr add {added} dev v0"));
            assert!(own(address).is_some(), "{added}");
            ip(&format!("addr del {added} dev v0"));
            assert_eq!(own(address), None, "{added}");
        }
        ip("link del v0");
        assert_eq!(own("10.0.0.9/32"), None);
    });
}

/// How IPv6 can be kept from an interface: by a setting, and by an MTU below 1280 (RFC 8200, 5).
#[derive(Clone, Copy)]
enum Obstacle {
    Setting,
    Mtu,
}

impl Obstacle {
    fn set(self, on: bool) {
        match self {
            Obstacle::Setting => {
                sysctl("net/ipv6/conf/v0/disable_ipv6", if on { "1" } else { "0" })
            }
            Obstacle::Mtu => ip(&format!("link set v0 mtu {}", if on { 1279 } else { 1500 })),
        }
    }
}

#[test]
fn a_failure_is_reported_with_its_reason_and_tried_again() {
    for obstacle in [Obstacle::Setting, Obstacle::Mtu] {
        run(move || {
            obstacle.set(true);
            let vip = manage("fd00::1/128");
            vip.expect_start(false);
            vip.set(Desired::Bound);
            vip.expect_failure("add fd00::1/128 on v0: ");
            obstacle.set(false);
            vip.expect(Report::Bound(true));
            assert!(has("v0", "fd00::1/128"));
        });
    }
}

#[test]
fn an_address_that_is_lost_and_cannot_be_added_again_is_reported_as_not_bound() {
    for obstacle in [Obstacle::Setting, Obstacle::Mtu] {
        run(move || {
            let vip = manage("fd00::1/128");
            vip.bind();
            obstacle.set(true);
            vip.expect(Report::Bound(false));
            vip.expect_failure("add fd00::1/128 on v0: ");
            obstacle.set(false);
            vip.expect(Report::Bound(true));
        });
    }
}

//! Whether others are heard where the host that has an address is silent.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use link::net::codec::ethernet::Mac;
use link::net::codec::ndp;
use link::net::{MonitorTiming, Report};
use link::network::Liveness;
use link::vip::Cidr;

use super::{
    BOTH, PRESENT, SILENT, STRICT, TIMING, expect_nothing, monitor_present, question, run_bridged,
};
use crate::capture::Capture;
use crate::lab::{Managed, PATIENCE, cidr, ip, ip_json, mac, sysctl};
use crate::neighbour::{Neighbour, ip_there};

const GONE: Report = Report::Owner(Liveness::Dead);

/// The network alone is to tell.
const ALONE: MonitorTiming = MonitorTiming { alone: true, ..TIMING };

/// Two frames that leave together leave within this.
const MOMENT: Duration = Duration::from_millis(5);

/// The address of the router, which is of the family of the other one.
fn router(text: &str) -> Cidr {
    cidr(if text.contains(':') { "fd00::fe/128" } else { "10.0.0.254/32" })
}

/// The bridge is the router from now on, or is it no more: then it does not speak IPv6, for by IPv6 it would
/// say that it has no way to the address for which it is asked.
fn route(verb: &str, text: &str) {
    if verb == "del" && text.contains(':') {
        return sysctl("net/ipv6/conf/b0/disable_ipv6", "1");
    }
    sysctl("net/ipv6/conf/b0/disable_ipv6", "0");
    let nodad = if verb == "add" && text.contains(':') { "nodad" } else { "" };
    ip(&format!("addr {verb} {} dev b0 {nodad}", router(text)));
}

/// This host has had to do with whoever has that hardware address, and takes him for the router.
fn know(text: &str, mac: &str) {
    ip(&format!("neigh replace {} lladdr {mac} dev v0 nud stale", router(text).addr()));
}

/// The question whether a neighbour is there. This host has an address of its own of IPv6.
fn question_to(neighbour: Cidr, whom: Mac) -> Vec<u8> {
    let IpAddr::V6(ip) = neighbour.addr() else {
        return question(&neighbour.to_string(), Some(whom));
    };
    let shown = ip_json("addr show dev v0 scope link");
    let own = shown[0]["addr_info"][0]["local"].as_str().unwrap().parse();
    ndp::question(ip, own.unwrap(), mac("v0"), whom)
}

fn mac_of(interface: &str) -> String {
    ip_json(&format!("link show dev {interface}"))[0]["address"].as_str().unwrap().to_owned()
}

/// A host that was monitored is silent, and somebody or nobody answers.
fn silent(neighbour: &Neighbour, text: &str) -> Managed {
    let vip = monitor_present(neighbour, text, ALONE);
    neighbour.run(|| ip("link set v1 down"));
    vip.expect(SILENT);
    vip
}

#[test]
fn a_host_is_gone_that_is_silent_where_a_neighbour_answers() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            route("add", text);
            know(text, &mac_of("b0"));
            let vip = silent(&neighbour, text);
            vip.expect(GONE);
            expect_nothing(&vip);
            neighbour.run(|| ip("link set v1 up"));
            // The kernel takes an IPv6 address off an interface that goes down.
            ip_there(&neighbour, "replace", text);
            vip.expect(PRESENT);
        });
    }
}

/// What was not heard while this host was deaf says nothing: its hearing may be back since a moment ago.
#[test]
fn a_silent_host_is_asked_again_just_after_its_neighbours() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            let capture = Capture::on("b0");
            know(text, &mac_of("b0"));
            let _vip = silent(&neighbour, text);
            let of_router = question_to(router(text), mac("b0"));
            let of_owner = question(text, None);
            // By then it is asked once a second otherwise.
            std::thread::sleep(Duration::from_millis(5500));
            let from = SystemTime::now();
            let mut frames = Vec::new();
            while from.elapsed().unwrap() < Duration::from_secs(4) {
                frames.extend(capture.frames.recv_timeout(PATIENCE));
            }
            let together = frames.windows(2).filter(|pair| {
                let [(asked, one), (asked_again, other)] = pair else { return false };
                let gap = asked_again.duration_since(*asked).unwrap_or_default();
                *asked >= from && gap < MOMENT && *one == of_router && *other == of_owner
            });
            assert!((2..=4).contains(&together.count()), "{frames:x?}");
        });
    }
}

#[test]
fn nobody_is_gone_where_no_neighbour_answers_until_one_does() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            sysctl("net/ipv6/conf/b0/disable_ipv6", "1");
            know(text, &mac_of("b0"));
            let vip = silent(&neighbour, text);
            expect_nothing(&vip);
            route("add", text);
            vip.expect(GONE);
            route("del", text);
            vip.expect(SILENT);
            route("add", text);
            vip.expect(GONE);
        });
    }
}

#[test]
fn nobody_is_gone_where_no_neighbour_is_known_or_nobody_else() {
    run_bridged(|| {
        let neighbour = Neighbour::start();
        route("add", "10.0.0.1/32");
        let owner = neighbour.run(|| mac_of("v1"));
        let vip = silent(&neighbour, "10.0.0.1/32");
        expect_nothing(&vip);
        know("10.0.0.1/32", &owner);
        expect_nothing(&vip);
    });
}

/// By default.
#[test]
fn that_a_host_is_gone_is_told_as_soon_as_it_is_silent() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            route("add", text);
            know(text, &mac_of("b0"));
            let vip = monitor_present(&neighbour, text, STRICT);
            let start = Instant::now();
            neighbour.run(|| ip("link set v1 down"));
            vip.expect(SILENT);
            let silent = Instant::now();
            vip.expect(GONE);
            let times = (silent - start, silent.elapsed());
            assert!(times.0 >= Duration::from_millis(225), "{times:?}");
            assert!(times.1 < Duration::from_millis(100), "{times:?}");
        });
    }
}

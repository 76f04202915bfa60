//! Monitoring the host that has an address.

mod doubt;
mod neighbours;
mod questions;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use link::net::codec::ethernet::{BROADCAST, Mac};
use link::net::codec::{arp, ndp};
use link::net::{Announce, MonitorTiming, Report};
use link::network::{Liveness, ProbeResult, Unusable};

use crate::capture::Capture;
use crate::lab::{
    Managed, PATIENCE, UNASKED, cidr, eventually, ip, link, mac, manage, manage_with, run,
    run_without_links, sysctl, unusable, usable,
};
use crate::neighbour::{Neighbour, ip_there, speak};

const BOTH: [&str; 2] = ["10.0.0.1/32", "fd00::1/128"];

const PRESENT: Report = Report::Owner(Liveness::Alive);
const SILENT: Report = Report::Owner(Liveness::Suspect);

/// What is not reported within this is not reported: far longer than silence takes.
const NOTHING: Duration = Duration::from_secs(2);

const TIMING: MonitorTiming = every(50, 3);

/// The default.
pub(crate) const STRICT: MonitorTiming = MonitorTiming {
    interval: Duration::from_millis(175),
    doubt: Duration::from_millis(50),
    count: 5,
    alone: false,
};

const fn every(millis: u64, count: u32) -> MonitorTiming {
    let interval = Duration::from_millis(millis);
    MonitorTiming { interval, doubt: interval, count, alone: false }
}

/// Runs a test with `v0` and `v1` on a bridge: so `v0` has a carrier whatever becomes of `v1`.
fn run_bridged(test: impl FnOnce() + Send + 'static) {
    run_without_links(|| {
        ip("link set lo up");
        // A neighbour is not asked from an address that may be a duplicate.
        sysctl("net/ipv6/conf/default/accept_dad", "0");
        ip("link add b0 type bridge mcast_snooping 0");
        ip("link set b0 up");
        for n in 0..2 {
            ip(&format!("link add v{n} type veth peer name p{n}"));
            ip(&format!("link set p{n} master b0 up"));
            ip(&format!("link set v{n} up"));
        }
        sysctl("net/ipv6/conf/v1/disable_ipv6", "1");
        eventually("the carrier", || link("v0")["operstate"] == "UP");
        test();
    });
}

/// Monitors the host that has an address, which is managed here and not bound.
fn monitor(text: &str, timing: MonitorTiming) -> Managed {
    let vip = manage(text);
    vip.expect_start(false);
    vip.address.monitor(Some(timing));
    vip
}

/// Monitors the other host, which has an address and answers.
fn monitor_present(neighbour: &Neighbour, text: &str, timing: MonitorTiming) -> Managed {
    ip_there(neighbour, "add", text);
    let vip = monitor(text, timing);
    vip.expect(PRESENT);
    vip
}

fn expect_nothing(vip: &Managed) {
    assert_eq!(vip.reports.recv_timeout(NOTHING).ok(), None);
}

/// The question for an address, to one host or to all.
fn question(text: &str, whom: Option<Mac>) -> Vec<u8> {
    let from = mac("v0");
    match cidr(text).addr() {
        IpAddr::V4(ip) => arp::probe(ip, from, whom.unwrap_or(BROADCAST)),
        IpAddr::V6(ip) => ndp::probe(ip, from, whom.unwrap_or(ndp::solicited_node_mac(ip))),
    }
}

#[test]
fn another_host_is_present_until_its_link_is_down_or_it_has_the_address_no_more() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            let vip = monitor_present(&neighbour, text, TIMING);
            expect_nothing(&vip);
            neighbour.run(|| ip("link set v1 down"));
            vip.expect(SILENT);
            expect_nothing(&vip);
            neighbour.run(|| ip("link set v1 up"));
            // The kernel takes an IPv6 address off an interface that goes down.
            ip_there(&neighbour, "replace", text);
            vip.expect(PRESENT);
            ip_there(&neighbour, "del", text);
            let start = Instant::now();
            vip.expect(SILENT);
            assert!(start.elapsed() < UNASKED, "{:?}", start.elapsed());
            ip_there(&neighbour, "add", text);
            vip.expect(PRESENT);
        });
    }
}

#[test]
fn a_host_is_silent_if_the_questions_or_the_answers_are_lost() {
    for (text, family) in BOTH.into_iter().zip(["arp", "ip6"]) {
        for hook in ["input", "output"] {
            run(move || {
                let neighbour = Neighbour::start();
                let vip = monitor_present(&neighbour, text, TIMING);
                neighbour.run(move || {
                    let rules = "type filter hook HOOK priority 0; policy drop;";
                    let rules = rules.replace("HOOK", hook);
                    nft(&format!("table {family} lost {{ chain lost {{ {rules} }}; }}"));
                });
                vip.expect(SILENT);
                expect_nothing(&vip);
                neighbour.run(move || nft(&format!("delete table {family} lost")));
                vip.expect(PRESENT);
            });
        }
    }
}

fn nft(rules: &str) {
    assert!(std::process::Command::new("nft").arg(rules).status().expect("nft").success());
}

#[test]
fn the_count_is_honoured() {
    for count in [1, 8] {
        run(move || {
            let neighbour = Neighbour::start();
            let timing = every(50, count);
            let vip = monitor_present(&neighbour, "10.0.0.1/32", timing);
            let start = Instant::now();
            ip_there(&neighbour, "del", "10.0.0.1/32");
            vip.expect(SILENT);
            let shortest = timing.doubt * (count - 1) + timing.patience();
            assert!((shortest..UNASKED).contains(&start.elapsed()), "{:?}", start.elapsed());
        });
    }
}

#[test]
fn who_has_never_answered_is_not_silent_and_who_only_asks_does_not_answer() {
    run(|| {
        let vip = monitor("10.0.0.1/32", every(20, 1));
        speak("v1", [&arp::probe([10, 0, 0, 1].into(), [0, 0, 0, 0, 0, 8], BROADCAST)]);
        expect_nothing(&vip);
    });
}

#[test]
fn nothing_is_told_where_nobody_can_be_heard() {
    run(|| {
        let neighbour = Neighbour::start();
        let vip = monitor_present(&neighbour, "10.0.0.1/32", every(20, 2));
        neighbour.run(|| ip("link set v1 down"));
        vip.expect(unusable(Unusable::NoCarrier));
        expect_nothing(&vip);
        neighbour.run(|| ip("link set v1 up"));
        vip.expect(usable("v0"));
        expect_nothing(&vip);
        ip("link set v0 down");
        vip.expect(unusable(Unusable::Down));
        ip_there(&neighbour, "del", "10.0.0.1/32");
        expect_nothing(&vip);
        ip("link set v0 up");
        vip.expect_usable();
        // Nobody knows how long the wire needs to carry something again.
        expect_nothing(&vip);
        ip_there(&neighbour, "add", "10.0.0.1/32");
        expect_nothing(&vip);
        ip_there(&neighbour, "del", "10.0.0.1/32");
        vip.expect(SILENT);
    });
}

#[test]
fn a_carrier_that_is_lost_here_is_not_taken_for_silence_before_the_kernel_tells_of_it() {
    run(|| {
        ip("link add b0 type bridge");
        ip("link set v0 master b0");
        ip("link set b0 up");
        eventually("the carrier", || link("b0")["operstate"] == "UP");
        let neighbour = Neighbour::start();
        ip_there(&neighbour, "add", "10.0.0.1/32");
        let vip = manage_with(Announce::default(), "10.0.0.1/32", "b0");
        vip.expect_start(false);
        vip.address.monitor(Some(every(10, 2)));
        vip.expect(PRESENT);
        let capture = neighbour.run(|| Capture::on("v1"));
        let to_owner = question("10.0.0.1/32", Some(neighbour.run(|| mac("v1"))));
        // It tells of one loss at once, of the next up to a second later.
        for _ in 0..5 {
            capture.await_frame(&to_owner);
            neighbour.run(|| ip("link set v1 down"));
            vip.expect(unusable(Unusable::NoCarrier));
            neighbour.run(|| ip("link set v1 up"));
            vip.expect_usable();
            capture.frames.try_iter().for_each(drop);
        }
    });
}

#[test]
fn another_timing_holds_at_once() {
    run(|| {
        let neighbour = Neighbour::start();
        let vip = monitor_present(&neighbour, "10.0.0.1/32", every(1000, 20));
        vip.address.monitor(Some(every(20, 2)));
        ip_there(&neighbour, "del", "10.0.0.1/32");
        let start = Instant::now();
        vip.expect(SILENT);
        assert!(start.elapsed() < UNASKED, "{:?}", start.elapsed());
    });
}

#[test]
fn an_address_can_be_asked_about_and_its_owner_be_monitored_at_the_same_time() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            let wins_tie_break = neighbour.run(|| mac("v1")) < mac("v0");
            ip_there(&neighbour, "add", text);
            let vip = monitor(text, TIMING);
            vip.address.probe(true);
            let two = || [(); 2].map(|()| vip.reports.recv_timeout(PATIENCE).unwrap());
            let told = two();
            let answered = Report::Probed(ProbeResult::Answered { wins_tie_break });
            assert!(told.contains(&PRESENT) && told.contains(&answered), "{told:?}");
            ip_there(&neighbour, "del", text);
            let told = two();
            let silent = Report::Probed(ProbeResult::Silent);
            assert!(told.contains(&SILENT) && told.contains(&silent), "{told:?}");
        });
    }
}

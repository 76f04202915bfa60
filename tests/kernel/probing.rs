//! Asking the wire who has an address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use link::net::codec::ethernet::BROADCAST;
use link::net::codec::{arp, ndp};
use link::net::{Announce, Desired, Report};
use link::network::{ProbeResult, Unusable};

use super::capture::Capture;
use super::lab::{
    Managed, UNASKED, cidr, eventually, ip, ip_json, mac, manage, manage_with, run, settle,
    unusable, usable,
};
use super::neighbour::{Neighbour, ip_there, speak};

/// It takes no less until there is silence.
const SILENCE: Duration = Duration::from_secs(1);
/// What is not reported within this is not reported: longer than silence takes.
const NOTHING: Duration = Duration::from_secs(2);

const BOTH: [&str; 2] = ["10.0.0.1/32", "fd00::1/128"];

fn answered(wins_tie_break: bool) -> Report {
    Report::Probed(ProbeResult::Answered { wins_tie_break })
}

const SILENT: Report = Report::Probed(ProbeResult::Silent);

/// Asks about an address that is managed, and not bound.
fn ask(text: &str) -> Managed {
    let vip = manage(text);
    vip.expect_start(false);
    vip.address.probe(true);
    vip
}

fn expect_nothing(vip: &Managed) {
    assert_eq!(vip.reports.recv_timeout(NOTHING).ok(), None);
}

#[test]
fn the_kernel_of_another_host_answers_until_it_has_the_address_no_more() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            let answered = answered(neighbour.run(|| mac("v1")) < mac("v0"));
            ip_there(&neighbour, "add", text);
            let start = Instant::now();
            let vip = ask(text);
            vip.expect(answered.clone());
            assert!(start.elapsed() < SILENCE, "{:?}", start.elapsed());
            expect_nothing(&vip);
            ip_there(&neighbour, "del", text);
            let start = Instant::now();
            vip.expect(SILENT);
            assert!(start.elapsed() < UNASKED, "{:?}", start.elapsed());
            ip_there(&neighbour, "add", text);
            vip.expect(answered);
        });
    }
}

#[test]
fn silence_is_told_once_after_a_second() {
    for text in BOTH {
        run(move || {
            let start = Instant::now();
            let vip = ask(text);
            vip.expect(SILENT);
            assert!((SILENCE..UNASKED).contains(&start.elapsed()), "{:?}", start.elapsed());
            expect_nothing(&vip);
        });
    }
}

#[test]
fn of_two_hosts_that_ask_at_the_same_time_one_hears_silence() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            let here = manage(text);
            let there = neighbour.run(move || manage_with(Announce::default(), text, "v1"));
            for host in [&here, &there] {
                host.expect_start(false);
            }
            for host in [&here, &there] {
                host.address.probe(true);
            }
            let here_precedes = mac("v0") < neighbour.run(|| mac("v1"));
            let (first, second) = if here_precedes { (&here, &there) } else { (&there, &here) };
            second.expect(answered(true));
            first.expect(SILENT);
            expect_nothing(first);
            expect_nothing(second);
        });
    }
}

#[test]
fn this_host_does_not_answer_itself() {
    for text in BOTH {
        run(move || {
            // The other end of the pair is another interface of this host, and answers too.
            let vip = manage(text);
            vip.bind();
            vip.address.probe(true);
            vip.expect(SILENT);
            expect_nothing(&vip);
        });
    }
}

#[test]
fn two_owners_that_ask_hear_each_other() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            ip_there(&neighbour, "add", text);
            let from = neighbour.run(|| mac("v1"));
            let wins_tie_break = from < mac("v0");
            let vip = manage(text);
            vip.bind();
            vip.address.probe(true);
            vip.expect(Report::Claimed { from, wins_tie_break });
            vip.expect(answered(wins_tie_break));
            vip.expect(Report::Claimed { from, wins_tie_break });
        });
    }
}

#[test]
fn nothing_is_told_where_nobody_can_be_heard() {
    run(|| {
        let neighbour = Neighbour::start();
        ip_there(&neighbour, "add", "10.0.0.1/32");
        let wins_tie_break = neighbour.run(|| mac("v1")) < mac("v0");
        let vip = ask("10.0.0.1/32");
        vip.expect(answered(wins_tie_break));
        neighbour.run(|| ip("link set v1 down"));
        vip.expect(unusable(Unusable::NoCarrier));
        expect_nothing(&vip);
        let start = Instant::now();
        neighbour.run(|| ip("link set v1 up"));
        vip.expect(usable("v0"));
        vip.expect(answered(wins_tie_break));
        assert!(start.elapsed() < SILENCE, "{:?}", start.elapsed());

        ip("link set v0 down");
        vip.expect(unusable(Unusable::Down));
        ip_there(&neighbour, "del", "10.0.0.1/32");
        expect_nothing(&vip);
        ip("link set v0 up");
        vip.expect_usable();
        vip.expect(SILENT);
    });
}

#[test]
fn nobody_answers_where_nobody_resolves_addresses() {
    run(|| {
        let vip = manage_with(Announce::default(), "10.0.0.1/32", "lo");
        vip.expect_start(false);
        vip.address.probe(true);
        vip.expect(SILENT);
    });
}

#[test]
fn an_answer_can_come_from_anybody_who_speaks_of_the_address() {
    run(|| {
        let vip = ask("10.0.0.1/32");
        let [request, _] = arp::announcement([10, 0, 0, 1].into(), [0xfe, 0, 0, 0, 0, 9]);
        speak("v1", [&request]);
        vip.expect(answered(false));
        // Who wants it too says nothing of interest unless he wins_tie_break.
        for mac in [[0xfe, 0, 0, 0, 0, 8], [0x00, 0, 0, 0, 0, 8]] {
            speak("v1", [&arp::probe([10, 0, 0, 1].into(), mac, BROADCAST)]);
        }
        vip.expect(answered(true));
        vip.expect(SILENT);
    });
}

#[test]
fn who_asks_for_an_address_that_is_bound_here_says_nothing_of_interest() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        vip.address.probe(true);
        speak("v1", [&arp::probe([10, 0, 0, 1].into(), [0, 0, 0, 0, 0, 8], BROADCAST)]);
        vip.expect(SILENT);
    });
}

#[test]
fn who_asks_for_what_a_former_life_left_here_says_nothing_of_interest() {
    run(|| {
        manage("10.0.0.1/32").bind();
        let vip = manage("10.0.0.1/32");
        vip.expect_start(true);
        vip.address.probe(true);
        speak("v1", [&arp::probe([10, 0, 0, 1].into(), [0, 0, 0, 0, 0, 8], BROADCAST)]);
        vip.expect(SILENT);
    });
}

/// The questions about an address that come within a time.
fn questions(capture: &Capture, question: &[u8], wait: Duration) -> usize {
    let deadline = Instant::now() + wait;
    let frames = std::iter::from_fn(|| capture.frames.recv_deadline(deadline).ok());
    frames.filter(|(_, frame)| frame == question).count()
}

#[test]
fn questions_come_three_in_a_row_then_every_second_until_they_are_to_stop() {
    for text in BOTH {
        run(move || {
            let mac = mac("v0");
            let question = match cidr(text).addr() {
                IpAddr::V4(ip) => arp::probe(ip, mac, BROADCAST),
                IpAddr::V6(ip) => ndp::probe(ip, mac, ndp::solicited_node_mac(ip)),
            };
            let capture = Capture::on("v1");
            let vip = ask(text);
            // To start twice changes nothing.
            vip.address.probe(true);
            assert_eq!(questions(&capture, &question, Duration::from_millis(1300)), 3);
            assert_eq!(questions(&capture, &question, Duration::from_millis(1000)), 1);
            vip.address.probe(false);
            vip.settle();
            questions(&capture, &question, Duration::from_millis(50));
            assert_eq!(questions(&capture, &question, NOTHING), 0);
            vip.address.probe(true);
            assert_ne!(questions(&capture, &question, Duration::from_millis(200)), 0);
            drop(vip.address);
            settle(&vip.client);
            questions(&capture, &question, Duration::from_millis(50));
            assert_eq!(questions(&capture, &question, NOTHING), 0);
        });
    }
}

/// Whether this host receives on `v0` what is sent to this group.
fn is_member(group: &str) -> bool {
    ip_json("maddr show dev v0").to_string().contains(&format!("\"{group}\""))
}

#[test]
fn who_asks_about_an_ipv6_address_is_in_the_group_of_those_that_are_asked() {
    run(|| {
        // Both belong to one group.
        let [one, other] = ["fd00::12:3440/128", "fd00::99:12:3440/128"].map(ask);
        for vip in [&one, &other] {
            eventually("it joins", || is_member("ff02::1:ff12:3440"));
            vip.expect(SILENT);
            vip.address.probe(false);
            vip.settle();
        }
        assert!(!is_member("ff02::1:ff12:3440"));
        one.address.probe(true);
        eventually("it joins again", || is_member("ff02::1:ff12:3440"));
        drop(one.address);
        settle(&one.client);
        assert!(!is_member("ff02::1:ff12:3440"));
    });
}

#[test]
fn who_hears_silence_can_take_the_address_and_is_heard_by_the_other() {
    run(|| {
        let neighbour = Neighbour::start();
        let here = ask("10.0.0.1/32");
        here.expect(SILENT);
        here.set(Desired::Bound);
        here.expect(Report::Bound(true));
        let start = Instant::now();
        let there = neighbour.run(|| {
            let there = manage_with(Announce::default(), "10.0.0.1/32", "v1");
            there.expect_start(false);
            there.address.probe(true);
            there
        });
        there.expect(answered(mac("v0") < neighbour.run(|| mac("v1"))));
        assert!(start.elapsed() < SILENCE, "{:?}", start.elapsed());
        assert_eq!(here.reports.try_recv().ok(), None, "to ask is not to claim");
    });
}

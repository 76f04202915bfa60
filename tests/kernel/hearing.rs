//! What other hosts say of addresses that are bound here.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use link::net::codec::ethernet::{BROADCAST, Mac};
use link::net::codec::{arp, ndp};
use link::net::{Announce, Desired, Report};

use super::capture::Capture;
use super::lab::{
    Managed, PATIENCE, UNASKED, cidr, eventually, has, ip, mac, manage, manage_with, run,
};
use super::neighbour::{Neighbour, speak};

const LOWER: Mac = [0x00, 0, 0, 0, 0, 9];
const HIGHER: Mac = [0xfe, 0, 0, 0, 0, 9];

/// Between two reports that one host claims an address.
const CLAIM_GAP: Duration = Duration::from_millis(1);

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn vip_v6() -> Ipv6Addr {
    "fd00::1".parse().unwrap()
}

fn claimed(from: Mac, wins_tie_break: bool) -> Report {
    Report::Claimed { from, wins_tie_break }
}

#[test]
fn two_owners_hear_of_each_other() {
    for text in ["10.0.0.1/32", "fd00::1/128"] {
        run(move || {
            let neighbour = Neighbour::start();
            let here = manage(text);
            here.bind();
            let (there, mac_there) = neighbour.run(move || {
                let there = manage_with(Announce::default(), text, "v1");
                there.bind();
                (there, mac("v1"))
            });
            let mac_here = mac("v0");
            here.expect(claimed(mac_there, mac_there < mac_here));
            there.expect(claimed(mac_here, mac_here < mac_there));
        });
    }
}

#[test]
fn who_claims_an_address_precedes_if_his_hardware_address_is_lower() {
    for (other, wins_tie_break) in [(LOWER, true), (HIGHER, false)] {
        run(move || {
            let [v4, v6] = ["10.0.0.1/32", "fd00::1/128"].map(manage);
            v4.bind();
            v6.bind();
            speak("v1", &arp::announcement(VIP, other));
            speak("v1", [&ndp::announcement(vip_v6(), other, false)]);
            v4.expect(claimed(other, wins_tie_break));
            v6.expect(claimed(other, wins_tie_break));
        });
    }
}

#[test]
fn each_claim_is_told_but_a_flood_of_one_claimant_is_not() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let [lower, higher] = [LOWER, HIGHER].map(|mac| arp::announcement(VIP, mac));
        let start = Instant::now();
        speak("v1", (0..1000).flat_map(|_| &lower));
        speak("v1", &higher);
        let told = std::iter::from_fn(|| vip.reports.recv_timeout(PATIENCE).ok());
        let told = told.take_while(|report| *report != claimed(HIGHER, false)).count();
        let most = start.elapsed().as_micros() / CLAIM_GAP.as_micros() + 1;
        assert!((1..=most).contains(&(told as u128)), "{told} of {most}");
        std::thread::sleep(CLAIM_GAP);
        speak("v1", &lower);
        vip.expect(claimed(LOWER, true));
    });
}

#[test]
fn nobody_else_is_heard_where_this_host_speaks() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        // An echo, and the other interface by which the host is attached to the segment.
        for own in [mac("v0"), mac("v1")] {
            speak("v1", &arp::announcement(VIP, own));
        }
        vip.expect_silence();
    });
}

#[test]
fn a_claim_is_only_what_is_said_of_this_address_on_this_interface_while_it_is_bound() {
    run(|| {
        ip("link add w0 type veth peer name w1");
        ip("link set w0 up");
        ip("link set w1 up");
        let claim = arp::announcement(VIP, LOWER);
        let vip = manage("10.0.0.1/32");
        vip.expect_start(false);
        speak("v1", &claim);
        vip.expect_silence();
        vip.set(Desired::Bound);
        vip.expect(Report::Bound(true));
        speak("w1", &claim);
        speak("v1", &arp::announcement(Ipv4Addr::new(10, 0, 0, 2), LOWER));
        speak("v1", [&arp::probe(VIP, LOWER, BROADCAST)]);
        vip.expect_silence();
        speak("v1", &claim);
        vip.expect(claimed(LOWER, true));
    });
}

#[test]
fn what_is_for_others_is_not_heard() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let [_, reply] = arp::announcement(VIP, LOWER);
        let mut for_another = reply.clone();
        for_another[..6].copy_from_slice(&HIGHER);
        // IEEE 802.1Q: VLAN 5, which has no interface here.
        let mut in_a_vlan = reply.clone();
        in_a_vlan.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        speak("v1", [&for_another, &in_a_vlan]);
        vip.expect_silence();
        speak("v1", [&reply]);
        vip.expect(claimed(LOWER, true));
    });
}

/// What others say while this thread does something else waits until it hears.
#[test]
fn a_claim_after_a_flood_that_nobody_reads_is_heard() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let (held_tx, held_rx) = bounded(1);
        let (release, released) = bounded::<()>(0);
        let hold = Box::new(move |report| {
            if matches!(report, Report::Claimed { .. }) && held_tx.try_send(()).is_ok() {
                let _ = released.recv_timeout(PATIENCE);
            }
        });
        let other = vip.client.manage(cidr("10.0.0.2/32"), "v0", false, hold);
        other.set(Desired::Bound);
        eventually("it is bound", || has("v0", "10.0.0.2/32"));
        let [_, claim] = arp::announcement(Ipv4Addr::new(10, 0, 0, 2), HIGHER);
        eventually("it is held", || {
            speak("v1", [&claim]);
            held_rx.recv_timeout(Duration::from_millis(50)).is_ok()
        });
        // Each takes some 2 KiB of the kernel's.
        let [_, of_nobody] = arp::announcement(Ipv4Addr::new(10, 0, 0, 3), HIGHER);
        let long = [&of_nobody[..], &[0; 1400]].concat();
        speak("v1", std::iter::repeat_n(&long, 250));
        speak("v1", &arp::announcement(VIP, LOWER));
        drop(release);
        vip.expect(claimed(LOWER, true));
    });
}

#[test]
fn garbage_on_the_wire_does_no_harm() {
    run(|| {
        let [v4, v6] = ["10.0.0.1/32", "fd00::1/128"].map(manage);
        v4.bind();
        v6.bind();
        let [request, reply] = arp::announcement(VIP, LOWER);
        let advertisement = ndp::announcement(vip_v6(), LOWER, false);
        for frame in [request, reply, advertisement] {
            // From the type on, after which the kernel does not care what comes.
            for position in 14..frame.len() {
                let mut changed = frame.clone();
                changed[position] ^= 0xff;
                let endless = [&changed[..], &[0xff; 1400]].concat();
                speak("v1", [&changed, &changed[..position].to_vec(), &endless]);
            }
        }
        // Some of that was a claim all the same. A good one is still told, if need be a little later.
        v4.settle();
        for vip in [&v4, &v6] {
            vip.reports.try_iter().for_each(drop);
            eventually("the claim", || {
                speak("v1", &arp::announcement(VIP, LOWER));
                speak("v1", [&ndp::announcement(vip_v6(), LOWER, false)]);
                vip.reports.try_iter().any(|report| report == claimed(LOWER, true))
            });
        }
    });
}

/// How often the actuator of this namespace went to sleep.
fn sleeps() -> u64 {
    let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let actuator = tasks.filter(|task| {
        let named = fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "net");
        named && fs::read_link(task.join("ns/net")).is_ok_and(|there| there == here)
    });
    let status = actuator.map(|task| fs::read_to_string(task.join("status")).unwrap());
    let switches = status.map(|status| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    });
    switches.sum()
}

/// Has the kernel ask for an IPv4 and an IPv6 address that nobody has.
fn ask_for_others(n: u16) {
    let v4 = UdpSocket::bind("0.0.0.0:0").unwrap();
    let v6 = UdpSocket::bind("[::]:0").unwrap();
    v4.send_to(b"hello", format!("10.0.0.{n}:9")).unwrap();
    v6.send_to(b"hello", format!("[fd00::{n}]:9")).unwrap();
}

fn await_questions(capture: &Capture) {
    let is_arp = |frame: &[u8]| frame[12..14] == [0x08, 0x06];
    let is_solicitation = |frame: &[u8]| frame[12..14] == [0x86, 0xdd] && frame[54] == 135;
    let (mut arp, mut solicitation) = (false, false);
    while !arp || !solicitation {
        let (_, frame) = capture.frames.recv_timeout(PATIENCE).expect("a question");
        arp |= is_arp(&frame);
        solicitation |= is_solicitation(&frame);
    }
}

#[test]
fn ordinary_questions_and_those_for_one_host_do_not_wake_the_actuator() {
    run(|| {
        let neighbour = Neighbour::start();
        neighbour.run(|| {
            ip("addr add 10.0.0.200/24 dev v1");
            ip("addr add fd00::200/64 dev v1 nodad");
        });
        let vips = ["10.0.0.1/32", "fd00::1/128"].map(manage);
        vips.iter().for_each(Managed::settle);
        let capture = Capture::on("v0");
        let before = sleeps();
        for n in 2..102 {
            neighbour.run(move || ask_for_others(n));
            await_questions(&capture);
        }
        let own = mac("v0");
        let questions = [arp::probe(VIP, LOWER, own), ndp::probe(vip_v6(), LOWER, own)];
        neighbour.run(move || (0..100).for_each(|_| speak("v1", &questions)));
        // It wakes up anyway to compare everything, and for what the neighbour's start has caused.
        let woken = sleeps() - before;
        assert!(woken < 20, "woken {woken} times");

        let start = Instant::now();
        for _ in 0..20 {
            let before = sleeps();
            neighbour.run(|| speak("v1", &arp::announcement(VIP, LOWER)));
            eventually("an announcement wakes it", || sleeps() > before);
        }
        assert!(start.elapsed() < UNASKED, "{:?}", start.elapsed());
    });
}

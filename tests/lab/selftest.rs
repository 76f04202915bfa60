//! Tests of the harness: what the scenarios take for granted.

mod disasters;
mod etcd;
mod layouts;
mod moments;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::*;

/// A lab whose etcd is not needed.
fn bare(hosts: u8) -> Lab {
    Lab::builder(hosts).etcd_members(0).build()
}

fn bind(lab: &Lab, host: HostId, vip: Vip) {
    lab[host].ip(&format!("addr add {vip} dev eth0"));
}

fn unbind(lab: &Lab, host: HostId, vip: Vip) {
    lab[host].ip(&format!("addr del {vip} dev eth0"));
}

#[test]
fn an_address_bound_by_hand_answers_the_client_and_is_found() {
    let lab = bare(2);
    for vip in [VIP, VIP6] {
        assert!(!lab.client.reaches(vip.ip()));
        assert_eq!(lab.bound_on(vip), []);
        bind(&lab, H2, vip);
        assert_eq!(lab.bound_on(vip), [H2]);
        lab.await_reachable(vip);
    }
    assert_eq!(lab.client.neighbour(VIP.ip()), Some(lab[H2].mac().to_string()));
}

#[test]
fn the_monitor_sees_each_change_of_an_address() {
    use AddressChange::{Removed, Set};
    let lab = bare(1);
    let mut monitor = lab[H1].monitor_addresses();
    for vip in [VIP, VIP6] {
        bind(&lab, H1, vip);
        unbind(&lab, H1, vip);
        let concerned = [Set(vip.ip()), Removed(vip.ip())];
        let mut seen = Vec::new();
        eventually("its removal was seen", || {
            seen = monitor.changes().to_vec();
            seen.contains(&concerned[1])
        });
        seen.retain(|change| concerned.contains(change));
        // The kernel tells twice of an IPv6 address: that it is there, and that it may be used.
        seen.dedup();
        assert_eq!(seen, concerned);
    }
}

#[test]
fn monitors_are_waited_for_and_tell_each_change_once() {
    let lab = bare(2);
    let mut monitors = [H1, H2].map(|host| lab[host].monitor_addresses());
    bind(&lab, H2, VIP);
    // Much less than a minute, or the test is noticed.
    AddressMonitor::wait(&monitors, Duration::from_secs(60));
    // The kernel may still tell of the host's own IPv6 address, which may be used only now.
    let mut take = |host: usize| {
        let mut changes = monitors[host].take();
        changes.retain(|change| matches!(change, AddressChange::Set(ip) | AddressChange::Removed(ip) if *ip == VIP.ip()));
        changes
    };
    assert_eq!((take(0), take(1)), (vec![], vec![AddressChange::Set(VIP.ip())]));
    assert_eq!(take(1), []);
}

/// Makes the host's kernel announce all addresses of `eth0`.
fn announce(lab: &Lab, host: HostId) {
    lab[host].namespace().sysctl("net/ipv4/conf/eth0/arp_notify", "1");
    lab[host].namespace().sysctl("net/ipv6/conf/eth0/ndisc_notify", "1");
    lab[host].ip(&format!("link set eth0 address {}", lab[host].mac()));
}

#[test]
fn the_capture_sees_arp_requests_and_replies() {
    let lab = bare(1);
    bind(&lab, H1, VIP);
    let mut capture = lab.client.capture();
    lab.await_reachable(VIP);
    let answer = capture.wait_for("an answer to the client", |frame| frame.source == lab[H1].mac());
    let client = Mac([2, 0, 0, 0, 0, 99]);
    assert_eq!((answer.destination, answer.arp().operation), (client, 2));
    assert_eq!((answer.arp().sender_mac, answer.arp().target_mac), (lab[H1].mac(), client));
    assert_eq!(answer.arp().sender, VIP.ip());
    assert_eq!(answer.arp().target, Ipv4Addr::new(10, 0, 0, 99));
    assert!(capture.announcements(VIP.ip()).is_empty());

    let before = Instant::now();
    announce(&lab, H1);
    let announced = capture.wait_for_announcement(VIP.ip());
    assert!(before < announced.at && announced.at < Instant::now());
    assert_eq!((announced.destination, announced.arp().operation), (Mac::BROADCAST, 1));
    capture.forget();
    assert!(capture.frames().is_empty());
}

#[test]
fn the_capture_sees_neighbour_advertisements_solicited_or_not() {
    let lab = bare(1);
    let mut capture = lab.client.capture();
    bind(&lab, H1, VIP6);
    lab.await_reachable(VIP6);
    let frame = capture.wait_for(
        "an answer to the client",
        |frame| matches!(&frame.payload, Payload::Advertisement(told) if told.target == VIP6.ip()),
    );
    let answer = frame.advertisement();
    assert!(answer.solicited && answer.overrides && !answer.router && answer.checksum_ok);
    assert_eq!((answer.hop_limit, answer.target_mac), (255, Some(lab[H1].mac())));
    assert!(capture.announcements(VIP6.ip()).is_empty());
    announce(&lab, H1);
    let announced = capture.wait_for_announcement(VIP6.ip());
    assert_eq!(announced.advertisement().destination, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
}

/// Pings the VIP while something is done.
fn ping_during(lab: &Lab, vip: Vip, something: impl FnOnce()) -> PingReport {
    let pinger = lab.client.ping(vip.ip());
    something();
    pinger.stop()
}

fn pause(milliseconds: u64) {
    until(Duration::from_millis(milliseconds), || false);
}

#[test]
fn the_pinger_measures_an_outage_and_nothing_else() {
    let lab = bare(1);
    bind(&lab, H1, VIP);
    lab.await_reachable(VIP);
    let calm = ping_during(&lab, VIP, || pause(300));
    assert!(calm.sent > 100 && calm.lost == 0, "{calm:?}");
    assert!(calm.longest_gap <= calm.longest_stall + Duration::from_millis(20), "{calm:?}");

    let mut began = Instant::now();
    let outage = ping_during(&lab, VIP, || {
        pause(50);
        began = Instant::now();
        unbind(&lab, H1, VIP);
        pause(250);
        bind(&lab, H1, VIP);
        lab.await_reachable(VIP);
    });
    assert!(outage.lost > 10, "{outage:?}");
    assert!(outage.longest_gap >= Duration::from_millis(250), "{outage:?}");
    // The last answer was a moment before.
    let ago = outage.gap_began.map(|gap| gap.max(began) - gap.min(began));
    assert!(ago < Some(Duration::from_millis(100)), "{ago:?}: {outage:?}");
}

#[test]
fn an_outage_at_the_end_counts() {
    let lab = bare(1);
    bind(&lab, H1, VIP6);
    lab.await_reachable(VIP6);
    let outage = ping_during(&lab, VIP6, || {
        unbind(&lab, H1, VIP6);
        pause(200);
    });
    assert!(outage.longest_gap >= Duration::from_millis(150), "{outage:?}");
}

#[test]
fn a_host_without_power_has_no_address_and_gets_its_own_back() {
    let mut lab = bare(2);
    bind(&lab, H1, VIP);
    lab.await_reachable(VIP);
    lab[H1].power_off();
    assert_eq!(lab.bound_on(VIP), []);
    assert!(!lab.client.reaches(VIP.ip()));
    lab[H1].power_on();
    assert!(!lab[H1].binds(VIP.ip()));
    for own in ["10.0.0.11", "fd00::11"] {
        let own = own.parse().unwrap();
        eventually("the host answers again", || lab.client.reaches(own));
    }
}

#[test]
fn a_new_card_has_another_index_and_another_address() {
    let mut lab = bare(1);
    let index = |lab: &Lab| lab[H1].ip("-o link show eth0").split(':').next().map(str::to_owned);
    let before = (index(&lab), lab[H1].mac());
    lab[H1].remove_card();
    lab[H1].insert_card();
    assert_ne!(index(&lab), before.0);
    assert_ne!(lab[H1].mac(), before.1);
    assert!(lab[H1].ip("link show eth0").contains(&lab[H1].mac().to_string()));
    bind(&lab, H1, VIP);
    lab.await_reachable(VIP);
}

#[test]
fn the_wire_can_be_blocked_in_one_direction_and_cut_with_the_carrier_up() {
    let lab = bare(2);
    let hears = |to: HostId, from: HostId| {
        let mut capture = Capture::start(lab[to].namespace());
        announce(&lab, from);
        let own = lab[from].address().into();
        until(Duration::from_millis(200), || !capture.announcements(own).is_empty())
    };
    lab.block_wire(H1, H2);
    assert!(!hears(H2, H1) && hears(H1, H2));
    lab.heal_wire();
    lab.isolate_one_way(H1, Way::In);
    assert!(hears(H2, H1) && !hears(H1, H2));
    lab.heal_wire();
    assert!(hears(H2, H1));
    lab.isolate(H2);
    assert!(!hears(H2, H1) && !hears(H1, H2));
    assert!(lab[H2].ip("link show eth0").contains("LOWER_UP"));
    lab.heal_wire();
    lab.set_carrier(H2, false);
    assert!(!lab[H2].ip("link show eth0").contains("LOWER_UP"));
    lab.set_carrier(H2, true);
    eventually("the wire is whole", || hears(H1, H2));
}

#[test]
fn a_host_can_be_cut_off_etcd_alone() {
    let lab = Lab::builder(2).management_network().build();
    let etcd = lab.etcd.addresses()[0];
    let connects = |host: HostId| {
        let answers = |address: std::net::IpAddr| {
            let address = (address, 2379).into();
            let timeout = Duration::from_millis(300);
            lab[host].namespace().run(|| std::net::TcpStream::connect_timeout(&address, timeout))
        };
        answers(etcd).inspect(|_| assert!(lab[host].is_connected_to(etcd, 2379))).is_ok()
    };
    for way in [Way::Both, Way::In, Way::Out] {
        assert!(connects(H1));
        lab.cut_from_etcd(H1, way);
        assert!(!connects(H1) && connects(H2));
        lab[H1].heal();
    }
    lab[H1].link_down();
    assert!(connects(H1), "through the management network");
}

#[test]
fn a_program_has_only_its_environment_and_ends_when_told() {
    let lab = bare(1);
    let log = lab.folder().join("program.log");
    let mut program = Program::new("sh").args(["-c", "echo \"x=$x home=$HOME\"; exec sleep 1000"]);
    program.environment.insert("x".to_owned(), "1".to_owned());
    program.environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    let mut process = Process::start(lab[H1].namespace(), &program, &log);
    eventually("it has written", || process.log() == "x=1 home=\n");
    let netns = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(netns(&process.pid().to_string()), netns("self"));
    eventually("sleep is loaded", || (100_000..100_000_000).contains(&process.rss()));
    process.freeze();
    process.signal(nix::sys::signal::Signal::SIGTERM);
    holds_for(Duration::from_millis(100), "frozen", || process.ended().is_none());
    process.thaw();
    assert_eq!(process.wait().code(), None, "ended by a signal");
}

#[test]
fn a_lab_is_gone_after_a_panic() {
    let mut name = String::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new(1);
        name = lab[H1].namespace().name().to_owned();
        assert!(Path::new("/run/netns").join(&name).exists());
        panic!("as a scenario does when it fails");
    }));
    assert!(panicked.is_err());
    let ours = name.strip_suffix("h1").unwrap();
    let left = |folder: &str| {
        let names = std::fs::read_dir(folder).unwrap().flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with(ours)).count()
    };
    assert_eq!(left("/run/netns"), 0);
    assert!(!Path::new("/dev/shm").join(ours.trim_end_matches('-')).exists());
}

#[test]
fn an_agent_can_be_executed_by_another_program_and_ends_by_itself() {
    let mut lab = Lab::new(1);
    lab[H1].wrap(&["sh", "-c", "echo wrapped; exec $0 --version"]);
    lab[H1].spawn();
    eventually("it ends", || lab[H1].agent_ended().is_some());
    assert!(lab[H1].agent_ended().unwrap().success());
    let log = lab[H1].agent().log();
    assert!(log.starts_with("wrapped\nlinkd "), "{log}");
}

#[test]
fn what_a_killed_test_process_left_is_swept() {
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let left = Namespace::create(format!("lk{}-1-h1", dead.id()));
    let mut sleeper = Command::new("sleep");
    sleeper.arg("1000");
    let mut sleeper = left.start(sleeper).unwrap();
    let name = Path::new("/run/netns").join(left.name());
    std::mem::forget(left);
    sweep();
    assert!(!name.exists());
    assert!(!sleeper.wait().unwrap().success());
}

//! Whether anybody else is heard on an interface.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use link::net::codec::arp;
use link::net::codec::ethernet::{self, BROADCAST, Mac};
use link::net::{Announce, Desired, ManagedAddress, Net, NetClient, Report};
use link::network::Hearing;
use link::network::Hearing::{Nobody, Others, Unknown};
use link::policy::Connections;

use super::capture::Capture;
use super::lab::{
    PATIENCE, cidr, eventually, has, ip, link, mac, run, run_without_links, settle, sink_of, sysctl,
};
use super::monitoring::STRICT;
use super::neighbour::{Neighbour, ip_there, speak};

const VIP: &str = "10.0.0.1/32";
/// `PROBE_INTERVAL`
const WITHIN: Duration = Duration::from_millis(100);
/// What takes longer was not answered in time; the machine may be busy.
const LATE: Duration = Duration::from_millis(300);
/// What is not told within this is not told.
const NOTHING: Duration = Duration::from_secs(5);

/// An address that is managed.
struct Managed {
    net: Net,
    address: ManagedAddress,
    told: Receiver<Report>,
}

impl Managed {
    fn new() -> Managed {
        Managed::on("v0")
    }

    fn on(interface: &str) -> Managed {
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let (sink, told) = sink_of(|report| matches!(report, Report::Hearing(_)));
        let address = net.client().manage(cidr(VIP), interface, false, sink);
        let managed = Managed { net, address, told };
        managed.expect(Unknown);
        managed
    }

    fn expect(&self, hearing: Hearing) {
        assert_eq!(self.told.recv_timeout(PATIENCE), Ok(Report::Hearing(hearing)));
    }

    fn expect_nothing(&self) {
        assert_eq!(self.told.recv_timeout(NOTHING).ok(), None);
    }

    /// What is heard from now on, and how long it took to tell.
    fn listen(&self, text: &str, within: Duration) -> (Hearing, Duration) {
        listen(&self.net.client(), text, within)
    }
}

fn listen(client: &NetClient, text: &str, within: Duration) -> (Hearing, Duration) {
    let (reply, answer) = bounded(1);
    let start = Instant::now();
    client.listen(cidr(text), within, Box::new(move |heard| reply.send(heard.hearing).unwrap()));
    (answer.recv_timeout(PATIENCE).expect("it is told"), start.elapsed())
}

/// A host in a namespace of its own, on a bridge that is a switch: the hosts have a carrier whatever
/// happens to it.
fn run_switched(test: impl FnOnce(&Neighbour) + Send + 'static) {
    run_without_links(|| {
        ip("link set lo up");
        ip("link add b0 type bridge mcast_snooping 0");
        sysctl("net/ipv6/conf/b0/disable_ipv6", "1");
        ip("link set b0 up");
        for n in 0..2 {
            ip(&format!("link add v{n} type veth peer name p{n}"));
            ip(&format!("link set p{n} master b0 up"));
            ip(&format!("link set v{n} up"));
        }
        eventually("the carrier", || link("v0")["operstate"] == "UP");
        test(&Neighbour::start());
    });
}

fn nft(rules: &str) {
    assert!(std::process::Command::new("nft").arg(rules).status().expect("nft").success());
}

/// The switch forwards nothing any more.
fn cut() {
    nft("table bridge cut { chain cut { type filter hook forward priority 0; policy drop; }; }");
}

fn heal() {
    nft("delete table bridge cut");
}

/// The kernel of this host knows the other one by an address that it has.
fn know(neighbour: &Neighbour) {
    ip_there(neighbour, "add", "10.0.0.9/24");
    let mac = ethernet::text(neighbour.run(|| mac("v1")));
    ip(&format!("neigh replace 10.0.0.9 lladdr {mac} dev v0 nud stale"));
}

/// The question for a sign of anybody.
fn question() -> Vec<u8> {
    arp::sign_question([10, 0, 0, 1].into(), mac("v0"), BROADCAST)
}

/// An ordinary question for something else.
fn ordinary(from: Mac, to: Mac) -> Vec<u8> {
    let packet = arp::Packet {
        operation: arp::Operation::Request,
        sender_mac: from,
        sender_ip: [10, 0, 0, 8].into(),
        target_mac: [0; 6],
        target_ip: [10, 0, 0, 7].into(),
    };
    ethernet::encode(to, from, ethernet::ARP, &packet.encode())
}

#[test]
fn a_lone_host_hears_nobody_and_asks_once_a_second() {
    run(|| {
        let vip = Managed::new();
        let start = Instant::now();
        vip.expect(Nobody);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        let capture = Capture::on("v1");
        vip.expect_nothing();
        let asked = capture.frames.try_iter().filter(|(_, frame)| *frame == question()).count();
        assert!((4..=6).contains(&asked), "{asked} in {NOTHING:?}");
        let (heard, took) = vip.listen(VIP, WITHIN);
        assert_eq!(heard, Nobody);
        assert!((WITHIN..LATE).contains(&took), "{took:?}");
    });
}

#[test]
fn this_host_does_not_hear_itself() {
    run(|| {
        let vip = Managed::new();
        vip.expect(Nobody);
        // An echo, and the other interface by which the host is attached to the segment.
        for own in [mac("v0"), mac("v1")] {
            speak("v1", [&ordinary(own, BROADCAST)]);
        }
        vip.expect_nothing();
    });
}

#[test]
fn a_neighbour_that_answers_is_heard_for_as_long_as_it_does() {
    run_switched(|neighbour| {
        know(neighbour);
        let vip = Managed::new();
        vip.expect(Others);
        vip.expect_nothing();
        let (heard, took) = vip.listen(VIP, WITHIN * 20);
        assert!(heard == Others && took < LATE, "{heard:?} after {took:?}");
    });
}

#[test]
fn who_has_the_address_is_heard_though_no_neighbour_is_known() {
    run_switched(|neighbour| {
        ip_there(neighbour, "add", VIP);
        let vip = Managed::new();
        vip.expect(Others);
        vip.expect_nothing();
        let (heard, took) = vip.listen(VIP, WITHIN * 20);
        assert!(heard == Others && took < LATE, "{heard:?} after {took:?}");
    });
}

/// No neighbour is known, and nobody has the address that they ask for.
#[test]
fn two_hosts_that_wait_for_an_owner_hear_each_other() {
    run_switched(|neighbour| {
        neighbour.run(|| sysctl("net/ipv6/conf/v1/disable_ipv6", "1"));
        sysctl("net/ipv6/conf/v0/disable_ipv6", "1");
        let here = Managed::new();
        here.expect(Nobody);
        let there = neighbour.run(|| Managed::on("v1"));
        here.expect(Others);
        there.expect(Others);
        here.expect_nothing();
        there.expect_nothing();
    });
}

/// What it hears costs nothing but a look now and then.
#[test]
fn an_owner_whose_host_is_monitored_hears_that_and_asks_nobody() {
    run_switched(|neighbour| {
        let vip = Managed::new();
        vip.address.set(Desired::Bound);
        eventually("it is bound", || has("v0", VIP));
        let standby = neighbour.run(|| {
            let net = Net::start(Announce::default(), Connections::Reset).unwrap();
            let address = net.client().manage(cidr(VIP), "v1", false, Box::new(|_| {}));
            address.monitor(Some(STRICT));
            (net, address)
        });
        vip.expect(Others);
        let capture = neighbour.run(|| Capture::on("v1"));
        vip.expect_nothing();
        let asks = |frame: &[u8]| frame[12..14] == [0x08, 0x06] && frame[28..32] == [0; 4];
        let asked: Vec<_> = capture.frames.try_iter().filter(|(_, frame)| asks(frame)).collect();
        assert!(asked.is_empty(), "{asked:x?}");
        drop(standby);
    });
}

#[test]
fn any_frame_of_another_is_heard_at_once_by_who_hears_nobody() {
    run(|| {
        let vip = Managed::new();
        let here = mac("v0");
        for to in [BROADCAST, here] {
            vip.expect(Nobody);
            let start = Instant::now();
            speak("v1", [&ordinary([0x02, 0, 0, 0, 0, 9], to)]);
            vip.expect(Others);
            assert!(start.elapsed() < LATE, "{:?}", start.elapsed());
        }
    });
}

#[test]
fn a_host_that_is_cut_off_though_its_carrier_stays_hears_nobody() {
    run_switched(|neighbour| {
        know(neighbour);
        let vip = Managed::new();
        vip.expect(Others);
        cut();
        let (heard, took) = vip.listen(VIP, WITHIN);
        assert_eq!(heard, Nobody);
        assert!((WITHIN..LATE).contains(&took), "{took:?}");
        vip.expect(Nobody);
        vip.expect_nothing();
        heal();
        let start = Instant::now();
        vip.expect(Others);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    });
}

#[test]
fn a_host_that_is_cut_off_finds_it_out_by_itself() {
    run_switched(|neighbour| {
        know(neighbour);
        let vip = Managed::new();
        vip.expect(Others);
        cut();
        let start = Instant::now();
        vip.expect(Nobody);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

#[test]
fn a_standby_that_is_cut_off_hears_nobody_as_soon_as_it_does_not_hear_the_owner() {
    run_switched(|neighbour| {
        ip_there(neighbour, "add", VIP);
        let vip = Managed::new();
        vip.address.monitor(Some(STRICT));
        vip.expect(Others);
        vip.expect_nothing();
        cut();
        let start = Instant::now();
        vip.expect(Nobody);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    });
}

#[test]
fn after_a_carrier_is_back_nothing_is_known_at_first() {
    run(|| {
        let neighbour = Neighbour::start();
        ip_there(&neighbour, "add", VIP);
        let vip = Managed::new();
        vip.expect(Others);
        neighbour.run(|| ip("link set v1 down"));
        vip.expect(Unknown);
        assert_eq!(vip.listen(VIP, WITHIN * 20).0, Unknown);
        neighbour.run(|| ip("link set v1 up"));
        vip.expect(Others);
    });
}

#[test]
fn of_an_address_that_is_not_managed_nothing_is_known() {
    run(|| {
        let vip = Managed::new();
        let (heard, took) = vip.listen("10.0.0.2/32", WITHIN * 20);
        assert!(heard == Unknown && took < LATE, "{heard:?} after {took:?}");
    });
}

#[test]
fn who_listens_is_answered_in_time_while_addresses_are_added_and_removed() {
    run(|| {
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        let manage = |n: u32| {
            let text = format!("10.1.{}.{}/32", n / 250, n % 250 + 1);
            client.manage(cidr(&text), "v0", false, Box::new(|_| {}))
        };
        let addresses: Vec<_> = (0..4000).map(manage).collect();
        settle(&client);
        for desired in [Desired::Bound, Desired::Unbound] {
            addresses.iter().for_each(|address| address.set(desired));
            let (heard, took) = listen(&client, "10.1.0.1/32", WITHIN);
            assert_eq!(heard, Nobody, "{desired:?}: {took:?}");
            assert!((WITHIN..LATE).contains(&took), "{desired:?}: {took:?}");
            settle(&client);
        }
    });
}

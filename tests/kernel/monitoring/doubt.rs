//! A host that has not answered a question, or several.

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use link::net::codec::ethernet::Mac;
use link::net::codec::{arp, ndp};
use link::net::{Announce, Desired, ManagedAddress, Net, Report};
use link::network::Liveness;
use link::policy::Connections;

use super::{BOTH, PRESENT, SILENT, STRICT, every, monitor_present};
use crate::lab::{PATIENCE, cidr, eventually, has, ip, mac, run, sink_of, sysctl};
use crate::neighbour::{Neighbour, ip_there, speak};

/// A host that says that it has an address, and does not answer.
const OWNER: Mac = [0x02, 0, 0, 0, 0, 0x2a];

/// Monitors the host that has an address, and hears everything of that.
fn monitor(text: &str, interface: &str) -> (Net, ManagedAddress, Receiver<Report>) {
    let net = Net::start(Announce::default(), Connections::Reset).unwrap();
    let (sink, reports) =
        sink_of(|report| matches!(report, Report::Owner(_) | Report::AlsoMissed(_)));
    let address = net.client().manage(cidr(text), interface, false, sink);
    address.monitor(Some(STRICT));
    (net, address, reports)
}

/// The other host answers nobody for a time; how long that was.
fn pause(neighbour: &Neighbour, time: Duration) -> Duration {
    neighbour.run(move || {
        let start = Instant::now();
        sysctl("net/ipv4/conf/all/arp_ignore", "8");
        std::thread::sleep(time);
        sysctl("net/ipv4/conf/all/arp_ignore", "0");
        start.elapsed()
    })
}

#[test]
fn a_network_that_pauses_for_a_fifth_of_a_second_is_doubted_and_not_silent() {
    run(|| {
        let neighbour = Neighbour::start();
        ip_there(&neighbour, "add", "10.0.0.1/32");
        let (_net, _address, reports) = monitor("10.0.0.1/32", "v0");
        assert_eq!(reports.recv_timeout(PATIENCE), Ok(PRESENT));
        let mut doubted = 0;
        for _ in 0..20 {
            let took = pause(&neighbour, Duration::from_millis(195));
            std::thread::sleep(Duration::from_millis(300));
            let told: Vec<_> = reports.try_iter().collect();
            // A busy machine may have made it longer.
            if took <= Duration::from_millis(199) {
                assert!(!told.contains(&SILENT), "{told:?} after {took:?}");
            }
            doubted += told.iter().filter(|it| **it == Report::Owner(Liveness::Doubted)).count();
        }
        assert!(doubted > 5, "{doubted} of 20");
        pause(&neighbour, Duration::from_secs(1));
        let told: Vec<_> = reports.try_iter().collect();
        assert!(told.contains(&SILENT), "{told:?}");
    });
}

/// Somebody says on an interface that a host has an address.
fn claim(text: &str, interface: &str) {
    match cidr(text).addr() {
        std::net::IpAddr::V4(ip) => speak(interface, &arp::announcement(ip, OWNER)),
        std::net::IpAddr::V6(ip) => speak(interface, [&ndp::announcement(ip, OWNER, false)]),
    }
}

#[test]
fn hosts_that_miss_an_owner_hear_each_other() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            let (_net, _address, here) = monitor(text, "v0");
            let (there, mac_there) = neighbour.run(move || (monitor(text, "v1"), mac("v1")));
            let mac_here = mac("v0");
            let mut known = [false; 2];
            eventually("both know the owner", || {
                neighbour.run(move || claim(text, "v1"));
                claim(text, "v0");
                for (known, reports) in known.iter_mut().zip([&here, &there.2]) {
                    *known |= reports.try_iter().any(|told| told == PRESENT);
                }
                known == [true; 2]
            });
            let await_silence = |reports: &Receiver<Report>| {
                let next = || reports.recv_timeout(PATIENCE).expect("silence");
                std::iter::repeat_with(next).take_while(|told| *told != SILENT).collect::<Vec<_>>()
            };
            let doubted = Report::Owner(Liveness::Doubted);
            for (reports, other) in [(&here, mac_there), (&there.2, mac_here)] {
                let told = await_silence(reports);
                assert!(told.contains(&doubted), "{told:?}");
                reports.try_iter().for_each(drop);
                let start = Instant::now();
                let missed = std::iter::from_fn(|| reports.recv_timeout(PATIENCE).ok());
                let missed = missed.filter(|told| *told == Report::AlsoMissed(other));
                assert_eq!(missed.take(10).count(), 10);
                assert!(start.elapsed() >= Duration::from_millis(9 * 25), "{:?}", start.elapsed());
            }
        });
    }
}

/// The answer may have been among what was lost.
#[test]
fn nobody_is_silent_while_more_is_said_than_there_is_room_for() {
    run(|| {
        // So long that the room is taken by fewer frames than are read at once.
        for name in ["v0", "v1"] {
            ip(&format!("link set {name} mtu 65535"));
        }
        let neighbour = Neighbour::start();
        let vip = monitor_present(&neighbour, "10.0.0.1/32", every(400, 3));
        let busy = Box::new(|report| {
            if matches!(report, Report::Claimed { .. }) {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let other = vip.client.manage(cidr("10.0.0.2/32"), "v0", false, busy);
        other.set(Desired::Bound);
        eventually("it is bound", || has("v0", "10.0.0.2/32"));
        ip_there(&neighbour, "del", "10.0.0.1/32");
        let [_, claim] = arp::announcement([10, 0, 0, 2].into(), OWNER);
        let long = [&claim[..], &[0; 60_000]].concat();
        neighbour.run(move || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(4) {
                speak("v1", std::iter::repeat_n(&long, 50));
            }
        });
        assert_eq!(vip.reports.try_iter().find(|told| *told == SILENT), None);
        vip.expect(SILENT);
    });
}

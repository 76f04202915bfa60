//! Looking for a machine that has an address already.

use std::time::{Duration, SystemTime};

use crossbeam_channel::bounded;
use link::net::codec::ndp;
use link::net::{Announce, Net};
use link::network::Mac;
use link::policy::Connections;

use super::capture::Capture;
use super::lab::{Managed, PATIENCE, cidr, ip, mac, manage, run, settle, sysctl};
use super::neighbour::{Neighbour, ip_there};

const BOTH: [&str; 2] = ["10.0.0.1/32", "fd00::1/128"];

/// Who is found to have an address that is managed here.
fn look_for(vip: &Managed, text: &str) -> Option<Mac> {
    let (found_tx, found_rx) = bounded(1);
    let found = Box::new(move |mac| found_tx.send(mac).unwrap());
    vip.net.client().look_for(cidr(text), found);
    found_rx.recv_timeout(PATIENCE).expect("it is told")
}

#[test]
fn the_machine_that_answers_for_an_address_is_found() {
    for text in BOTH {
        run(move || {
            let neighbour = Neighbour::start();
            ip_there(&neighbour, "add", text);
            assert_eq!(look_for(&manage(text), text), Some(neighbour.run(|| mac("v1"))));
        });
    }
}

#[test]
fn nobody_is_found_where_nobody_answers_or_nobody_can_be_asked() {
    for text in BOTH {
        run(move || {
            let _neighbour = Neighbour::start();
            let vip = manage(text);
            assert_eq!(look_for(&vip, text), None);
            ip("link set v0 down");
            assert_eq!(look_for(&vip, text), None);
        });
    }
}

#[test]
fn many_addresses_are_looked_for_at_the_same_time() {
    run(|| {
        let neighbour = Neighbour::start();
        ip_there(&neighbour, "add", BOTH[0]);
        let vip = manage(BOTH[0]);
        let (found_tx, found_rx) = bounded(100);
        for _ in 0..100 {
            let found_tx = found_tx.clone();
            let found = Box::new(move |mac| found_tx.send(mac).unwrap());
            vip.net.client().look_for(cidr(BOTH[0]), found);
        }
        let found: Vec<_> =
            std::iter::from_fn(|| found_rx.recv_timeout(Duration::from_secs(5)).ok())
                .take(100)
                .collect();
        assert_eq!(found, vec![Some(neighbour.run(|| mac("v1"))); 100]);
    });
}

/// Clients drop their routes by a router that is said to be none.
#[test]
fn an_owner_that_is_a_router_is_announced_as_one() {
    for (forwarding, router) in [("0", false), ("1", true)] {
        run(move || {
            let neighbour = Neighbour::start();
            neighbour.run(move || sysctl("net/ipv6/conf/v1/forwarding", forwarding));
            ip_there(&neighbour, "add", BOTH[1]);
            let vip = manage(BOTH[1]);
            vip.expect_start(false);
            let (capture, there) = neighbour.run(|| (Capture::on("v1"), mac("v1")));
            vip.address.announce_owner();
            let mut expected = ndp::announcement("fd00::1".parse().unwrap(), there, router);
            expected[6..12].copy_from_slice(&mac("v0"));
            capture.await_frame(&expected);
        });
    }
}

/// However many addresses are looked for at once, a switch that throttles ARP is not flooded.
#[test]
fn questions_about_many_addresses_do_not_leave_all_at_once() {
    run(|| {
        const MANY: u16 = 600;
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        let text = |n: u16| format!("10.1.{}.{}/32", n / 250, n % 250 + 1);
        let managed: Vec<_> = (0..MANY)
            .map(|n| client.manage(cidr(&text(n)), "v0", false, Box::new(|_| {})))
            .collect();
        settle(&client);
        let capture = Capture::on("v1");
        let (found_tx, found_rx) = bounded(usize::from(MANY));
        for n in 0..MANY {
            let found_tx = found_tx.clone();
            client.look_for(cidr(&text(n)), Box::new(move |mac| found_tx.send(mac).unwrap()));
        }
        for _ in 0..MANY {
            assert_eq!(found_rx.recv_timeout(PATIENCE), Ok(None));
        }
        // Others look who is there: these do not name the sender as target.
        let is_question = |frame: &[u8]| frame[28..38] == [0; 10] && frame[38..40] == [10, 1];
        let frames = capture.frames.try_iter().filter(|(_, frame)| is_question(frame));
        let times: Vec<_> = frames.map(|(at, _)| at).collect();
        assert_eq!(times.len(), usize::from(MANY) * 2);
        // At once, and 2000 a second; the time is that of the arrival.
        let window = Duration::from_millis(50);
        let in_window = |from: &SystemTime| {
            let is_in = |at: &&SystemTime| (*from..*from + window).contains(*at);
            times.iter().filter(is_in).count()
        };
        let most = times.iter().map(in_window).max();
        assert!(most < Some(50 + 100 + 50), "{most:?} in {window:?}");
        drop(managed);
    });
}

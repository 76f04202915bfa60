//! Looking for a machine that has an address already.

use std::time::Duration;

use crossbeam_channel::bounded;
use link::network::Mac;

use super::lab::{Managed, PATIENCE, cidr, ip, mac, manage, run};
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

//! What the harness tells of the time at which something happened.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::{bare, bind, pause, unbind};
use crate::harness::*;

#[test]
fn who_holds_an_address_and_who_shares_it_is_seen_from_moment_to_moment() {
    let lab = bare(2);
    bind(&lab, H1, VIP);
    let mut holders = lab.watch_holders(VIP);
    assert_eq!(holders.now(), [H1]);
    bind(&lab, H2, VIP2);
    let before = Instant::now();
    bind(&lab, H2, VIP);
    eventually("both hold it", || holders.now() == [H1, H2]);
    pause(50);
    unbind(&lab, H1, VIP);
    eventually("one holds it", || holders.now() == [H2]);
    let &[gained, lost] = holders.changes() else {
        panic!("{:?}", holders.changes());
    };
    assert_eq!((gained.host, gained.holds, lost.host, lost.holds), (H2, true, H1, false));
    assert!(before < gained.at && lost.at < Instant::now());
    assert_eq!(holders.shared_for(), lost.at - gained.at);
    assert!(holders.shared_for() >= Duration::from_millis(50));
}

#[test]
fn a_refused_connection_is_seen_with_its_time() {
    let lab = bare(1);
    let mut refusals = Refusals::start(lab[H1].namespace(), 8080);
    let connect = |port: u16| {
        let address = (Ipv4Addr::LOCALHOST, port);
        lab[H1].namespace().run(|| TcpStream::connect(address)).is_ok()
    };
    let service = lab[H1].listen(8080);
    assert!(connect(8080) && !connect(8081));
    drop(service);
    let before = Instant::now();
    // A process that another test is just starting has the listener until it is executed.
    eventually("nobody listens", || !connect(8080));
    eventually("the refusal was seen", || refusals.moments().len() == 1);
    assert!(before < refusals.moments()[0] && refusals.moments()[0] < Instant::now());
}

#[test]
fn an_outage_before_the_moment_of_interest_does_not_count() {
    let lab = bare(1);
    let pinger = Pinger::start(lab.client.namespace(), VIP.ip());
    pause(200);
    bind(&lab, H1, VIP);
    lab.await_reachable(VIP);
    let moment = Instant::now();
    pause(100);
    let probes = pinger.probes();
    assert!(probes.report().longest_gap >= Duration::from_millis(200));
    let since = probes.report_since(moment);
    assert!((1..probes.report().sent).contains(&since.sent) && since.lost == 0, "{since:?}");
    assert!(since.longest_gap <= since.longest_stall + Duration::from_millis(20), "{since:?}");
}

//! Go LinK beside this one, and what it leaves behind.

use crate::harness::*;

#[test]
fn a_go_host_takes_over_from_an_agent_that_stops_and_gives_back_when_it_dies() {
    let mut lab = Lab::new(2);
    lab[H1].start();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    let go = GoLink::start(&lab, H2, VIP);
    lab[H1].terminate();
    assert_eq!(lab.await_owner(VIP), H2);
    lab[H1].restart();
    lab[H1].await_status(VIP, "STANDBY");
    drop(go);
    // It keeps its address, as the Go LinK does.
    lab[H2].ip(&format!("addr del {VIP} dev eth0"));
    assert_eq!(lab.await_owner(VIP), H1);
    lab.await_reachable(VIP);
}

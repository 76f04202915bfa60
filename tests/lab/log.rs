//! The log of an agent, when nobody reads it.

use std::time::Duration;

use crate::harness::*;

#[test]
fn an_agent_whose_log_nobody_reads_goes_on() {
    let mut lab = Lab::new(2);
    let pipe = LogPipe::of(&mut lab[H1]);
    lab.start_all();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    lab[H2].api().add(VIP);
    pipe.fill();
    let lock = lab.lock(VIP);
    lab[H1].ip(&format!("addr del {VIP} dev eth0"));
    eventually("the address is back", || lab[H1].binds(VIP.ip()));
    let id = lab[H1].api().add(VIP2);
    lab[H1].api().send("DELETE", &format!("/ips/{}", id.id), None).expect(204);
    assert_eq!(lab[H1].api().get("/health").status, 200);
    // Longer than a lease lasts that is not renewed.
    assert!(!until(Duration::from_secs(7), || lab.lock(VIP) != lock), "the lease was lost");
    let mut said = String::new();
    eventually("what was queued is written", || {
        said.push_str(&pipe.drain());
        said.contains("DELETE /ips/")
    });
    pipe.fill();
    assert!(lab[H1].terminate().success(), "nor does its end wait for a reader");
    eventually("it has handed over", || lab[H2].binds(VIP.ip()));
}

#[test]
fn an_agent_whose_log_nobody_reads_can_be_executed_again() {
    let mut lab = Lab::new(1);
    let pipe = LogPipe::of(&mut lab[H1]);
    lab.start_all();
    lab[H1].api().add(VIP);
    let lock = lab.lock(VIP);
    pipe.fill();
    let agent = lab[H1].agent();
    // Only a program that was executed again has been given sockets.
    let environment = format!("/proc/{}/environ", agent.pid());
    let is_executed = || {
        let environment = std::fs::read(&environment).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains("LINK_SOCKETS=")
    };
    assert!(!is_executed());
    agent.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("it is executed again", is_executed);
    eventually("it is well", || lab[H1].api().get("/health").status == 200);
    assert_eq!(lab.lock(VIP), lock);
    let mut said = String::new();
    eventually("what it says then is read", || {
        said.push_str(&pipe.drain());
        said.matches("LinK v").count() == 2
    });
}

#[test]
fn a_filter_that_lets_nothing_through_is_said_and_not_used() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[("RUST_LOG", "nonsense")]);
    lab[H1].await_warning(&["RUST_LOG=nonsense"]);
    assert!(lab[H1].agent().log().contains(" INFO "), "info is used");
}

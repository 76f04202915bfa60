//! How fast an IP appears on a host that is to have it.

use std::time::{Duration, Instant};

use super::contender::Contender;
use super::harness::{H1, Lab, VIP, Vip};
use super::linkd::{Linkd, start_agents};
use super::locks::LockWatch;
use super::options::Options;
use super::table::Row;
use super::watch::random_phase;

pub(crate) fn create(options: &Options) -> Vec<Row> {
    let mut lab = Lab::new(3);
    start_agents(&mut lab, &[]);
    let api = lab[H1].api();
    let once = |number: u16| {
        let vip = Vip::v4(number);
        let mut capture = lab.client.capture();
        random_phase();
        let asked = Instant::now();
        api.add(vip);
        let announced = capture.wait_for_announcement(vip.ip());
        api.delete(&api.path(vip)).expect(204);
        announced.at - asked
    };
    let times: Vec<Duration> = (10..).take(options.runs).map(once).collect();
    vec![Row::milliseconds("POST /ips to the first announcement", times)]
}

/// On a host whose agent has ended in peace, so that nobody has the IP.
pub(crate) fn start(options: &Options) -> Vec<Row> {
    let mut lab = Lab::new(1);
    start_agents(&mut lab, &[]);
    lab.offer(VIP);
    let once = |_| {
        lab.await_owner(VIP);
        assert!(lab[H1].terminate().success());
        random_phase();
        let mut capture = lab.client.capture();
        let started = Instant::now();
        lab[H1].restart();
        capture.wait_for_announcement(VIP.ip()).at - started
    };
    let times: Vec<Duration> = (0..options.runs).map(once).collect();
    vec![Row::milliseconds("start of the agent to the first announcement", times)]
}

/// The owner is frozen, so that the lock goes to another host for certain.
pub(crate) fn lock(options: &Options) -> Vec<Row> {
    let linkd = Linkd::sharing(&[]);
    let lab = linkd.lab();
    let once = |_| {
        random_phase();
        let owner = lab.await_owner(VIP);
        let lock = lab.lock(VIP).expect("the owner has the lock");
        let mut capture = lab.client.capture();
        lab[owner].agent().freeze();
        let watch = LockWatch::start(lab);
        lab.etcd.revoke(lock.lease);
        let deleted = watch.first_change();
        let announced = capture.wait_for("the new owner's announcement", |frame| {
            frame.announces(VIP.ip()) && frame.source != lab[owner].mac()
        });
        lab[owner].agent().thaw();
        linkd.await_standby(owner);
        announced.at.saturating_duration_since(deleted)
    };
    let times: Vec<Duration> = (0..options.runs).map(once).collect();
    vec![Row::milliseconds("DELETE event of the lock to the new owner's announcement", times)]
}

//! What is in etcd and what should be: records, candidacies, locks, and the key of a host.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// How long an IP may have no owner when the lock of one that cannot serve it is given up.
const AT_ONCE: Duration = Duration::from_secs(2);

/// For the processes of a dozen labs on one machine to do what they have to.
const LOAD: Duration = Duration::from_secs(3);

/// Two hosts that share the VIP; the first owns it.
fn sharing() -> Lab {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    lab
}

/// Waits until the record of the VIP is there again as it was, written by the agent of the first
/// host, which says so.
fn await_mended(lab: &Lab, record: &str) {
    eventually("the record is written again", || {
        lab.find_record(H1, VIP).is_some_and(|entry| entry.value == record)
    });
    lab[H1].await_warning(&[&VIP.to_string()]);
    assert_eq!(lab.owner(VIP), Some(H1), "nothing has moved");
}

/// Waits until the VIP is owned, as long as that may take at once.
fn await_served(lab: &Lab) -> HostId {
    let took = within(AT_ONCE + LOAD, "the VIP has an owner", || lab.owner(VIP).is_some());
    println!("owned after {took:?}");
    lab.await_reachable(VIP);
    lab.await_owner(VIP)
}

#[test]
fn a_record_that_is_deleted_under_its_agent_is_written_again() {
    let mut lab = sharing();
    let (record, lock) = (lab.record(H1, VIP), lab.lock(VIP));
    assert!(lab.etcd.delete(&record.key));
    await_mended(&lab, &record.value);
    lab[H1].kill();
    lab[H1].restart();
    lab[H1].await_status(VIP, "ACTIVATED");
    assert_eq!((lab.owner(VIP), lab.lock(VIP)), (Some(H1), lock));
}

#[test]
fn a_record_that_is_garbled_under_its_agent_is_written_again() {
    let lab = sharing();
    let record = lab.record(H1, VIP);
    lab.etcd.put(&record.key, "{");
    await_mended(&lab, &record.value);
}

#[test]
fn a_record_that_nobody_has_registered_is_removed() {
    let lab = sharing();
    let id = "vip-0b3f5a1e-2d9c-4b7a-8f6e-1c2d3e4f5a6b";
    let stray = record_key("h1", id);
    let record = json!({ "id": id, "ip": VIP2.to_string(), "checks": [], "plugin": "arp" });
    lab.etcd.put(&stray, &record.to_string());
    eventually("it is removed", || lab.etcd.get(&stray).is_none());
    lab[H1].await_warning(&[id, &VIP2.to_string()]);
    assert_eq!(lab.records(H1).len(), 1);
    assert_eq!(lab.bound_on(VIP2), []);
}

#[test]
fn a_host_key_that_is_deleted_under_its_agent_is_written_again() {
    let mut lab = sharing();
    let (key, lock) = (lab.etcd.get("/link/config/h1").unwrap(), lab.lock(VIP));
    lab.etcd.delete(&key.key);
    eventually("it is written again", || lab.lease_of(H1) == lock.as_ref().unwrap().lease);
    lab[H1].await_warning(&["key of host h1"]);
    std::fs::remove_file(lab[H1].state_file()).unwrap();
    lab[H1].kill();
    lab[H1].restart();
    lab[H1].await_status(VIP, "ACTIVATED");
    assert_eq!(lab.lock(VIP), lock, "the lease is resumed");
}

#[test]
fn a_candidacy_that_is_deleted_under_its_agent_is_written_again() {
    let mut lab = Lab::new(2);
    // It is looked for once in sixty renewals.
    lab.start_all_with(&[("KEEPALIVE_INTERVAL", "100ms")]);
    lab.offer_in_order(VIP);
    let key = format!("/link/ips/{}/h2", VIP.election_key());
    assert!(lab.etcd.delete(&key));
    eventually("it is written again", || lab.etcd.get(&key).is_some());
    lab[H1].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H2);
}

#[test]
fn a_lock_whose_record_is_gone_at_a_restart_is_given_up_at_once() {
    let mut lab = sharing();
    let lease = lab.lock(VIP).unwrap().lease;
    lab[H1].kill();
    lab.delete_records(H1);
    lab[H1].restart();
    assert_eq!(await_served(&lab), H2);
    assert!(lab.etcd.has_lease(lease), "its lease is resumed");
    // etcd is the same, and not older than the copy: somebody has deleted the record.
    assert_eq!(lab[H1].api().list(), []);
    assert_eq!(lab.records(H1), []);
    lab[H1].await_warning(&[&VIP.to_string()]);
    let candidates = lab.etcd.list(&format!("/link/ips/{}/", VIP.election_key()));
    assert_eq!(candidates.len(), 1, "{candidates:?}");
}

#[test]
fn a_lock_whose_record_is_gone_at_a_reload_is_given_up_at_once() {
    let mut lab = sharing();
    lab.delete_records(H1);
    lab[H1].reload();
    await_served(&lab);
    lab[H1].await_warning(&[&VIP.to_string()]);
}

#[test]
fn a_lock_whose_record_cannot_be_read_at_a_restart_is_not_kept() {
    let mut lab = sharing();
    let record = lab.record(H1, VIP);
    lab[H1].kill();
    lab.etcd.put(&record.key, "{");
    lab[H1].restart();
    await_served(&lab);
    lab[H1].await_warning(&[&record.key]);
}

#[test]
fn a_kill_beside_a_deletion_leaves_no_lock_behind() {
    const TRIES: u16 = 15;
    let mut lab = Lab::new(2);
    lab.start_all();
    let vips: Vec<Vip> = (10..10 + TRIES).map(Vip::v4).collect();
    vips.iter().for_each(|vip| lab.offer_in_order(*vip));
    for (try_, vip) in (0..).zip(vips) {
        assert_eq!(lab.await_owner(vip), H1);
        let (api, path) = (lab[H1].api(), lab[H1].api().path(vip));
        let deletion = std::thread::spawn(move || drop(api.try_send("DELETE", &path, None)));
        // The kill itself is what is timed: it falls now before, now after what the agent does.
        until(Duration::from_millis(try_ * 2), || false);
        lab[H1].kill();
        lab[H1].restart();
        let served = until(Duration::from_secs(5) + LOAD, || lab.owner(vip).is_some());
        assert!(served, "{vip}, try {try_}: {:?} is left behind", lab.lock(vip));
        deletion.join().expect("the one who asked ends");
    }
}

#[test]
fn a_stop_right_after_a_start_leaves_what_is_registered() {
    let mut lab = Lab::new(1);
    lab.start_all();
    let vips: Vec<Vip> = (10..18).map(Vip::v4).collect();
    vips.iter().for_each(|vip| lab.offer(*vip));
    let records = lab.records(H1);
    for pause in 0..12 {
        lab[H1].kill();
        lab[H1].restart();
        // Now before, now after all is read and compared.
        until(Duration::from_millis(3 * pause), || false);
        lab[H1].terminate();
        assert_eq!(lab.records(H1), records);
        assert!(vips.iter().all(|vip| copy(&lab).contains(&vip.to_string())), "{}", copy(&lab));
        lab[H1].restart();
    }
    vips.iter().for_each(|vip| assert_eq!(lab.await_owner(*vip), H1));
}

#[test]
fn a_local_copy_with_another_id_than_etcds_leaves_the_ip_bound() {
    let mut lab = Lab::new(2);
    lab.start_all_with(&[("STOP_POLICY", "keep")]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    let id = lab[H1].api().find(VIP).unwrap().id;
    eventually("the copy is written", || copy(&lab).contains(&id));
    lab[H1].terminate();
    let older = copy(&lab).replace(&id, "vip-0b3f5a1e-2d9c-4b7a-8f6e-1c2d3e4f5a6b");
    std::fs::write(lab[H1].state_file(), older).unwrap();
    lab.etcd.stop();
    lab[H1].ip(&format!("addr del {VIP} dev eth0"));
    lab[H1].restart_without_etcd();
    eventually("it takes what it knows", || lab[H1].binds(VIP.ip()));
    lab.etcd.start_all();
    eventually("etcd's id counts", || lab[H1].api().find(VIP).is_some_and(|ip| ip.id == id));
    lab[H1].api().await_well();
    lab.await_owner(VIP);
    holds_for(Duration::from_secs(7), "it stays bound", || lab.bound_on(VIP) == [H1]);
    assert_eq!(lab.owner(VIP), Some(H1));
    // One election: what is given up is given up for good.
    lab[H2].api().add(VIP);
    lab[H1].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H2);
}

fn copy(lab: &Lab) -> String {
    std::fs::read_to_string(lab[H1].state_file()).unwrap_or_default()
}

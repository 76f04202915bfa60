//! Groups of IPs: one owner, and all of them on a host or none.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// No longer than that does any of them not answer while nothing is wrong; it is milliseconds.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Says of an IP on a host to which group it is to belong.
#[track_caller]
fn set_group(lab: &Lab, host: HostId, vip: Vip, group: &Value) {
    let api = lab[host].api();
    api.put(&api.path(vip), &json!({ "group": group })).expect(200);
}

/// The same on all hosts.
#[track_caller]
fn group_all(lab: &Lab, vips: &[Vip]) {
    for id in lab.ids() {
        vips.iter().for_each(|vip| set_group(lab, id, *vip, &json!("gw")));
    }
}

/// The host that has all of these addresses, while no other has any, and etcd says that they belong together.
#[track_caller]
fn await_together(lab: &Lab, vips: &[Vip]) -> HostId {
    let has = |id: &HostId| vips.iter().filter(|vip| lab[*id].binds(vip.ip())).count();
    let key = |vip: &Vip| lab.etcd.get(&format!("/link/default/{}", vip.election_key()));
    let mut owner = None;
    eventually(&format!("one host has {vips:?} as a group"), || {
        let belong = vips.iter().all(|vip| key(vip).is_some_and(|it| it.value == "group:gw"));
        let all: Vec<HostId> = lab.ids().into_iter().filter(|id| has(id) > 0).collect();
        owner = all.first().copied().filter(|id| all.len() == 1 && has(id) == vips.len());
        belong && owner.is_some()
    });
    owner.expect("it was awaited")
}

/// All hosts are candidates for the group as it is.
#[track_caller]
fn await_candidates(lab: &Lab) {
    eventually("all hosts are candidates for the group", || {
        let keys = lab.etcd.list("/link/ips/group:gw@");
        let parts = keys.iter().filter_map(|it| it.key.rsplit_once('/'));
        let (groups, hosts): (BTreeSet<&str>, Vec<&str>) = parts.unzip();
        groups.len() == 1 && hosts.len() == lab.ids().len()
    });
}

#[test]
fn ips_of_two_hosts_become_a_group_and_move_together_without_a_gap() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    lab.offer_in_order(VIP2);
    let (first, second) = (lab.await_owner(VIP), lab.await_owner(VIP2));
    if first == second {
        lab[second].api().failover(VIP2).expect(204);
    }
    let pings = [VIP, VIP2].map(|vip| (vip, lab.client.ping(vip.ip())));
    group_all(&lab, &[VIP, VIP2]);
    let mut owner = await_together(&lab, &[VIP, VIP2]);
    let holds = lab.etcd.get("/link/default/group:gw").expect("the group has an owner").value;
    assert_eq!(holds, owner.to_string());
    for vip in [VIP, VIP2, VIP] {
        let heir = lab.other_than(owner);
        await_candidates(&lab);
        lab[owner].api().failover(vip).expect(204);
        owner = await_together(&lab, &[VIP, VIP2]);
        assert_eq!(owner, heir);
    }
    // One of them leaves, and stays where it is.
    lab.ids().into_iter().for_each(|id| set_group(&lab, id, VIP2, &Value::Null));
    eventually("it is elected by itself", || {
        lab.lock(VIP2).is_some_and(|lock| lock.holder == owner.to_string())
    });
    assert_eq!(lab.bound_on(VIP), [owner]);
    assert_eq!(lab.bound_on(VIP2), [owner]);
    for (vip, report) in pings.map(|(vip, ping)| (vip, ping.stop())) {
        assert!(report.longest_gap < AT_ONCE, "{vip}: {report:?}");
    }
}

#[test]
fn the_carrier_of_one_interface_takes_the_whole_group_and_a_reload_nothing() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    for id in lab.ids() {
        let api = lab[id].api();
        api.create(&json!({ "ip": VIP.to_string(), "interface": "eth0", "group": "gw" }));
        api.create(&json!({ "ip": VIP6.to_string(), "interface": "eth1", "group": "gw" }));
    }
    let first = await_together(&lab, &[VIP, VIP6]);
    let second = lab.other_than(first);
    await_candidates(&lab);
    let mut addresses = lab[first].monitor_addresses();
    lab[first].reload();
    lab[first].api().await_well();
    assert_eq!(addresses.changes(), [], "a reload moves nothing");
    await_candidates(&lab);
    lab.set_carrier(first, false);
    eventually("both have moved", || [VIP, VIP6].iter().all(|vip| lab.bound_on(*vip) == [second]));
    lab.set_carrier(first, true);
    await_candidates(&lab);
    lab[second].kill();
    lab.isolate(second);
    let of_first = || [VIP, VIP6].iter().all(|vip| lab[first].binds(vip.ip()));
    eventually("the death of a host moves both", of_first);
}

#[test]
fn a_host_that_offers_a_part_of_a_group_is_no_candidate_and_has_it_when_the_others_are_gone() {
    let mut lab = Lab::new(2);
    lab.start_all();
    for vip in [VIP, VIP2] {
        lab[H1].api().create(&json!({ "ip": vip.to_string(), "group": "gw" }));
    }
    assert_eq!(await_together(&lab, &[VIP, VIP2]), H1);
    lab[H2].api().create(&json!({ "ip": VIP.to_string(), "group": "gw" }));
    eventually("the status tells why it is no candidate", || {
        let status = lab[H2].api().get("/status").expect(200).body;
        status.contains("does not offer all of the group")
    });
    let refused = lab[H1].api().failover(VIP).expect(409).error();
    assert!(refused.contains("candidate"), "{refused}");
    // Who stops hands the part over as any other IP.
    let ping = lab.client.ping(VIP.ip());
    lab[H1].terminate();
    eventually("a registered IP has an owner", || lab.bound_on(VIP) == [H2]);
    let report = ping.stop();
    assert!(report.longest_gap < AT_ONCE, "{report:?}");
    lab[H1].restart();
    eventually("the other one too", || lab.bound_on(VIP2) == [H1]);
    // Deleted, it is no reason not to be a candidate any more.
    lab[H1].api().delete(&lab[H1].api().path(VIP2)).expect(204);
    eventually("it is gone", || lab.bound_on(VIP2).is_empty());
    lab[H1].api().await_well();
}

#[test]
fn without_etcd_a_group_is_one_from_the_local_copy_and_linkctl_tells_of_it() {
    let mut lab = Lab::new(1);
    lab.start_all();
    let run = |lab: &Lab, args: &[&str]| {
        let output = lab[H1].namespace().output(Command::new(linkctl()).args(args));
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let [vip, vip6] = [VIP, VIP6].map(|vip| vip.to_string());
    run(&lab, &["add", &vip, "--group", "gw"]);
    run(&lab, &["add", &vip6]);
    run(&lab, &["set", &vip6, "--group", "gw"]);
    await_together(&lab, &[VIP, VIP6]);
    let shown = run(&lab, &["show", &vip6]);
    assert!(shown.contains("group         gw\n"), "{shown}");
    let commands = run(&lab, &["list", "--output", "commands"]);
    assert_eq!(commands.matches("--group gw").count(), 2, "{commands}");
    let copy = || std::fs::read_to_string(lab[H1].state_file()).expect("a local copy");
    eventually("the copy has the group", || copy().contains(r#""groups":{"gw":{"ips":["#));
    lab.etcd.stop();
    lab[H1].kill();
    let mut addresses = lab[H1].monitor_addresses();
    lab[H1].restart_without_etcd();
    eventually("both are served", || {
        [VIP, VIP6].iter().all(|vip| lab[H1].api().status(*vip) == "ACTIVATED")
    });
    lab.etcd.start_all();
    lab[H1].api().await_well();
    await_together(&lab, &[VIP, VIP6]);
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    assert!(!addresses.changes().iter().any(was_away), "they stayed all the time");
}

#[test]
fn a_group_whose_key_somebody_has_deleted_or_garbled_is_one_again() {
    const KEY: &str = "/link/config/.groups/gw";
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    lab.offer_in_order(VIP2);
    group_all(&lab, &[VIP, VIP2]);
    let owner = await_together(&lab, &[VIP, VIP2]);
    let mut addresses = lab[owner].monitor_addresses();
    let is_one = |lab: &Lab| {
        let is_there = || lab.etcd.get(KEY).is_some_and(|it| it.value.contains(&VIP2.to_string()));
        eventually("the group has its IPs", is_there);
        await_together(lab, &[VIP, VIP2])
    };
    for garbled in [false, true] {
        await_candidates(&lab);
        if garbled {
            lab.etcd.put(KEY, "{");
        } else {
            assert!(lab.etcd.delete(KEY));
        }
        assert_eq!(is_one(&lab), owner);
    }
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    assert!(!addresses.changes().iter().any(was_away), "its owner goes on");
    // Nobody has the group when its key goes.
    lab.ids().into_iter().for_each(|id| lab[id].kill());
    let has_ended = || lab.etcd.get("/link/default/group:gw").is_none();
    eventually("the leases have ended", has_ended);
    assert!(lab.etcd.delete(KEY));
    lab.ids().into_iter().for_each(|id| lab[id].restart());
    is_one(&lab);
}

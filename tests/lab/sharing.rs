//! Equal candidates share what becomes free at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// How many IPs the hosts share: each is first for 17 of them, more or less.
const IPS: u16 = 50;

/// Fewer than that a host has by chance once in thousands of sets of addresses; these are always the same.
const SHARE: usize = 5;

fn vips() -> impl Iterator<Item = Vip> {
    (1..=IPS).map(Vip::v4)
}

/// Three hosts that offer all IPs; the first, which offered them first, has them.
fn offering() -> Lab {
    let mut lab = Lab::new(3);
    lab.start_all();
    for id in lab.ids() {
        vips().for_each(|vip| drop(lab[id].api().add(vip)));
    }
    lab
}

/// Which IPs each running agent says that it owns.
fn owned(lab: &Lab) -> BTreeMap<HostId, Vec<String>> {
    let agents = lab.ids().into_iter().filter(|id| lab[*id].has_agent());
    let owned = agents.map(|id| {
        let ips = lab[id].api().list().into_iter();
        (id, ips.filter(|ip| ip.status == "ACTIVATED" && ip.bound).map(|ip| ip.ip).collect())
    });
    owned.collect()
}

/// Waits until each IP is owned by one of them.
fn await_all_owned(lab: &Lab) -> BTreeMap<HostId, Vec<String>> {
    let mut found = BTreeMap::new();
    eventually("each IP has an owner", || {
        found = owned(lab);
        let mut all: Vec<&String> = found.values().flatten().collect();
        let owners = all.len();
        all.sort();
        all.dedup();
        (owners, all.len()) == (usize::from(IPS), usize::from(IPS))
    });
    found
}

/// Waits until the others have heard the host, so that they find its death: each watches it through one of its IPs.
fn await_heard(lab: &Lab, owner: HostId) {
    let is_heard = |id: HostId| {
        let ips = lab[id].api().list().into_iter();
        let mut ips = ips.filter(|ip| ip.owner == Some(owner.to_string()));
        ips.any(|ip| {
            let shown = lab[id].api().get(&format!("/ips/{}", ip.id)).json();
            shown["ip"]["seen"]["owners_host"]["network"] == "answers"
        })
    };
    let others: Vec<_> = lab.ids().into_iter().filter(|id| *id != owner).collect();
    eventually("it is heard", || others.iter().all(|id| is_heard(*id)));
}

fn stop_all(lab: &mut Lab) {
    lab.ids().into_iter().for_each(|id| assert!(lab[id].terminate().success()));
}

fn start_at_once(lab: &mut Lab) {
    lab.ids().into_iter().for_each(|id| lab[id].spawn());
}

#[test]
fn hosts_that_start_together_share_the_ips_and_those_of_one_that_dies() {
    let mut lab = offering();
    assert_eq!(await_all_owned(&lab)[&H1].len(), usize::from(IPS), "whoever comes first");
    stop_all(&mut lab);
    start_at_once(&mut lab);
    eventually("the agents are there", || {
        lab.ids().into_iter().all(|id| {
            lab[id].api().try_send("GET", "/ips", None).is_ok_and(|answer| answer.status == 200)
        })
    });
    let before = await_all_owned(&lab);
    println!("{:?}", before.values().map(Vec::len).collect::<Vec<_>>());
    assert!(before.values().all(|ips| ips.len() >= SHARE), "{before:#?}");

    await_heard(&lab, H2);
    lab[H2].power_off();
    let after = await_all_owned(&lab);
    println!("{:?}", after.values().map(Vec::len).collect::<Vec<_>>());
    for (host, ips) in &after {
        let new = ips.iter().filter(|ip| before[&H2].contains(ip)).count();
        assert!(new >= SHARE / 2, "{host} has got {new} of {:?}", before[&H2]);
        assert!(before[host].iter().all(|ip| ips.contains(ip)), "nothing else has moved");
    }

    // A planned move spreads them as well.
    lab.power_on(H2);
    lab[H2].restart();
    let drained = lab[H1].api().send("POST", "/drain", None);
    assert_eq!(drained.status, 200, "{drained:?}");
    eventually("the drained host has none", || owned(&lab)[&H1].is_empty());
    let spread = await_all_owned(&lab);
    assert!([H2, H3].iter().all(|id| spread[id].len() >= SHARE), "{spread:#?}");
}

#[test]
fn a_host_that_starts_alone_has_what_others_have_registered_as_well() {
    let mut lab = Lab::sharing(2, VIP);
    stop_all(&mut lab);
    assert_eq!(lab.bound_on(VIP), []);
    lab[H2].spawn();
    let took = eventually("it has the IP", || lab.bound_on(VIP) == [H2]);
    println!("bound {took:?} after the start");
    lab.await_owner(VIP);
}

#[test]
fn the_highest_priority_is_first_when_an_ip_is_free_and_moves_none_that_is_held() {
    let mut lab = Lab::new(3);
    for (id, priority) in lab.ids().into_iter().zip(["", "150", "200"]) {
        lab[id].start_with(&[("PRIORITY", priority)]);
    }
    lab.offer_in_order(VIP);
    lab.offer_in_order(VIP2);
    // Of this host for this IP: higher than all.
    let path = lab[H2].api().path(VIP2);
    let changed = lab[H2].api().put(&path, &json!({ "priority": 255 })).expect(200).json();
    assert_eq!(changed["priority"], 255);
    let shown = || lab[H1].api().get(&format!("{}/hosts", lab[H1].api().path(VIP2))).json();
    let priorities = json!([100, 255, 200]);
    eventually("the others hear of it", || {
        let hosts = shown()["hosts"].as_array().cloned().unwrap_or_default();
        priorities == hosts.iter().map(|host| host["priority"].clone()).collect::<Value>()
    });
    // A handover goes to the highest, whatever the order of the IP.
    lab[H1].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner_other_than(H1, VIP), H3);
    holds_for(Duration::from_secs(1), "nothing moves", || lab.bound_on(VIP2) == [H1]);

    // Standbys read each other again within 6 s of a change.
    holds_for(Duration::from_secs(7), "nothing moves", || lab.bound_on(VIP2) == [H1]);
    lab[H1].power_off();
    assert_eq!(lab.await_owner_other_than(H1, VIP2), H2);
    lab[H3].power_off();
    assert_eq!(lab.await_owner_other_than(H3, VIP), H2);
    // Back with the highest priority, a host waits.
    lab.power_on(H3);
    lab[H3].restart();
    lab[H3].await_status(VIP, "STANDBY");
    holds_for(Duration::from_secs(1), "nothing moves", || lab.bound_on(VIP) == [H2]);
}

//! Equal candidates share what becomes free at once.

use std::collections::BTreeMap;

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

//! etcd by name, and name servers that say nothing.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::*;

/// Longer than agents are patient with an etcd that is silent.
const PATIENCE: Duration = Duration::from_secs(6);

/// Two hosts whose name server is silent and whose names are in a file of the test.
fn silent_name_server() -> (Lab, PathBuf) {
    let mut lab = Lab::new(2);
    let (hosts, servers) = (lab.folder().join("hosts"), lab.folder().join("resolv.conf"));
    let server = "10.0.0.99";
    fs::write(&hosts, "").unwrap();
    fs::write(&servers, format!("nameserver {server}\n")).unwrap();
    let mount = |file: &PathBuf| format!("mount --bind {} /etc/", file.display());
    let script = format!("{}hosts && {}resolv.conf && exec \"$0\"", mount(&hosts), mount(&servers));
    for host in [H1, H2] {
        lab[host].wrap(&["unshare", "--mount", "sh", "-c", &script]);
        lab[host].cut(&[server.parse().unwrap()], Way::Both);
    }
    (lab, hosts)
}

/// etcd is away for a moment; nothing comes of it.
fn restart_moves_nothing(lab: &mut Lab) {
    lab.offer(VIP);
    let (owner, lock) = (lab.await_owner(VIP), lab.lock(VIP));
    lab.etcd.restart();
    holds_for(PATIENCE, "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    for host in [H1, H2] {
        let log = lab[host].agent().log();
        assert!(!log.contains("etcd is lost"), "{log}");
    }
}

#[test]
fn an_endpoint_whose_name_server_is_silent_costs_the_others_nothing() {
    let (mut lab, _) = silent_name_server();
    let endpoints = format!("{},http://etcd.example:2379", lab.etcd.endpoints());
    lab.start_all_with(&[("ETCD_HOSTS", &endpoints)]);
    restart_moves_nothing(&mut lab);
}

#[test]
fn the_addresses_that_a_name_had_are_used_while_its_server_is_silent() {
    let (mut lab, hosts) = silent_name_server();
    fs::write(&hosts, format!("{} etcd.example\n", lab.etcd.addresses()[0])).unwrap();
    lab.start_all_with(&[("ETCD_HOSTS", "http://etcd.example:2379")]);
    fs::write(&hosts, "").unwrap();
    restart_moves_nothing(&mut lab);
}

#[test]
fn a_name_that_gets_another_address_is_followed() {
    let (mut lab, hosts) = silent_name_server();
    // Nobody answers there.
    fs::write(&hosts, "10.0.0.77 etcd.example\n").unwrap();
    lab[H1].start_without_etcd(&[("ETCD_HOSTS", "http://etcd.example:2379")]);
    fs::write(&hosts, format!("{} etcd.example\n", lab.etcd.addresses()[0])).unwrap();
    lab[H1].api().await_well();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
}

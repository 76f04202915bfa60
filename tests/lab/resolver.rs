//! etcd by name, and name servers that say nothing.

use std::time::{Duration, Instant};

use crate::harness::*;

/// Longer than agents are patient with an etcd that is silent.
const PATIENCE: Duration = Duration::from_secs(6);

/// The name of the only member.
const NAME: &str = "etcd.example";

/// Two hosts whose name server is silent.
fn silent_name_server() -> (Lab, SilentNameServer) {
    let mut lab = Lab::new(2);
    let server = SilentNameServer::of(&mut lab, &[H1, H2]);
    (lab, server)
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
    let (mut lab, _server) = silent_name_server();
    let endpoints = format!("{},http://etcd.example:2379", lab.etcd.endpoints());
    lab.start_all_with(&[("ETCD_HOSTS", &endpoints)]);
    restart_moves_nothing(&mut lab);
}

/// A resolver waits for a silent server for five seconds.
#[test]
fn an_agent_ends_while_a_name_server_is_silent() {
    let (mut lab, _server) = silent_name_server();
    let endpoints = format!("{},http://etcd.example:2379", lab.etcd.endpoints());
    lab.start_all_with(&[("ETCD_HOSTS", &endpoints)]);
    lab.offer(VIP);
    // The agent goes on to the name, so that the resolver is asked.
    lab.etcd.restart();
    let owner = lab.await_owner(VIP);
    let (before, began) = (lab.lock(VIP), Instant::now());
    lab[owner].reload();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(lab.lock(VIP), before);
}

#[test]
fn the_addresses_that_a_name_had_are_used_while_its_server_is_silent() {
    let (mut lab, server) = silent_name_server();
    server.tell(NAME, lab.etcd.addresses()[0]);
    lab.start_all_with(&[("ETCD_HOSTS", "http://etcd.example:2379")]);
    server.forget();
    restart_moves_nothing(&mut lab);
}

#[test]
fn a_name_that_gets_another_address_is_followed() {
    let (mut lab, server) = silent_name_server();
    // Nobody answers there.
    server.tell(NAME, "10.0.0.77".parse().unwrap());
    lab[H1].start_without_etcd(&[("ETCD_HOSTS", "http://etcd.example:2379")]);
    server.tell(NAME, lab.etcd.addresses()[0]);
    lab[H1].api().await_well();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
}

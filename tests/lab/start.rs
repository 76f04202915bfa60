//! How an agent starts, and what it finds.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

const ID: &str = "vip-6e5d9b1c-8c5b-4bb5-9a2d-6b6f3a1d1c0e";
const OTHER_ID: &str = "vip-0b3f5a1e-2d9c-4b7a-8f6e-1c2d3e4f5a6b";

fn record_key(id: &str) -> String {
    format!("/link/hosts/h1/{id}")
}

#[test]
fn the_ips_of_a_host_survive_a_restart_of_its_agent() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": 1313 });
    let body = json!({ "ip": VIP.to_string(), "checks": [check], "healthcheck_interval": 9 });
    lab[H1].api().create(&body);
    lab[H1].api().add(VIP2);
    let before = lab[H1].api().list();
    lab[H1].terminate();
    lab[H1].restart();
    let after = lab[H1].api().list();
    let kept = |ips: &[link::wire::Ip]| {
        let fields = ips
            .iter()
            .map(|ip| (ip.id.clone(), ip.ip.clone(), ip.checks.clone(), ip.healthcheck_interval));
        fields.collect::<Vec<_>>()
    };
    assert_eq!(kept(&after), kept(&before));
    lab.await_owner(VIP2);
}

#[test]
fn a_left_over_address_that_another_host_owns_by_now_is_removed() {
    let mut lab = Lab::sharing(2, VIP);
    let crashed = lab.await_owner(VIP);
    let heir = lab.other_than(crashed);
    lab[crashed].kill();
    eventually("the other takes it", || lab[heir].binds(VIP.ip()));
    assert!(lab[crashed].binds(VIP.ip()), "nobody has removed it");
    lab[crashed].restart();
    assert_eq!(lab.await_owner(VIP), heir);
}

#[test]
fn what_a_go_link_has_left_is_removed_if_its_ip_is_offered_here() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let standby = lab.other_than(owner);
    lab[standby].terminate();
    let host = standby.to_string();
    let of_go = json!({ "hostname": host, "lease_id": 0, "data_version": 3 });
    lab.etcd.put(&format!("/link/config/{host}"), &of_go.to_string());
    lab[standby].ip(&format!("addr add {VIP} dev eth0"));
    lab[standby].restart();
    assert_eq!(lab.await_owner(VIP), owner);
}

#[test]
fn a_left_over_address_that_is_offered_no_more_is_removed() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    lab[H1].kill();
    for record in lab.etcd.list("/link/hosts/h1/") {
        lab.etcd.delete(&record.key);
    }
    lab[H1].restart();
    eventually("it is removed", || lab.bound_on(VIP).is_empty());
    assert_eq!(lab[H1].api().list(), []);
}

#[test]
fn a_missing_interface_is_waited_for() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[("INTERFACE", "eth7")]);
    lab[H1].api().add(VIP);
    let mut shown = None;
    let explained = until(Duration::from_secs(10), || {
        shown = lab[H1].api().find(VIP);
        let why = shown.as_ref().map(|ip| ip.reason.as_str());
        why.is_some_and(|why| why.contains("interface"))
    });
    assert!(explained, "it does not say why it cannot: {shown:?}");
    lab[H1].ip("link add eth7 type veth peer name other-end");
    lab[H1].ip("link set other-end up");
    lab[H1].ip("link set eth7 up");
    eventually("it is bound", || lab[H1].ip("addr show dev eth7").contains(&VIP.to_string()));
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn garbage_in_etcd_stops_neither_the_agent_nor_its_other_ips() {
    let mut lab = Lab::new(1);
    let valid = json!({ "id": ID, "ip": "10.0.1.1/32", "checks": [], "healthcheck_interval": 0, "plugin": "arp", "plugin_config": { "ip": "10.0.1.1/32" } });
    lab.etcd.put(&record_key(ID), &valid.to_string());
    for (name, garbage) in [
        ("vip-x", "not json"),
        ("vip-y", "{\"id\":1,\"ip\":[]}"),
        ("vip-z", "null"),
        ("", "an empty name"),
        (OTHER_ID, "{\"id\":\"vip-another\",\"ip\":\"10.0.1.300\",\"checks\":{}}"),
        ("a/b", "\u{1}"),
    ] {
        lab.etcd.put(&record_key(name), garbage);
    }
    lab.etcd.put("/link/config/h1", "{\"lease_id\":\"none\"}");
    lab.etcd.put("/link/ips/10.0.1.1_32/ghost", "not json either");
    lab[H1].start();
    assert_eq!(lab.await_owner(VIP), H1);
    let ids: Vec<String> = lab[H1].api().list().into_iter().map(|ip| ip.id).collect();
    assert_eq!(ids, [ID]);
    lab[H1].api().add(VIP2);
    assert_eq!(lab.await_owner(VIP2), H1);
    assert_eq!(lab.etcd.get(&record_key("vip-x")).unwrap().value, "not json");
}

#[test]
fn the_records_of_go_link_are_read_and_those_of_other_plugins_left_alone() {
    let mut lab = Lab::new(1);
    // Versions 1 and 2 knew no plugins; version 3 may have the address in the plugin's part only.
    let old = json!({ "id": ID, "ip": "10.0.1.1/32", "checks": null, "healthcheck_interval": 0 });
    let new = json!({ "id": OTHER_ID, "ip": "", "checks": [], "healthcheck_interval": 7, "plugin": "arp", "plugin_config": { "ip": "10.0.1.2/32" } });
    let webhook = "vip-11111111-1111-4111-8111-111111111111";
    let foreign = json!({ "id": webhook, "ip": "", "plugin": "webhook", "plugin_config": { "url": "http://10.0.0.1/" } }).to_string();
    lab.etcd.put(&record_key(ID), &old.to_string());
    lab.etcd.put(&record_key(OTHER_ID), &new.to_string());
    lab.etcd.put(&record_key(webhook), &foreign);
    lab.etcd.put(
        "/link/config/h1",
        r#"{"hostname":"h1","lease_id":6070186003021012240,"data_version":3}"#,
    );
    lab[H1].start();
    assert_eq!((lab.await_owner(VIP), lab.await_owner(VIP2)), (H1, H1));
    let ids: Vec<String> = lab[H1].api().list().into_iter().map(|ip| ip.id).collect();
    assert_eq!(ids, [ID, OTHER_ID]);
    assert_eq!(lab[H1].api().find(VIP2).unwrap().healthcheck_interval, 7);
    assert_eq!(lab.etcd.get(&record_key(webhook)).unwrap().value, foreign);
}

#[test]
fn a_policy_in_etcd_that_is_unknown_is_reported_and_the_agents_counts() {
    let mut lab = Lab::new(1);
    let record = json!({ "id": ID, "ip": "10.0.1.1/32", "etcd_loss_policy": "pray" });
    lab.etcd.put(&record_key(ID), &record.to_string());
    lab[H1].start_with(&[("ETCD_LOSS_POLICY", "hold")]);
    assert_eq!(lab[H1].api().find(VIP).unwrap().etcd_loss_policy, "hold");
    let report = format!("skipped: {}: etcd_loss_policy \"pray\"", record_key(ID));
    assert!(lab[H1].agent().log().contains(&report));
    eventually("the IP is in the local copy", || {
        let copy = std::fs::read_to_string(lab[H1].state_file());
        copy.is_ok_and(|copy| copy.contains(ID))
    });
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn a_host_is_not_confused_with_one_whose_name_it_begins() {
    let mut lab = Lab::new(2);
    lab[H1].start();
    lab[H2].start_with(&[("HOSTNAME", "h10")]);
    lab[H2].api().add(VIP2);
    lab[H1].terminate();
    lab[H1].restart();
    assert_eq!(lab[H1].api().list(), []);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
}

#[test]
fn a_lease_that_ended_meanwhile_is_replaced() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let lease = lab.lock(VIP).unwrap().lease;
    lab[H1].kill();
    eventually("the lease ends", || !lab.etcd.has_lease(lease));
    lab[H1].restart();
    lab.await_owner(VIP);
    assert_ne!(lab.lock(VIP).unwrap().lease, lease);
}

#[test]
fn a_resumed_lease_that_lasts_longer_than_is_configured_now_is_told() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    lab[H1].kill();
    lab[H1].start_with(&[("KEEPALIVE_INTERVAL", "500ms")]);
    eventually("it is told", || {
        let told = "the resumed lease lasts 5 s; 3 s are configured";
        lab[H1].agent().log().contains(told)
    });
}

#[test]
fn a_resumed_lease_is_renewed_in_time_whatever_is_configured_now() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    let mut addresses = lab[owner].monitor_addresses();
    lab[owner].kill();
    lab[owner].start_with(&[("KEEPALIVE_INTERVAL", "10s")]);
    // Twice the TTL of the lease.
    holds_for(Duration::from_secs(10), "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    assert_eq!(addresses.changes(), []);
    let told = "the resumed lease lasts 5 s, not 50 s";
    assert_eq!(lab[owner].agent().log().matches(told).count(), 1);
}

#[test]
fn stopping_with_keep_leaves_address_and_lease() {
    let mut lab = Lab::new(2);
    for id in lab.ids() {
        lab[id].start_with(&[("STOP_POLICY", "keep")]);
    }
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    let lock = lab.lock(VIP);
    assert_eq!(lab[owner].terminate().code(), Some(0));
    assert_eq!(lab.bound_on(VIP), [owner]);
    lab[owner].restart();
    lab[owner].await_status(VIP, "ACTIVATED");
    holds_for(Duration::from_secs(2), "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
}

/// Runs an agent that is expected to end at once: its exit code, and what it says on stderr.
pub(crate) fn run_agent(lab: &Lab, changes: &[(&str, &str)]) -> (Option<i32>, String) {
    let program = Program {
        environment: lab[H1].changed_environment(changes),
        // Should it not end at once, the code is 124.
        ..Program::new("timeout").args(["10".to_owned(), linkd().display().to_string()])
    };
    let output = lab.run_on(H1, &program);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn all_mistakes_in_the_environment_are_told_together_and_no_secret() {
    let lab = Lab::builder(1).etcd_members(0).build();
    let (code, said) = run_agent(
        &lab,
        &[
            ("INTERFACE", ""),
            ("HOSTNAME", "a/b"),
            ("PORT", "http"),
            ("KEEPALIVE_INTERVAL", "often"),
            ("ETCD_HOSTS", "ftp://10.0.0.21"),
            ("ETCD_LOSS_POLICY", "panic"),
            ("ALL_FAILING_POLICY", "shrug"),
            ("STOP_POLICY", "drop"),
            ("MAX_NUMBER_OF_ENDPOINTS", "-2"),
            ("PASSWORD", "open-sesame"),
            ("ETCD_PASSWORD", "close-sesame"),
        ],
    );
    assert_eq!(code, Some(2), "{said}");
    for (variable, value) in [
        ("INTERFACE", ""),
        ("HOSTNAME", "a/b"),
        ("PORT", "http"),
        ("KEEPALIVE_INTERVAL", "often"),
        ("ETCD_HOSTS", "ftp://10.0.0.21"),
        ("ETCD_LOSS_POLICY", "panic"),
        ("ALL_FAILING_POLICY", "shrug"),
        ("STOP_POLICY", "drop"),
        ("MAX_NUMBER_OF_ENDPOINTS", "-2"),
        ("ETCD_USER", ""),
    ] {
        let named = said.lines().any(|line| line.contains(variable) && line.contains(value));
        assert!(named, "{variable}={value} is not named in:\n{said}");
    }
    assert!(!said.contains("sesame"), "{said}");
}

#[test]
fn hosts_that_boot_without_etcd_take_their_ips_and_agree_when_it_is_back() {
    let mut lab = Lab::sharing(2, VIP);
    lab.await_owner(VIP);
    lab.etcd.stop();
    for host in [H1, H2] {
        lab[host].power_off();
        lab[host].power_on();
        lab[host].restart_without_etcd();
    }
    // Neither has heard etcd: each asks the network before it takes the IP.
    eventually("one has it", || lab.bound_on(VIP).len() == 1);
    lab.await_reachable(VIP);
    let known = lab[lab.bound_on(VIP)[0]].api().list();
    assert_eq!(
        (known.len(), known[0].status.as_str(), known[0].owner.clone()),
        (1, "ACTIVATED", None)
    );
    let body = json!({ "ip": VIP2.to_string() }).to_string();
    let refused = lab[H1].api().send("POST", "/ips", Some(&body));
    assert_eq!(refused.status, 503, "{refused:?}");
    lab.etcd.start_all();
    lab.await_owner(VIP);
    let healthy = || lab[H1].api().send("GET", "/health", None).status == 200;
    eventually("h1 knows that etcd is back", healthy);
    lab[H1].api().add(VIP2);
}

#[test]
fn a_state_file_that_is_garbage_is_reported_and_replaced() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let file = lab[H1].state_file();
    lab[H1].terminate();
    std::fs::write(&file, "{ rubbish").unwrap();
    lab.etcd.stop();
    lab[H1].restart_without_etcd();
    eventually("it is reported", || lab[H1].agent().log().contains("h1.json: "));
    lab.etcd.start_all();
    lab.await_owner(VIP);
    let copied = |file: &std::path::Path| std::fs::read_to_string(file).unwrap_or_default();
    eventually("it is replaced", || copied(&file).contains(&VIP.to_string()));
}

#[test]
fn a_reload_executes_the_program_again_and_moves_nothing() {
    let mut lab = Lab::sharing(2, VIP);
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let (pid, lock) = (lab[owner].agent().pid(), lab.lock(VIP));
    let mut addresses = lab[owner].monitor_addresses();
    for _ in 0..5 {
        lab[owner].reload();
    }
    assert_eq!(lab[owner].agent().pid(), pid);
    assert_eq!(lab.lock(VIP), lock, "the same lease, never let go");
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    assert!(!addresses.changes().iter().any(was_away));
    assert_eq!(lab.await_owner(VIP), owner);
}

#[test]
fn a_reload_without_etcd_keeps_the_ip_and_knows_it() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    lab.etcd.stop();
    let starts = |lab: &Lab| lab[H1].agent().log().matches("LinK v").count();
    lab[H1].agent().signal(nix::sys::signal::Signal::SIGHUP);
    eventually("it is executed again", || starts(&lab) == 2);
    eventually("it takes what it has", || {
        let known = lab[H1].api().try_send("GET", "/ips", None);
        known.is_ok_and(|known| known.body.contains("ACTIVATED"))
    });
    assert!(lab[H1].binds(VIP.ip()));
    lab.etcd.start_all();
    lab.await_owner(VIP);
}

#[test]
fn an_address_that_the_local_copy_does_not_know_is_no_left_over() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let mut addresses = lab[H1].monitor_addresses();
    lab.etcd.stop();
    lab[H1].kill();
    let older = r#"{"hostname":"h1","lease_id":0,"ips":[]}"#;
    std::fs::write(lab[H1].state_file(), older).unwrap();
    lab[H1].restart_without_etcd();
    eventually("the copy is used", || lab[H1].agent().log().contains("0 IPs known from"));
    lab.etcd.start_all();
    lab.await_owner(VIP);
    let was_away = |change: &AddressChange| matches!(change, AddressChange::Removed(_));
    assert!(!addresses.changes().iter().any(was_away), "it stayed all the time");
}

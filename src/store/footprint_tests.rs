//! What is found of a host that is to be fenced.

use super::*;

const REVISION: i64 = 7;

fn kv(key: &str, value: &str, lease: i64) -> Kv {
    Kv { key: key.to_owned(), value: value.as_bytes().to_vec(), lease, mod_revision: REVISION }
}

fn host(name: &str, lease: i64) -> Kv {
    kv(&format!("/link/config/{name}"), &format!(r#"{{"lease_id":{lease}}}"#), 0)
}

fn agent(name: &str, lease: i64) -> Kv {
    kv(&format!("/link/agents/{name}"), r#"{"answers":true}"#, lease)
}

fn candidacy(ip: &str, host: &str, lease: i64) -> Kv {
    let value = r#"{"updated_at":"","available":true,"hardware_address":"02:00:00:00:00:02"}"#;
    kv(&format!("/link/ips/{ip}/{host}"), value, lease)
}

fn reply(kvs: [Vec<Kv>; 4]) -> Reply {
    Reply::new(true, REVISION, kvs.into())
}

#[test]
fn all_that_ends_with_the_leases_of_a_host_is_found_and_nothing_of_others() {
    let all = reply([
        vec![kv("/link/default/10.0.0.1_32", "h2", 20), kv("/link/default/10.0.0.2_32", "h1", 10)],
        vec![
            candidacy("10.0.0.1_32", "h1", 10),
            candidacy("10.0.0.1_32", "h2", 20),
            candidacy("10.0.0.2_32", "h2", 21),
            candidacy("10.0.0.2_32", "h22", 23),
        ],
        vec![
            kv("/link/config/.written/h2", "", 0),
            host("h1", 10),
            host("h2", 22),
            kv("/link/config/h2/other", "{}", 10),
        ],
        vec![agent("h1", 10), agent("h2", 20), kv("/link/agents/h2/h1", r#"{"number":1}"#, 10)],
    ]);
    let found = of("h2", &all);
    assert_eq!(found.hosts, ["h1", "h2"].map(str::to_owned).into());
    assert_eq!(found.leases, [20, 21, 22].into());
    assert_eq!((found.presence, found.written), (Some(REVISION), REVISION));
    let cidr = "10.0.0.1".parse().unwrap();
    let hardware_address = Some([2, 0, 0, 0, 0, 2]);
    assert_eq!(found.owned, [Owned { cidr, hardware_address, others: true }]);
}

#[test]
fn the_lease_of_another_host_is_never_taken_whoever_has_attached_something_to_it() {
    let forged = vec![kv("/link/default/10.0.0.1_32", "h2", 10)];
    let candidacies = vec![candidacy("10.0.0.1_32", "h2", 30), candidacy("10.0.0.3_32", "h2", 0)];
    let all = reply([forged, candidacies, vec![host("h3", 30)], vec![agent("h1", 10)]]);
    let found = of("h2", &all);
    assert_eq!(found.leases, BTreeSet::new());
    assert_eq!(found.presence, None);
    assert!(found.owned.iter().all(|owned| !owned.others));
}

#[test]
fn a_stranger_is_not_among_the_hosts_and_rubbish_is_nobodys() {
    let locks =
        vec![kv("/link/default/rubbish", "h2", 20), kv("/link/default/10.0.0.1_32", "h1", 10)];
    let all = reply([locks, Vec::new(), vec![host("h1", 10)], vec![agent("h1", 10)]]);
    let found = of("h9", &all);
    assert_eq!((found.hosts.contains("h9"), found.leases.len()), (false, 0));
    // What it holds no lock of ours with is a lease of that host all the same.
    let found = of("h2", &all);
    assert!(found.hosts.contains("h2") && found.leases == [20].into() && found.owned.is_empty());
}

#[test]
fn locks_tell_their_owners() {
    let kvs =
        vec![kv("/link/default/10.0.0.1_32", "h1", 10), kv("/link/default/FD00::1_128", "h2", 1)];
    let found = locks(&Reply::new(true, REVISION, vec![kvs]));
    let cidr = "10.0.0.1".parse().unwrap();
    assert_eq!(found, BTreeMap::from([(cidr, ("h1".to_owned(), 10))]));
}

#[test]
fn what_a_host_owns_is_told_with_its_own_candidacy_for_that_ip_and_with_those_of_others() {
    let mac = |kv: Kv, last: &str| Kv {
        value: format!(r#"{{"updated_at":"","hardware_address":"02:00:00:00:00:{last}"}}"#).into(),
        ..kv
    };
    let locks =
        vec![kv("/link/default/10.0.0.1_32", "h2", 20), kv("/link/default/10.0.0.2_32", "h2", 20)];
    let candidacies = vec![
        mac(candidacy("10.0.0.1_32", "h1", 10), "01"),
        mac(candidacy("10.0.0.1_32", "h2", 20), "02"),
        mac(candidacy("10.0.0.2_32", "h2", 20), "03"),
        mac(candidacy("10.0.0.3_32", "h1", 10), "04"),
    ];
    let found = of("h2", &reply([locks, candidacies, vec![], vec![]]));
    let owned =
        |it: &Owned| (it.cidr.to_string(), it.hardware_address.map(|mac| mac[5]), it.others);
    let owned: Vec<_> = found.owned.iter().map(owned).collect();
    let expected =
        [("10.0.0.1/32".to_owned(), Some(2), true), ("10.0.0.2/32".to_owned(), Some(3), false)];
    assert_eq!(owned, expected);
}

//! Go LinK beside this one, and what it leaves behind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// For the processes of a dozen labs on one machine to do what they have to.
const LOAD: Duration = Duration::from_secs(3);

const ID: &str = "vip-11111111-1111-4111-8111-111111111111";

#[test]
fn a_go_host_takes_over_from_an_agent_that_stops_and_gives_back_when_it_dies() {
    let mut lab = Lab::new(2);
    lab[H1].start();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    let go = GoLink::start(&lab, H2, VIP);
    lab[H1].terminate();
    assert_eq!(lab.await_owner(VIP), H2);
    lab[H1].restart();
    lab[H1].await_status(VIP, "STANDBY");
    drop(go);
    // It keeps its address, as the Go LinK does.
    lab[H2].ip(&format!("addr del {VIP} dev eth0"));
    assert_eq!(lab.await_owner(VIP), H1);
    lab.await_reachable(VIP);
}

#[test]
fn a_failover_to_a_go_host_that_does_not_take_it_goes_to_nobody_else() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    lab.put_candidacy("gohost", VIP);
    let mut holders = lab.watch_holders(VIP);
    let answer = lab[H1].api().failover_to(VIP, "gohost");
    println!("{answer:?}");
    assert_ne!(answer.status, 204, "gohost does not have it");
    holds_for(Duration::from_secs(2), "no move", || lab.owner(VIP) == Some(H1));
    assert_eq!(holders.now(), [H1]);
    assert!(holders.changes().iter().all(|change| change.host == H1), "{:?}", holders.changes());
}

#[test]
fn a_failover_to_a_go_host_ends_as_the_answer_says() {
    let mut lab = Lab::new(3);
    [H1, H3].iter().for_each(|host| lab[*host].start());
    [H1, H3].iter().for_each(|host| drop(lab[*host].api().add(VIP)));
    assert_eq!(lab.await_owner(VIP), H1);
    let _go = GoLink::start(&lab, H2, VIP);
    let answer = lab[H1].api().failover_to(VIP, "h2");
    println!("{answer:?}");
    let owner = lab.await_owner(VIP);
    assert_eq!(owner, if answer.status == 204 { H2 } else { H1 });
}

/// A host that was migrated from Go: its lease is resumed, and holds the lock of a resource whose
/// record is this.
fn migrated(record: &Value) -> Lab {
    let mut lab = Lab::new(2);
    lab[H2].start();
    lab[H2].api().add(VIP2);
    lab.await_owner(VIP2);
    let lease = {
        lab[H1].start();
        eventually("it has a lease", || lab.lease_of(H1) != 0);
        lab.lease_of(H1)
    };
    lab[H1].kill();
    lab.etcd.put(&record_key("h1", ID), &record.to_string());
    // The other lets go of it meanwhile: whoever is owner by then, is so by this lock.
    lab.put_leased(lease, &lock_key(VIP2), "h1");
    lab.put_leased(lease, &format!("/link/ips/{}/h1", VIP2.election_key()), "{}");
    eventually("the other lets go", || lab.bound_on(VIP2).is_empty());
    lab[H1].restart();
    lab
}

fn expect_given_up(lab: &Lab, record: &Value) {
    within(Duration::from_secs(2) + LOAD, "the other has it", || lab.owner(VIP2) == Some(H2));
    let kept = lab.etcd.get(&record_key("h1", ID)).expect("the record stays").value;
    assert_eq!(kept, record.to_string());
    assert_eq!(lab[H1].api().list(), []);
    let candidates = lab.etcd.list(&format!("/link/ips/{}/", VIP2.election_key()));
    assert_eq!(candidates.len(), 1, "{candidates:?}");
}

#[test]
fn the_lock_of_another_plugins_resource_is_given_up() {
    let config = json!({ "url": "http://10.0.0.1/", "ip": VIP2.to_string() });
    let record = json!({ "id": ID, "ip": "", "plugin": "webhook", "plugin_config": config });
    let lab = migrated(&record);
    expect_given_up(&lab, &record);
}

#[test]
fn the_lock_of_a_record_that_cannot_be_read_is_given_up() {
    let record = json!({ "id": ID, "ip": VIP2.to_string(), "checks": "none", "plugin": "arp" });
    let lab = migrated(&record);
    expect_given_up(&lab, &record);
    lab[H1].await_warning(&[ID]);
}

#[test]
fn a_check_type_in_small_letters_is_taken_as_the_go_link_takes_it_or_the_lock_given_up() {
    let check = json!({ "type": "tcp", "host": "127.0.0.1", "port": 1313 });
    let record = json!({ "id": ID, "ip": VIP2.to_string(), "checks": [check], "plugin": "arp" });
    let lab = migrated(&record);
    within(Duration::from_secs(2) + LOAD, "it is served", || lab.owner(VIP2).is_some());
    assert!(lab.etcd.get(&record_key("h1", ID)).is_some(), "the record stays");
}

#[test]
fn a_lock_without_a_lease_is_shown_with_what_to_do() {
    for value in ["h9", "", "\u{1b}[31m"] {
        let mut lab = Lab::new(1);
        lab.etcd.put(&lock_key(VIP), value);
        lab.start_all();
        lab[H1].api().add(VIP);
        let body = lab[H1].api().await_unwell(&["10.0.1.1/32", "lease"]);
        println!("{body}");
        assert!(body.contains(&lock_key(VIP)) && body.contains("delete"), "{body}");
        assert!(!body.contains('\u{1b}'), "{body}");
        assert!(lab.etcd.delete(&lock_key(VIP)));
        assert_eq!(lab.await_owner(VIP), H1);
        lab[H1].api().await_well();
    }
}

#[test]
fn a_lock_without_a_lease_in_the_name_of_this_host_is_taken_over() {
    let mut lab = Lab::new(1);
    lab.etcd.put(&lock_key(VIP), "h1");
    lab.start_all();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    eventually("it is attached to the lease", || {
        lab.lock(VIP).is_some_and(|lock| lock.lease != 0 && lock.lease == lab.lease_of(H1))
    });
    lab[H1].api().await_well();
}

#[test]
fn a_lock_that_is_written_by_hand_and_gone_at_once_stops_no_election() {
    let lab = Lab::sharing(1, VIP);
    for _ in 0..20 {
        lab.await_owner(VIP);
        lab.etcd.put_and_delete(&lock_key(VIP), "h9");
        within(Duration::from_secs(5) + LOAD, "it is owner again", || {
            lab.owner(VIP) == Some(H1) && lab[H1].api().status(VIP) == "ACTIVATED"
        });
    }
    // What comes together with it in one request is done, too.
    lab[H1].api().add(VIP2);
    lab.await_owner(VIP2);
}

/// The Go LinK announces an IP once, when it gets it.
#[test]
fn a_host_that_lets_go_to_a_go_host_announces_the_ip_for_it() {
    let mut lab = Lab::builder(2).management_network().build();
    lab[H1].start();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    let _go = GoLink::start(&lab, H2, VIP);
    let (former, owner) = (lab[H1].mac(), lab[H2].mac().to_string());
    let mut capture = lab.client.capture();
    lab.cut_from_etcd(H1, Way::Both);
    capture.wait_for("the Go LinK announces it", |frame| {
        frame.announces(VIP.ip()) && frame.source.to_string() == owner
    });
    assert_eq!(lab.bound_on(VIP), [H1, H2]);
    // The client knows the one that is about to let go, and sends nothing that could tell otherwise.
    lab.client.learn(VIP.ip(), former);
    let known = || lab.client.neighbour(VIP.ip()).unwrap_or_default();
    holds_for(Duration::from_secs(2), "nobody says otherwise", || known() == former.to_string());
    lab[H1].heal();
    eventually("it lets go", || lab.bound_on(VIP) == [H2]);
    eventually("the client knows the owner", || known() == owner);
}

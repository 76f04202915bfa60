//! The transactions of the elections, and what their answers say.

use super::*;

const LOCK: &str = "/link/default/10.0.0.1_32";

fn cidr() -> Cidr {
    "10.0.0.1".parse().unwrap()
}

fn kv(key: &str, value: &str, lease: i64) -> Kv {
    Kv { key: key.to_owned(), value: value.as_bytes().to_vec(), lease, mod_revision: 5 }
}

fn offer(host: &str, value: &str, lease: i64) -> Kv {
    kv(&format!("/link/ips/10.0.0.1_32/{host}"), value, lease)
}

fn other(host: &str, available: bool, lease: i64) -> Candidate {
    let preference = Preference::new(100, "10.0.0.1_32", host);
    let host = host.to_owned();
    Candidate { host, available, lease, written: 5, hardware_address: None, preference }
}

fn own(candidacy: Candidacy) -> Advertisement {
    Advertisement { candidacy, hardware_address: None, priority: 100, replaces: 3 }
}

fn txn(request: &Request) -> Txn {
    txn_of(request, cidr(), "h1", SystemTime::UNIX_EPOCH)
}

fn put(host: &str, lease: i64) -> Op {
    Op::Put { key: LOCK.to_owned(), value: host.as_bytes().to_vec(), lease }
}

#[test]
fn a_lock_is_created_only_if_it_is_free_and_deleted_only_if_it_is_ours() {
    let acquire = txn(&Request::Campaign { lease: 7, own: own(Candidacy::Available) });
    assert_eq!(acquire.when, [Compare::Absent(LOCK.to_owned())]);
    assert_eq!(acquire.then[0], put("h1", 7));
    let release = txn(&Request::Resign { lease: 7, own: own(Candidacy::Withdrawn) });
    assert_eq!(release.when, [Compare::Lease(LOCK.to_owned(), 7)]);
    assert_eq!(release.then[0], Op::Delete(LOCK.to_owned()));
    let own = "/link/ips/10.0.0.1_32/h1".to_owned();
    let withdraw = Txn {
        when: vec![Compare::ModRevision(own.clone(), 3)],
        then: vec![Op::Delete(own.clone())],
        otherwise: vec![Op::Get(own)],
    };
    assert_eq!(release.then[1], Op::Nested(withdraw));
}

#[test]
fn a_lock_is_passed_to_a_host_only_if_it_is_ours_and_the_host_as_it_was() {
    let to = other("h2", true, 9);
    let pass = txn(&Request::Transfer { lease: 7, to, own: None });
    let unchanged = Compare::ModRevision("/link/ips/10.0.0.1_32/h2".to_owned(), 5);
    assert_eq!(pass.when, [Compare::Lease(LOCK.to_owned(), 7), unchanged.clone()]);
    assert_eq!(pass.then, [put("h2", 9)]);
    let oust = txn(&Request::Preempt { lease: 7, owner: other("h2", false, 9) });
    assert_eq!(oust.when, [Compare::Lease(LOCK.to_owned(), 9), unchanged]);
    assert_eq!(oust.then, [put("h1", 7)]);
    let seize = txn(&Request::TakeOver { lease: 7, written: 8 });
    assert_eq!(seize.when, [Compare::ModRevision(LOCK.to_owned(), 8)]);
    assert_eq!(seize.then, [put("h1", 7)]);
}

#[test]
fn an_answer_tells_who_holds_the_lock_and_who_else_could() {
    let go = r#"{"updated_at":"2026-11-22T07:35:39.486007637Z"}"#;
    let failing = r#"{"updated_at":"2026-11-22T07:35:39Z","available":false}"#;
    let lock = kv(LOCK, "h1", 7);
    let offers = vec![
        offer("h1", go, 7),
        offer("h2", go, 0),
        offer("h3", failing, 11),
        offer("h4", "rubbish", 12),
    ];
    let found = vec![vec![], vec![lock], offers];
    let reply = Reply::new(true, 9, found);
    let survey = Request::Advertise { lease: 7, own: own(Candidacy::Available) };
    let answer = answer_of(&survey, cidr(), "h1", &reply);
    let holder = Holder { host: "h1".to_owned(), lease: 7, written: 5 };
    assert_eq!(answer.lock, LockView { holder: Some(holder), revision: 9, gap: Gap::None });
    let mut others = answer.others.unwrap();
    assert_eq!(others.pop(), Some(other("h2", true, 0)), "a Go LinK comes last");
    others.sort_by_key(|other| other.lease);
    assert_eq!(others, [other("h3", false, 11), other("h4", true, 12)]);
}

#[test]
fn what_a_successful_write_has_made_is_not_read_back() {
    let done = Reply::new(true, 9, vec![vec![]]);
    let holder = |request: &Request| {
        let answer = answer_of(request, cidr(), "h1", &done);
        answer.lock.holder.map(|holder| (holder.host, holder.lease, holder.written))
    };
    let mine = Some(("h1".to_owned(), 7, 9));
    assert_eq!(holder(&Request::Campaign { lease: 7, own: own(Candidacy::Available) }), mine);
    assert_eq!(holder(&Request::ReacquireUnavailable { lease: 7 }), mine);
    assert_eq!(holder(&Request::TakeOver { lease: 7, written: 3 }), mine);
    assert_eq!(holder(&Request::Preempt { lease: 7, owner: other("h2", false, 9) }), mine);
    let theirs = Some(("h2".to_owned(), 9, 9));
    assert_eq!(
        holder(&Request::Transfer { lease: 7, to: other("h2", true, 9), own: None }),
        theirs
    );
    assert_eq!(holder(&Request::Resign { lease: 7, own: own(Candidacy::Available) }), None);
}

#[test]
fn a_priority_that_makes_no_sense_is_the_default_and_the_rest_holds() {
    let mac = r#""hardware_address":"02:00:00:00:00:2a""#;
    for (priority, read) in [("255", 255), ("0", 0), ("256", 100), ("-1", 100), ("\"x\"", 100)] {
        let value =
            format!(r#"{{"updated_at":"x","available":false,{mac},"priority":{priority}}}"#);
        let found = candidates(cidr(), &[offer("h2", &value, 9)]).remove(0);
        assert_eq!(found.preference.priority, read, "{priority}");
        assert!(!found.available && found.hardware_address.is_some());
    }
    let go = candidates(cidr(), &[offer("h2", r#"{"updated_at":"x"}"#, 0)]).remove(0);
    assert_eq!(go.preference.priority, 100);
}

#[test]
fn each_ip_prefers_a_host_of_its_own() {
    let offers = |ip: &str| {
        let prefix = format!("/link/ips/{ip}_32/");
        let offer = |host: &str| kv(&format!("{prefix}{host}"), "{}", 9);
        vec![vec![offer("h2"), offer("h3")]]
    };
    let first = |ip: String| {
        let reply = Reply::new(false, 9, offers(&ip));
        others(&ip.parse::<Cidr>().unwrap().into(), "h1", &reply).remove(0).host
    };
    let chosen: Vec<_> = (1..=100).map(|number| first(format!("10.0.0.{number}"))).collect();
    let share = chosen.iter().filter(|host| *host == "h2").count();
    assert!((25..=75).contains(&share), "{share} of 100 go to h2");
}

#[test]
fn a_lock_is_acknowledged_only_as_it_was_seen() {
    let touch = txn(&Request::Acknowledge { lease: 7, written: 8 });
    // A lock that does not exist has the revision 0, and a lease of 0: only the revision tells.
    assert_eq!(touch.when, [Compare::ModRevision(LOCK.to_owned(), 8)]);
    assert_eq!(touch.then[0], Op::Touch(LOCK.to_owned()));
}

#[test]
fn a_candidacy_tells_the_hardware_address_and_what_it_replaced() {
    let mac = [2, 0, 0, 0, 0, 0x2a];
    let own =
        Advertisement { hardware_address: Some(mac), priority: 7, ..own(Candidacy::Unavailable) };
    let request = Request::Advertise { lease: 7, own };
    let Op::Nested(nested) = &txn(&request).then[0] else { panic!("it is guarded") };
    let Op::Put { key, value, lease: 7 } = &nested.then[0] else { panic!("{nested:?}") };
    let kv = Kv { key: key.clone(), value: value.clone(), lease: 7, mod_revision: 5 };
    let read = candidates(cidr(), std::slice::from_ref(&kv));
    assert_eq!((read[0].available, read[0].hardware_address), (false, Some(mac)));
    assert_eq!(read[0].preference.priority, 7);

    let answer = |nested: Reply, request: &Request| {
        let reply = Reply { nested: vec![nested], ..Reply::new(true, 9, vec![]) };
        answer_of(request, cidr(), "h1", &reply).own
    };
    let changed = |found| Reply::new(false, 9, vec![found]);
    let done = Reply::new(true, 9, vec![vec![]]);
    assert_eq!(answer(done.clone(), &request), Some(Advertised::Written(9)));
    assert_eq!(answer(changed(vec![kv]), &request), Some(Advertised::Changed(5)));
    assert_eq!(answer(changed(vec![]), &request), Some(Advertised::Changed(0)));
    let withdraw = Request::Advertise {
        lease: 7,
        own: Advertisement { candidacy: Candidacy::Withdrawn, ..own },
    };
    assert_eq!(answer(done, &withdraw), Some(Advertised::Written(0)));
}

#[test]
fn what_was_refused_tells_who_holds_the_lock_and_who_else_could() {
    let own = own(Candidacy::Available);
    let (h2, h3) = (other("h2", false, 9), other("h3", true, 11));
    let refused = Reply::new(false, 9, vec![vec![kv(LOCK, "h2", 9)], vec![offer("h2", "{}", 9)]]);
    for request in [
        Request::Campaign { lease: 7, own },
        Request::ReacquireUnavailable { lease: 7 },
        Request::TakeOver { lease: 7, written: 3 },
        Request::Preempt { lease: 7, owner: h2 },
        Request::Transfer { lease: 7, to: h3, own: None },
        Request::Resign { lease: 7, own },
    ] {
        let answer = answer_of(&request, cidr(), "h1", &refused);
        let holder = Holder { host: "h2".to_owned(), lease: 9, written: 5 };
        assert_eq!(answer.lock.holder, Some(holder), "{request:?}");
        assert!(!answer.succeeded);
        assert_eq!(answer.others.map(|others| others.len()), Some(1), "{request:?}");
    }
}

#[test]
fn an_answer_that_reads_no_candidates_does_not_say_that_there_are_none() {
    let done = Reply::new(true, 9, vec![vec![kv(LOCK, "h1", 7)]]);
    let others = |request| answer_of(&request, cidr(), "h1", &done).others;
    assert_eq!(others(Request::ReadLock { lease: 7 }), None);
    assert_eq!(others(Request::Acknowledge { lease: 7, written: 8 }), None);
    assert_eq!(others(Request::TakeOver { lease: 7, written: 8 }), None);
    assert_eq!(others(Request::ReadCandidates { lease: 7 }), Some(vec![]));
}

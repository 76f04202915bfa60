//! What holds for whatever stands in etcd, and in the local copy of it: a property for
//! [`crate::fuzzing`].

use crate::etcd::{Gap, KeyState, Kv, Op, Reply};
use crate::lock;
use crate::lock::{Candidacy, Request};
use crate::store::{self, Record, Stored};
use crate::vip::{Cidr, LONGEST_INTERVAL};

/// Whose records they are.
const HOST: &str = "h1";
/// The lock of an IP, and where its offers are.
const LOCK: &str = "/link/default/10.0.0.1_32";
const OFFERS: &str = "/link/ips/10.0.0.1_32/";

/// A key and its value on each line, with a space between them; and all of it as a local copy.
///
/// What cannot be understood is named, and costs nobody else his place; a record that is
/// understood is usable, and the same after it was written again.
pub fn store(input: &[u8]) {
    let lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let kvs: Vec<Kv> = lines.zip(1..).map(|(line, revision)| kv(line, revision)).collect();
    let stored = check_records(&kvs);
    check_candidates(&kvs);
    for kv in &kvs {
        check_host(kv, &kvs, &stored);
        check_lock(kv);
    }
    check_local_copy(&stored);
    if let Ok(stored) = store::read_local_copy(HOST, input) {
        stored.records.iter().for_each(check_usable);
        check_local_copy(&stored);
    }
}

fn kv(line: &[u8], revision: i64) -> Kv {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let key = String::from_utf8_lossy(&line[..end]).into_owned();
    let value = line[end..].get(1..).unwrap_or_default().to_vec();
    Kv { key, value, lease: revision % 3, mod_revision: revision }
}

fn load(host: &[Kv], records: &[Kv]) -> Stored {
    let found = vec![host.to_vec(), records.to_vec()];
    store::loaded(HOST, &Reply::new(true, i64::MAX, found))
}

/// Of many records each is what it is alone, but for the second of an address.
fn check_records(kvs: &[Kv]) -> Stored {
    let stored = load(&[], kvs);
    let mut expected: Vec<Record> = Vec::new();
    let mut skipped = 0;
    for kv in kvs {
        let alone = load(&[], std::slice::from_ref(kv));
        assert!(alone.skipped.iter().all(|why| why.starts_with(&kv.key)), "{:?}", alone.skipped);
        skipped += alone.skipped.len();
        for record in alone.records {
            assert_eq!(kv.key, format!("/link/hosts/{HOST}/{}", record.id));
            check_usable(&record);
            check_written_again(&record);
            if expected.iter().all(|other| other.cidr.addr() != record.cidr.addr()) {
                expected.push(record);
            } else {
                skipped += 1;
            }
        }
    }
    assert_eq!((&stored.records, stored.skipped.len()), (&expected, skipped));
    stored
}

fn check_usable(record: &Record) {
    assert_eq!(record.cidr.unusable(), None, "{}", record.cidr);
    assert!(record.healthcheck_interval <= LONGEST_INTERVAL, "{record:?}");
    assert_eq!(record.id.as_str().parse().as_ref(), Ok(&record.id));
}

fn check_written_again(record: &Record) {
    let txn = store::write_record_txn(HOST, record);
    let [Op::Put { key, value, lease: 0 }] = &txn.then[..] else { panic!("{txn:?}") };
    let (key, value) = (key.clone(), value.clone());
    let kv = Kv { key, value, lease: 0, mod_revision: record.revision };
    assert_eq!(load(&[], std::slice::from_ref(&kv)).records, std::slice::from_ref(record));
    // A write that was repeated meets its own value.
    let repeated = Reply::new(false, i64::MAX, vec![vec![kv]]);
    assert_eq!(store::record_written(record, &repeated), Ok(record.revision));
}

/// Whatever is said of the host, its records stay; its lease is read again as it was written.
fn check_host(kv: &Kv, kvs: &[Kv], stored: &Stored) {
    let with_host = load(std::slice::from_ref(kv), kvs);
    assert_eq!(with_host.records, stored.records);
    assert_eq!(with_host.lease_revision, kv.mod_revision);
    let Some(lease) = with_host.lease else { return };
    assert_ne!(lease, 0);
    let txn = store::save_lease_txn(HOST, lease, kv.mod_revision);
    let [Op::Put { key, value, lease: 0 }] = &txn.then[..] else { panic!("{txn:?}") };
    let saved = Kv { key: key.clone(), value: value.clone(), ..kv.clone() };
    assert_eq!(load(&[saved], &[]).lease, Some(lease));
}

fn check_lock(kv: &Kv) {
    let state = KeyState { kv: Some(kv.clone()), revision: kv.mod_revision, gap: Gap::None };
    let holder = lock::view_of(&state).holder.expect("a key that is there has a holder");
    assert_eq!((holder.lease, holder.written), (kv.lease, kv.mod_revision));
    if let Ok(host) = std::str::from_utf8(&kv.value) {
        assert_eq!(holder.host, host);
    }
}

/// Who offers an IP is told by the keys; values can only tell that a host is not available.
fn check_candidates(kvs: &[Kv]) {
    let cidr: Cidr = "10.0.0.1/32".parse().expect("an address");
    let names: Vec<_> = kvs.iter().filter_map(|kv| kv.key.strip_prefix(OFFERS)).collect();
    let candidates = lock::candidates(cidr, kvs);
    assert!(candidates.iter().map(|candidate| &candidate.host).eq(&names));
    for succeeded in [true, false] {
        let reply = Reply::new(succeeded, i64::MAX, vec![kvs.to_vec()]);
        let request = Request::Resign { lease: 1, candidacy: Candidacy::Available };
        let answer = lock::answer_of(&request, cidr, HOST, &reply);
        let lock = kvs.iter().find(|kv| kv.key == LOCK).filter(|_| !succeeded);
        let written = answer.lock.holder.map(|holder| holder.written);
        assert_eq!(written, lock.map(|kv| kv.mod_revision));
        let others = answer.others.expect("a release reads the offers");
        assert!(others.iter().all(|other| other.host != HOST && candidates.contains(other)));
        assert_eq!(others.len(), names.iter().filter(|name| **name != HOST).count());
    }
}

/// A copy tells the next life what etcd would, but for the revisions.
fn check_local_copy(stored: &Stored) {
    let copy = store::local_copy(HOST, stored.lease, stored.records.iter());
    let read = store::read_local_copy(HOST, &copy).expect("a copy of ours");
    let records = stored.records.iter().map(|record| Record { revision: 0, ..record.clone() });
    let expected = Stored { records: records.collect(), lease: stored.lease, ..Stored::default() };
    assert_eq!(read, expected);
    assert!(store::read_local_copy("h2", &copy).is_err(), "of another host");
}

//! What holds for whatever stands in etcd, and in the local copy of it: a property for
//! [`crate::fuzzing`].

use std::collections::BTreeMap;
use std::time::Instant;

use crate::call::{Exchange, Purpose, Step};
use crate::etcd::{Followed, Gap, KeyState, Kv, Op, Reply};
use crate::failure_detector::CallNews;
use crate::lock;
use crate::lock::{Advertisement, Candidacy, Request};
use crate::network::Hearing;
use crate::store::{self, Answer, Found, Instance, LocalCopy, Obstacle, Record};
use crate::vip::{Cidr, LONGEST_INTERVAL};

/// Whose records they are.
const HOST: &str = "h1";
/// The lock of an IP, and where its candidacies are.
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
    check_calls(&kvs);
    for kv in &kvs {
        check_host(kv, &kvs, &stored);
        check_lock(kv);
    }
    check_local_copy(&LocalCopy { records: stored.records, ..LocalCopy::default() });
    if let Ok(copy) = LocalCopy::read(input) {
        copy.records.iter().for_each(check_usable);
        check_local_copy(&copy);
    }
}

fn kv(line: &[u8], revision: i64) -> Kv {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let key = String::from_utf8_lossy(&line[..end]).into_owned();
    let value = line[end..].get(1..).unwrap_or_default().to_vec();
    Kv { key, value, lease: revision % 3, mod_revision: revision }
}

fn load(host: &[Kv], records: &[Kv]) -> Found {
    let found = vec![host.to_vec(), Vec::new(), records.to_vec()];
    let reply = Reply::new(true, i64::MAX, found);
    let answer = store::answer_of(&store::Request::Load, HOST, &Instance::default(), &reply);
    let Answer::Loaded(found) = answer else { panic!("{answer:?}") };
    *found
}

fn write(request: &store::Request) -> (String, Vec<u8>) {
    let txn = store::txn_of(request, HOST, &Instance::default(), "history");
    let [Op::Put { key, value, lease: 0 }, _] = &txn.then[..] else { panic!("{txn:?}") };
    (key.clone(), value.clone())
}

/// Of many records each is what it is alone, but for the second of an address.
fn check_records(kvs: &[Kv]) -> Found {
    let stored = load(&[], kvs);
    let mut expected: Vec<Record> = Vec::new();
    let mut skipped = 0;
    for kv in kvs {
        let alone = load(&[], std::slice::from_ref(kv));
        assert!(alone.unreadable.iter().all(|it| it.why.starts_with(&kv.key)), "{alone:?}");
        skipped += alone.unreadable.len();
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
    assert_eq!((&stored.records, stored.unreadable.len()), (&expected, skipped));
    stored
}

fn check_usable(record: &Record) {
    assert_eq!(record.cidr.unusable(), None, "{}", record.cidr);
    assert!(record.healthcheck_interval <= LONGEST_INTERVAL, "{record:?}");
    assert_eq!(record.id.as_str().parse().as_ref(), Ok(&record.id));
}

fn check_written_again(record: &Record) {
    let request = store::Request::WriteRecord(record.clone());
    let (key, value) = write(&request);
    let kv = Kv { key, value, lease: 0, mod_revision: record.revision };
    assert_eq!(load(&[], std::slice::from_ref(&kv)).records, std::slice::from_ref(record));
    // A write that was repeated meets its own value.
    let repeated = Reply::new(false, i64::MAX, vec![vec![kv]]);
    let answer = store::answer_of(&request, HOST, &Instance::default(), &repeated);
    assert_eq!(answer, Answer::Written(Ok::<i64, Obstacle>(record.revision)));
}

/// Whatever is said of the host, its records stay; its lease is read again as it was written.
fn check_host(kv: &Kv, kvs: &[Kv], stored: &Found) {
    let with_host = load(std::slice::from_ref(kv), kvs);
    assert_eq!(with_host.records, stored.records);
    let host = with_host.host.expect("it is there, whatever it says");
    assert_eq!(host.revision, kv.mod_revision);
    let Some(lease) = host.lease else { return };
    assert_ne!(lease, 0);
    let (key, value) = write(&store::Request::WriteHost { lease, revision: kv.mod_revision });
    let saved = Kv { key, value, ..kv.clone() };
    assert_eq!(load(&[saved], &[]).host.and_then(|host| host.lease), Some(lease));
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
        let candidacy = Candidacy::Available;
        let own = Advertisement { candidacy, hardware_address: None, priority: 7, replaces: 0 };
        let request = Request::Resign { lease: 1, own };
        let answer = lock::answer_of(&request, cidr, HOST, &reply);
        let lock = kvs.iter().find(|kv| kv.key == LOCK).filter(|_| !succeeded);
        let written = answer.lock.holder.map(|holder| holder.written);
        assert_eq!(written, lock.map(|kv| kv.mod_revision));
        let others = answer.others.expect("a release reads the offers");
        assert!(others.iter().all(|other| other.host != HOST && candidates.contains(other)));
        assert_eq!(others.len(), names.iter().filter(|name| **name != HOST).count());
    }
}

/// A call is listened for no longer than is sensible, and its caller reads the answer.
fn check_calls(kvs: &[Kv]) {
    let now = Instant::now();
    let hear = |host: &str, kvs: &[Kv]| {
        let all = Followed::All { kvs: kvs.to_vec(), revision: i64::MAX };
        Exchange::new(host).hear(all, now)
    };
    for step in hear(HOST, kvs) {
        let Step::Answer(call) = step else { continue };
        assert!((10..=2000).contains(&call.question.within.as_millis()), "{call:?}");
        let txn = call.answer_txn(Hearing::Others.into());
        let [Op::Put { key, value, lease }] = &txn.then[..] else { panic!("{txn:?}") };
        assert_eq!((key, *lease), (&call.kv.key, call.kv.lease));
        let answer = Kv { value: value.clone(), ..call.kv.clone() };
        let (_, caller) = key.rsplit_once('/').expect("it is the key of a call");
        let read = Step::News(
            HOST.to_owned(),
            Purpose::Detection,
            call.question.number,
            CallNews::Answered(Hearing::Others.into()),
        );
        assert!(caller == HOST || hear(caller, &[answer]) == [read], "{call:?}");
    }
}

/// A copy tells the next life what etcd would, but for the revisions. Of records with one id, which neither etcd
/// nor the table of IPs has, it tells the last.
fn check_local_copy(copy: &LocalCopy) {
    let read = LocalCopy::read(&copy.to_bytes(copy.records.iter())).expect("a copy of ours");
    let records = copy.records.iter().map(|record| Record { revision: 0, ..record.clone() });
    let by_id: BTreeMap<_, _> = records.map(|record| (record.id.clone(), record)).collect();
    let records = by_id.into_values().collect();
    let mut expected = LocalCopy { records, skipped: Vec::new(), ..copy.clone() };
    expected.records.sort_by_key(|record| record.cidr);
    assert_eq!(read, expected);
}

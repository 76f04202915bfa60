//! Each rule by itself.

use link::etcd::{Compare, ErrorKind, Gap, Kv, Op, Reply, TimeToLive, Txn};

use crate::memory_etcd::{Change, History, MemoryEtcd, Refusal};

const TTL: u32 = 5;

fn etcd() -> MemoryEtcd {
    MemoryEtcd::new(1)
}

fn put(key: &str, value: &str, lease: i64) -> Op {
    Op::Put { key: key.to_owned(), value: value.as_bytes().to_vec(), lease }
}

fn get(key: &str) -> Op {
    Op::Get(key.to_owned())
}

fn touch(key: &str) -> Op {
    Op::Touch(key.to_owned())
}

fn delete(key: &str) -> Op {
    Op::Delete(key.to_owned())
}

fn kv(key: &str, value: &str, lease: i64, mod_revision: i64) -> Kv {
    Kv { key: key.to_owned(), value: value.as_bytes().to_vec(), lease, mod_revision }
}

fn does(etcd: &mut MemoryEtcd, ops: Vec<Op>) -> Reply {
    etcd.transact(&Txn::unconditional(ops)).expect("it is possible").0
}

fn changes(etcd: &mut MemoryEtcd, ops: Vec<Op>) -> Vec<Change> {
    etcd.transact(&Txn::unconditional(ops)).expect("it is possible").1
}

/// What is refused changes nothing.
fn refusal(etcd: &MemoryEtcd, ops: Vec<Op>) -> Refusal {
    let mut after = etcd.clone();
    let refused = after.transact(&Txn::unconditional(ops)).expect_err("it is refused");
    assert_eq!(&after, etcd);
    refused
}

fn holds(etcd: &MemoryEtcd, compare: Compare) -> bool {
    let txn = Txn { when: vec![compare], ..Txn::default() };
    etcd.clone().transact(&txn).expect("it is possible").0.succeeded
}

#[test]
fn the_numbers_of_a_missing_key_are_zero() {
    let etcd = etcd();
    assert!(holds(&etcd, Compare::Absent("a".to_owned())));
    assert!(holds(&etcd, Compare::ModRevision("a".to_owned(), 0)));
    assert!(holds(&etcd, Compare::Lease("a".to_owned(), 0)));
    assert!(!holds(&etcd, Compare::ModRevision("a".to_owned(), 1)));
    assert!(!holds(&etcd, Compare::Lease("a".to_owned(), 7)));
}

#[test]
fn a_key_is_compared_by_its_revision_and_its_lease() {
    let mut etcd = etcd();
    let lease = etcd.grant(TTL, 0);
    does(&mut etcd, vec![put("a", "1", lease)]);
    assert!(!holds(&etcd, Compare::Absent("a".to_owned())));
    assert!(holds(&etcd, Compare::ModRevision("a".to_owned(), 2)));
    assert!(holds(&etcd, Compare::Lease("a".to_owned(), lease)));
    assert!(!holds(&etcd, Compare::Lease("a".to_owned(), 0)));
}

#[test]
fn a_range_ends_before_its_second_key() {
    let mut etcd = etcd();
    does(&mut etcd, vec![put("b", "", 0)]);
    let empty =
        |from: &str, to: &str| holds(&etcd, Compare::NoneIn(from.to_owned(), to.to_owned()));
    assert!(empty("a", "b") && empty("c", "d") && empty("b0", "c"));
    assert!(!empty("a", "c") && !empty("b", "b0"));
    assert!(empty("a", "") && !empty("b", ""), "an empty end is none");
    assert!(empty("c", "\0") && !empty("a", "\0"), "a zero byte is the end of all keys");
}

#[test]
fn a_prefix_is_deleted_in_one_revision() {
    let mut etcd = etcd();
    does(&mut etcd, vec![put("a/1", "", 0), put("a/2", "", 0), put("b", "", 0)]);
    let gone = changes(&mut etcd, vec![Op::DeletePrefix("a/".to_owned())]);
    let gone: Vec<_> = gone.iter().map(|change| (&*change.key, change.revision)).collect();
    assert_eq!(gone, [("a/1", 3), ("a/2", 3)]);
    assert_eq!(does(&mut etcd, vec![Op::DeletePrefix("a/".to_owned())]).revision, 3);
}

#[test]
fn one_transaction_is_one_revision_and_reads_what_it_has_written() {
    let mut etcd = etcd();
    let reply = does(&mut etcd, vec![put("a", "1", 0), put("b", "2", 0), get("a")]);
    assert_eq!(
        reply,
        Reply::new(true, 2, vec![vec![], vec![], vec![kv("a", "1", 0, 2)]]).in_cluster(1)
    );
    assert_eq!(etcd.get_prefix(""), [kv("a", "1", 0, 2), kv("b", "2", 0, 2)]);
}

#[test]
fn what_changes_nothing_makes_no_revision() {
    let mut etcd = etcd();
    assert_eq!(does(&mut etcd, vec![delete("a"), get("a")]).revision, 1);
    let txn = Txn {
        when: vec![Compare::ModRevision("a".to_owned(), 5)],
        then: vec![put("a", "1", 0)],
        otherwise: vec![get("a")],
    };
    let (reply, changes) = etcd.transact(&txn).expect("it is possible");
    assert_eq!(reply, Reply::new(false, 1, vec![vec![]]).in_cluster(1));
    assert_eq!(changes, []);
}

#[test]
fn a_prefix_finds_keys_in_their_order() {
    let mut etcd = etcd();
    does(&mut etcd, vec![put("a/2", "", 0), put("a0", "", 0), put("a/10", "", 0), put("b", "", 0)]);
    let keys = |prefix| etcd.get_prefix(prefix).into_iter().map(|kv| kv.key).collect::<Vec<_>>();
    assert_eq!(keys("a/"), ["a/10", "a/2"]);
    assert_eq!(keys("a"), ["a/10", "a/2", "a0"]);
}

#[test]
fn a_touch_writes_a_key_again_as_it_is() {
    let mut etcd = etcd();
    let lease = etcd.grant(TTL, 0);
    does(&mut etcd, vec![put("a", "1", lease)]);
    let reply = does(&mut etcd, vec![touch("a"), get("a")]);
    assert_eq!(reply.kvs(1), [kv("a", "1", lease, 3)]);
}

#[test]
fn what_is_impossible_refuses_the_whole() {
    let mut etcd = etcd();
    does(&mut etcd, vec![put("a", "1", 0)]);
    let unknown = refusal(&etcd, vec![put("b", "2", 0), put("c", "3", 7)]);
    assert_eq!(unknown, Refusal::LeaseNotFound);
    assert_eq!(unknown.kind(), ErrorKind::LeaseNotFound);
    let missing = refusal(&etcd, vec![put("b", "2", 0), touch("c")]);
    assert_eq!(missing, Refusal::KeyNotFound);
    assert_eq!(missing.kind(), ErrorKind::Refused);
    // The key is looked for before the transaction.
    let nested = Op::Nested(Txn::unconditional(vec![touch("a")]));
    assert_eq!(refusal(&etcd, vec![delete("a"), nested]), Refusal::DuplicateKey);
    assert_eq!(refusal(&etcd, vec![get("")]), Refusal::EmptyKey);
    assert_eq!(refusal(&etcd, vec![get("a"); 129]), Refusal::TooManyOps);
}

#[test]
fn what_is_impossible_in_a_branch_that_is_not_taken_does_no_harm() {
    let mut etcd = etcd();
    let when = vec![Compare::Absent("a".to_owned())];
    let txn = Txn { when, then: vec![], otherwise: vec![touch("a"), put("b", "", 7)] };
    assert_eq!(etcd.transact(&txn), Ok((Reply::new(true, 1, vec![]).in_cluster(1), vec![])));
}

#[test]
fn a_key_is_written_once() {
    let etcd = etcd();
    let nested = |ops| Op::Nested(Txn::unconditional(ops));
    let twice = [
        vec![put("a", "1", 0), put("a", "2", 0)],
        vec![put("a", "1", 0), delete("a")],
        vec![delete("a"), put("a", "1", 0)],
        vec![put("a", "1", 0), touch("a")],
        vec![put("a/1", "1", 0), Op::DeletePrefix("a/".to_owned())],
        vec![put("a", "1", 0), nested(vec![put("a", "2", 0)])],
        vec![nested(vec![put("a", "1", 0)]), nested(vec![put("a", "2", 0)])],
        vec![nested(vec![delete("a")]), nested(vec![put("a", "2", 0)])],
    ];
    for ops in twice {
        assert_eq!(refusal(&etcd, ops.clone()), Refusal::DuplicateKey, "{ops:?}");
    }
    let once = [
        vec![delete("a"), delete("a")],
        vec![Op::Nested(Txn {
            when: vec![],
            then: vec![put("a", "1", 0)],
            otherwise: vec![put("a", "2", 0)],
        })],
        // etcd does not see that these are the same key.
        vec![nested(vec![put("a", "1", 0)]), nested(vec![delete("a")])],
    ];
    for ops in once {
        does(&mut etcd.clone(), ops);
    }
}

#[test]
fn nested_transactions_look_at_what_was_before_the_whole() {
    let mut etcd = etcd();
    let campaign = |host| {
        let when = vec![Compare::Absent("lock".to_owned())];
        let otherwise = vec![get("lock")];
        Op::Nested(Txn { when, then: vec![put(host, "", 0)], otherwise })
    };
    let write = Op::Nested(Txn::unconditional(vec![put("lock", "h1", 0)]));
    let reply = does(&mut etcd, vec![write.clone(), campaign("h2")]);
    let outcomes: Vec<_> = reply.nested.iter().map(|nested| nested.succeeded).collect();
    assert_eq!(outcomes, [true, true]);
    let reply = does(&mut etcd, vec![write, campaign("h2")]);
    assert_eq!(
        reply.nested[1],
        Reply::new(false, 3, vec![vec![kv("lock", "h1", 0, 3)]]).in_cluster(1)
    );
}

#[test]
fn a_lease_takes_its_keys_along_in_one_revision() {
    let mut etcd = etcd();
    let (first, second) = (etcd.grant(TTL, 0), etcd.grant(TTL, 0));
    does(&mut etcd, vec![put("a", "", first), put("b", "", first), put("c", "", second)]);
    does(&mut etcd, vec![put("b", "", second)]);
    does(&mut etcd, vec![put("c", "", first)]);
    assert_eq!(etcd.attached(first).collect::<Vec<_>>(), ["a", "c"]);
    let gone = etcd.revoke(first).expect("it exists");
    let gone: Vec<_> = gone.iter().map(|change| (&*change.key, change.state().revision)).collect();
    assert_eq!(gone, [("a", 5), ("c", 5)]);
    assert_eq!(etcd.get_prefix(""), [kv("b", "", second, 3)]);
    assert_eq!(etcd.revoke(first), None);
    assert_eq!(refusal(&etcd, vec![put("a", "", first)]), Refusal::LeaseNotFound);
}

#[test]
fn a_lease_without_keys_ends_without_a_revision() {
    let mut etcd = etcd();
    let lease = etcd.grant(TTL, 0);
    assert_eq!(etcd.revoke(lease), Some(vec![]));
    assert_eq!(etcd.revision(), 1);
}

#[test]
fn a_lease_that_nobody_renews_ends() {
    let mut etcd = etcd();
    let (renewed, over) = (etcd.grant(TTL, 0), etcd.grant(TTL, 0));
    does(&mut etcd, vec![put("a", "", renewed), put("b", "", over)]);
    assert_eq!(etcd.renew(renewed, 4_000), Some(TTL));
    assert_eq!(etcd.time_to_live(over, 4_001), TimeToLive { left: 0, granted: 5 });
    assert_eq!(etcd.expire(4_999), []);
    assert_eq!(etcd.renew(over, 5_000), None, "it is about to be revoked");
    let gone = etcd.expire(5_000);
    assert_eq!(gone.iter().map(|change| &*change.key).collect::<Vec<_>>(), ["b"]);
    assert_eq!(etcd.time_to_live(over, 5_000), TimeToLive { left: -1, granted: 0 });
    assert_eq!(etcd.lease_ids().collect::<Vec<_>>(), [renewed]);
}

#[test]
fn leases_begin_again_with_a_new_leader() {
    let mut etcd = etcd();
    let lease = etcd.grant(TTL, 0);
    etcd.restart_leases(4_000);
    assert_eq!(etcd.time_to_live(lease, 4_000), TimeToLive { left: 6, granted: 5 });
}

#[test]
fn a_snapshot_comes_back_with_its_leases_and_its_revision() {
    let mut etcd = etcd();
    let lease = etcd.grant(TTL, 0);
    does(&mut etcd, vec![put("a", "1", lease)]);
    let snapshot = etcd.clone();
    let later = etcd.grant(TTL, 0);
    does(&mut etcd, vec![put("a", "2", 0), put("b", "", later)]);
    etcd.restore(&snapshot, 9_000);
    assert_eq!(etcd.get_prefix(""), [kv("a", "1", lease, 2)]);
    assert_eq!((etcd.revision(), etcd.cluster()), (2, 1));
    assert_eq!(etcd.time_to_live(lease, 9_000).left, 6);
    assert!(!etcd.has_lease(later));
    assert!(etcd.grant(TTL, 9_000) > later, "an id is given once");
}

#[test]
fn a_cluster_that_was_made_anew_has_nothing_but_another_id() {
    let mut etcd = etcd();
    let lease = etcd.grant(TTL, 0);
    does(&mut etcd, vec![put("a", "1", lease)]);
    etcd.wipe(2);
    assert_eq!((etcd.revision(), etcd.cluster(), etcd.get_prefix("")), (1, 2, vec![]));
    assert_eq!(etcd.renew(lease, 0), None);
}

#[test]
fn a_watch_tells_what_has_changed_since_a_revision() {
    let (mut etcd, mut history) = (etcd(), History::default());
    for ops in [vec![put("a/1", "", 0), put("b", "", 0)], vec![delete("a/1")], vec![touch("b")]] {
        history.record(&changes(&mut etcd, ops));
    }
    let told = |history: &History, revision, prefix: &str| {
        let since = history.since(revision, prefix).ok()?;
        Some(since.map(|change| (change.key.to_string(), change.state().kv.is_some())).collect())
    };
    let a = |present| ("a/1".to_owned(), present);
    let b = ("b".to_owned(), true);
    assert_eq!(told(&history, 2, ""), Some(vec![a(true), b.clone(), a(false), b.clone()]));
    assert_eq!(told(&history, 3, "a/"), Some(vec![a(false)]));
    assert_eq!(told(&history, 5, ""), Some(vec![]));
    history.compact(3);
    assert_eq!(told(&history, 2, ""), None);
    // Neither is the deletion told that the compacted revision has made.
    assert_eq!(told(&history, 3, ""), Some(vec![b]));
}

#[test]
fn who_reads_a_key_hears_of_its_revision() {
    let mut etcd = etcd();
    assert_eq!(etcd.state_of("a", Gap::Reconnected).kv, None);
    let put = changes(&mut etcd, vec![put("a", "1", 0)]).remove(0);
    assert_eq!(put.state(), etcd.state_of("a", Gap::None));
}

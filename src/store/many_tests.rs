//! The transaction that writes many records, and what its answer says.

use super::super::{Instance, RECORDS_AT_ONCE, Request, txn_of};
use super::*;
use crate::etcd::Kv;

#[test]
fn of_many_records_all_or_none_are_written_and_a_repetition_finds_its_own() {
    let first = Record {
        id: "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427".parse().unwrap(),
        cidr: "10.0.0.1".parse().unwrap(),
        checks: Vec::new(),
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority: None,
        group: None,
        revision: 0,
    };
    let second = Record {
        id: "vip-00000000-0000-4000-8000-000000000002".parse().unwrap(),
        cidr: "10.0.0.2".parse().unwrap(),
        ..first.clone()
    };
    let records = [first, second];
    let at_its_key = |record: &Record, value: Vec<u8>| Kv {
        key: record_key("h1", &record.id),
        value,
        lease: 0,
        mod_revision: 7,
    };
    let own = |record: &Record| vec![at_its_key(record, record_value(record))];
    let other =
        Kv { key: "/link/ips/10.0.0.2_24/h2".to_owned(), ..at_its_key(&records[1], Vec::new()) };
    let candidacies = vec![other];
    let offers = Obstacle::OtherPrefix(crate::lock::OtherPrefix {
        cidr: "10.0.0.2/24".to_owned(),
        host: "h2".to_owned(),
    });
    for (found, expected) in [
        (vec![own(&records[0]), own(&records[1]), vec![], vec![]], Ok(7)),
        (vec![own(&records[0]), vec![], vec![], vec![]], Err((1, Obstacle::Changed(0)))),
        (vec![vec![], vec![], vec![], candidacies], Err((1, offers))),
        (
            vec![vec![], vec![at_its_key(&records[1], b"x".to_vec())], vec![], vec![]],
            Err((1, Obstacle::Changed(7))),
        ),
    ] {
        assert_eq!(written(&records, &Reply::new(false, 9, found)), expected);
    }
    assert_eq!(written(&records, &Reply::new(true, 9, Vec::new())), Ok(9));
    let txn = txn_of(&Request::WriteRecords(records.to_vec()), "h1", &Instance::default(), "");
    assert_eq!((txn.when.len(), txn.then.len(), txn.otherwise.len()), (6, 3, 4));
    const { assert!(3 * RECORDS_AT_ONCE <= 100, "etcd takes 128 of each") };
}

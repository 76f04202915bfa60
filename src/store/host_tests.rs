//! What a host has in etcd beside its records, and how it goes.

use super::super::{Answer, DRY_AT_ONCE, Instance, Request, answer_of, txn_of};
use super::*;
use crate::etcd::Reply;

fn machine(id: &str) -> Instance {
    Instance::new(id.to_owned(), "b1".to_owned(), Some([2, 0, 0, 0, 0, 1]))
}

fn then(request: &Request, machine: &Instance) -> Vec<Op> {
    txn_of(request, "h1", machine, "history").then
}

#[test]
fn a_machine_that_starts_under_a_name_claims_it_beside_the_host_by_its_id_or_hardware_address() {
    for (id, key) in [("i1", "/link/config/h1/i1"), ("", "/link/config/h1/02:00:00:00:00:01")] {
        let then = then(&Request::ClaimName { lease: 7 }, &machine(id));
        let [Op::Put { key: found, lease: 7, .. }] = &then[..] else { panic!("{then:?}") };
        assert_eq!(found, key);
    }
    let claims = Op::DeletePrefix("/link/config/h1/".to_owned());
    assert_eq!(then(&Request::DropClaims, &machine("i1")), [claims]);
    assert_eq!(config_prefix("h1"), "/link/config/h1");
}

#[test]
fn a_host_is_forgotten_with_its_mark_and_the_claims_to_its_name_unless_it_has_changed() {
    let forget = txn_of(&Request::ForgetHost(5), "h1", &machine("i1"), "history");
    let host = "/link/config/h1".to_owned();
    assert_eq!(forget.when, [Compare::ModRevision(host.clone(), 5)]);
    let mark = Op::Delete("/link/config/.written/h1".to_owned());
    let claims = Op::DeletePrefix("/link/config/h1/".to_owned());
    assert_eq!(forget.then, [Op::Delete(host), mark, claims]);
}

#[test]
fn records_that_were_written_in_vain_are_taken_back_by_their_ids() {
    let id: crate::vip::VipId = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427".parse().unwrap();
    let deletes = Op::Delete(format!("/link/hosts/h1/{id}"));
    assert_eq!(then(&Request::DeleteRecords(vec![id]), &machine("i1")), [deletes]);
}

#[test]
fn what_is_on_leases_is_read_with_the_hosts_and_so_are_all_locks_and_the_candidates_of_one() {
    let prefixes = |prefixes: &[&str]| -> Vec<Op> {
        prefixes.iter().map(|prefix| Op::GetPrefix((*prefix).to_owned())).collect()
    };
    let of = |request| then(&request, &machine("i1"));
    let all = ["/link/default/", "/link/ips/", "/link/config/", "/link/agents/"];
    assert_eq!(of(Request::Footprint("h2".to_owned())), prefixes(&all));
    assert_eq!(of(Request::Locks), prefixes(&all[..1]));
    let cidr: crate::vip::Cidr = "10.0.0.1".parse().unwrap();
    // Not those of 10.0.0.1/3.
    assert_eq!(of(Request::Candidates(cidr.into())), prefixes(&["/link/ips/10.0.0.1_32/"]));
    let group = [
        Op::Get("/link/config/.groups/gw".to_owned()),
        Op::Get("/link/default/group:gw".to_owned()),
        Op::GetPrefix("/link/ips/group:gw@".to_owned()),
        Op::Get("/link/default/10.0.0.1_32".to_owned()),
        Op::GetPrefix("/link/ips/10.0.0.1_32/".to_owned()),
    ];
    assert_eq!(of(Request::Group("gw".parse().unwrap(), vec![cidr])), group);
}

#[test]
fn a_mark_names_its_history_if_that_can_be_a_name() {
    let history = |value: &[u8]| {
        let key = "/link/config/.written/h1".to_owned();
        let mark = Kv { key, value: value.to_vec(), lease: 0, mod_revision: 5 };
        let reply = Reply::new(true, 9, vec![vec![], vec![], vec![], vec![mark]]);
        let answer = answer_of(&Request::Load, "h1", &machine("i1"), &reply);
        let Answer::Loaded(found) = answer else { panic!("{answer:?}") };
        assert_eq!(found.written, 5);
        found.history
    };
    assert_eq!(history(b"one"), "one");
    let longest = "x".repeat(64);
    assert_eq!(history(longest.as_bytes()), longest);
    for odd in [&[b'x'; 65][..], b"a/b", &[0xff]] {
        assert_eq!(history(odd), "", "{odd:?}");
    }
}

#[test]
fn a_dry_run_is_never_carried_out_and_has_room_in_a_transaction() {
    let addresses = (1..=DRY_AT_ONCE).map(|number| format!("10.0.0.{number}/32"));
    let keys = addresses.map(|text| text.parse::<crate::vip::Cidr>().unwrap().into());
    let dry_run = txn_of(&Request::DryRun(keys.collect()), "h1", &machine("i1"), "history");
    // etcd counts from 1.
    assert_eq!(dry_run.when, [Compare::ModRevision("/link/config/h1".to_owned(), -1)]);
    assert!(dry_run.then.len() <= 100, "{}", dry_run.then.len());
    let puts = |key: &str| {
        dry_run.then.iter().any(|op| matches!(op, Op::Put { key: put, .. } if put == key))
    };
    assert!(puts("/link/default/10.0.0.1_32") && puts("/link/ips/10.0.0.1_32/h1"));
    assert!(puts("/link/config/h1"));
}

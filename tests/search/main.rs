//! Every order of what can happen: real election cores, the real transactions on an etcd in memory, and all
//! interleavings of messages, timers and faults.
//!
//! All searches start from a quiet cluster, but those from its boot. A failure is a shortest story. A plain run
//! has every kind of fault with 2 and 3 hosts, and 2 hosts with the pairs of faults that are quick to search.
//! The other pairs, slower messages, the boot, and all pairs with 3 hosts take minutes each, with a core that is compiled
//! for speed:
//!
//! ```sh
//! cargo test --config profile.dev.package.link.opt-level=2 --test search -- --ignored --nocapture
//! ```
//!
//! The pairs with 3 hosts alone are `three_hosts_and_two_faults_of_any_kind`.
//!
//! `LINK_SEARCH` restricts that to lines of the table that contain this text, `LINK_SEARCH_LIMIT` is how many
//! worlds of a line are looked at.

#[path = "../memory_etcd/mod.rs"]
mod memory_etcd;

mod bugs;
mod canon;
mod explore;
mod faults;
mod found;
mod full;
mod golink;
mod happen;
mod host;
mod judge;
mod reduce;
mod shared;
mod step;
mod story;
mod turns;
mod world;

use std::rc::Rc;

use link::election::message::Input;
use link::policy::{AllFailingPolicy, LossPolicy};

use bugs::Bug;
use explore::{Failure, Search, Size};
use host::Policies;
use step::Fault;
use world::World;

/// Worlds that a search of a plain run may find.
const LIMIT: usize = 3_000_000;

/// Steps of a story that a person still reads.
const LONGEST_STORY: usize = 20;

/// Every policy beside the default of the other.
fn all_policies() -> [Policies; 4] {
    let keeps_last = |loss| Policies { loss, all_failing: AllFailingPolicy::KeepLast };
    [
        keeps_last(LossPolicy::Take),
        keeps_last(LossPolicy::Probe),
        keeps_last(LossPolicy::Hold),
        Policies { loss: LossPolicy::Take, all_failing: AllFailingPolicy::None },
    ]
}

/// Searches that belong together: all are run, and the first failure is told at the end.
#[derive(Default)]
struct Table {
    failed: Vec<String>,
}

impl Table {
    /// Searches, and prints a line of the table.
    #[allow(clippy::print_stdout, reason = "the table is what a person has it run for")]
    fn search(&mut self, what: &str, from: &World, search: &Search) {
        if setting("LINK_SEARCH").is_some_and(|wanted| !what.contains(&wanted)) {
            return;
        }
        match search.run(from) {
            Ok(Size { worlds, steps, ends, took, cut_off, .. }) => {
                let more = if cut_off { ", and more" } else { "" };
                println!("{what}: {worlds} worlds{more}, {steps} steps, {ends} ends, {took:.1?}");
            }
            Err(failure) => {
                println!("{what}: {}", story::tell(from, &failure));
                self.failed.push(format!("{what}: {}", failure.why));
            }
        }
    }

    /// A backup may have the lock of the owner, or of another host.
    fn search_from_quiet(&mut self, what: &str, hosts: usize, policies: Policies, search: &Search) {
        self.search(what, &quiet(hosts, policies), search);
        if search.faults.iter().flatten().any(|it| *it == Fault::EtcdRestored) {
            let what = format!("{what}, since a failover");
            self.search(&what, &quiet_since_a_failover(hosts, policies), search);
        }
    }

    fn is_clean(&self) {
        assert!(self.failed.is_empty(), "{}", self.failed.join("\n"));
    }
}

/// A cluster in which nothing happens; a backup of its etcd has the leases that its hosts had before.
fn quiet(hosts: usize, policies: Policies) -> World {
    quiet_with(None, hosts, policies)
}

/// The same, with a bug from the beginning.
fn quiet_with(bug: Option<Bug>, hosts: usize, policies: Policies) -> World {
    let mut world = story::settle(World { bug, ..World::boot(hosts, policies) });
    world.snapshot = Rc::new((*world.state.etcd).clone());
    for host in 0..hosts {
        world.end_lease(host);
    }
    world = story::settle(world);
    world.state.gaps_are_allowed = false;
    world
}

/// The same; in the backup the lock is another host's.
fn quiet_since_a_failover(hosts: usize, policies: Policies) -> World {
    let mut world = quiet(hosts, policies);
    let owner = world.ids().find(|id| world.host(*id).bound).expect("there is an owner");
    world.tell(owner, Input::Failover(None));
    story::settle(world)
}

/// All kinds of faults, each with the hosts on which it can happen.
fn kinds(hosts: usize) -> Vec<(&'static str, Vec<Fault>)> {
    let mut kinds: Vec<(&'static str, Vec<Fault>)> = Vec::new();
    for fault in Fault::all(hosts) {
        match kinds.last_mut() {
            Some((kind, faults)) if *kind == fault.kind() => faults.push(fault),
            Some(_) | None => kinds.push((fault.kind(), vec![fault])),
        }
    }
    kinds
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn limit(default: usize) -> usize {
    setting("LINK_SEARCH_LIMIT").map_or(default, |it| it.parse().expect("a number"))
}

/// Every kind of fault, once.
fn one_fault(hosts: usize, delays: u8, policies: &[Policies]) {
    let mut table = Table::default();
    for policies in policies.iter().copied() {
        for (kind, faults) in kinds(hosts) {
            let one = Search {
                faults: vec![faults],
                delays,
                limit: limit(LIMIT),
                reduces: true,
                deep: false,
            };
            let what = format!("{hosts} hosts, {policies}, {delays} slow, {kind}");
            table.search_from_quiet(&what, hosts, policies, &one);
        }
    }
    table.is_clean();
}

/// What makes pairs large: retries, times that pass each other, and what each host does on its own.
fn is_large(kind: &str) -> bool {
    let large = ["cut", "leader off", "lock deleted", "etcd down", "etcd wiped", "etcd refuses"];
    large.contains(&kind)
}

/// Pairs of faults of two kinds, which may be the same.
fn pairs(hosts: usize, wanted: impl Fn(usize, &str, &str) -> bool) {
    let policies = all_policies()[0];
    let mut table = Table::default();
    let kinds = kinds(hosts);
    for (index, (first, faults)) in kinds.iter().enumerate() {
        for (second, others) in kinds[index..].iter().filter(|it| wanted(index, first, it.0)) {
            let faults = [faults.clone(), others.clone()].concat();
            let two = Search {
                faults: vec![faults; 2],
                delays: 0,
                limit: limit(LIMIT),
                reduces: true,
                deep: false,
            };
            let what = format!("{hosts} hosts, {policies}, {first} + {second}");
            table.search_from_quiet(&what, hosts, policies, &two);
        }
    }
    table.is_clean();
}

#[test]
fn two_hosts_and_one_fault_of_any_kind() {
    one_fault(2, 1, &all_policies());
}

#[test]
fn three_hosts_and_one_fault_of_any_kind() {
    one_fault(3, 0, &all_policies()[..1]);
}

// In two halves, one for each processor.

#[test]
fn two_hosts_and_pairs_of_faults_of_the_first_kinds() {
    pairs(2, |index, first, second| index < 4 && !is_large(first) && !is_large(second));
}

#[test]
fn two_hosts_and_pairs_of_faults_of_the_other_kinds() {
    pairs(2, |index, first, second| index >= 4 && !is_large(first) && !is_large(second));
}

/// No world is lost in which nothing is on its way.
#[test]
fn orders_that_are_left_out_make_no_difference() {
    let from = quiet(3, all_policies()[0]);
    for faults in [[Fault::PowerOff(0), Fault::Failover(1)], [Fault::Revoke(1), Fault::Deaf(2)]] {
        let calm = [false, true].map(|reduces| {
            let faults = vec![faults.to_vec(); 2];
            let search = Search { faults, delays: 0, limit: LIMIT, reduces, deep: reduces };
            let size = search.run(&from).expect("there is no violation");
            println!("{reduces}: {} worlds, {} steps", size.worlds, size.steps);
            assert!(!size.cut_off);
            size.calm
        });
        assert_eq!(calm[0], calm[1]);
    }
}

/// A short story that shows a bug, with one fault or with two.
fn found(bug: Bug) -> Option<Failure> {
    let policies = all_policies()[0];
    // Of two hosts only one is there to take turns when the other has had the lock.
    let hosts = if bug == Bug::EverybodyGoesFirst { 3 } else { 2 };
    let from = match hosts {
        2 => World { bug: Some(bug), ..quiet(2, policies) },
        _ => quiet_with(Some(bug), hosts, policies),
    };
    let fails = |faults: Vec<Fault>, depth, delays| {
        let search = Search {
            faults: vec![faults; depth],
            delays,
            limit: LIMIT,
            reduces: true,
            deep: false,
        };
        search.run(&from).err().filter(|failure| failure.story.len() <= LONGEST_STORY)
    };
    let delays = if hosts == 2 { 1 } else { 0 };
    let one = kinds(hosts).into_iter().find_map(|(_, faults)| fails(faults, 1, delays));
    let small: Vec<_> = kinds(2).into_iter().filter(|(kind, _)| !is_large(kind)).collect();
    let mut pairs = small.iter().flat_map(|first| small.iter().map(move |second| (first, second)));
    one.or_else(|| {
        pairs.find_map(|(first, second)| fails([&first.1[..], &second.1].concat(), 2, 0))
    })
}

#[test]
fn every_known_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match found(bug) {
            Some(Failure { why, story }) => println!("{bug:?}: {why}, after {} steps", story.len()),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// What a host that is deaf, or has lost its lease, believes when the owner goes as well.
#[test]
#[ignore = "takes minutes"]
fn three_hosts_and_pairs_of_faults_around_the_turns() {
    let around = ["power off", "deaf", "revoke", "failover"];
    pairs(3, |_, first, second| around.contains(&first) && around.contains(&second));
}

#[test]
#[ignore = "takes minutes"]
fn two_hosts_and_pairs_of_faults_that_take_long() {
    pairs(2, |_, first, second| is_large(first) || is_large(second));
}

#[test]
#[ignore = "takes minutes"]
fn three_hosts_one_fault_and_a_slow_message() {
    one_fault(3, 1, &all_policies());
}

#[test]
#[ignore = "takes minutes"]
fn two_hosts_from_boot() {
    let mut table = Table::default();
    let policies = all_policies()[0];
    for (kind, faults) in [("no fault", Vec::new())].into_iter().chain(kinds(2)) {
        let one = Search {
            faults: vec![faults],
            delays: 0,
            limit: limit(LIMIT),
            reduces: true,
            deep: false,
        };
        table.search(
            &format!("2 hosts from boot, {policies}, {kind}"),
            &World::boot(2, policies),
            &one,
        );
    }
    table.is_clean();
}

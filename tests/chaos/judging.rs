//! Tests of the judge: what the chaos run takes for granted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::{H1, H2, HostId, PingReport};
use crate::run::audit::{Seen, Times};
use crate::run::bounds::Bound;
use crate::run::plan::{Aim, Fault, Kind, OnHost};
use crate::run::round::Round;
use crate::run::stage::Stage;
use crate::run::watch::Binding;

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What is seen of an IP that H1 has at first, from changes with their times. After 500 ms all
/// is healed, after 1000 ms the round is over.
fn seen(changes: &[(u64, HostId, bool)]) -> Seen {
    let begun = Instant::now();
    let at = |ms| begun + milliseconds(ms);
    let binding =
        |&(ms, host, bound): &(u64, HostId, bool)| Binding { at: at(ms), vip: 0, host, bound };
    let changes: Vec<Binding> = changes.iter().map(binding).collect();
    let times = Times { begun, healed: at(500), ended: at(1000) };
    let ping = PingReport {
        sent: 0,
        lost: 0,
        longest_gap: Duration::ZERO,
        gap_began: None,
        longest_stall: Duration::ZERO,
    };
    Seen::new(&BTreeSet::from([H1]), &changes, times, &ping, (H1, Some(H1)))
}

#[test]
fn a_calm_round_has_nothing_to_tell() {
    let calm = seen(&[]);
    assert_eq!((calm.nobody, calm.rivals, calm.peace, calm.moves), Default::default());
}

#[test]
fn a_crash_is_a_time_without_anybody_and_a_move() {
    let crash = seen(&[(100, H1, false), (400, H2, true)]);
    assert_eq!((crash.nobody, crash.moves), (milliseconds(300), 1));
    assert_eq!((crash.rivals, crash.peace), Default::default());
    let forever = seen(&[(100, H1, false)]);
    assert_eq!((forever.nobody, forever.moves), (milliseconds(900), 0));
}

#[test]
fn two_owners_count_until_all_is_healed_and_after_that() {
    let rivals = seen(&[(200, H2, true), (800, H1, false)]);
    assert_eq!((rivals.rivals, rivals.peace), (milliseconds(300), milliseconds(300)));
    assert_eq!((rivals.nobody, rivals.moves), (Duration::ZERO, 1));
    let brief = seen(&[(100, H2, true), (150, H2, false), (300, H2, true), (310, H2, false)]);
    assert_eq!((brief.rivals, brief.peace, brief.moves), (milliseconds(50), Duration::ZERO, 0));
}

#[test]
fn a_fault_that_nobody_has_declared_would_be_a_violation() {
    let mut stage = Stage::new("take", "strict");
    let kind = Kind::Host(OnHost::PowerOff);
    let lasts = Duration::from_secs(5);
    let fault = Fault { kind, aim: Aim::Owner, vip: 0, at: Duration::ZERO, lasts };
    let outcome = Round::begin(&mut stage).play(&[fault]);
    assert_eq!(outcome.violations, Vec::<String>::new(), "{}", outcome.story);
    let (seen, _) = &outcome.seen[0];
    let violations = seen.violations(&Bound::of(0, &[]), outcome.noise.allowance()).join("\n");
    for what in ["nobody binds it", "the client gets no answer", "it has moved from h1"] {
        assert!(violations.contains(what), "{violations}");
    }
    assert!(outcome.story.contains("h1 binds no more 10.0.1.1/32"), "{}", outcome.story);
}

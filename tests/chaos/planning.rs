//! Tests of the plan: what is drawn from a seed, and what the bounds make of it.

use std::collections::BTreeSet;
use std::time::Duration;

use link::policy::LossPolicy;

use crate::run::bounds::{Bound, Effect};
use crate::run::plan::{Around, Kind, OnAgent, OnEtcd, OnHost, round};
use crate::run::random::Random;
use crate::run::stage::HOSTS;
use crate::run::surroundings::answer;

/// How long it takes to get a token.
const SLOW: Duration = Duration::from_millis(1_234);

/// The kinds of fault in so many rounds of that seed.
fn drawn(seed: u64, rounds: usize) -> Vec<Vec<Kind>> {
    let mut random = Random::new(seed);
    let mut draw = || round(&mut random, HOSTS.len(), &Kind::ALL);
    let kinds = (0..rounds).map(|_| draw().into_iter().map(|fault| fault.kind).collect());
    kinds.collect()
}

/// A fault that hits the owner of the IP with that number, which it is about, for five seconds.
fn effect(kind: Kind, token: Duration) -> Effect {
    let lasted = Duration::from_secs(5);
    Effect { kind, lasted, on_owner: true, about: true, loss: LossPolicy::Take, token }
}

#[test]
fn a_seed_draws_the_same_rounds_again_and_another_one_others() {
    let mut random = [Random::new(7), Random::new(7)];
    let [one, again] = random
        .each_mut()
        .map(|random| (0..50).map(|_| round(random, HOSTS.len(), &Kind::ALL)).collect::<Vec<_>>());
    assert_eq!(one, again);
    assert_ne!(drawn(7, 50), drawn(8, 50));
}

#[test]
fn every_kind_is_drawn_and_has_a_name_of_its_own() {
    let seen: Vec<Kind> = drawn(1, 2_000).into_iter().flatten().collect();
    for kind in Kind::ALL {
        assert!(seen.contains(&kind), "{kind} is not drawn");
    }
    let names: BTreeSet<String> = Kind::ALL.iter().map(Kind::to_string).collect();
    assert_eq!(names.len(), Kind::ALL.len());
}

#[test]
fn two_faults_at_once_never_need_the_same_thing() {
    let answers = [Around::EndpointRefuses, Around::EndpointNonsense].map(Kind::Around);
    for kinds in drawn(1, 5_000) {
        assert!(!kinds.iter().all(|kind| answers.contains(kind)) || kinds.len() == 1, "{kinds:?}");
        assert!(kinds.len() == 1 || kinds[0] != kinds[1] || kinds[0].is_alone(), "{kinds:?}");
    }
}

#[test]
fn an_endpoint_answers_in_every_way_at_some_time_and_the_same_for_the_same_seed() {
    let kinds = |kind, count| {
        let answers = (0..200).filter_map(|seed| answer(Kind::Around(kind), seed));
        let texts: BTreeSet<String> = answers.map(|answer| format!("{answer:?}")).collect();
        assert_eq!(texts.len(), count, "{texts:?}");
    };
    kinds(Around::EndpointRefuses, 7);
    kinds(Around::EndpointNonsense, 4);
    kinds(Around::LogUnread, 0);
    let again = [(); 2].map(|()| format!("{:?}", answer(Kind::Around(Around::EndpointRefuses), 5)));
    assert_eq!(again[0], again[1]);
}

#[test]
fn what_is_around_the_agents_may_cost_no_ip_anything() {
    let calm = Bound::of(0, &[]);
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_alone()) {
        for token in [Duration::ZERO, SLOW] {
            let bound = Bound::of(0, &[effect(kind, token)]);
            assert_eq!((bound.nobody, bound.moves), (Duration::ZERO, false), "{kind}");
            assert_eq!((bound.silence, bound.rivals), (calm.silence, calm.rivals), "{kind}");
        }
    }
}

#[test]
fn slow_passwords_give_time_to_whoever_needs_a_token_and_to_nobody_else() {
    let peace = |kind, token| Bound::of(0, &[effect(kind, token)]).peace;
    for kind in [
        Kind::Agent(OnAgent::KillBriefly),
        Kind::Host(OnHost::Cut),
        Kind::Etcd(OnEtcd::Restart),
        Kind::Around(Around::PortTaken),
    ] {
        assert_eq!(peace(kind, SLOW), peace(kind, Duration::ZERO) + SLOW, "{kind}");
    }
    for kind in [Kind::Calls, Kind::Host(OnHost::Blip), Kind::Around(Around::NamesSilent)] {
        assert_eq!(peace(kind, SLOW), peace(kind, Duration::ZERO), "{kind}");
    }
}

#[test]
fn what_was_undone_too_late_for_the_lease_is_what_lasts_longer_than_that() {
    let bound = |kind, lasted| {
        let lasted = Duration::from_millis(lasted);
        Bound::of(0, &[Effect { lasted, ..effect(Kind::Agent(kind), Duration::ZERO) }])
    };
    for (brief, long) in
        [(OnAgent::KillBriefly, OnAgent::Kill), (OnAgent::FreezeBriefly, OnAgent::Freeze)]
    {
        assert!(!bound(brief, 1_200).moves, "{brief:?}");
        assert_eq!(bound(brief, 3_600), bound(long, 3_600));
        assert!(bound(brief, 3_600).moves, "{brief:?}");
    }
}

use super::*;
use crate::net::error::RouteError;

fn target() -> Target {
    Target::new(0, "eth0".to_owned(), false, Box::new(|_| {}))
}

#[test]
fn an_interface_that_cannot_carry_an_address_gets_none_but_loses_one() {
    for found in [Found::Absent, Found::Usable, Found::Unusable] {
        assert_eq!(step(Desired::Bound, found, false), Step::Leave);
    }
    assert_eq!(step(Desired::Unbound, Found::Usable, false), Step::Remove);
}

#[test]
fn an_undecided_address_is_left_alone() {
    for found in [Found::Absent, Found::Usable, Found::Unusable] {
        assert_eq!(step(Desired::AsFound, found, true), Step::Leave);
    }
}

#[test]
fn what_differs_from_what_should_be_is_changed() {
    assert_eq!(step(Desired::Bound, Found::Absent, true), Step::Add);
    assert_eq!(step(Desired::Bound, Found::Usable, true), Step::Leave);
    assert_eq!(step(Desired::Bound, Found::Unusable, true), Step::Replace);
    assert_eq!(step(Desired::Unbound, Found::Absent, true), Step::Leave);
    assert_eq!(step(Desired::Unbound, Found::Unusable, true), Step::Remove);
}

#[test]
fn only_what_is_new_is_reported() {
    let mut target = target();
    assert_eq!(target.tell_bound(), None, "nothing was found yet");
    target.found = Some(Found::Absent);
    assert_eq!(target.tell_bound(), Some(Report::Bound(false)));
    target.found = Some(Found::Unusable);
    assert_eq!(target.tell_bound(), None);
    target.found = Some(Found::Usable);
    assert_eq!(target.tell_bound(), Some(Report::Bound(true)));

    for standing in [Ok([2; 6]), Ok([3; 6]), Err(Unusable::Down), Err(Unusable::NoCarrier)] {
        assert_eq!(target.tell_interface(standing), Some(Report::Interface(standing)));
        assert_eq!(target.tell_interface(standing), None);
    }

    let [no, never] = [RouteError::Timeout, RouteError::Malformed].map(|cause| OrderError {
        verb: "add",
        cidr: "10.0.0.1/32".parse().unwrap(),
        interface: "eth0".to_owned(),
        cause,
    });
    assert_eq!(target.tell_failure(no.clone()), Some(Report::Failed(no.clone())));
    assert_eq!(target.tell_failure(no.clone()), None);
    assert!(target.tell_failure(never).is_some());
    assert!(target.tell_failure(no.clone()).is_some());
    target.relieve();
    assert!(target.tell_failure(no).is_some());
}

#[test]
fn claims_that_come_together_are_reported_once() {
    let now = Instant::now();
    let mut target = target();
    let from = [2; 6];
    let claim = Some(Report::Claimed { from, wins_tie_break: true });
    assert_eq!(target.tell_claim(from, true, now), claim);
    assert_eq!(target.tell_claim(from, true, now + CLAIM_GAP / 2), None);
    assert_eq!(target.tell_claim(from, true, now + CLAIM_GAP), claim);
}

#[test]
fn who_misses_the_owner_is_told_forty_times_a_second_at_most() {
    let start = Instant::now();
    let mut target = target();
    let mut told =
        |mac, millis| target.tell_missed([mac; 6], start + Duration::from_millis(millis)).is_some();
    let often = (0..1000).filter(|millis| told(2, *millis)).count();
    assert_eq!(often, 40);
    assert!(told(4, 1000), "another host");
}

#[test]
fn who_is_heard_is_told_when_it_changes_and_at_first() {
    let mut target = target();
    for hearing in [Hearing::Unknown, Hearing::Others, Hearing::Nobody, Hearing::Unknown] {
        assert_eq!(target.tell_hearing(hearing), Some(Report::Hearing(hearing)));
        assert_eq!(target.tell_hearing(hearing), None);
    }
}

#[test]
fn a_flood_of_claims_is_reported_slowly_and_does_not_hide_another_claimant() {
    let start = Instant::now();
    let mut target = target();
    let at = |frame: u32| start + Duration::from_micros(100) * frame;
    let told = (0..10_000).filter(|n| target.tell_claim([2; 6], true, at(*n)).is_some());
    assert_eq!(told.count(), 1_000);
    assert!(target.tell_claim([3; 6], false, at(9999)).is_some());
    let forged = (0..200).filter(|n| target.tell_claim([*n; 6], true, at(20_000)).is_some());
    assert_eq!(forged.count(), CLAIMANTS);
}

#[test]
fn what_others_did_to_an_address_before_an_order_is_not_told_of_after_it() {
    let now = Instant::now();
    let mut target = target();
    target.order(Desired::Bound);
    assert_eq!([(); 3].map(|()| target.interference.count(now)), [Some(1), None, None]);
    target.order(Desired::Unbound);
    assert_eq!(target.interference.tell(now + Duration::from_secs(60)), None);
    assert_eq!(target.interference.count(now), Some(1));
}

#[test]
fn a_failure_is_retried_later_each_time_up_to_five_seconds() {
    let now = Instant::now();
    let mut target = target();
    let mut waits = Vec::new();
    for _ in 0..8 {
        target.pace.put_off(now);
        waits.push(target.pace.not_before.unwrap().duration_since(now).as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert!(!target.pace.may_change(now));
    target.order(Desired::Bound);
    assert!(target.pace.may_change(now), "a new order does not wait");
}

#[test]
fn a_fight_with_another_program_is_fought_slowly() {
    let now = Instant::now();
    let mut target = target();
    target.order(Desired::Bound);
    assert_eq!((0..100).filter(|_| target.pace.may_change(now)).count(), 10);
    let next = target.pace.not_before.unwrap();
    assert!(next <= now + Duration::from_millis(250));
    assert!(target.pace.may_change(next));
}

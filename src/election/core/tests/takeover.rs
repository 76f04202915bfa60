//! A lock that is taken over: that of a dead owner, or of a former lease of this host.

use super::*;

#[test]
fn an_owner_that_finds_a_lock_of_its_former_life_announces_when_it_is_its_own_again() {
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Lease(Lease::Held(8)));
    let take_over = Action::Ask(Request::TakeOver { lease: 8, written: story.written });
    assert_eq!(story.answer(Some(("h1", 3))), [take_over]);
    assert!(story.answer(Some(("h1", 8))).contains(&Action::Announce));
}

#[test]
fn from_a_dead_owner_the_lock_is_seized_as_it_was_seen() {
    let mut story = Story::standby();
    assert_eq!(story.core().awaited(), Some(("h2", 9)));
    let seize = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.feed(Input::OwnerDead(9)), [seize]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
    assert_eq!(story.core().awaited(), None);
    // It was another host that died, or this one came too late.
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::OwnerDead(8)), []);
    story.feed(Input::OwnerDead(9));
    assert_eq!(story.find(Some(("h3", 11)), &[]), []);
}

#[test]
fn an_owner_that_was_dead_and_has_the_lock_again_keeps_it() {
    let mut story = Story::standby();
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    // Another host was faster.
    assert_eq!(story.see(Some(("h3", 11))), []);
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    assert_eq!(story.see(Some(("h2", 9))), []);
}

#[test]
fn what_failed_under_the_former_lease_is_asked_again_at_once() {
    let mut story = Story::started();
    assert_eq!(story.feed(Input::Lease(Lease::Held(8))), [], "one request at a time");
    let again = Action::Ask(Request::Campaign { lease: 8, own: own(Candidacy::Available) });
    assert_eq!(story.feed(Input::Unanswered), [again]);
}

#[test]
fn ownership_does_not_survive_another_lease() {
    let mut story = Story::owner();
    let again = Action::Ask(Request::Campaign { lease: 8, own: own(Candidacy::Available) });
    assert_eq!(story.feed(Input::Lease(Lease::Held(8))), [again]);
    assert_eq!(story.answer(Some(("h2", 9))), [demoted(), Action::Unbind]);
}

#[test]
fn an_owner_that_has_written_its_lock_since_is_not_dead() {
    let mut story = Story::standby();
    story.feed(Input::OwnerDead(9));
    story.written += 1;
    let lock = story.view(Some(("h2", 9)));
    let not_done = LockAnswer { lock, succeeded: false, others: Some(vec![h2()]), own: None };
    assert_eq!(story.feed(Input::Answered(not_done)), []);
    assert_eq!(story.core().state(), State::Standby);
}

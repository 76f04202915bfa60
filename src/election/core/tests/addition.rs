//! Hosts whose kernel does not take the address.

use super::*;
use crate::election::health::Cause;

/// An owner that was told to add the address, and whose kernel has not done so in time.
fn unbound_owner(all_failing: AllFailingPolicy) -> Story {
    let mut story = Story::with(false, LossPolicy::Take, all_failing).start();
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
    let failing = transition(State::Activated, State::Failing, Event::HealthCheckFail);
    assert_eq!(story.wait(), [failing, survey(Candidacy::Unavailable)]);
    assert_eq!(story.core().reason(), Reason::Unhealthy(Cause::Addition));
    assert_eq!(story.core().troubles(), [Trouble::NotBound]);
    story
}

#[test]
fn a_host_that_cannot_add_the_address_gives_it_to_one_that_can_and_waits_for_no_announcement() {
    let mut story = unbound_owner(AllFailingPolicy::KeepLast);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
    assert_eq!(story.core().state(), State::Failing);
}

#[test]
fn a_host_that_cannot_add_the_address_goes_on_trying_if_no_other_can_have_it() {
    // The policy is about services whose checks fail.
    for all_failing in [AllFailingPolicy::KeepLast, AllFailingPolicy::None] {
        let mut story = unbound_owner(all_failing);
        assert_eq!(story.find(Some(("h1", LEASE)), &[other("h2", 9, false)]), []);
        assert!(story.core().is_ordered());
        assert_eq!(story.core().owner(), Some("h1"));
        let well = transition(State::Failing, State::Standby, Event::HealthCheckSuccess);
        let actions = story.feed(Input::Bound(true));
        assert_eq!(actions, [well, elected(), acquire()]);
        assert_eq!(story.core().troubles(), []);
    }
}

#[test]
fn a_host_that_could_not_add_the_address_is_a_candidate_again_after_a_while() {
    let mut story = unbound_owner(AllFailingPolicy::KeepLast);
    story.find(Some(("h1", LEASE)), &[h2()]);
    story.answer(Some(("h2", 9)));
    let given_up = story.now;
    let well = transition(State::Failing, State::Standby, Event::HealthCheckSuccess);
    assert_eq!(story.wait(), [well, acquire()]);
    assert_eq!(story.now - given_up, Timer::AdditionRetry.duration());
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [], "it does not come back by itself");
}

#[test]
fn a_host_that_could_not_add_the_address_tries_again_at_once_if_no_other_is_left() {
    for all_failing in [AllFailingPolicy::KeepLast, AllFailingPolicy::None] {
        let mut story = unbound_owner(all_failing);
        story.find(Some(("h1", LEASE)), &[h2()]);
        story.answer(Some(("h2", 9)));
        assert_eq!(story.see(None), [read_candidates()]);
        assert_eq!(story.find(None, &[]), []);
        let retake = Action::Ask(Request::ReacquireUnavailable { lease: LEASE });
        assert_eq!(story.wait(), [retake]);
        assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Bind]);
        assert_eq!(story.core().state(), State::Failing);
    }
}

#[test]
fn an_address_that_is_away_for_a_moment_moves_nothing() {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Bound(false)), []);
    story.now += Timer::Addition.duration() / 2;
    assert_eq!(story.feed(Input::Bound(true)), []);
    assert_eq!(story.driver.deadline(), None);
    // Without an interface it cannot be there: that is the interface's trouble.
    story.feed(Input::Interface(Err(Unusable::Missing)));
    story.feed(Input::Bound(false));
    story.wait();
    let missing = Cause::Interface(Unusable::Missing);
    assert_eq!(story.core().reason(), Reason::Unhealthy(missing));
}

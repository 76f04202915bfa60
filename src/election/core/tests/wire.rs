//! Claims on the network: the announcement of a new owner, a stranger, an owner that is heard again.

use super::*;

fn claim(from: Mac) -> Input {
    Input::Claimed { from, wins_tie_break: false }
}

fn read() -> Action {
    Action::Ask(Request::ReadLock { lease: LEASE })
}

#[test]
fn the_claim_of_a_stranger_is_not_the_announcement_of_the_new_owner() {
    let to = Candidate { hardware_address: Some(OTHER_MAC), ..h2() };
    let mut story = Story::owner();
    story.feed(Input::Failover(None));
    assert_eq!(story.find(Some(("h1", LEASE)), std::slice::from_ref(&to)), [pass(to)]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
    assert_eq!(story.feed(claim([2, 0, 0, 0, 0, 9])), []);
    let done = [demoted(), Action::Unbind, Action::HandedOver(Ok(()))];
    assert_eq!(story.feed(claim(OTHER_MAC)), done);
}

#[test]
fn a_stranger_that_claims_the_address_is_answered_once_in_ten_seconds() {
    let mut story = Story::owner();
    let mut announced = 0;
    for _ in 0..1000 {
        story.now += Duration::from_millis(10);
        for action in story.feed(claim(OTHER_MAC)) {
            assert_eq!(action, read());
            let actions = story.answer(Some(("h1", LEASE)));
            announced += usize::from(actions.contains(&Action::Announce));
        }
    }
    assert_eq!(announced, 1);
    assert_eq!(story.core().troubles(), [], "it may be over by now");
}

#[test]
fn a_conflict_that_goes_on_is_defended_again_and_shown_until_it_is_over() {
    let mut story = Story::owner();
    assert_eq!(story.feed(claim(OTHER_MAC)), [read()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    for shown in [false, false, true] {
        assert_eq!(story.core().troubles() == [Trouble::Conflict], shown);
        assert_eq!(story.feed(claim(OTHER_MAC)), []);
        assert_eq!(story.wait(), [read()]);
        assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    }
    assert_eq!(story.wait(), []);
    assert_eq!((story.core().troubles(), story.driver.deadline()), (vec![], None));
}

#[test]
fn a_claim_that_is_the_new_owners_whom_this_host_has_overlooked_is_obeyed() {
    let mut story = Story::owner();
    assert_eq!(story.feed(claim(OTHER_MAC)), [read()]);
    assert_eq!(story.answer(Some(("h2", 9))), [demoted(), Action::Unbind]);
    assert_eq!(story.driver.deadline(), None, "it is no conflict");
}

#[test]
fn an_owner_that_is_heard_again_is_asked_to_announce_by_writing_its_lock_once() {
    let mut story = Story::standby();
    story.unbound();
    assert_eq!(story.feed(Input::OwnerHeardAgain), [story.yields()]);
    story.written += 1;
    assert_eq!(story.answer(Some(("h2", 9))), []);
    assert_eq!(Story::owner().feed(Input::OwnerHeardAgain), []);
}

#[test]
fn another_hardware_address_is_told_to_the_others() {
    let mut story = Story::owner();
    let actions = story.feed(Input::Interface(Ok(OTHER_MAC)));
    let [Action::Ask(Request::Campaign { own, .. })] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(own.hardware_address, Some(OTHER_MAC));
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), []);
}

#[test]
fn a_claim_that_is_heard_while_the_lock_is_being_taken_is_answered_when_it_is_taken() {
    let mut story = Story::owner();
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.feed(claim(OTHER_MAC)), []);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    assert_eq!(story.see(Some(("h1", LEASE))), []);
}

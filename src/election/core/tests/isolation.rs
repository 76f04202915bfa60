//! A host that hears nobody on the network of its IP.

use super::*;
use crate::election::core::Trouble;

/// A host that has just started, with a lease, and hears that on its interface.
fn started(hearing: Hearing) -> Story {
    let mut story = Story::new(false);
    story.feed(Input::Hearing(hearing));
    story.feed(Input::Interface(Ok(MAC)));
    let asks = [survey(Candidacy::Available)];
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), asks);
    story
}

#[test]
fn a_host_that_does_not_know_whether_it_hears_anybody_leaves_a_free_lock_to_others() {
    for hearing in [Hearing::Unknown, Hearing::Nobody] {
        let mut story = started(hearing);
        assert_eq!(story.find(None, &[h2()]), []);
        let since = story.now;
        assert_eq!(story.wait(), [acquire()], "{hearing:?}: none of them has taken it");
        assert_eq!(story.now - since, Timer::Isolated.duration());
        // They go first each time.
        story.answer(Some(("h2", 9)));
        assert_eq!(story.see(None), [read_candidates()], "there may be others by now");
        assert_eq!(story.find(None, &[h2()]), []);
    }
}

#[test]
fn what_it_hears_meanwhile_counts_at_once() {
    let mut story = started(Hearing::Unknown);
    assert_eq!(story.find(None, &[h2()]), []);
    assert_eq!(story.feed(Input::Hearing(Hearing::Nobody)), []);
    assert_eq!(story.feed(Input::Hearing(Hearing::Others)), [acquire()]);
}

#[test]
fn where_there_is_no_other_candidate_it_is_as_good_as_any() {
    for others in [vec![], vec![other("h2", 9, false)]] {
        let mut story = started(Hearing::Nobody);
        assert_eq!(story.find(None, &others), [acquire()]);
        assert_eq!(story.core().troubles(), []);
    }
}

#[test]
fn a_dead_owner_is_left_to_others_but_not_if_there_are_none() {
    for (others, at_once) in [(vec![h2()], true), (vec![h2(), other("h3", 11, true)], false)] {
        let mut story = started(Hearing::Nobody);
        assert_eq!(story.find(Some(("h2", 9)), &others), [Action::Unbind]);
        let take = vec![Action::Ask(Request::TakeOver { lease: LEASE, written: story.written })];
        // Others may have become candidates meanwhile.
        assert_eq!(story.feed(Input::OwnerDead(9)), [read_candidates()]);
        let taken = story.find(Some(("h2", 9)), &others);
        assert_eq!(taken, if at_once { take.clone() } else { vec![] });
        assert_eq!(story.feed(Input::OwnerDead(9)), [], "that is known");
        if !at_once {
            // It may be alive for them: only the end of its lease shows that it is not.
            assert_eq!(story.wait(), []);
            assert_eq!(story.see(None), [read_candidates()]);
            assert_eq!(story.find(None, &others), []);
            assert_eq!(story.wait(), [acquire()]);
        }
    }
}

#[test]
fn who_does_not_know_yet_whether_it_hears_anybody_takes_a_dead_owners_lock_after_others() {
    let others = [h2(), other("h3", 11, true)];
    let mut story = started(Hearing::Unknown);
    assert_eq!(story.find(Some(("h2", 9)), &others), [Action::Unbind]);
    story.feed(Input::OwnerDead(9));
    assert_eq!(story.find(Some(("h2", 9)), &others), []);
    let take = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.wait(), [take]);
}

#[test]
fn an_owner_that_hears_nobody_waits_for_no_announcement() {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Hearing(Hearing::Nobody)), [read_candidates()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), []);
    assert_eq!(story.core().troubles(), [Trouble::Isolated]);
    assert_eq!(story.feed(Input::Failover(None)), [read_candidates()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    let done = [demoted(), Action::Unbind, Action::HandedOver(Ok(()))];
    assert_eq!(story.answer(Some(("h2", 9))), done);
}

/// An owner that has been told to hand over, and has asked etcd to do so.
fn handing_over() -> Story {
    let mut story = Story::owner();
    story.feed(Input::Failover(None));
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    story
}

#[test]
fn to_an_owner_to_whom_no_neighbour_answers_the_new_owners_word_is_enough() {
    let done = [demoted(), Action::Unbind, Action::HandedOver(Ok(()))];
    let mut story = handing_over();
    assert_eq!(story.answer(Some(("h2", 9))), []);
    // The new owner may have died.
    assert_eq!(story.feed(Input::Neighbours(Hearing::Nobody)), []);
    story.written += 1;
    assert_eq!(story.see(Some(("h2", 9))), done);
    // Its word may be there first.
    let mut story = handing_over();
    story.answer(Some(("h2", 9)));
    story.written += 1;
    assert_eq!(story.see(Some(("h2", 9))), []);
    assert_eq!(story.feed(Input::Neighbours(Hearing::Nobody)), done);
    for hearing in [Hearing::Others, Hearing::Unknown] {
        let mut story = handing_over();
        story.answer(Some(("h2", 9)));
        assert_eq!(story.feed(Input::Neighbours(hearing)), []);
        // It counts for the one that was asked for alone.
        let take = Request::TakeOver { lease: LEASE, written: story.written };
        assert_eq!(story.wait(), [Action::Ask(take)]);
        assert_eq!(story.feed(Input::Neighbours(Hearing::Nobody)), []);
        let mut story = handing_over();
        story.answer(Some(("h2", 9)));
        story.feed(Input::Neighbours(hearing));
        story.written += 1;
        assert_eq!(story.see(Some(("h2", 9))), [], "it may be mute");
    }
}

#[test]
fn who_got_the_lock_and_is_not_told_that_it_is_heard_says_in_etcd_that_it_has_the_ip() {
    let passed = || {
        let mut story = Story::standby();
        story.feed(Input::Hearing(Hearing::Others));
        assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
        story.feed(Input::Bound(true));
        story
    };
    let mut story = passed();
    // That the lock is seen again is no word of the former owner.
    story.see(Some(("h1", LEASE)));
    let says = Request::Acknowledge { lease: LEASE, written: story.written };
    assert_eq!(story.wait(), [Action::Ask(says)]);
    // The former owner has heard it, and written the lock again.
    let mut story = passed();
    story.written += 1;
    story.see(Some(("h1", LEASE)));
    assert!(!story.core().is_armed(Timer::Passing));
    // Who hears nobody is no better off than whoever cannot hear it.
    let mut story = passed();
    story.feed(Input::Hearing(Hearing::Nobody));
    assert!(!story.core().is_armed(Timer::Passing));
    // Who has taken it itself owes no word.
    let mut story = Story::standby();
    story.feed(Input::Hearing(Hearing::Others));
    story.feed(Input::OwnerDead(9));
    story.answer(Some(("h1", LEASE)));
    story.feed(Input::Bound(true));
    assert!(!story.core().is_armed(Timer::Passing));
}

#[test]
fn an_owner_that_finds_its_lock_free_keeps_the_address_while_others_go_first() {
    let mut story = Story::owner();
    story.feed(Input::Hearing(Hearing::Nobody));
    story.find(Some(("h1", LEASE)), &[h2()]);
    assert_eq!(story.see(None), [read_candidates()]);
    assert_eq!(story.find(None, &[h2()]), []);
    assert_eq!(story.core().state(), State::Activated);
    assert_eq!(story.wait(), [acquire()]);
}

#[test]
fn a_standby_that_hears_nobody_asks_nothing_while_the_owner_lives() {
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::Hearing(Hearing::Nobody)), []);
}

#[test]
fn from_an_owner_that_fails_who_hears_nobody_takes_the_lock_after_others() {
    let mut story = started(Hearing::Nobody);
    let owner = other("h2", 9, false);
    let others = [owner.clone(), other("h3", 11, true)];
    assert_eq!(story.find(Some(("h2", 9)), &others), [Action::Unbind]);
    assert_eq!(story.wait(), [Action::Ask(Request::Preempt { lease: LEASE, owner })]);
}

//! Messages that overtake each other: each story was once the end of a search.

use super::*;

const HEARD: Input = Input::Claimed { from: MAC, wins_tie_break: false };

/// A failing owner that has asked to transfer the lock to h2.
fn transferring() -> Story {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    story
}

#[test]
fn a_refused_transfer_that_is_older_than_the_new_owner_does_not_make_it_forgotten() {
    let mut story = transferring();
    // h2 has written its candidacy anew and has preempted the failing owner; the watch is first.
    let refused = story.view(Some(("h1", LEASE)));
    let rewritten = Candidate { written: 6, ..h2() };
    story.written = 7;
    story.see(Some(("h2", 9)));
    story.answer_with(refused, Some(vec![rewritten]));
    story.feed(HEARD);
    assert!(!story.core().has_address());
}

#[test]
fn a_lost_answer_does_not_take_the_lock_back_from_a_host_that_was_heard() {
    let mut story = transferring();
    story.see(Some(("h2", 9)));
    story.unanswered();
    story.feed(HEARD);
    assert_eq!(story.wait(), [read_candidates()], "the lock is read");
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [Action::Unbind]);
    assert_eq!(story.driver.deadline(), None);
}

#[test]
fn a_lock_that_was_seen_to_be_ours_is_not_overlooked_by_a_host_that_recovers() {
    let mut story = Story::started();
    story.written = story.revision + 2;
    let answer = story.view(Some(("h1", LEASE)));
    assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
    story.feed(Input::Bound(true));
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    story.wait();
    assert_eq!(story.core().state(), State::Failing);
    story.feed(Input::Interface(Ok(MAC)));
    story.wait();
    story.answer_with(answer, None);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn a_new_owner_that_is_heard_late_gets_the_lock_after_all() {
    let mut story = transferring();
    story.answer(Some(("h2", 9)));
    let written = story.written;
    let take_over = Action::Ask(Request::TakeOver { lease: LEASE, written });
    assert_eq!(story.wait(), [take_over]);
    assert_eq!(story.feed(HEARD), [], "the address stays until it is known whose the lock is");
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    while !story.wait().contains(&read_candidates()) {}
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
}

#[test]
fn a_lock_written_by_hand_that_is_gone_is_not_acknowledged() {
    let mut story = Story::owner();
    assert_eq!(story.see(Some(("h9", 0))), [demoted(), Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(story.see(None), []);
    // etcd cannot write a key again that does not exist: it refuses the request.
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [acquire()]);
}

#[test]
fn a_named_go_link_is_not_given_the_lock_by_chance() {
    let mut story = Story::owner();
    story.feed(Input::Failover(Some("h4".to_owned())));
    let actions = story.find(Some(("h1", LEASE)), &[other("h4", 0, true)]);
    assert!(matches!(actions.as_slice(), [Action::HandedOver(Err(_))]), "{actions:?}");
}

#[test]
fn a_host_that_has_given_the_lock_back_does_not_get_it_again_at_once() {
    let mut story = transferring();
    story.answer(Some(("h2", 9)));
    // It was asked for the lock before it had noticed that it owns it, and has passed it on.
    story.written += 1;
    assert_eq!(story.see(Some(("h1", LEASE))), [Action::Announce]);
    assert!(story.wait().contains(&read_candidates()), "after a while");
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
}

#[test]
fn a_claim_that_is_heard_while_the_lock_is_unknown_is_answered_when_it_is_ours() {
    let mut story = Story::owner();
    story.feed(Input::LockNow);
    story.unanswered();
    assert_eq!(story.feed(HEARD), []);
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
}

#[test]
fn a_claim_that_was_not_answered_yet_is_when_a_deleted_lock_is_ours_again() {
    let mut story = Story::owner();
    story.feed(HEARD);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    assert_eq!(story.feed(HEARD), [], "it waits for the time of the next defence");
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
}

#[test]
fn the_owner_that_comes_next_hears_of_a_host_that_has_let_go() {
    let mut story = Story::owner();
    assert_eq!(story.see(Some(("h2", 9))), [demoted(), Action::Unbind]);
    // It has told the kernel, and not yet etcd.
    story.see(None);
    story.written += 1;
    story.see(Some(("h3", 10)));
    let asked = story.asked.take();
    assert!(matches!(asked, Some(Request::Campaign { .. })), "{asked:?}");
    story.unbound();
    assert_eq!(story.answer(Some(("h3", 10))), [story.yields()]);
}

#[test]
fn a_new_owner_that_was_heard_before_the_lease_ended_is_contradicted_by_the_next_announcement() {
    let mut story = transferring();
    story.feed(HEARD);
    story.feed(Input::Lease(Lease::Held(8)));
    story.unanswered();
    story.find(Some(("h1", 3)), &[]);
    // etcd was restored, and has the lock of a former lease.
    assert!(story.answer(Some(("h1", 8))).contains(&Action::Announce));
}

#[test]
fn a_new_owner_that_was_heard_and_has_not_got_the_lock_is_contradicted() {
    let mut story = transferring();
    story.feed(HEARD);
    let lock = story.view(Some(("h1", LEASE)));
    let refused = LockAnswer { lock, succeeded: false, others: Some(Vec::new()), own: None };
    assert!(story.feed(Input::Answered(refused)).contains(&Action::Announce));
}

#[test]
fn a_failing_host_takes_a_lock_of_its_former_life_over_to_give_it_away() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    story.feed(Input::Lease(Lease::Held(8)));
    story.unanswered();
    let take_over = Action::Ask(Request::TakeOver { lease: 8, written: story.written });
    assert_eq!(story.find(Some(("h1", 3)), &[h2()]), [take_over]);
    assert!(matches!(story.find(Some(("h1", 8)), &[h2()])[..], [Action::Ask(_)]));
}

//! Handovers: to another LinK in one transaction, to a Go LinK by letting the lock go.

use super::*;
use crate::election::message::NotHandedOver;

const HEARD: Input = Input::Claimed { from: MAC, wins_tie_break: false };

fn failover() -> Input {
    Input::Failover(None)
}

/// An owner that was told to hand over and has asked to whom it could.
fn handing_over(target: Option<&str>) -> Story {
    let mut story = Story::owner();
    let order = Input::Failover(target.map(str::to_owned));
    assert_eq!(story.feed(order), [read_candidates()]);
    story
}

fn leaving() -> Story {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Leave), [read_candidates()]);
    story
}

/// A host that leaves withdraws with the lock, not before: Go LinKs watch the candidacies only.
fn pass_and_withdraw(to: Candidate) -> Action {
    let own = Some(own(Candidacy::Withdrawn));
    Action::Ask(Request::Transfer { lease: LEASE, to, own })
}

fn go() -> Candidate {
    other("h4", 0, true)
}

fn handed_over(error: NotHandedOver) -> Action {
    Action::HandedOver(Err(error))
}

#[test]
fn a_failover_passes_the_lock_and_keeps_the_address_until_the_new_owner_is_heard() {
    let mut story = handing_over(None);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
    assert_eq!(story.core().state(), State::Activated);
    let actions = story.feed(HEARD);
    assert_eq!(actions, [demoted(), Action::Unbind, Action::HandedOver(Ok(()))]);
    // What was heard of this host meanwhile is put right.
    assert_eq!(story.unbound(), [story.yields()]);
}

#[test]
fn where_nobody_is_ever_heard_a_handover_waits_for_no_announcement() {
    const LOOPBACK: Mac = [0; 6];
    let lets_go = [demoted(), Action::Unbind, Action::HandedOver(Ok(()))];
    let mut story = Story::new(false);
    story.feed(Input::Hearing(Hearing::Unknown));
    story.feed(Input::Interface(Ok(LOOPBACK)));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    story.find(None, &[]);
    story.answer(None);
    story.answer(Some(("h1", LEASE)));
    story.feed(Input::Bound(true));
    assert_eq!(story.core().state(), State::Activated);
    assert_eq!(story.feed(failover()), [read_candidates()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), lets_go);
    // Or where the new owner is not heard.
    let there = Candidate { hardware_address: Some(LOOPBACK), ..h2() };
    let mut story = handing_over(None);
    assert_eq!(story.find(Some(("h1", LEASE)), std::slice::from_ref(&there)), [pass(there)]);
    assert_eq!(story.answer(Some(("h2", 9))), lets_go);
}

#[test]
fn a_lock_that_is_lost_during_a_handover_is_taken_again_first() {
    let mut story = handing_over(None);
    story.find(Some(("h1", LEASE)), &[h2()]);
    story.answer(Some(("h2", 9)));
    assert_eq!(story.see(None), [acquire()], "two hosts have the IP now, and the lock decides");
    assert_eq!(story.answer(Some(("h1", LEASE))), [read_candidates()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
}

#[test]
fn the_new_owner_may_be_heard_before_etcd_has_answered() {
    let mut story = handing_over(None);
    story.find(Some(("h1", LEASE)), &[h2()]);
    assert_eq!(story.feed(HEARD), []);
    let actions = story.see(Some(("h2", 9)));
    assert_eq!(actions, [demoted(), Action::Unbind, Action::HandedOver(Ok(()))]);
}

#[test]
fn a_failover_goes_where_it_was_asked_to_go() {
    let others = [h2(), other("h3", 11, true)];
    let mut story = handing_over(Some("h3"));
    assert_eq!(story.find(Some(("h1", LEASE)), &others), [pass(others[1].clone())]);
    let mut story = handing_over(Some("h5"));
    let refused = [handed_over(NotHandedOver::NotACandidate("h5".to_owned()))];
    assert_eq!(story.find(Some(("h1", LEASE)), &others), refused);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn a_host_that_is_not_available_gets_nothing() {
    let mut story = handing_over(None);
    let refused = [handed_over(NotHandedOver::NoCandidate)];
    assert_eq!(story.find(Some(("h1", LEASE)), &[other("h2", 9, false)]), refused);
    let mut story = handing_over(Some("h2"));
    let refused = [handed_over(NotHandedOver::NotACandidate("h2".to_owned()))];
    assert_eq!(story.find(Some(("h1", LEASE)), &[other("h2", 9, false)]), refused);
}

#[test]
fn a_candidate_that_changes_while_it_gets_the_lock_does_not_get_it() {
    let mut story = handing_over(None);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    let refused = [handed_over(NotHandedOver::NoCandidate)];
    assert_eq!(story.find(Some(("h1", LEASE)), &[other("h2", 9, false)]), refused);
}

#[test]
fn from_who_is_not_heard_the_lock_is_taken_back() {
    let mut story = handing_over(None);
    story.find(Some(("h1", LEASE)), &[h2()]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
    let passed = story.now;
    let seize = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.wait(), [seize]);
    assert_eq!(story.now - passed, Timer::Announcement.duration());
    assert!(story.driver.deadline().unwrap() > story.now, "nothing is due while that is asked");
    let kept = handed_over(NotHandedOver::NotHeard("h2".to_owned()));
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce, kept]);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn a_silent_candidate_is_passed_over_for_the_next() {
    let mut story = leaving();
    let h3 = other("h3", 11, true);
    let others = [h2(), h3.clone()];
    assert_eq!(story.find(Some(("h1", LEASE)), &others), [pass_and_withdraw(h2())]);
    story.answer(Some(("h2", 9)));
    story.wait();
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce, pass_and_withdraw(h3)]);
    story.answer(Some(("h3", 11)));
    let left = [demoted(), Action::Unbind, Action::Left];
    assert_eq!(story.feed(HEARD), left);
}

#[test]
fn what_the_new_owner_has_written_since_is_not_taken_back() {
    let mut story = handing_over(None);
    story.find(Some(("h1", LEASE)), &[h2()]);
    story.answer(Some(("h2", 9)));
    story.wait();
    story.written += 1;
    let done = [demoted(), Action::Unbind, Action::HandedOver(Ok(()))];
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), done);
}

#[test]
fn without_a_network_nobody_can_be_heard_and_nobody_is_waited_for() {
    let mut story = Story::owner();
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    story.wait();
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
}

#[test]
fn to_a_go_link_the_lock_is_left_and_the_address_stays_until_it_has_it() {
    let mut story = handing_over(None);
    assert_eq!(story.find(Some(("h1", LEASE)), &[go()]), [release(Candidacy::Available)]);
    assert_eq!(story.find(None, &[go()]), []);
    assert_eq!(story.core().state(), State::Activated);
    let actions = story.see(Some(("h4", 13)));
    assert_eq!(actions, [demoted(), Action::Unbind, Action::HandedOver(Ok(()))]);
}

#[test]
fn a_failover_that_nobody_answers_is_taken_back() {
    let mut story = handing_over(None);
    story.find(Some(("h1", LEASE)), &[go()]);
    story.find(None, &[go()]);
    story.now += HANDOVER_TIMEOUT;
    let nobody = handed_over(NotHandedOver::TimedOut);
    assert_eq!(story.wake(), [nobody, acquire()]);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn only_the_owner_can_hand_over_and_only_once_at_a_time() {
    let mut story = Story::standby();
    assert_eq!(story.feed(failover()), [handed_over(NotHandedOver::NotOwner)]);
    let mut story = handing_over(None);
    assert_eq!(story.feed(failover()), [handed_over(NotHandedOver::AlreadyUnderWay)]);
}

#[test]
fn who_leaves_answers_until_a_successor_is_heard() {
    let mut story = leaving();
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass_and_withdraw(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
    let actions = story.feed(HEARD);
    assert_eq!(actions, [demoted(), Action::Unbind, Action::Left]);
    assert!(!story.core().cleanup_pending());
    assert_eq!(story.see(None), []);
}

#[test]
fn who_leaves_as_the_last_waits_for_nobody_and_does_not_come_back() {
    let mut story = leaving();
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), [release(Candidacy::Withdrawn)]);
    assert_eq!(story.find(None, &[]), [demoted(), Action::Unbind, Action::Left]);
    assert!(!story.core().cleanup_pending());
    assert_eq!(story.feed(Input::Lease(Lease::Held(8))), []);
    assert_eq!(story.see(None), []);
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), []);
}

#[test]
fn who_leaves_when_all_others_fail_leaves_the_ip_to_one_of_them() {
    let mut story = leaving();
    let failing = other("h2", 9, false);
    assert_eq!(
        story.find(Some(("h1", LEASE)), std::slice::from_ref(&failing)),
        [pass_and_withdraw(failing)]
    );
    assert_eq!(story.find(Some(("h2", 9)), &[]), []);
    let left = story.feed(Input::Claimed { from: MAC, wins_tie_break: false });
    assert!(left.contains(&Action::Unbind) && left.contains(&Action::Left), "{left:?}");
}

#[test]
fn who_gets_the_lock_though_it_fails_keeps_the_ip_if_nobody_else_can_have_it() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    story.find(Some(("h2", 9)), &[other("h2", 9, false)]);
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    assert!(!story.core().has_address());
    story.see(Some(("h1", LEASE)));
    story.find(Some(("h1", LEASE)), &[]);
    assert!(story.core().has_address());
    assert_eq!(story.core().state(), State::Failing);
}

#[test]
fn who_leaves_stops_waiting_when_the_successors_leave_too() {
    let mut story = leaving();
    assert_eq!(story.find(Some(("h1", LEASE)), &[go()]), [release(Candidacy::Withdrawn)]);
    assert_eq!(story.find(None, &[go()]), []);
    assert_eq!(story.wait(), [read_candidates()]);
    assert_eq!(story.find(None, &[go()]), []);
    assert_eq!(story.wait(), [read_candidates()]);
    assert_eq!(story.find(None, &[]), [demoted(), Action::Unbind, Action::Left]);
}

#[test]
fn a_standby_leaves_as_soon_as_the_others_are_told() {
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::Leave), [survey(Candidacy::Withdrawn)]);
    let left = [Action::Left];
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), left);
}

#[test]
fn leaving_is_bounded_whatever_etcd_does() {
    let mut story = leaving();
    let began = story.now;
    let mut actions = Vec::new();
    while !actions.contains(&Action::Left) {
        actions = story.unanswered();
        if !actions.contains(&Action::Left) {
            actions = story.wait();
        }
    }
    assert!(story.now - began <= HANDOVER_TIMEOUT);
    assert!(story.core().cleanup_pending());
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.feed(Input::Leave), [demoted(), Action::Unbind, Action::Left]);
    assert!(story.core().cleanup_pending());
}

#[test]
fn go_links_that_do_not_take_the_ip_of_a_failing_owner_are_not_waited_for_for_ever() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.find(Some(("h1", LEASE)), &[go()]), [release(Candidacy::Unavailable)]);
    assert_eq!(story.find(None, &[go()]), []);
    let released = story.now;
    story.now = released + HANDOVER_TIMEOUT;
    let retake = Action::Ask(Request::ReacquireUnavailable { lease: LEASE });
    assert_eq!(story.wake(), [retake]);
    assert_eq!(story.answer(Some(("h1", LEASE))), []);
    assert!(story.core().is_ordered());
}

#[test]
fn a_host_that_fails_has_nothing_to_hand_over() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.feed(failover()), [handed_over(NotHandedOver::NotOwner)]);
}

#[test]
fn without_etcd_a_failover_ends() {
    let mut story = handing_over(None);
    let actions = story.feed(Input::Lease(Lease::Lost));
    assert!(actions.contains(&handed_over(NotHandedOver::EtcdLost)), "{actions:?}");
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn a_failover_tells_who_has_the_ip_if_that_is_not_the_host_it_was_meant_for() {
    let mut story = handing_over(Some("h3"));
    let (named, owner) = ("h3".to_owned(), "h2".to_owned());
    let other = handed_over(NotHandedOver::Other { named, owner });
    assert_eq!(story.see(Some(("h2", 9))).last(), Some(&other));
    let mut story = handing_over(Some("h3"));
    assert_eq!(story.see(Some(("h3", 11))).last(), Some(&Action::HandedOver(Ok(()))));
}

#[test]
fn a_go_link_cannot_be_named() {
    let mut story = handing_over(Some("h4"));
    let refused = [handed_over(NotHandedOver::GoLink("h4".to_owned()))];
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2(), go()]), refused);
}

#[test]
fn who_lets_go_for_a_go_link_announces_the_ip_for_it() {
    let mut story = handing_over(None);
    story.find(Some(("h1", LEASE)), &[go()]);
    story.find(None, &[go()]);
    story.see(Some(("h4", 13)));
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(story.answer(Some(("h4", 13))), [Action::AnnounceOwner]);
}

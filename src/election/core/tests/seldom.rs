//! What seldom comes together: an answer that is lost amid a handover, news at the wrong moment, a second time.

use super::*;
use crate::election::core::reason::WithoutEtcd;
use crate::election::health::Cause;

fn failover() -> Input {
    Input::Failover(None)
}

fn go() -> Candidate {
    other("h4", 0, true)
}

#[test]
fn a_lock_that_is_held_by_a_former_lease_of_this_host_is_no_owner_to_wait_for() {
    let mut story = Story::standby();
    assert_eq!(story.core().awaited(), Some(("h2", 9)));
    story.unbound();
    story.see(Some(("h1", LEASE - 1)));
    assert_eq!(story.core().reason(), Reason::OwnStaleLease);
    assert_eq!(story.core().awaited(), None);
    // Nor is it announced for anybody.
    assert_eq!(story.feed(Input::OwnerHeardAgain), []);
}

#[test]
fn an_address_that_is_still_away_was_not_added() {
    let mut story = Story::with(false, LossPolicy::Take, AllFailingPolicy::KeepLast).start();
    story.answer(Some(("h1", LEASE)));
    story.wait();
    assert_eq!(story.core().reason(), Reason::Unhealthy(Cause::Addition));
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), []);
    assert_eq!(story.feed(Input::Bound(false)), []);
    assert_eq!(story.core().troubles(), [Trouble::NotBound]);
    assert_eq!(story.driver.deadline(), None, "that is known");
}

#[test]
fn an_address_that_an_interface_cannot_take_is_not_held_against_the_kernel() {
    let mut story = Story::owner();
    story.feed(Input::Interface(Err(Unusable::Missing)));
    story.feed(Input::Bound(false));
    story.wait();
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), []);
    assert_eq!(story.driver.deadline(), None, "nothing is expected of the kernel");
}

#[test]
fn a_host_that_fails_and_leaves_does_not_say_meanwhile_that_it_is_available() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), []);
    assert_eq!(story.feed(Input::Leave), [read_candidates()]);
}

#[test]
fn an_owner_that_begins_to_hear_nobody_reads_who_the_candidates_are_once() {
    let mut story = Story::with(false, LossPolicy::Probe, AllFailingPolicy::KeepLast).start();
    story.answer(Some(("h1", LEASE)));
    story.feed(Input::Bound(true));
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), []);
    assert_eq!(story.feed(Input::Hearing(Hearing::Nobody)), [read_candidates()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), []);
    assert_eq!(story.feed(Input::Hearing(Hearing::Nobody)), [], "that is no news");
}

#[test]
fn each_word_of_the_owner_while_etcd_is_lost_counts_for_as_long_again() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    story.see(Some(("h2", 9)));
    story.feed(Input::Claimed { from: MAC, wins_tie_break: true });
    story.now += Timer::AssumeOwner.duration() / 2;
    assert_eq!(story.see(Some(("h2", 9))), []);
    assert_eq!(story.driver.deadline(), Some(story.now + Timer::AssumeOwner.duration()));
}

#[test]
fn what_a_host_without_etcd_reads_at_leisure_takes_no_lock_back_from_a_go_link() {
    let mut story = Story::with(false, LossPolicy::Probe, AllFailingPolicy::KeepLast).start();
    story.answer(Some(("h1", LEASE)));
    story.feed(Input::Bound(true));
    story.find(Some(("h1", LEASE)), &[go()]);
    assert_eq!(story.feed(failover()), [read_candidates()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[go()]), [release(Candidacy::Available)]);
    assert_eq!(story.find(None, &[go()]), []);
    assert_eq!(story.feed(Input::CandidatesOutdated), [], "the lock is left to it");
}

#[test]
fn a_go_link_that_is_gone_is_not_waited_for() {
    let mut story = Story::owner();
    story.feed(failover());
    assert_eq!(story.find(Some(("h1", LEASE)), &[go()]), [release(Candidacy::Available)]);
    assert_eq!(story.find(None, &[]), [acquire()]);
}

#[test]
fn go_links_have_five_seconds_to_take_what_a_failing_owner_leaves_to_them() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.find(Some(("h1", LEASE)), &[go()]), [release(Candidacy::Unavailable)]);
    assert_eq!(story.find(None, &[go()]), []);
    let released = story.now;
    let retake = Action::Ask(Request::ReacquireUnavailable { lease: LEASE });
    assert_eq!(story.wait(), [retake]);
    assert_eq!(story.now - released, Timer::Successor.duration());
    // It was there at the last moment: it is no worse than others the next time.
    let lock = story.view(Some(("h4", 13)));
    let others = Some(vec![go()]);
    let late = LockAnswer { lock, succeeded: false, others, own: None };
    assert_eq!(story.feed(Input::Answered(late)), [Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
    assert!(!story.core().is_armed(Timer::Unheard));
}

#[test]
fn without_etcd_nobody_is_replaced_for_being_missed() {
    let mut story = Story::with(false, LossPolicy::Hold, AllFailingPolicy::KeepLast).start();
    let h3 = Candidate { hardware_address: Some(OTHER_MAC), ..other("h3", 11, true) };
    assert_eq!(story.find(Some(("h2", 9)), &[h2(), h3]), [Action::Unbind]);
    story.unbound();
    story.feed(Input::Lease(Lease::Lost));
    story.see(Some(("h2", 9)));
    let by = vec![OTHER_MAC];
    let missed = Missed { lease: 9, by, neighbours: true, turn: 10, agents: Vec::new() };
    assert_eq!(story.feed(Input::OwnerMissed(missed)), [], "the policy decides");
    assert_eq!(story.core().state(), State::Standby);
}

#[test]
fn the_last_that_was_heard_of_an_owner_before_etcd_was_lost_is_no_sign_that_it_is_back() {
    // Its agent is a candidate anew, and need not have the IP; a Go LinK was one before.
    for (newer, lease) in [(1, 9), (0, 0)] {
        let mut story = Story::standby();
        story.written = story.revision + 1;
        story.see(Some(("h2", 9)));
        story.feed(Input::Lease(Lease::Lost));
        story.feed(Input::Bound(true));
        story.feed(Input::Lease(Lease::Held(LEASE)));
        let candidate = Candidate { written: story.written + newer, lease, ..h2() };
        story.revision += 5;
        assert!(!story.find(Some(("h2", 9)), &[candidate]).contains(&demoted()));
        assert_eq!(story.core().reason(), Reason::OwnerNotHeard("h2"));
    }
}

#[test]
fn a_transfer_whose_answer_was_lost_is_waited_for_as_any_other() {
    let mut story = Story::owner();
    story.feed(failover());
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [read_candidates()]);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [], "h2 was not heard yet");
    assert_eq!(story.core().state(), State::Activated);
    let heard = Input::Claimed { from: MAC, wins_tie_break: false };
    let done = [demoted(), Action::Unbind, Action::HandedOver(Ok(()))];
    assert_eq!(story.feed(heard), done);
}

#[test]
fn who_leaves_gives_the_ip_to_no_failing_host_twice_and_to_no_failing_go_link() {
    let withdraws = release(Candidacy::Withdrawn);
    let mut story = Story::owner();
    story.feed(Input::Leave);
    let go = Candidate { available: false, ..go() };
    assert_eq!(story.find(Some(("h1", LEASE)), &[go]), std::slice::from_ref(&withdraws));
    let mut story = Story::owner();
    story.feed(Input::Leave);
    let own = Some(own(Candidacy::Withdrawn));
    let to = other("h2", 9, false);
    let passes = Action::Ask(Request::Transfer { lease: LEASE, to: to.clone(), own });
    assert_eq!(story.find(Some(("h1", LEASE)), &[to]), [passes]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
    let back = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.wait(), [back], "h2 is not heard");
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce, withdraws]);
}

#[test]
fn who_was_given_the_lock_says_so_and_who_has_taken_it_need_not() {
    // The watch is faster than the answer.
    let mut story = Story::standby();
    story.unbound();
    let take = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.feed(Input::OwnerDead(9)), [take]);
    assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
    story.feed(Input::Bound(true));
    assert!(!story.core().is_armed(Timer::Passing));
    let mut story = Story::standby();
    story.unbound();
    assert_eq!(story.feed(Input::LockNow), [acquire()]);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), []);
    assert_eq!(story.feed(Input::CandidatesOutdated), [read_candidates()]);
    assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
    story.feed(Input::Bound(true));
    assert!(story.core().is_armed(Timer::Passing));
}

#[test]
fn a_lock_that_becomes_free_is_asked_for_without_the_pause_after_a_failed_request() {
    let mut story = Story::started();
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.feed(failover()).len(), 1, "it is refused");
    assert_eq!(
        story.feed(Input::Leave),
        [Action::Ask(Request::Advertise { lease: LEASE, own: own(Candidacy::Available) })]
    );
}

#[test]
fn a_request_is_at_leisure_only_while_nothing_depends_on_it() {
    let mut story = Story::standby();
    assert!(!story.core().asks_at_leisure(), "nothing is asked");
    story.unbound();
    assert_eq!(story.feed(Input::LockNow), [acquire()]);
    assert!(!story.core().asks_at_leisure());
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), []);
    assert_eq!(story.feed(Input::CandidatesOutdated), [read_candidates()]);
    assert!(story.core().asks_at_leisure());
    // The lock comes free meanwhile: now it matters who is first.
    story.see(None);
    assert!(!story.core().asks_at_leisure());
}

#[test]
fn only_a_standby_that_knows_the_others_and_goes_before_them_is_next() {
    let before = |host: &str, lease| Candidate {
        preference: Preference { priority: 101, weight: OTHERS },
        ..other(host, lease, true)
    };
    let next = |others: &[Candidate]| {
        let mut story = Story::started();
        story.find(Some(("h2", 9)), others);
        story.unbound();
        story
    };
    assert!(next(&[before("h2", 9), other("h3", 11, true)]).core().is_next());
    assert!(!next(&[h2(), before("h3", 11)]).core().is_next());
    let mut story = next(&[h2()]);
    story.see(None);
    assert!(!story.core().is_next(), "the lock is free");
    let mut story = next(&[h2()]);
    story.feed(Input::Drained(true));
    assert!(!story.core().is_next(), "it cannot have the IP");
    let mut story = Story::standby();
    story.unbound();
    assert!(!story.core().is_next(), "it does not know who else there is");
    assert!(!Story::owner().core().is_next());
}

#[test]
fn who_could_not_take_the_lock_for_a_while_leaves_the_others_their_turns_again() {
    let before = |host: &str, lease| Candidate {
        preference: Preference { priority: 101, weight: OTHERS },
        ..other(host, lease, true)
    };
    let mut story = Story::started();
    let others = [h2(), before("h3", 11), before("h4", 12)];
    story.find(Some(("h2", 9)), &others);
    story.unbound();
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    assert_eq!(story.wait(), []);
    story.feed(Input::Drained(true));
    story.find(Some(("h2", 9)), &others);
    story.feed(Input::Drained(false));
    story.find(Some(("h2", 9)), &others);
    let since = story.now;
    while !matches!(story.wait().as_slice(), [Action::Ask(Request::TakeOver { .. })]) {}
    assert_eq!(story.now - since, Timer::Turn.duration() * 2);
}

#[test]
fn who_is_told_to_take_the_lock_waits_for_no_company() {
    let mut story = Story::new(false);
    let company = CoreConfig { company: true, ..story.core().config.clone() };
    story.driver = Driver::new(Core::new(company), story.now);
    story.feed(Input::Hearing(Hearing::Others));
    story.feed(Input::Interface(Ok(MAC)));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    assert_eq!(story.find(None, &[]), []);
    assert_eq!(story.feed(Input::LockNow), [acquire()]);
}

#[test]
fn the_reason_tells_an_owner_that_does_not_know_its_lock_from_a_host_that_has_just_begun() {
    assert_eq!(Story::started().core().reason(), Reason::Starting);
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Held(LEASE + 1)));
    assert_eq!(story.core().ownership(), Ownership::Unknown);
    assert_eq!(story.core().reason(), Reason::HoldsLock);
    // Whom this host has replaced, and whom it has not.
    assert_eq!(Story::standby().core().reason(), Reason::OtherHoldsLock("h2"));
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Bound(true));
    assert_eq!(story.core().reason(), Reason::EtcdLost(WithoutEtcd::HasIt));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    story.find(Some(("h2", 9)), &[h2()]);
    assert_eq!(story.core().reason(), Reason::OwnerNotHeard("h2"));
    let mut story = Story::started();
    story.find(Some(("h2", 9)), &[h2()]);
    let missed = Missed { lease: 9, by: vec![], neighbours: true, turn: 0, agents: Vec::new() };
    story.feed(Input::OwnerMissed(missed));
    assert_eq!(story.core().reason(), Reason::OwnerMissed("h2"));
}

#[test]
fn reasons_are_said_in_words() {
    for (reason, text) in [
        (Reason::Starting, "not elected yet"),
        (Reason::OtherHoldsLock("h2"), "h2 holds the lock"),
        (Reason::EtcdLost(WithoutEtcd::HasIt), "etcd cannot be reached"),
        (
            Reason::EtcdLost(WithoutEtcd::OtherAnswers),
            "etcd cannot be reached, and another host answers for the IP",
        ),
        (Reason::Unhealthy(Cause::Checks), "the health checks fail"),
        (Reason::Unhealthy(Cause::Drained), "this host is drained"),
    ] {
        assert_eq!(reason.to_string(), text);
    }
    let named = crate::election::message::NotHandedOver::NotACandidate("h9".to_owned());
    assert_eq!(named.to_string(), "host h9 is not a candidate");
}

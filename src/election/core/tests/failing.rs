//! Hosts whose checks or interface fail.

use super::*;
use crate::election::health::Cause;

#[test]
fn a_failing_owner_gives_the_ip_to_a_candidate_and_success_leads_back() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.core().reason(), Reason::Unhealthy(Cause::Checks));
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), [], "the address stays until h2 is heard");
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: false }), [Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(story.answer(Some(("h2", 9))), []);

    let standby = transition(State::Failing, State::Standby, Event::HealthCheckSuccess);
    assert_eq!(story.feed(Input::Checked(true)), [standby, acquire()]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
}

#[test]
fn the_last_one_keeps_lock_and_address_though_it_fails() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    let also_failing = other("h2", 9, false);
    assert_eq!(story.find(Some(("h1", LEASE)), &[also_failing]), []);
    assert!(story.core().is_ordered());
    assert_eq!((story.core().state(), story.core().owner()), (State::Failing, Some("h1")));
    assert_eq!(story.see(Some(("h1", LEASE))), []);
    assert_eq!(story.driver.deadline(), None);
    // Another one has recovered and has taken the lock.
    assert_eq!(story.see(Some(("h2", 9))), [Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
}

#[test]
fn a_lock_that_the_last_one_loses_by_accident_is_taken_again() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    story.find(Some(("h1", LEASE)), &[]);
    assert_eq!(story.see(None), [read_candidates()]);
    assert_eq!(story.find(None, &[]), []);
    let retake = Action::Ask(Request::ReacquireUnavailable { lease: LEASE });
    assert_eq!(story.wait(), [retake]);
    assert_eq!(story.answer(Some(("h1", LEASE))), []);
    assert!(story.core().is_ordered());
}

#[test]
fn by_the_other_policy_the_last_one_lets_go() {
    let mut story = Story::failing(AllFailingPolicy::None);
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), [release(Candidacy::Unavailable)]);
    assert_eq!(story.find(None, &[]), [Action::Unbind]);
    assert_eq!(story.core().owner(), None);
    let mut story = Story::failing(AllFailingPolicy::None);
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), [Action::Unbind]);
}

#[test]
fn who_recovers_takes_the_ip_from_an_owner_that_fails() {
    let mut story = Story::started();
    let failing = other("h2", 9, false);
    let oust = Action::Ask(Request::Preempt { lease: LEASE, owner: failing.clone() });
    assert_eq!(story.find(Some(("h2", 9)), &[failing]), [Action::Unbind, oust]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
}

#[test]
fn who_has_recovered_in_time_is_not_ousted() {
    let mut story = Story::started();
    story.find(Some(("h2", 9)), &[other("h2", 9, false)]);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), []);
}

#[test]
fn a_campaign_won_by_a_host_that_has_failed_meanwhile_is_given_on() {
    let mut story = Story::started();
    let down = Input::Interface(Err(Unusable::Down));
    assert_eq!(story.feed(down), []);
    let failing = transition(State::Standby, State::Failing, Event::HealthCheckFail);
    assert_eq!(story.wait(), [failing]);
    let advertised = story.answer(Some(("h1", LEASE)));
    assert!(matches!(advertised.as_slice(), [Action::Ask(Request::Advertise { .. })]));
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
}

#[test]
fn an_interface_that_is_away_for_a_moment_moves_nothing() {
    let mut story = Story::owner();
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    assert_eq!(story.driver.deadline(), Some(story.now + Timer::InterfaceDown.duration()));
    story.now += Timer::InterfaceDown.duration() / 2;
    assert_eq!(story.feed(Input::Interface(Ok(MAC))), []);
    story.now += Timer::InterfaceUp.duration();
    assert_eq!(story.wake(), []);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn what_failed_is_repeated_until_the_others_know() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [survey(Candidacy::Unavailable)]);
}

/// An owner that is told that its host is drained, and that has asked who else could have the IP.
fn drained() -> Story {
    // Not even this policy makes a drained host let go for nobody.
    let mut story = Story::with(false, LossPolicy::Take, AllFailingPolicy::None).start().win();
    let failing = transition(State::Activated, State::Failing, Event::HealthCheckFail);
    assert_eq!(story.feed(Input::Drained(true)), [failing, survey(Candidacy::Unavailable)]);
    story
}

#[test]
fn a_drained_owner_gives_the_ip_away_and_campaigns_again_when_it_is_drained_no_more() {
    let mut story = drained();
    assert_eq!(story.core().reason(), Reason::Unhealthy(Cause::Drained));
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), [pass(h2())]);
    assert_eq!(story.answer(Some(("h2", 9))), [], "the address stays until h2 is heard");
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: false }), [Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(story.answer(Some(("h2", 9))), []);
    let standby = transition(State::Failing, State::Standby, Event::HealthCheckSuccess);
    assert_eq!(story.feed(Input::Drained(false)), [standby, acquire()]);
}

#[test]
fn a_drained_owner_keeps_the_ip_that_no_other_host_can_have() {
    let mut story = drained();
    assert_eq!(story.find(Some(("h1", LEASE)), &[other("h2", 9, false)]), []);
    assert!(story.core().is_ordered());
    assert_eq!(story.core().reason(), Reason::DrainedLast);
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), [Action::Probe(true)]);
    assert!(story.core().is_ordered(), "there may be nobody else");
}

#[test]
fn a_drained_standby_does_not_campaign_for_a_lock_that_another_can_have() {
    let mut story = Story::standby();
    story.feed(Input::Drained(true));
    story.find(Some(("h2", 9)), &[h2()]);
    story.see(None);
    story.find(None, &[h2()]);
    assert!(!story.core().is_ordered());
    assert_eq!(story.core().reason(), Reason::Unhealthy(Cause::Drained));
}

#[test]
fn a_drained_standby_has_the_ip_when_no_other_host_is_left() {
    let mut story = Story::standby();
    story.feed(Input::Drained(true));
    story.find(Some(("h2", 9)), &[h2()]);
    // The owner has died: its lock and its candidacy have ended.
    assert_eq!(story.see(None), [read_candidates()]);
    assert_eq!(story.find(None, &[]), []);
    let take = Action::Ask(Request::ReacquireUnavailable { lease: LEASE });
    assert_eq!(story.wait(), [take], "who could have it has had the time");
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Bind]);
    assert_eq!(story.core().reason(), Reason::DrainedLast);
}

#[test]
fn a_drained_host_without_etcd_has_the_ip_that_nobody_answers_for() {
    for (policy, asks) in
        [(LossPolicy::Take, true), (LossPolicy::Probe, true), (LossPolicy::Hold, false)]
    {
        let mut story = Story::with(false, policy, AllFailingPolicy::None).start().lose();
        story.feed(Input::Drained(true));
        let lost = story.feed(Input::Lease(Lease::Lost));
        assert_eq!(lost.contains(&Action::Probe(true)), asks, "{policy:?}: {lost:?}");
        assert!(!story.core().is_ordered(), "somebody may have it");
        let answered = Input::Probed(ProbeResult::Answered { wins_tie_break: false });
        assert_eq!(story.feed(answered), []);
        story.feed(Input::Probed(ProbeResult::Silent));
        assert_eq!(story.core().is_ordered(), asks, "{policy:?}");
    }
}

#[test]
fn who_fails_without_the_address_asks_nobody_for_it() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    story.find(Some(("h1", LEASE)), &[]);
    story.feed(Input::Bound(false));
    let lost = story.feed(Input::Lease(Lease::Lost));
    assert!(!lost.contains(&Action::Probe(true)), "another host would yield: {lost:?}");
}

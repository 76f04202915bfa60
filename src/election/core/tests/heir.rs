//! What a host does that took the IP while etcd was lost, when etcd is back with another's lock.

use super::*;

const LATER: Input = Input::Probed(ProbeResult::Answered { wins_tie_break: false });
const EARLIER: Input = Input::Probed(ProbeResult::Answered { wins_tie_break: true });

/// h2, which has not offered the IP since etcd was lost.
fn dead() -> Candidate {
    Candidate { written: 1, ..h2() }
}

/// A standby of h2 that took the IP when etcd was lost; etcd is back, and the lock is what it was.
fn heir() -> Story {
    let mut story = Story::standby();
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Bound(true));
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert_eq!(story.find(Some(("h2", 9)), &[dead()]), [Action::Probe(true)]);
    assert_eq!(story.core().reason(), Reason::OwnerNotHeard("h2"));
    story
}

/// The same, when all others that took the IP have had the time to leave it to this one.
fn alone() -> Story {
    let mut story = heir();
    let asks_anew = [Action::Announce, Action::Probe(false), Action::Probe(true)];
    assert_eq!(story.wait(), asks_anew);
    story
}

fn lets_go() -> [Action; 3] {
    [demoted(), Action::Unbind, Action::Probe(false)]
}

/// The same for an owner that is heard: until etcd has told it, it is announced from here.
fn yields() -> [Action; 4] {
    [demoted(), Action::Unbind, Action::AnnounceOwner, Action::Probe(false)]
}

#[test]
fn of_an_owner_that_is_not_heard_the_ip_is_kept_until_its_lease_ends() {
    let mut story = alone();
    assert_eq!(story.feed(Input::Probed(ProbeResult::Silent)), []);
    assert_eq!(story.see(Some(("h2", 9))), []);
    assert_eq!(story.core().state(), State::Activated);
    assert_eq!(story.see(None), [Action::Probe(false), acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
}

#[test]
fn an_owner_that_is_back_is_heard_through_etcd() {
    for mut story in [heir(), alone()] {
        let offered = story.revision + 1;
        story.written = offered + 1;
        story.revision = offered;
        let asks = [Action::Announce, survey(Candidacy::Available)];
        assert_eq!(story.see(Some(("h2", 9))), asks);
        let back = Candidate { written: offered, ..h2() };
        assert_eq!(story.find(Some(("h2", 9)), &[back]), lets_go());
        assert_eq!(story.unbound(), [story.yields()]);
    }
}

#[test]
fn who_lets_go_tells_it_until_etcd_has_answered() {
    let mut story = Story::owner();
    assert_eq!(story.see(Some(("h2", 9))), [demoted(), Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [story.yields()]);
    // Another host has written it meanwhile, before this one had let go for all that is known.
    story.written += 1;
    let lock = story.view(Some(("h2", 9)));
    let not_done = LockAnswer { lock, succeeded: false, others: None, own: None };
    assert_eq!(story.feed(Input::Answered(not_done)), [story.yields()]);
    // The lock is somebody else's by now, whose announcement may have been before this host let go.
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(story.find(Some(("h3", 10)), &[h2()]), [story.yields()]);
    assert_eq!(story.answer(Some(("h3", 10))), []);
    assert_eq!(story.see(Some(("h3", 10))), []);
}

#[test]
fn an_owner_that_is_back_writes_its_lock_until_etcd_has_answered() {
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))).last(), Some(&story.yields()));
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))).last(), Some(&story.yields()));
    assert_eq!(story.answer(Some(("h1", LEASE))), []);
}

#[test]
fn a_third_host_that_lets_go_of_the_ip_is_not_taken_for_the_owner() {
    let mut story = heir();
    story.revision += 1;
    story.written = story.revision + 1;
    // The client may send to that host still.
    assert_eq!(story.see(Some(("h2", 9))), [Action::Announce, survey(Candidacy::Available)]);
    assert_eq!(story.find(Some(("h2", 9)), &[dead()]), []);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn offers_that_were_read_before_the_lock_was_written_say_nothing() {
    let mut story = heir();
    story.revision += 10;
    story.written = story.revision + 1;
    assert_eq!(story.see(Some(("h2", 9))), [Action::Announce, survey(Candidacy::Available)]);
    story.revision -= 5;
    let asks_again = [survey(Candidacy::Available)];
    assert_eq!(story.find(Some(("h2", 9)), &[dead()]), asks_again);
}

#[test]
fn an_owner_that_was_back_first_or_offers_nothing_any_more_is_not_waited_for() {
    for others in [vec![Candidate { written: 9, ..h2() }], Vec::new()] {
        let mut story = Story::standby();
        story.feed(Input::Lease(Lease::Lost));
        story.feed(Input::Bound(true));
        story.feed(Input::Lease(Lease::Held(LEASE)));
        (story.revision, story.written) = (9, 10);
        let lets_go = [demoted(), Action::Unbind];
        assert_eq!(story.find(Some(("h2", 9)), &others), lets_go);
    }
}

#[test]
fn what_was_offered_before_etcd_was_lost_is_no_sign_of_life() {
    let mut story = Story::standby();
    story.feed(Input::EtcdHeard(30));
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Bound(true));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    story.revision = 40;
    let late = Candidate { written: 30, ..h2() };
    assert_eq!(story.find(Some(("h2", 9)), &[late]), [Action::Probe(true)]);
}

#[test]
fn who_has_got_the_lock_since_etcd_was_lost_is_not_waited_for() {
    for mut story in [Story::standby(), Story::owner()] {
        story.feed(Input::Lease(Lease::Lost));
        story.feed(Input::Bound(true));
        story.feed(Input::Lease(Lease::Held(LEASE)));
        story.written = story.revision + 1;
        let h3 = Candidate { written: story.written, ..other("h3", 10, true) };
        let lets_go = [demoted(), Action::Unbind];
        assert_eq!(story.find(Some(("h3", 10)), &[h3]), lets_go);
    }
}

#[test]
fn a_host_that_has_booted_without_etcd_waits_for_an_owner_too() {
    let mut story = Story::new(false);
    story.feed(Input::Interface(Ok(MAC)));
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Probed(ProbeResult::Silent));
    story.feed(Input::Bound(true));
    let held = Input::Lease(Lease::Held(LEASE));
    assert_eq!(story.feed(held), [Action::Probe(false), acquire()]);
    assert_eq!(story.find(Some(("h2", 9)), &[dead()]), [Action::Probe(true)]);
}

#[test]
fn of_those_that_took_the_ip_the_first_stays() {
    assert_eq!(heir().feed(EARLIER), yields());
    assert_eq!(heir().feed(Input::Claimed { from: MAC, wins_tie_break: true }), yields());
    assert_eq!(heir().feed(LATER), []);
    assert_eq!(heir().feed(Input::Claimed { from: MAC, wins_tie_break: false }), []);
}

#[test]
fn whoever_is_heard_when_they_have_agreed_is_the_owner() {
    assert_eq!(alone().feed(LATER), yields());
    assert_eq!(alone().feed(Input::Claimed { from: MAC, wins_tie_break: false }), yields());
}

#[test]
fn an_owner_is_not_waited_for_by_a_host_that_fails_or_leaves() {
    let mut story = heir();
    story.feed(Input::Leave);
    assert!(!story.core().has_address());
    let mut story = heir();
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    story.now += Timer::InterfaceDown.duration();
    story.wake();
    assert_eq!(story.core().state(), State::Failing);
    assert!(!story.core().has_address());
}

#[test]
fn an_owner_whose_agent_says_that_it_has_the_ip_has_it() {
    for mut story in [heir(), alone()] {
        assert_eq!(story.core().awaited(), Some(("h2", 9)));
        assert_eq!(story.feed(Input::OwnerLives(8)), [], "another one's word");
        assert_eq!(story.feed(Input::OwnerLives(9)), lets_go());
        assert_eq!(story.unbound(), [story.yields()], "it announces the IP again");
    }
}

#[test]
fn the_lock_of_an_owner_that_does_not_answer_is_taken_and_the_ip_never_leaves() {
    let mut story = alone();
    let take = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.feed(Input::OwnerDead(9)), [take]);
    assert!(story.core().has_address());
    story.written += 1;
    let taken = story.answer(Some(("h1", LEASE)));
    assert_eq!(taken, [Action::Announce, Action::Probe(false)]);
    assert_eq!(story.core().reason(), Reason::HoldsLock);
    assert_eq!(story.core().awaited(), None);
}

#[test]
fn what_is_said_of_the_owner_when_etcd_is_lost_again_is_old() {
    let mut story = alone();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.feed(Input::OwnerLives(9)), []);
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert_eq!(story.find(Some(("h2", 9)), &[dead()]), [Action::Probe(true)]);
}

#[test]
fn an_owner_that_renews_its_lease_unheard_is_not_waited_for_for_ever() {
    let mut story = alone();
    story.now += Duration::from_secs(60);
    story.wake();
    assert_eq!(story.core().state(), State::Standby);
    assert!(!story.core().has_address());
}

#[test]
fn who_loses_etcd_again_acts_by_its_policy_again() {
    let mut story = alone();
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), [Action::Probe(false)]);
    assert_eq!(story.core().state(), State::Activated);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert_eq!(story.find(Some(("h2", 9)), &[dead()]), [Action::Probe(true)]);
}

#[test]
fn an_owner_that_is_back_writes_its_lock_once() {
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce, story.yields()]);
    story.written += 1;
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    assert_eq!(story.see(Some(("h1", LEASE))), []);
}

/// A host that has lost etcd and took the IP; etcd is back, and its owner has been started anew with this lease.
fn heir_of_one_that_was_started_anew(lease: i64) -> Story {
    let mut story = Story::standby();
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Bound(true));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    let anew = Candidate { written: story.revision + 1, lease, ..h2() };
    story.revision += 1;
    assert_eq!(story.find(Some(("h2", 9)), &[anew]), [Action::Probe(true)]);
    story
}

#[test]
fn an_owner_that_was_started_anew_is_not_back_before_it_has_written_its_lock() {
    // With the lease that it had, or with another one.
    for lease in [9, 10] {
        let mut story = heir_of_one_that_was_started_anew(lease);
        assert_eq!(story.core().state(), State::Activated);
        // The detector finds that it does not take it back.
        let takes = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
        assert!(story.feed(Input::OwnerDead(9)).contains(&takes));
        assert!(story.answer(Some(("h1", LEASE))).contains(&Action::Announce));
        assert_eq!(story.core().state(), State::Activated);
    }
}

#[test]
fn who_cannot_serve_waits_for_no_sign_of_the_owner() {
    let mut story = Story::standby();
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    story.feed(Input::Lease(Lease::Lost));
    story.feed(Input::Bound(true));
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    let actions = story.find(Some(("h2", 9)), &[dead()]);
    assert!(actions.contains(&demoted()), "{actions:?}");
}

#[test]
fn who_gets_the_lock_back_owes_nothing_to_the_owner_that_was() {
    let mut story = Story::owner();
    assert_eq!(story.see(Some(("h2", 9))), [demoted(), Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
    let lock = story.view(Some(("h1", LEASE)));
    let not_done = LockAnswer { lock, succeeded: false, others: None, own: None };
    assert_eq!(story.feed(Input::Answered(not_done)), []);
}

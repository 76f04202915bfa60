//! Who is first when a lock is free, and when an owner is dead.

use super::*;

/// A host that goes before this one.
fn before(host: &str, lease: i64) -> Candidate {
    Candidate {
        preference: Preference { priority: 100, weight: FIRST + 1 },
        ..other(host, lease, true)
    }
}

/// A standby of h2 that knows these candidates.
fn standby(others: &[Candidate]) -> Story {
    let mut story = Story::started();
    assert_eq!(story.find(Some(("h2", 9)), others), [Action::Unbind]);
    assert_eq!(story.unbound(), []);
    story
}

/// Waits for so many turns; what is done then.
fn after_turns(story: &mut Story, turns: u32) -> Vec<Action> {
    let since = story.now;
    for turn in 1..turns {
        assert_eq!(story.wait(), [], "turn {turn}");
    }
    let actions = story.wait();
    assert_eq!(story.now - since, Timer::Turn.duration() * turns);
    actions
}

#[test]
fn the_first_takes_a_free_lock_at_once_and_each_next_one_a_turn_later() {
    let hosts = [before("h3", 11), before("h4", 12), before("h5", 13), before("h6", 14)];
    assert_eq!(standby(&[h2(), other("h3", 11, true)]).see(None), [acquire()]);
    for rank in 1..=4 {
        let mut story = standby(&hosts[..rank]);
        assert_eq!(story.see(None), []);
        assert_eq!(after_turns(&mut story, u32::try_from(rank).unwrap()), [acquire()]);
    }
    // Hosts may have gone by the dozen.
    let many: Vec<_> = (20..40).map(|lease| before(&format!("h{lease}"), lease)).collect();
    let mut story = standby(&many);
    assert_eq!(story.see(None), []);
    assert_eq!(after_turns(&mut story, 4), [acquire()]);
}

#[test]
fn who_cannot_take_it_and_who_takes_no_turns_is_not_waited_for() {
    for others in [
        Candidate { available: false, ..before("h3", 11) },
        // A Go LinK has no lease there.
        before("h3", 0),
        // It had the lock: it is gone, or does not want it.
        before("h2", 9),
    ] {
        assert_eq!(standby(std::slice::from_ref(&others)).see(None), [acquire()], "{others:?}");
    }
}

#[test]
fn who_was_first_and_has_taken_it_is_first_again_the_next_time() {
    let mut story = standby(&[h2(), before("h3", 11), before("h4", 12)]);
    assert_eq!(story.see(None), []);
    assert_eq!(story.wait(), []);
    assert_eq!(story.see(Some(("h3", 11))), []);
    assert_eq!(story.driver.deadline(), None);
    // h4 is before this one, and h2 behind it.
    assert_eq!(story.see(None), []);
    assert_eq!(after_turns(&mut story, 1), [acquire()]);
}

#[test]
fn of_a_dead_owner_the_first_of_the_others_takes_the_lock_at_once() {
    let seize =
        |story: &Story| Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    let mut story = standby(&[before("h2", 9), other("h3", 11, true)]);
    assert_eq!(story.feed(Input::OwnerDead(9)), [seize(&story)]);
    let mut story = standby(&[before("h2", 9), before("h3", 11)]);
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    assert_eq!(after_turns(&mut story, 1), [seize(&story)]);
}

#[test]
fn who_thought_the_owner_dead_leaves_the_others_their_turns_when_the_lock_is_free() {
    // It may be this host that is deaf: for the others the owner was alive until then.
    let mut story = standby(&[before("h2", 9), before("h3", 11)]);
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    let take = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(after_turns(&mut story, 1), [take]);
    assert_eq!(story.answer(None), []);
    assert_eq!(after_turns(&mut story, 1), [acquire()]);
    // Nor is the turn that has begun theirs.
    let mut story = standby(&[before("h2", 9), before("h3", 11), before("h4", 12)]);
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    assert_eq!(story.wait(), []);
    story.now += Timer::Turn.duration() / 2;
    assert_eq!(story.see(None), []);
    assert_eq!(after_turns(&mut story, 2), [acquire()]);
}

#[test]
fn an_owner_waits_for_nobody_and_neither_does_who_is_told_to_try() {
    let mut story = Story::owner();
    let look = Action::Ask(Request::ReadLock { lease: LEASE });
    assert_eq!(story.feed(Input::Paused), [look]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[before("h2", 9)]), [Action::Announce]);
    assert_eq!(story.see(None), [acquire()], "it has the address");
    let mut story = standby(&[h2(), before("h3", 11)]);
    assert_eq!(story.see(None), []);
    assert_eq!(story.feed(Input::LockNow), [acquire()]);
}

#[test]
fn a_standby_that_was_the_owner_reads_who_the_others_are() {
    let mut story = Story::owner();
    assert_eq!(story.see(Some(("h2", 9))), [demoted(), Action::Unbind]);
    assert_eq!(story.unbound(), [story.yields()], "first what the owner waits for");
    assert_eq!(story.answer(Some(("h2", 9))), [read_candidates()]);
    assert_eq!(story.find(Some(("h2", 9)), &[h2(), before("h3", 11)]), []);
    assert_eq!(story.see(None), []);
    assert_eq!(after_turns(&mut story, 1), [acquire()]);
}

/// A host that starts where others may start as well, and has found the lock like that.
fn starting(holder: Option<(&str, i64)>, others: &[Candidate]) -> (Story, Vec<Action>) {
    let mut story = Story::new(false);
    let company = CoreConfig { company: true, ..story.core().config.clone() };
    story.driver = Driver::new(Core::new(company), story.now);
    story.feed(Input::Hearing(Hearing::Others));
    story.feed(Input::Interface(Ok(MAC)));
    let tells = [survey(Candidacy::Available)];
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), tells);
    let actions = story.find(holder, others);
    (story, actions)
}

#[test]
fn who_starts_with_others_knows_them_before_it_takes_a_free_lock() {
    for (others, turns) in [(vec![], 0), (vec![h2()], 0), (vec![before("h2", 9)], 2)] {
        let (mut story, actions) = starting(None, &[]);
        assert_eq!(actions, []);
        let since = story.now;
        assert_eq!(story.wait(), [read_candidates()]);
        assert_eq!(story.now - since, Timer::Company.duration());
        let taken = story.find(None, &others);
        if turns == 0 {
            assert_eq!(taken, [acquire()], "{others:?}");
        } else {
            // h2 may have begun later, and waits for company as well.
            assert_eq!(taken, []);
            assert_eq!(after_turns(&mut story, turns), [acquire()]);
        }
    }
}

#[test]
fn who_starts_waits_for_nobody_if_the_lock_is_held_or_it_has_the_address() {
    let (mut story, actions) = starting(Some(("h2", 9)), &[before("h2", 9)]);
    assert_eq!(actions, [Action::Unbind]);
    assert_eq!((story.driver.deadline(), story.unbound()), (None, vec![]));
    assert_eq!(story.see(None), [acquire()], "later it is as ever");
    let mut story = Story::new(false);
    let company = CoreConfig { company: true, ..story.core().config.clone() };
    story.driver = Driver::new(Core::new(company), story.now);
    story.feed(Input::Hearing(Hearing::Others));
    story.feed(Input::Interface(Ok(MAC)));
    story.feed(Input::Bound(true));
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
}

#[test]
fn a_greater_priority_goes_before_the_order_of_the_ip_and_moves_nothing() {
    let higher = Candidate {
        preference: Preference { priority: 101, weight: OTHERS },
        ..other("h3", 11, true)
    };
    let mut story = standby(&[h2(), higher.clone()]);
    assert_eq!(story.see(None), []);
    assert_eq!(after_turns(&mut story, 1), [acquire()]);
    // Told to have the greatest, it tells the others, and waits until the lock is free.
    let mut story = standby(&[h2(), higher]);
    let own = Advertisement { priority: 102, ..own(Candidacy::Available) };
    let says = Action::Ask(Request::Campaign { lease: LEASE, own });
    assert_eq!(story.core().candidacy(), Some((true, 100)));
    assert_eq!(story.feed(Input::Priority(102)), std::slice::from_ref(&says));
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), []);
    assert_eq!(story.core().candidacy(), Some((true, 102)));
    assert_eq!(story.see(None), [says]);
    // An owner tells it as well, and keeps the IP.
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Priority(0)).len(), 1);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), []);
    assert_eq!(story.core().candidacy(), Some((true, 0)));
}

//! The own candidacy: what was said since is never overwritten by what is late.

use super::*;

fn replaced_by(action: &Request) -> i64 {
    action.advertisement().expect("it advertises").replaces
}

/// The candidacy was not at the revision that was expected, but at this one.
fn changed(story: &mut Story, found: i64) -> Vec<Action> {
    let lock = story.view(Some(("h2", 9)));
    let own = Some(Advertised::Changed(found));
    let others = Some(vec![h2()]);
    story.feed(Input::Answered(LockAnswer { lock, succeeded: false, others, own }))
}

#[test]
fn a_candidacy_of_a_former_life_is_found_and_replaced() {
    let mut story = Story::started();
    assert_eq!(replaced_by(story.asked.as_ref().unwrap()), 0);
    assert_eq!(changed(&mut story, 40), [Action::Unbind, acquire()]);
    assert_eq!(replaced_by(story.asked.as_ref().unwrap()), 40);
    // A late request of the former life has been faster.
    assert_eq!(changed(&mut story, 41), [acquire()]);
    assert_eq!(replaced_by(story.asked.as_ref().unwrap()), 41);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), []);
}

#[test]
fn a_request_with_an_unknown_outcome_is_followed_by_one_that_excludes_it() {
    let mut story = Story::standby();
    let known = story.revision;
    story.feed(Input::LockNow);
    assert_eq!(replaced_by(story.asked.as_ref().unwrap()), known);
    story.unanswered();
    // If the first one is late, only one of the two is carried out.
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(replaced_by(story.asked.as_ref().unwrap()), known);
}

#[test]
fn asking_for_the_lock_by_hand_reads_it_again() {
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::LockNow), [acquire()]);
    let mut story = Story::owner();
    let read = Action::Ask(Request::ReadLock { lease: LEASE });
    assert_eq!(story.feed(Input::LockNow), [read]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [acquire()], "what it has of this host, too");
    assert_eq!(story.find(Some(("h1", LEASE)), &[]), []);
}

#[test]
fn a_standby_reads_the_candidates_again_at_leisure_and_needs_no_answer() {
    let mut story = Story::started();
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [Action::Unbind]);
    assert_eq!(story.feed(Input::CandidatesOutdated), [read_candidates()]);
    assert!(story.core().asks_at_leisure());
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.core().awaited(), Some(("h2", 9)), "what is known of the lock holds");
    assert_eq!(story.wait(), []);
    assert_eq!(story.feed(Input::CandidatesOutdated), [read_candidates()]);
    assert_eq!(story.find(Some(("h2", 9)), &[h2(), other("h3", 11, true)]), []);
}

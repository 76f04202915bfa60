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

//! A lock that a host finds at its start, with its own name: of a former life.

use super::*;

/// The leases with which the lock may be found: that of this life, which is kept over a start, or another one.
const FOUND: [i64; 2] = [LEASE, 6];

/// A host that has booted before its lease has ended, and owned the IP.
fn booted(lease: i64) -> Story {
    let mut story = Story::started();
    assert_eq!(story.feed(Input::Bound(false)), []);
    assert_eq!(story.finds_lock(lease), [Action::Probe(true)]);
    assert_eq!(story.core().state(), State::Standby);
    story
}

impl Story {
    /// The campaign has failed: the lock has the name of this host, and this lease.
    fn finds_lock(&mut self, lease: i64) -> Vec<Action> {
        let lock = self.view(Some(("h1", lease)));
        let own = Some(Advertised::Written(lock.revision));
        let others = Some(vec![h2()]);
        self.asked = None;
        self.feed(Input::Answered(LockAnswer { lock, succeeded: false, others, own }))
    }
}

fn takes_over(story: &Story) -> Action {
    Action::Ask(Request::TakeOver { lease: LEASE, written: story.written })
}

#[test]
fn a_host_that_has_booted_takes_its_lock_back_when_nobody_has_the_ip() {
    for lease in FOUND {
        let mut story = booted(lease);
        assert_eq!(story.feed(Input::Probed(ProbeResult::Silent)), [takes_over(&story)]);
        story.written = story.revision + 1;
        let binds = [elected(), Action::Bind, Action::Probe(false)];
        assert_eq!(story.answer(Some(("h1", LEASE))), binds);
    }
}

#[test]
fn a_host_that_has_booted_leaves_its_lock_to_the_host_that_has_the_ip() {
    for (lease, wins_tie_break) in FOUND.into_iter().zip([false, true]) {
        let answered = Input::Probed(ProbeResult::Answered { wins_tie_break });
        let mut story = booted(lease);
        assert_eq!(story.feed(answered.clone()), []);
        story.written = story.revision + 1;
        assert_eq!(story.see(Some(("h2", 9))), [Action::Unbind, Action::Probe(false)]);
        assert_eq!(story.core().state(), State::Standby);
        // Or its lease ends.
        let mut story = booted(lease);
        assert_eq!(story.feed(answered), []);
        assert_eq!(story.see(None), [Action::Probe(false), acquire()]);
    }
}

#[test]
fn what_does_not_take_the_lock_either_within_a_while_is_a_stranger() {
    let answered = Input::Probed(ProbeResult::Answered { wins_tie_break: true });
    let mut story = booted(LEASE);
    assert_eq!(story.feed(answered.clone()), []);
    assert_eq!(story.wait(), [elected(), Action::Bind, Action::Probe(false)]);
    let mut story = booted(6);
    assert_eq!(story.feed(answered), []);
    assert_eq!(story.wait(), [Action::Probe(false), takes_over(&story)]);
}

#[test]
fn a_network_of_which_nothing_is_told_is_not_waited_for_without_end() {
    let mut story = booted(LEASE);
    assert_eq!(story.wait(), [elected(), Action::Bind, Action::Probe(false)]);
    let mut story = booted(6);
    assert_eq!(story.wait(), [Action::Probe(false), takes_over(&story)]);
}

#[test]
fn an_agent_that_was_started_anew_is_the_owner_at_once_with_the_address() {
    let mut story = Story::started();
    story.feed(Input::Bound(true));
    assert_eq!(story.finds_lock(6), [takes_over(&story)]);
    let mut story = Story::started();
    story.feed(Input::Bound(true));
    assert_eq!(story.finds_lock(LEASE), [elected(), Action::Bind]);
    // The kernel may tell it a moment later.
    let mut story = booted(LEASE);
    let owner = [elected(), Action::Bind, Action::Probe(false)];
    assert_eq!(story.feed(Input::Bound(true)), owner);
}

#[test]
fn a_lock_that_this_life_has_written_is_no_former_ones() {
    let mut story = Story::started();
    story.written = story.revision + 1;
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
}

#[test]
fn a_host_that_has_booted_without_a_network_does_not_ask_it() {
    let mut story = Story::started();
    story.feed(Input::Interface(Err(Unusable::Down)));
    assert_eq!(story.finds_lock(6), [takes_over(&story)]);
}

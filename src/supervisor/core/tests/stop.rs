//! A stop: how long it may take, and what is not begun any more meanwhile.

use super::*;
use crate::election::HANDOVER_TIMEOUT;

impl Story {
    /// After what time the agent ends, whatever is left.
    fn ends_after(&mut self) -> Duration {
        let mut after = None;
        self.done.retain(|action| {
            let Action::Arm(Timer::StopAtLast, time) = action else { return true };
            after = Some(*time);
            false
        });
        after.expect("the stop is bounded")
    }

    fn starts_something(&mut self) -> bool {
        self.did(|action| matches!(action, Action::Start { .. }))
    }
}

#[test]
fn a_stop_is_not_cut_off_before_a_handover_and_the_end_of_the_lease_have_had_their_time() {
    let mut story = Story::running(&[record(1, 5)]);
    let slot = story.slot(1);
    story.feed(Event::Stop(StopPolicy::Release));
    assert!(story.ends_after() > HANDOVER_TIMEOUT);
    story.notice(slot, Notice::Left { cleanup_pending: false });
    story.expect(&Action::Revoke(LEASE));
    assert!(story.ends_after() > REVOKE);
}

#[test]
fn what_etcd_tells_while_the_ips_of_the_copy_are_given_up_starts_none_of_them_again() {
    let mut story = Story::begin(Some(copy_of(&[record(1, 5)])));
    story.fail(Request::Load, not_sent());
    let slot = story.slot(1);
    story.feed(Event::Stop(StopPolicy::Release));
    story.expect_tell(slot, Order::Leave);
    story.timer(Timer::Load);
    assert!(story.starts_something(), "from the copy");
    story.answer_load(found(&[record(1, 5), record(2, 6)]));
    assert!(!story.starts_something());
    assert!(!story.did(|action| *action == Action::End(slot)), "it is on its way out");
    story.notice(slot, Notice::Left { cleanup_pending: false });
    story.expect(&Action::Ended);
}

#[test]
fn an_agent_that_stops_serves_no_other_ip_in_the_place_of_one_that_has_left() {
    let mut story = Story::begin_with(|config| config.permits.max_ips = Some(1), None);
    story.load(&[record(1, 5), record(2, 6)]);
    let slot = story.slot(1);
    assert!(story.starts_something());
    story.feed(Event::Stop(StopPolicy::Release));
    story.notice(slot, Notice::Left { cleanup_pending: false });
    assert!(!story.starts_something());
    story.expect(&Action::Revoke(LEASE));
}

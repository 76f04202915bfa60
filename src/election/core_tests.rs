//! Single behaviours of the election's core; each test is one story.

use super::*;
use crate::election::message::Holder;

const LEASE: i64 = 7;
const FALL: u32 = 3;

/// A core with the clock and the revision at which its story has arrived.
struct Story {
    core: Core,
    now: Instant,
    revision: i64,
    /// When the lock was last written.
    written: i64,
}

impl Story {
    fn new(checked: bool) -> Story {
        let now = Instant::now();
        Story { core: Core::new("h1", checked, FALL, now), now, revision: 1, written: 1 }
    }

    /// A host without checks that holds its lease and knows nothing of the lock.
    fn started() -> Story {
        let mut story = Story::new(false);
        assert_eq!(story.feed(Input::Interface(Ok(()))), []);
        assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
        story
    }

    /// The same, having won the lock.
    fn owner() -> Story {
        let mut story = Story::started();
        let actions = story.answer(Some(("h1", LEASE)));
        assert_eq!(actions, [elected(), Action::Bind]);
        story
    }

    /// The same, having lost it to h2.
    fn standby() -> Story {
        let mut story = Story::started();
        assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
        story
    }

    fn feed(&mut self, input: Input) -> Vec<Action> {
        self.core.handle(input, self.now)
    }

    fn view(&mut self, holder: Option<(&str, i64)>) -> LockView {
        self.revision += 1;
        let holder = holder.map(|(host, lease)| Holder {
            host: host.to_owned(),
            lease,
            written: self.written,
        });
        LockView { holder, revision: self.revision, reset: false }
    }

    /// A watch event: the lock is now this.
    fn see(&mut self, holder: Option<(&str, i64)>) -> Vec<Action> {
        let view = self.view(holder);
        self.feed(Input::Lock(view))
    }

    fn answer(&mut self, holder: Option<(&str, i64)>) -> Vec<Action> {
        self.answer_with(holder, false)
    }

    fn answer_with(&mut self, holder: Option<(&str, i64)>, successor: bool) -> Vec<Action> {
        let lock = self.view(holder);
        self.feed(Input::Answered(Ok(LockAnswer { lock, successor })))
    }

    fn fail(&mut self) -> Vec<Action> {
        self.feed(Input::Answered(Err("deadline".to_owned())))
    }

    /// Lets the time of the next deadline come.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self.core.deadline().expect("something is awaited");
        self.feed(Input::Timer)
    }
}

fn acquire() -> Action {
    Action::Ask(Request::Acquire { lease: LEASE })
}

fn release(offer: Offer) -> Action {
    Action::Ask(Request::Release { lease: LEASE, offer })
}

fn transition(from: State, to: State, event: Event) -> Action {
    Action::Transition { from, to, event }
}

fn elected() -> Action {
    transition(State::Standby, State::Activated, Event::Elected)
}

fn demoted() -> Action {
    transition(State::Activated, State::Standby, Event::Demoted)
}

#[test]
fn the_first_to_create_the_lock_binds() {
    let story = Story::owner();
    assert_eq!(story.core.state(), State::Activated);
    assert_eq!(story.core.owner(), Some("h1"));
}

#[test]
fn who_finds_the_lock_taken_removes_a_left_over_and_waits() {
    let mut story = Story::standby();
    assert_eq!(story.core.owner(), Some("h2"));
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
}

#[test]
fn the_own_watch_event_may_overtake_the_answer() {
    let mut story = Story::started();
    let late = story.view(Some(("h1", LEASE)));
    assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
    assert_eq!(story.see(None), []);
    // The answer is older than the deletion that followed it: the lock is free, not ours.
    let answer = LockAnswer { lock: late, successor: false };
    assert_eq!(story.feed(Input::Answered(Ok(answer))), [acquire()]);
}

#[test]
fn a_lock_deleted_by_hand_is_taken_again_without_touching_the_address() {
    let mut story = Story::owner();
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), []);
    assert_eq!(story.core.state(), State::Activated);
}

#[test]
fn etcd_lost_means_take_and_etcd_back_means_ask_and_yield() {
    let mut story = Story::standby();
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), [fault, Action::Bind]);
    assert_eq!(story.core.owner(), None);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    let told = Action::Ask(Request::Yield { lease: LEASE, owner: 9 });
    assert_eq!(story.answer(Some(("h2", 9))), [demoted(), Action::Unbind, told]);
    // That was all: nothing more is asked.
    assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
}

#[test]
fn an_owner_to_whom_another_host_yields_announces_again() {
    let mut story = Story::owner();
    assert_eq!(story.see(Some(("h1", LEASE))), []);
    story.written += 1;
    assert_eq!(story.see(Some(("h1", LEASE))), [Action::Announce]);
    assert_eq!(story.see(Some(("h1", LEASE))), []);
}

#[test]
fn who_keeps_the_ip_after_etcd_was_lost_announces_it_again_once() {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), []);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    assert_eq!(story.see(Some(("h1", LEASE))), []);
}

#[test]
fn a_lock_that_comes_free_while_no_lease_is_held_is_a_fault_too() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.see(Some(("h2", 9))), [demoted(), Action::Unbind]);
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.see(None), [fault, Action::Bind]);
}

#[test]
fn an_owner_of_whom_nothing_is_heard_any_more_is_not_believed_in_for_ever() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.see(Some(("h2", 9))), [demoted(), Action::Unbind]);
    let heard = story.now;
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.wait(), [fault, Action::Bind]);
    assert_eq!(story.now - heard, BELIEF);
    assert_eq!(story.core.deadline(), None);
}

#[test]
fn ownership_does_not_survive_another_lease() {
    let mut story = Story::owner();
    let again = Action::Ask(Request::Acquire { lease: 8 });
    assert_eq!(story.feed(Input::Lease(Lease::Held(8))), [again]);
    assert_eq!(story.answer(Some(("h2", 9))), [demoted(), Action::Unbind]);
}

#[test]
fn a_lock_of_a_former_life_is_neither_kept_nor_fled_from() {
    let mut story = Story::started();
    assert_eq!(story.answer(Some(("h1", 3))), []);
    assert_eq!(story.core.state(), State::Standby);
    assert_eq!(story.see(None), [acquire()]);
}

#[test]
fn a_request_with_an_unknown_outcome_is_repeated_with_growing_pauses() {
    let mut story = Story::started();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(story.fail(), []);
        let asked = story.now;
        assert_eq!(story.wait(), [acquire()]);
        pauses.push((story.now - asked).as_millis());
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
}

#[test]
fn with_checks_a_host_campaigns_only_after_the_first_success() {
    let mut story = Story::new(true);
    story.feed(Input::Interface(Ok(())));
    let look = Action::Ask(Request::Look { lease: LEASE });
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [look]);
    assert_eq!(story.answer(None), []);
    assert_eq!(story.feed(Input::Checked(Ok(()))), [acquire()]);
}

#[test]
fn a_host_that_may_not_campaign_yet_still_removes_a_left_over() {
    let mut story = Story::new(true);
    story.feed(Input::Lease(Lease::Held(LEASE)));
    assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
}

#[test]
fn failing_gives_up_lock_and_address_at_once_and_success_leads_back() {
    let mut story = Story::new(true);
    story.feed(Input::Interface(Ok(())));
    story.feed(Input::Checked(Ok(())));
    story.feed(Input::Lease(Lease::Held(LEASE)));
    story.answer(Some(("h1", LEASE)));
    for _ in 1..FALL {
        assert_eq!(story.feed(Input::Checked(Err("refused".to_owned()))), []);
    }
    let failing = transition(State::Activated, State::Failing, Event::HealthCheckFail);
    let actions = story.feed(Input::Checked(Err("refused".to_owned())));
    assert_eq!(actions, [failing, Action::Unbind, release(Offer::Unavailable)]);
    assert_eq!(story.core.reason(), "refused");
    assert_eq!(story.answer(None), []);
    assert_eq!(story.see(Some(("h2", 9))), []);

    let standby = transition(State::Failing, State::Standby, Event::HealthCheckSuccess);
    assert_eq!(story.feed(Input::Checked(Ok(()))), [standby, acquire()]);
    assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
}

#[test]
fn a_campaign_won_by_a_host_that_has_failed_meanwhile_is_given_back() {
    let mut story = Story::started();
    let failing = transition(State::Standby, State::Failing, Event::HealthCheckFail);
    let down = Input::Interface(Err("eth0 is down".to_owned()));
    assert_eq!(story.feed(down), [failing, Action::Unbind]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [release(Offer::Unavailable)]);
}

#[test]
fn a_release_that_failed_is_repeated_until_the_lock_is_gone() {
    let mut story = Story::owner();
    story.feed(Input::Interface(Err("eth0 is down".to_owned())));
    assert_eq!(story.fail(), []);
    assert_eq!(story.wait(), [release(Offer::Unavailable)]);
    assert_eq!(story.answer(None), []);
    assert_eq!(story.core.deadline(), None);
}

#[test]
fn a_retry_that_cannot_be_made_without_a_lease_is_not_waited_for() {
    let mut story = Story::started();
    story.fail();
    assert!(story.core.deadline().is_some());
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.core.deadline(), None);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
}

#[test]
fn a_failover_keeps_the_address_until_another_host_has_the_lock() {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Failover), [release(Offer::Available)]);
    assert_eq!(story.answer_with(None, true), []);
    assert_eq!(story.core.state(), State::Activated);
    let actions = story.see(Some(("h2", 9)));
    assert_eq!(actions, [demoted(), Action::Unbind, Action::HandedOver(Ok(()))]);
}

#[test]
fn a_failover_that_nobody_answers_is_taken_back() {
    let mut story = Story::owner();
    story.feed(Input::Failover);
    story.answer(None);
    let actions = story.wait();
    let nobody = "no other host took it within 5 s".to_owned();
    assert_eq!(actions, [Action::HandedOver(Err(nobody)), acquire()]);
    assert_eq!(story.core.state(), State::Activated);
}

#[test]
fn only_the_owner_can_hand_over_and_only_once_at_a_time() {
    let mut story = Story::standby();
    let refused = "this host is not the owner".to_owned();
    assert_eq!(story.feed(Input::Failover), [Action::HandedOver(Err(refused))]);
    let mut story = Story::owner();
    story.feed(Input::Failover);
    let busy = "this host is already handing it over".to_owned();
    assert_eq!(story.feed(Input::Failover), [Action::HandedOver(Err(busy))]);
}

#[test]
fn who_leaves_answers_until_a_successor_has_taken_over() {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Leave), [release(Offer::Withdrawn)]);
    assert_eq!(story.answer_with(None, true), []);
    let actions = story.see(Some(("h2", 9)));
    assert_eq!(actions, [demoted(), Action::Unbind, Action::Unbind, Action::Left]);
    assert_eq!(story.see(None), []);
}

#[test]
fn who_has_left_does_not_come_back() {
    let mut story = Story::owner();
    story.feed(Input::Leave);
    assert_eq!(story.answer(None), [Action::Unbind, Action::Left]);
    assert!(!story.core.owes());
    assert_eq!(story.feed(Input::Lease(Lease::Held(8))), []);
    assert_eq!(story.see(None), []);
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), []);
}

#[test]
fn who_leaves_stops_waiting_when_the_successors_leave_too() {
    let mut story = Story::owner();
    story.feed(Input::Leave);
    assert_eq!(story.answer_with(None, true), []);
    assert_eq!(story.wait(), [release(Offer::Withdrawn)]);
    assert_eq!(story.answer_with(None, true), []);
    assert_eq!(story.wait(), [release(Offer::Withdrawn)]);
    assert_eq!(story.answer_with(None, false), [Action::Unbind, Action::Left]);
}

#[test]
fn who_leaves_as_the_last_does_not_wait_for_anybody() {
    let mut story = Story::owner();
    story.feed(Input::Leave);
    assert_eq!(story.answer_with(None, false), [Action::Unbind, Action::Left]);
}

#[test]
fn a_standby_leaves_as_soon_as_the_others_are_told() {
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::Leave), [release(Offer::Withdrawn)]);
    assert_eq!(
        story.answer_with(Some(("h2", 9)), true),
        [Action::Unbind, Action::Unbind, Action::Left]
    );
}

#[test]
fn leaving_is_bounded_whatever_etcd_does() {
    let mut story = Story::owner();
    story.feed(Input::Leave);
    let began = story.now;
    let mut actions = Vec::new();
    while !actions.contains(&Action::Left) {
        actions = story.fail();
        if !actions.contains(&Action::Left) {
            actions = story.wait();
        }
    }
    assert!(story.now - began <= HANDOVER_BOUND);
    assert!(story.core.owes());
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.feed(Input::Leave), [Action::Unbind, Action::Left]);
    assert!(story.core.owes());
}

#[test]
fn a_restored_etcd_starts_its_revisions_again() {
    let mut story = Story::owner();
    let view = LockView {
        holder: Some(Holder { host: "h2".to_owned(), lease: 9, written: 1 }),
        revision: 1,
        reset: true,
    };
    // It has also forgotten that this host is available.
    assert_eq!(story.feed(Input::Lock(view)), [demoted(), Action::Unbind, acquire()]);
}

#[test]
fn asking_for_the_lock_by_hand_reads_it_again() {
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::LockNow), [acquire()]);
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::LockNow), []);
}

/// Whatever happens, in whatever order: a failing host keeps nothing, at most one request is under
/// way, and the address follows the state.
#[test]
fn a_random_walk_never_leaves_the_address_behind() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..2_000 {
        let mut story = Story::new(random(2) == 0);
        let (mut bound, mut asked) = (false, false);
        for _ in 0..60 {
            story.now += Duration::from_millis(random(3_000));
            let holder = [None, Some(("h1", LEASE)), Some(("h2", 9)), Some(("h1", 3))];
            let holder = holder[usize::try_from(random(4)).unwrap()];
            let actions = match random(10) {
                0 => story.feed(Input::Lease(Lease::Lost)),
                1 => story.feed(Input::Lease(Lease::Held(LEASE))),
                2 => story.feed(Input::Interface(Ok(()))),
                3 => story.feed(Input::Interface(Err("down".to_owned()))),
                4 => story.feed(Input::Checked(Ok(()))),
                5 => story.feed(Input::Checked(Err("refused".to_owned()))),
                6 => story.see(holder),
                7 if asked => story.answer_with(holder, random(2) == 0),
                8 if asked => story.fail(),
                9 => story.feed(Input::Failover),
                _ => story.feed(Input::Timer),
            };
            asked = story.core.pending.is_some();
            assert!(actions.iter().filter(|action| matches!(action, Action::Ask(_))).count() <= 1);
            for action in &actions {
                bound = match action {
                    Action::Bind => true,
                    Action::Unbind => false,
                    Action::Announce
                    | Action::Ask(_)
                    | Action::Transition { .. }
                    | Action::HandedOver(_)
                    | Action::Left => bound,
                };
            }
            assert_eq!(bound, story.core.state() == State::Activated);
        }
    }
}

//! Single behaviours of the election's core; each test is one story.

mod failing;
mod giving;
mod heir;
mod loss;

use super::*;
use crate::election::health::{DOWN, UP};
use crate::lock::Gap;
use crate::lock::Holder;
use crate::network::{Mac, ProbeResult, Unusable};

/// A hardware address, where it does not matter which.
const MAC: Mac = [2, 0, 0, 0, 0, 1];

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
        Story::with(checked, LossPolicy::Take, AllFailingPolicy::KeepLast)
    }

    fn with(checked: bool, loss: LossPolicy, all_failing: AllFailingPolicy) -> Story {
        let now = Instant::now();
        let setting = Setting { me: "h1".to_owned(), checked, fall: FALL, loss, all_failing };
        Story { core: Core::new(setting, now), now, revision: 1, written: 1 }
    }

    /// A host without checks that holds its lease and knows nothing of the lock.
    fn started() -> Story {
        Story::new(false).start()
    }

    fn start(self) -> Story {
        let mut story = self;
        assert_eq!(story.feed(Input::Interface(Ok(MAC))), []);
        assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
        story
    }

    /// The same, having won the lock.
    fn owner() -> Story {
        Story::started().win()
    }

    fn win(self) -> Story {
        let mut story = self;
        let actions = story.answer(Some(("h1", LEASE)));
        assert_eq!(actions, [elected(), Action::Bind]);
        assert_eq!(story.feed(Input::Bound(true)), []);
        story
    }

    /// The same, having lost it to h2.
    fn standby() -> Story {
        Story::started().lose()
    }

    fn lose(self) -> Story {
        let mut story = self;
        assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
        story
    }

    /// An owner whose checks have just failed, and that has asked who else could take the IP.
    fn failing(all_failing: AllFailingPolicy) -> Story {
        let mut story = Story::with(true, LossPolicy::Take, all_failing);
        story.feed(Input::Interface(Ok(MAC)));
        story.feed(Input::Checked(Ok(())));
        story.feed(Input::Lease(Lease::Held(LEASE)));
        let mut story = story.win();
        for _ in 1..FALL {
            assert_eq!(story.feed(refused()), []);
        }
        let failing = transition(State::Activated, State::Failing, Event::HealthCheckFail);
        assert_eq!(story.feed(refused()), [failing, survey(Candidacy::Unavailable)]);
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
        LockView { holder, revision: self.revision, gap: Gap::None }
    }

    /// A watch event: the lock is now this.
    fn see(&mut self, holder: Option<(&str, i64)>) -> Vec<Action> {
        let view = self.view(holder);
        self.feed(Input::Lock(view))
    }

    /// The answer to a request that reads no offers.
    fn answer(&mut self, holder: Option<(&str, i64)>) -> Vec<Action> {
        let lock = self.view(holder);
        self.feed(Input::Answered(Ok(LockAnswer { lock, others: None })))
    }

    /// The answer to a request that reads the offers of others.
    fn find(&mut self, holder: Option<(&str, i64)>, others: &[Candidate]) -> Vec<Action> {
        let lock = self.view(holder);
        self.feed(Input::Answered(Ok(LockAnswer { lock, others: Some(others.to_vec()) })))
    }

    /// The kernel has done what it was told: the address is gone.
    fn unbound(&mut self) -> Vec<Action> {
        self.feed(Input::Bound(false))
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
    Action::Ask(Request::Campaign { lease: LEASE })
}

fn survey(offer: Candidacy) -> Action {
    Action::Ask(Request::Advertise { lease: LEASE, candidacy: offer })
}

fn release(offer: Candidacy) -> Action {
    Action::Ask(Request::Resign { lease: LEASE, candidacy: offer })
}

fn yields(owner: i64) -> Action {
    Action::Ask(Request::Acknowledge { lease: LEASE, owner })
}

fn refused() -> Input {
    Input::Checked(Err("refused".to_owned()))
}

/// h2 with the lease 9, as the stories have it, or another host.
fn other(host: &str, lease: i64, available: bool) -> Candidate {
    Candidate { host: host.to_owned(), available, lease, written: 5 }
}

fn h2() -> Candidate {
    other("h2", 9, true)
}

fn pass(to: Candidate) -> Action {
    Action::Ask(Request::Transfer { lease: LEASE, to })
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
    let answer = LockAnswer { lock: late, others: None };
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
    story.feed(Input::Bound(true));
    assert_eq!(story.core.owner(), None);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    // The owner is back. It is told when it is true, not before.
    let back = Candidate { written: story.revision + 1, ..h2() };
    let lets_go = [demoted(), Action::Unbind];
    assert_eq!(story.find(Some(("h2", 9)), &[back]), lets_go);
    assert_eq!(story.unbound(), [yields(9)]);
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
fn who_keeps_the_ip_after_etcd_was_lost_announces_it_again() {
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), []);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert!(story.answer(Some(("h1", LEASE))).contains(&Action::Announce));
    assert_eq!(story.see(Some(("h1", LEASE))), []);
}

#[test]
fn a_lock_that_comes_free_while_no_lease_is_held_is_a_fault_too() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.see(Some(("h2", 9))), [Action::Probe(true)]);
    let lets_go = [demoted(), Action::Unbind, Action::Probe(false)];
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: true }), lets_go);
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.see(None), [fault, Action::Bind]);
}

#[test]
fn an_owner_of_whom_nothing_is_heard_any_more_is_not_believed_in_for_ever() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.see(Some(("h2", 9))), [Action::Probe(true)]);
    let lets_go = [demoted(), Action::Unbind, Action::Probe(false)];
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: true }), lets_go);
    let heard = story.now;
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.wait(), [fault, Action::Bind]);
    assert_eq!(story.now - heard, BELIEF);
    assert_eq!(story.core.deadline(), None);
}

#[test]
fn ownership_does_not_survive_another_lease() {
    let mut story = Story::owner();
    let again = Action::Ask(Request::Campaign { lease: 8 });
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
    story.feed(Input::Interface(Ok(MAC)));
    let look = Action::Ask(Request::ReadLock { lease: LEASE });
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
fn from_a_dead_owner_the_lock_is_seized_as_it_was_seen() {
    let mut story = Story::standby();
    assert_eq!(story.core.awaited(), Some(("h2", 9)));
    let seize = Action::Ask(Request::TakeOver { lease: LEASE, written: story.written });
    assert_eq!(story.feed(Input::OwnerDead(9)), [seize]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
    assert_eq!(story.core.awaited(), None);
    // It was another host that died, or this one came too late.
    let mut story = Story::standby();
    assert_eq!(story.feed(Input::OwnerDead(8)), []);
    story.feed(Input::OwnerDead(9));
    assert_eq!(story.find(Some(("h3", 11)), &[]), [Action::Unbind]);
}

#[test]
fn an_owner_that_was_dead_and_has_the_lock_again_keeps_it() {
    let mut story = Story::standby();
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    // Another host was faster.
    assert_eq!(story.see(Some(("h3", 11))), [Action::Unbind]);
    assert_eq!(story.feed(Input::OwnerDead(9)), []);
    assert_eq!(story.see(Some(("h2", 9))), [Action::Unbind]);
}

#[test]
fn the_others_are_told_once_more_in_case_a_former_life_spoke_last() {
    let mut story = Story::owner();
    story.now += REAFFIRM;
    assert_eq!(story.feed(Input::Timer), [acquire()]);
    assert_eq!(story.find(Some(("h1", LEASE)), &[h2()]), []);
    assert_eq!(story.core.deadline(), None);
}

#[test]
fn who_was_paused_looks_before_it_announces() {
    let mut story = Story::owner();
    let look = Action::Ask(Request::ReadLock { lease: LEASE });
    assert_eq!(story.feed(Input::Paused), std::slice::from_ref(&look));
    assert_eq!(story.answer(Some(("h1", LEASE))), [Action::Announce]);
    // The same when another host claims the address.
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: true }), [look]);
    assert_eq!(story.answer(Some(("h2", 9))), [demoted(), Action::Unbind]);
    assert_eq!(story.unbound(), [yields(9)]);
    assert_eq!(Story::standby().feed(Input::Paused), []);
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
fn a_restored_etcd_starts_its_revisions_again() {
    let mut story = Story::owner();
    let view = LockView {
        holder: Some(Holder { host: "h2".to_owned(), lease: 9, written: 1 }),
        revision: 1,
        gap: Gap::Restored,
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

/// Whatever happens, in whatever order: at most one request is under way, no time that has passed is
/// waited for, and the address is where the state says, but for a failing host that keeps it.
#[test]
fn a_random_walk_never_leaves_the_address_behind() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..5_000 {
        let loss = [LossPolicy::Take, LossPolicy::Probe, LossPolicy::Hold];
        let loss = loss[usize::try_from(random(3)).unwrap()];
        let mut story = Story::with(random(2) == 0, loss, AllFailingPolicy::None);
        let mut bound = false;
        for _ in 0..60 {
            story.now += Duration::from_millis(random(3_000));
            let holder = [None, Some(("h1", LEASE)), Some(("h2", 9)), Some(("h1", 3))];
            let holder = holder[usize::try_from(random(4)).unwrap()];
            let others = [h2(), other("h3", 0, true), other("h2", 9, false)];
            let others = &others[..usize::try_from(random(4)).unwrap()];
            let asked = story.core.pending.is_some();
            let actions = match random(14) {
                0 => story.feed(Input::Lease(Lease::Lost)),
                1 => story.feed(Input::Lease(Lease::Held(LEASE))),
                2 => story.feed(Input::Interface(Ok(MAC))),
                3 => story.feed(Input::Interface(Err(Unusable::Down))),
                4 => story.feed(Input::Checked(Ok(()))),
                5 => story.feed(refused()),
                6 => story.see(holder),
                7 | 8 if asked => story.find(holder, others),
                9 if asked => story.fail(),
                10 => story.feed(Input::Failover(None)),
                11 => story.feed(Input::Claimed { from: MAC, wins_tie_break: random(2) == 0 }),
                12 => story
                    .feed(Input::Probed(ProbeResult::Answered { wins_tie_break: random(2) == 0 })),
                13 => story.feed(Input::Probed(ProbeResult::Silent)),
                _ => story.feed(Input::Timer),
            };
            assert!(actions.iter().filter(|action| matches!(action, Action::Ask(_))).count() <= 1);
            let mut actions = actions;
            actions.extend(story.feed(Input::Timer));
            bound = actions.iter().fold(bound, |bound, action| match action {
                Action::Bind => true,
                Action::Unbind => false,
                Action::Announce
                | Action::Probe(_)
                | Action::Ask(_)
                | Action::Transition { .. }
                | Action::HandedOver(_)
                | Action::Left => bound,
            });
            story.feed(Input::Bound(bound));
            match story.core.state() {
                State::Activated => assert!(bound),
                State::Standby if story.core.passing.is_some() => {}
                State::Standby => assert!(!bound || story.core.ownership() != Ownership::Other),
                State::Failing => {}
            }
            let deadline = story.core.deadline();
            assert!(deadline.is_none_or(|at| at > story.now), "it would not sleep");
        }
    }
}

//! Single behaviours of the election's core; each test is one story.

mod addition;
mod candidacy;
mod failing;
mod former_life;
mod giving;
mod grouped;
mod heir;
mod isolation;
mod knowing;
mod loss;
mod missed;
mod races;
mod seldom;
mod takeover;
mod turns;
mod walk;
mod wire;

use std::time::{Duration, Instant};

use super::*;
use crate::election::driver::Driver;
use crate::lock::{
    Advertised, Advertisement, Candidacy, Candidate, Gap, Holder, LockAnswer, LockView, Request,
};
use crate::network::{Hearing, Mac, Missed, ProbeResult, Unusable};
use crate::preference::Preference;

/// The hardware address of this host, and of another.
const MAC: Mac = [2, 0, 0, 0, 0, 1];
const OTHER_MAC: Mac = [2, 0, 0, 0, 0, 2];

const LEASE: i64 = 7;
/// How much this host is preferred, and the others, where a story does not say otherwise: this one is first.
const FIRST: u64 = 5;
const OTHERS: u64 = 3;

/// A core with the clock and the revision at which its story has arrived.
struct Story {
    driver: Driver,
    now: Instant,
    revision: i64,
    /// When the lock was last written.
    written: i64,
    /// What was asked of etcd last.
    asked: Option<Request>,
}

impl Story {
    fn new(checked: bool) -> Story {
        Story::with(checked, LossPolicy::Take, AllFailingPolicy::KeepLast)
    }

    fn with(checked: bool, loss: LossPolicy, all_failing: AllFailingPolicy) -> Story {
        let now = Instant::now();
        let host = "h1".to_owned();
        let preference = Preference { priority: 100, weight: FIRST };
        let company = false;
        let config = CoreConfig { host, preference, company, checked, loss, all_failing };
        let mut driver = Driver::new(Core::new(config), now);
        driver.handle(Input::Hearing(Hearing::Others), now);
        Story { driver, now, revision: 1, written: 1, asked: None }
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
        story.feed(Input::Checked(true));
        story.feed(Input::Lease(Lease::Held(LEASE)));
        let mut story = story.win();
        let failing = transition(State::Activated, State::Failing, Event::HealthCheckFail);
        assert_eq!(story.feed(refused()), [failing, survey(Candidacy::Unavailable)]);
        story
    }

    fn core(&self) -> &Core {
        self.driver.core()
    }

    fn feed(&mut self, input: Input) -> Vec<Action> {
        let actions = self.driver.handle(input, self.now);
        self.told(actions)
    }

    /// What was asked is kept, without the revision of the own candidacy.
    fn told(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        // They are asked with each transfer.
        let asks = actions.iter().filter(|it| **it == Action::AskNeighbours).count();
        let transfers = |it: &&Action| matches!(it, Action::Ask(Request::Transfer { .. }));
        assert_eq!(asks, actions.iter().filter(transfers).count());
        actions.retain(|it| *it != Action::AskNeighbours);
        for action in &mut actions {
            if let Action::Ask(request) = action {
                self.asked = Some(request.clone());
                if let Request::Campaign { own, .. }
                | Request::Advertise { own, .. }
                | Request::Resign { own, .. }
                | Request::Transfer { own: Some(own), .. } = request
                {
                    own.replaces = 0;
                }
            }
        }
        actions
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

    /// An answer with this view of the lock: what was asked was done.
    fn answer_with(&mut self, lock: LockView, others: Option<Vec<Candidate>>) -> Vec<Action> {
        let own = self.asked.take().and_then(|asked| asked.advertisement());
        let own = own.map(|_| Advertised::Written(lock.revision));
        self.feed(Input::Answered(LockAnswer { lock, succeeded: true, others, own }))
    }

    /// The answer to a request that reads no candidacies.
    fn answer(&mut self, holder: Option<(&str, i64)>) -> Vec<Action> {
        let lock = self.view(holder);
        self.answer_with(lock, None)
    }

    /// The answer to a request that reads the candidacies of others.
    fn find(&mut self, holder: Option<(&str, i64)>, others: &[Candidate]) -> Vec<Action> {
        let lock = self.view(holder);
        self.answer_with(lock, Some(others.to_vec()))
    }

    /// The kernel has done what it was told: the address is gone.
    fn unbound(&mut self) -> Vec<Action> {
        self.feed(Input::Bound(false))
    }

    fn unanswered(&mut self) -> Vec<Action> {
        self.feed(Input::Unanswered)
    }

    /// Lets the time of the next deadline come.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self.driver.deadline().expect("something is awaited");
        self.wake()
    }

    /// Lets all fire that is due.
    fn wake(&mut self) -> Vec<Action> {
        let actions = self.driver.wake(self.now);
        self.told(actions)
    }

    /// The lock is written again as it was last seen.
    fn yields(&self) -> Action {
        Action::Ask(Request::Acknowledge { lease: LEASE, written: self.written })
    }
}

fn own(candidacy: Candidacy) -> Advertisement {
    Advertisement { candidacy, hardware_address: Some(MAC), priority: 100, replaces: 0 }
}

fn acquire() -> Action {
    Action::Ask(Request::Campaign { lease: LEASE, own: own(Candidacy::Available) })
}

fn read_candidates() -> Action {
    Action::Ask(Request::ReadCandidates { lease: LEASE })
}

fn survey(candidacy: Candidacy) -> Action {
    Action::Ask(Request::Advertise { lease: LEASE, own: own(candidacy) })
}

fn release(candidacy: Candidacy) -> Action {
    Action::Ask(Request::Resign { lease: LEASE, own: own(candidacy) })
}

fn refused() -> Input {
    Input::Checked(false)
}

/// h2 with the lease 9, as the stories have it, or another host.
fn other(host: &str, lease: i64, available: bool) -> Candidate {
    let preference = Preference { priority: 100, weight: OTHERS };
    let host = host.to_owned();
    Candidate { host, available, lease, written: 5, hardware_address: None, preference }
}

fn h2() -> Candidate {
    other("h2", 9, true)
}

fn pass(to: Candidate) -> Action {
    Action::Ask(Request::Transfer { lease: LEASE, to, own: None })
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
    assert_eq!(story.core().state(), State::Activated);
    assert_eq!(story.core().owner(), Some("h1"));
}

#[test]
fn who_finds_the_lock_taken_removes_a_left_over_and_waits() {
    let mut story = Story::standby();
    assert_eq!(story.core().owner(), Some("h2"));
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
}

#[test]
fn the_own_watch_event_may_overtake_the_answer() {
    let mut story = Story::started();
    story.written = story.revision + 2;
    let late = story.view(Some(("h1", LEASE)));
    assert_eq!(story.see(Some(("h1", LEASE))), [elected(), Action::Bind]);
    assert_eq!(story.see(None), []);
    // The answer is older than the deletion that followed it: the lock is free, not ours.
    assert_eq!(story.answer_with(late, None), [acquire()]);
}

#[test]
fn a_lock_deleted_by_hand_is_taken_again_without_touching_the_address() {
    let mut story = Story::owner();
    assert_eq!(story.see(None), [acquire()]);
    assert_eq!(story.answer(Some(("h1", LEASE))), []);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn etcd_lost_means_take_and_etcd_back_means_ask_and_yield() {
    let mut story = Story::standby();
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.feed(Input::Lease(Lease::Lost)), [fault, Action::Bind]);
    story.feed(Input::Bound(true));
    assert_eq!(story.core().owner(), None);
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    // The owner is back: it has advertised, and written its lock again. It is told when it is true, not before.
    let back = Candidate { written: story.revision + 1, ..h2() };
    story.written = story.revision + 2;
    story.revision = story.written;
    let lets_go = [demoted(), Action::Unbind];
    assert_eq!(story.find(Some(("h2", 9)), &[back]), lets_go);
    assert_eq!(story.unbound(), [story.yields()]);
    // That was all: nothing more is asked.
    assert_eq!(story.answer(Some(("h2", 9))), []);
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
fn with_checks_a_host_campaigns_only_after_the_first_success() {
    let mut story = Story::new(true);
    story.feed(Input::Interface(Ok(MAC)));
    let look = Action::Ask(Request::ReadLock { lease: LEASE });
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [look]);
    assert_eq!(story.answer(None), []);
    assert_eq!(story.feed(Input::Checked(true)), [acquire()]);
}

#[test]
fn a_host_that_may_not_campaign_yet_still_removes_a_left_over() {
    let mut story = Story::new(true);
    story.feed(Input::Lease(Lease::Held(LEASE)));
    assert_eq!(story.answer(Some(("h2", 9))), [Action::Unbind]);
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
    assert_eq!(story.unbound(), [story.yields()]);
    assert_eq!(Story::standby().feed(Input::Paused), []);
}

#[test]
fn a_retry_that_cannot_be_made_without_a_lease_is_not_waited_for() {
    let mut story = Story::started();
    story.unanswered();
    assert!(story.driver.deadline().is_some());
    for input in [Input::EtcdHeard(1), Input::Lease(Lease::Lost), Input::Bound(true)] {
        story.feed(input);
    }
    assert_eq!(story.driver.deadline(), None);
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

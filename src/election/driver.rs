//! A core with the times that its timers come due: what a core leaves to its driver.
//!
//! Pure: the time comes in as an argument.

use std::time::{Duration, Instant};

use super::core::{Core, Timer};
use super::message::{Action, Input};
use crate::fsm::Event;
use crate::lock::Lease;

/// The longest pause before a failed request to etcd is tried again; each is twice as long as the one
/// before, beginning with that of [`Timer::Retry`].
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// A core and its timers.
#[derive(Clone, Debug)]
pub struct Driver {
    core: Core,
    /// The timers that are armed, few of all, and when each comes due.
    due: Vec<(Timer, Instant)>,
    /// Requests in a row that have failed.
    failures: u32,
    /// When the state last changed.
    since: Instant,
    /// How often it has, by the events in the order of [`Event::ALL`].
    transitions: [u32; Event::ALL.len()],
}

impl Driver {
    /// Drives a core from now on.
    pub fn new(core: Core, now: Instant) -> Driver {
        let transitions = [0; Event::ALL.len()];
        Driver { core, due: Vec::new(), failures: 0, since: now, transitions }
    }

    /// The core.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// When the core's state last changed.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How often the core's state has changed, by the events in the order of [`Event::ALL`].
    pub fn transitions(&self) -> [u32; Event::ALL.len()] {
        self.transitions
    }

    /// When [`Driver::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.iter().map(|(_, at)| *at).min()
    }

    /// Takes one input and tells what has to be done, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        if input == Input::Unanswered {
            self.failures += 1;
        } else if matches!(input, Input::Answered(_) | Input::Lease(Lease::Held(_))) {
            // etcd answers: what fails now fails for the first time.
            self.failures = 0;
        }
        let state = self.core.state();
        let mut actions = self.core.handle(input);
        if self.core.state() != state {
            self.since = now;
        }
        for action in &actions {
            if let Action::Transition { event, .. } = action {
                self.transitions[*event as usize] += 1;
            }
        }
        actions.retain(|action| {
            let Action::Restart(timer) = action else { return true };
            self.end(*timer);
            false
        });
        for timer in Timer::ALL {
            let runs = self.due.iter().any(|(of, _)| *of == timer);
            match (self.core.is_armed(timer), runs) {
                (true, false) => self.due.push((timer, now + self.duration(timer))),
                (false, true) => self.end(timer),
                (true, true) | (false, false) => {}
            }
        }
        actions
    }

    /// Lets the timers fire that are due, in the order in which they came due.
    #[inline(never)]
    pub fn wake(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(timer) = self.next_due(now) {
            self.end(timer);
            actions.extend(self.handle(Input::Timer(timer), now));
        }
        actions
    }

    fn next_due(&self, now: Instant) -> Option<Timer> {
        let due = self.due.iter().filter(|(_, at)| *at <= now);
        due.min_by_key(|(timer, at)| (*at, *timer as usize)).map(|(timer, _)| *timer)
    }

    fn end(&mut self, timer: Timer) {
        self.due.retain(|(of, _)| *of != timer);
    }

    fn duration(&self, timer: Timer) -> Duration {
        let first = timer.duration();
        if timer != Timer::Retry {
            return first;
        }
        let doubled = first * 2_u32.pow(self.failures.saturating_sub(1).min(16));
        doubled.min(LONGEST_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::core::CoreConfig;
    use crate::network::ProbeResult;
    use crate::policy::{AllFailingPolicy, LossPolicy};
    use crate::preference::Preference;

    fn campaigning() -> (Driver, Instant) {
        let config = CoreConfig {
            host: "h1".to_owned(),
            preference: Preference { priority: 100, weight: 1 },
            company: false,
            checked: false,
            loss: LossPolicy::Take,
            all_failing: AllFailingPolicy::KeepLast,
        };
        let now = Instant::now();
        let mut driver = Driver::new(Core::new(config), now);
        driver.handle(Input::Interface(Ok([2, 0, 0, 0, 0, 1])), now);
        assert_eq!(driver.handle(Input::Lease(Lease::Held(7)), now).len(), 1);
        (driver, now)
    }

    #[test]
    fn a_request_with_an_unknown_outcome_is_repeated_with_growing_pauses() {
        let (mut driver, mut now) = campaigning();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(driver.handle(Input::Unanswered, now), []);
            let asked = now;
            now = driver.deadline().expect("a retry");
            assert!(matches!(driver.wake(now).as_slice(), [Action::Ask(_)]));
            pauses.push((now - asked).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        // etcd is back, and one request more was lost with it.
        driver.handle(Input::Lease(Lease::Lost), now);
        driver.handle(Input::Lease(Lease::Held(7)), now);
        driver.handle(Input::Unanswered, now);
        assert_eq!(driver.deadline(), Some(now + Duration::from_millis(50)));
    }

    #[test]
    fn a_timer_that_stays_armed_is_not_begun_again_and_one_that_is_disarmed_does_not_fire() {
        let (mut driver, now) = campaigning();
        driver.handle(Input::Unanswered, now);
        let due = driver.deadline();
        driver.handle(Input::EtcdHeard(5), now + Duration::from_millis(20));
        assert_eq!(driver.deadline(), due);
        driver.handle(Input::Lease(Lease::None), now);
        assert_eq!(driver.deadline(), None);
        assert_eq!(driver.wake(now + Duration::from_secs(9)), []);
    }

    #[test]
    fn it_is_counted_how_often_the_state_has_changed_by_which_event_and_told_since_when() {
        let (mut driver, begin) = campaigning();
        let later = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!((driver.transitions(), driver.since()), ([0; 5], begin));
        driver.handle(Input::Lease(Lease::Lost), later(1));
        driver.handle(Input::Probed(ProbeResult::Silent), later(2));
        assert_eq!((driver.transitions(), driver.since()), ([1, 0, 0, 0, 0], later(2)));
        driver.handle(Input::Drained(true), later(3));
        driver.handle(Input::EtcdHeard(5), later(4));
        driver.handle(Input::Drained(false), later(5));
        // It recovers, and has the IP again at once.
        assert_eq!((driver.transitions(), driver.since()), ([2, 0, 0, 1, 1], later(5)));
    }
}

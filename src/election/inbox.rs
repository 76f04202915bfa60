//! What wakes the thread of an election: orders from its handle, and events from etcd, the actuator
//! and the checks.
//!
//! The way to the thread has no limit: who sends never waits for room or for the reader, and what is sent are changes.
//! A channel of crossbeam's would do, but takes a kilobyte and a half of memory, and there may be thousands of elections.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::handle::Params;
use super::message::Input;
use crate::checks::{NotPassed, Timing};
use crate::etcd;
use crate::lock::{self, LockAnswer, Request};
use crate::net::{MonitorTiming, Report};
use crate::network::Heard;
use crate::ping::Ping;
use crate::vip::{Check, Cidr};

/// How long a request to etcd may take before it is tried anew.
const REQUEST: Duration = Duration::from_secs(2);

/// What the supervisor tells an election.
#[derive(Debug)]
pub(super) enum Control {
    /// Something for the core.
    Input(Input),
    /// Other health checks of an address, and when they are made.
    SetChecks(Cidr, Vec<Check>, Timing),
    /// How the host of the owner is monitored, or that it is not.
    Monitor(Option<MonitorTiming>),
    /// The question for a sign of life.
    Ping(Ping),
    /// The handle is dropped.
    End,
}

/// Everything that can wake the thread.
#[derive(Debug)]
pub(super) enum Event {
    Control(Control),
    /// Something for the core.
    Input(Input),
    /// The result of a health check: the number of their generation, and its own.
    Checked(u64, usize, Result<(), NotPassed>),
    /// The answer to the core's request, with what it was.
    Answered(Request, Result<LockAnswer, etcd::Error>),
    /// What the actuator tells about one of the addresses.
    Net(Cidr, Report),
    /// A timer of the core.
    Timer,
}

/// What was sent and not read yet; nothing any more when nobody will read it.
#[derive(Debug, Default)]
struct Queue {
    /// Boxed: a queue has room for four from the first on.
    unread: Mutex<Option<VecDeque<Box<Event>>>>,
    sent: Condvar,
}

impl Queue {
    fn unread(&self) -> MutexGuard<'_, Option<VecDeque<Box<Event>>>> {
        // A panic aborts the process.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end at which events are read, in the order in which they were sent.
#[derive(Debug)]
pub(super) struct Inbox(Arc<Queue>);

impl Inbox {
    /// An empty one.
    pub(super) fn new() -> Inbox {
        let queue = Queue::default();
        *queue.unread() = Some(VecDeque::new());
        Inbox(Arc::new(queue))
    }

    /// A way to it.
    pub(super) fn sender(&self) -> EventSender {
        EventSender(Arc::clone(&self.0))
    }

    /// Waits for the next event; until the deadline, if there is one.
    pub(super) fn next(&self, deadline: Option<Instant>) -> Option<Box<Event>> {
        let mut unread = self.0.unread();
        loop {
            if let Some(event) = unread.as_mut().and_then(VecDeque::pop_front) {
                return Some(event);
            }
            let sent = &self.0.sent;
            unread = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return None,
                Some(left) => {
                    sent.wait_timeout(unread, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => sent.wait(unread).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // Whoever waits for an answer to one of these hears that there will be none.
        let unread = self.0.unread().take();
        drop(unread);
    }
}

/// An end at which events are sent.
#[derive(Clone, Debug)]
pub(super) struct EventSender(Arc<Queue>);

impl EventSender {
    /// Sends an event. If nobody will read it any more, it is dropped.
    pub(super) fn send(&self, event: Event) {
        let event = Box::new(event);
        if let Some(unread) = self.0.unread().as_mut() {
            unread.push_back(event);
            self.0.sent.notify_one();
        }
    }

    /// Whether something that was sent was not read yet.
    pub(super) fn has_unread(&self) -> bool {
        self.0.unread().as_ref().is_some_and(|unread| !unread.is_empty())
    }
}

/// Asks something of etcd about the lock.
#[inline(never)]
pub(super) fn ask(params: &Params, request: Request, events: EventSender) {
    let (key, host) = (params.key.clone(), params.host.clone());
    let txn = lock::txn_of(&request, &key, &host, SystemTime::now());
    let reply = move |result: Result<etcd::Reply, etcd::Error>| {
        let answer = result.map(|reply| lock::answer_of(&request, &key, &host, &reply));
        events.send(Event::Answered(request, answer));
    };
    params.etcd.submit(txn, REQUEST, Box::new(reply));
}

/// Has neighbours asked, on the interface of this address, whether anybody is heard.
pub(super) fn ask_neighbours(params: &Params, cidr: Cidr, events: EventSender) {
    let reply = move |heard: Heard| events.send(Event::Input(Input::Neighbours(heard.hearing)));
    params.net.ask_neighbours(cidr, Box::new(reply));
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::ping::LivenessCheck;

    fn input(revision: i64) -> Event {
        Event::Input(Input::EtcdHeard(revision))
    }

    fn revision(event: Option<Box<Event>>) -> Option<i64> {
        let event = *event?;
        let Event::Input(Input::EtcdHeard(revision)) = event else { panic!("{event:?}") };
        Some(revision)
    }

    #[test]
    fn events_are_read_in_the_order_in_which_they_were_sent() {
        let inbox = Inbox::new();
        let sender = inbox.sender();
        assert!(!sender.has_unread());
        (1..=100).for_each(|number| sender.send(input(number)));
        assert!(sender.has_unread());
        for number in 1..=100 {
            assert_eq!(revision(inbox.next(None)), Some(number));
        }
        assert!(!sender.has_unread());
    }

    #[test]
    fn whoever_waits_is_woken_by_what_is_sent_or_by_the_deadline() {
        let inbox = Inbox::new();
        let sender = inbox.sender();
        let waiting = thread::spawn(move || {
            let last = Instant::now() + Duration::from_millis(20);
            (revision(inbox.next(None)), revision(inbox.next(Some(last))), last)
        });
        sender.send(input(7));
        let (first, second, last) = waiting.join().unwrap();
        assert_eq!((first, second), (Some(7), None));
        assert!(Instant::now() >= last);
    }

    #[test]
    fn what_comes_before_the_deadline_is_read_though_that_has_passed() {
        let inbox = Inbox::new();
        inbox.sender().send(input(7));
        assert_eq!(revision(inbox.next(Some(Instant::now()))), Some(7));
    }

    #[test]
    fn what_nobody_will_read_is_dropped() {
        let inbox = Inbox::new();
        let sender = inbox.sender();
        let mut check = LivenessCheck::new();
        sender.send(Event::Control(Control::Ping(check.ask("vip-10.0.0.1"))));
        assert_eq!(check.missing().len(), 1);
        drop(inbox);
        assert!(check.missing().is_empty(), "a thread that has ended is not missed");
        sender.send(Event::Control(Control::Ping(check.ask("vip-10.0.0.1"))));
        assert!(check.missing().is_empty());
        assert!(!sender.has_unread());
    }
}

//! The thread of an election, `vip-<address>`: takes events to the core and performs its actions.
//!
//! Owns: the core with its timers, and the health checks of its addresses. It blocks only on its inbox:
//! requests to etcd and orders to the actuator are sent, and their outcomes come back as events. It stops
//! when its handle is dropped, leaving address and lock as they are, or when it has left.
//!
//! There may be a thousand of these threads, and all is within a page of stack (`tests/lab/footprint.rs`): what is
//! large is in boxes, texts are written into room for them, and a step that is `inline(never)` leaves the next its room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Level, debug, log};

use super::addresses::Addresses;
use super::core::{Core, CoreConfig};
use super::driver::Driver;
use super::handle::{Member, Notice, Notices, Params, Status};
use super::inbox::{self, Control, Event, EventSender, Inbox};
use super::message::{Action, Input};
#[cfg(feature = "lab")]
use super::trace::Traced;
use super::words::Words;
use crate::checks::{Board, CheckReports};
use crate::etcd;
use crate::history::{Happening, Kind};
use crate::lock::{self, Holder, LockAnswer, Request};
use crate::net::{Desired, ManagedAddress, Report};
use crate::preference::Preference;
use crate::vip::Cidr;

/// How long an election that has left waits for the addresses to be off the interface.
const UNBIND: Duration = Duration::from_secs(1);

/// Between two attempts to start the checks.
const CHECKS_AGAIN: Duration = Duration::from_secs(5);

/// The thread's state.
pub(super) struct Actor {
    params: Params,
    #[cfg(not(feature = "lab"))]
    driver: Driver,
    #[cfg(feature = "lab")]
    driver: Traced,
    notices: Notices,
    /// What the handle, etcd, the actuator and the checks send.
    inbox: Inbox,
    /// When to try again to start the checks, if that has failed.
    checks_again: Option<Instant>,
    /// Hears of the lock, until the IP was given up.
    lock: Option<etcd::Subscription>,
    /// Counts the settings of the checks: a round of the ones before may still be under way.
    checks_generation: u64,
    addresses: Addresses,
    words: Words,
    shown: Option<Arc<Status>>,
    /// Who held the lock when it was last seen held.
    holder: Option<Holder>,
    /// The core has given the IP up; when not to wait any longer for the kernel to follow.
    left: Option<Instant>,
    /// etcd has refused the last request.
    refused: bool,
}

impl Actor {
    /// One that hears already of the lock and of the interface. Boxed: moved into the thread, it would
    /// be on its stack, twice.
    pub(super) fn subscribed(params: Params, notices: Notices) -> Box<Actor> {
        let mut actor = Box::new(Actor::new(params, notices));
        actor.subscribe();
        actor
    }

    /// The way to it.
    pub(super) fn events(&self) -> EventSender {
        self.inbox.sender()
    }

    fn new(params: Params, notices: Notices) -> Actor {
        let config = CoreConfig {
            host: params.host.clone(),
            preference: Preference::new(params.priority, &params.key.text(), &params.host),
            company: params.company,
            checked: params.members.iter().any(|member| !member.checks.is_empty()),
            loss: params.loss,
            all_failing: params.all_failing,
        };
        let driver = Driver::new(Core::new(config), Instant::now());
        #[cfg(feature = "lab")]
        let driver = Traced::new(driver, &params);
        Actor {
            driver,
            addresses: Addresses::default(),
            words: Words::new(&params),
            params,
            notices,
            inbox: Inbox::new(),
            checks_again: None,
            lock: None,
            checks_generation: 0,
            shown: None,
            holder: None,
            left: None,
            refused: false,
        }
    }

    /// Works until the IP was given up, or until the handle is gone.
    pub(super) fn run(mut self: Box<Self>) {
        self.start_checks();
        self.show();
        while !self.is_over() {
            let event = self.next_event();
            if matches!(*event, Event::Control(Control::End)) {
                break;
            }
            for action in self.decide(event) {
                self.perform(action);
            }
            self.show();
        }
        if self.left.is_some() {
            // Before it is told: whoever hears it may offer the IP again at once.
            self.lock = None;
            self.addresses.clear();
            let cleanup_pending = self.driver.core().cleanup_pending();
            (self.notices)(Notice::Left { cleanup_pending });
        }
    }

    /// Who has left says so when the kernel no longer has the addresses, or after a while if the kernel
    /// cannot be brought to that.
    fn is_over(&self) -> bool {
        let bound = self.addresses.is_any_bound();
        self.left.is_some_and(|until| !bound || Instant::now() >= until)
    }

    fn subscribe(&mut self) {
        let events = self.events();
        let sink = move |state: etcd::KeyState| {
            events.send(Event::Input(Input::Lock(lock::view_of(&state))));
        };
        self.lock = Some(self.params.etcd.subscribe(&lock::key(&self.params.key), Box::new(sink)));
        for member in std::mem::take(&mut self.params.members) {
            let (cidr, events) = (member.cidr, self.events());
            let reports = move |report: Report| events.send(Event::Net(cidr, report));
            let Member { ref interface, adopts, .. } = member;
            let managed = self.params.net.manage(cidr, interface, adopts, Box::new(reports));
            self.addresses.add(member, managed);
        }
    }

    #[inline(never)]
    fn start_checks(&mut self) {
        let are_up = self.driver.core().checks_pass();
        let checks = self.addresses.all().iter().flat_map(|address| &address.member.checks);
        self.words.begin_checks(Board::new(checks, &self.params.defaults, are_up));
        self.checks_generation += 1;
        self.checks_again = None;
        if !self.addresses.end_checks() {
            return;
        }
        let (generation, events) = (self.checks_generation, self.events());
        let reports: CheckReports = Arc::new(move |number, result| {
            events.send(Event::Checked(generation, number, result));
        });
        let started = self.addresses.start_checks(&reports);
        self.checks_again = (!started).then(|| Instant::now() + CHECKS_AGAIN);
    }

    #[inline(never)]
    fn next_event(&self) -> Box<Event> {
        let deadline = self.left.or_else(|| self.driver.deadline());
        let again = self.checks_again.or(deadline);
        let event = self.inbox.next(deadline.min(again).or(again));
        event.unwrap_or_else(|| Box::new(Event::Timer))
    }

    /// What follows from an event.
    #[inline(never)]
    fn decide(&mut self, event: Box<Event>) -> Vec<Action> {
        if matches!(*event, Event::Timer) {
            if self.checks_again.is_some_and(|at| Instant::now() >= at) {
                self.start_checks();
            }
            return self.driver.wake(Instant::now());
        }
        let input = self.input_of(event);
        input.map_or_else(Vec::new, |input| self.driver.handle(*input, Instant::now()))
    }

    /// What an event tells the core.
    #[inline(never)]
    #[allow(clippy::boxed_local, reason = "see the top: it stays off the stack")]
    fn input_of(&mut self, event: Box<Event>) -> Option<Box<Input>> {
        let input = match *event {
            Event::Timer => None,
            Event::Input(input) | Event::Control(Control::Input(input)) => Some(input),
            Event::Checked(generation, ..) if generation != self.checks_generation => None,
            Event::Checked(_, number, result) => {
                self.words.checked(number, result).map(Input::Checked)
            }
            Event::Answered(request, result) => Some(self.answer(&request, result)),
            Event::Net(cidr, report) => self.on_report(cidr, report),
            Event::Control(control) => self.on_control(control),
        };
        let input = Box::new(input?);
        self.note_holder(&input);
        Some(input)
    }

    #[inline(never)]
    fn on_control(&mut self, control: Control) -> Option<Input> {
        match control {
            Control::Input(input) => Some(input),
            Control::SetChecks(cidr, checks, timing) => {
                let (address, _) = self.addresses.of(cidr)?;
                (address.member.checks, address.member.timing) = (checks, timing);
                self.start_checks();
                Some(Input::ChecksReplaced(self.addresses.are_checked()))
            }
            // The host of the owner has all addresses or none.
            Control::Monitor(timing) => {
                self.addresses.first().into_iter().for_each(|address| address.monitor(timing));
                None
            }
            Control::Ping(ping) => {
                drop(ping);
                None
            }
            Control::End => None,
        }
    }

    /// What follows for all addresses from what is told of one.
    #[inline(never)]
    fn on_report(&mut self, cidr: Cidr, report: Report) -> Option<Input> {
        let (address, is_first) = self.addresses.of(cidr)?;
        match report {
            Report::Interface(usable) => {
                address.known.interface = Some(usable);
                self.name_obstacle();
                self.addresses.interface().map(Input::Interface)
            }
            Report::Bound(bound) => {
                address.known.bound = bound;
                self.addresses.go_on();
                self.name_obstacle();
                Some(Input::Bound(self.addresses.are_bound()))
            }
            Report::Failed(error) => {
                self.words.not_bound(error);
                None
            }
            Report::Probed(result) => Some(Input::Probed(result)),
            Report::Claimed { from, wins_tie_break } => {
                let is_news = self.words.claimed(cidr, from);
                match is_first {
                    true => Some(Input::Claimed { from, wins_tie_break }),
                    // The lock says whether that is the owner, and no stranger.
                    false => is_news.then_some(Input::Paused),
                }
            }
            // Only whoever has the host monitored is concerned.
            Report::Owner(liveness) => {
                (self.notices)(Notice::Owner(liveness));
                None
            }
            Report::AlsoMissed(mac) => {
                (self.notices)(Notice::AlsoMissed(mac));
                None
            }
            Report::Hearing(hearing) => {
                address.known.hearing = hearing;
                Some(Input::Hearing(self.addresses.hearing()))
            }
        }
    }

    fn name_obstacle(&mut self) {
        if let Some(member) = self.addresses.in_the_way() {
            self.words.is_about(member.cidr, &member.interface);
        }
    }

    /// A lock that is written again as it was has been acknowledged.
    #[inline(never)]
    fn note_holder(&mut self, input: &Input) {
        let (Input::Lock(view) | Input::Answered(LockAnswer { lock: view, .. })) = input else {
            return;
        };
        let Some(holder) = &view.holder else { return };
        match &self.holder {
            Some(last) if (&last.host, last.lease) == (&holder.host, holder.lease) => {
                // Events of a watch overtake answers.
                if holder.written <= last.written {
                    return;
                }
                (self.notices)(Notice::Acknowledged);
            }
            Some(_) | None => {}
        }
        self.holder = Some(holder.clone());
    }

    #[inline(never)]
    fn answer(&mut self, request: &Request, answer: Result<LockAnswer, etcd::Error>) -> Input {
        let needed = !self.driver.core().asks_at_leisure();
        let refused = answer.as_ref().is_err_and(|error| {
            matches!(error.kind, etcd::ErrorKind::Refused | etcd::ErrorKind::Auth) && needed
        });
        let before = std::mem::replace(&mut self.refused, refused);
        match answer {
            Ok(answer) => {
                if before {
                    (self.notices)(Notice::Served);
                }
                Input::Answered(answer)
            }
            Err(error) => {
                debug!("{}: {request:?}: {error}", self.params.key);
                if refused {
                    (self.notices)(Notice::Refused(error.to_string()));
                }
                Input::Unanswered
            }
        }
    }

    #[inline(never)]
    fn perform(&mut self, action: Action) {
        match action {
            Action::Bind => self.addresses.set(Desired::Bound),
            Action::Unbind => self.addresses.set(Desired::Unbound),
            Action::Announce => self.addresses.announce(ManagedAddress::announce),
            Action::AnnounceOwner => self.addresses.announce(ManagedAddress::announce_owner),
            Action::Probe(on) => {
                self.addresses.first().into_iter().for_each(|address| address.probe(on));
            }
            Action::AskNeighbours => {
                if let Some(first) = self.addresses.all().first() {
                    inbox::ask_neighbours(&self.params, first.member.cidr, self.events());
                }
            }
            Action::Ask(request) => inbox::ask(&self.params, request, self.events()),
            Action::Transition { from, to, event } => {
                let reason = self.words.reason(self.driver.core());
                let changed = Kind::transition(from, to, event);
                self.happened(Level::Info, changed.because(reason));
            }
            Action::HandedOver(result) => {
                let result = result.map_err(|why| why.to_string());
                (self.notices)(Notice::HandedOver(result));
            }
            Action::Left => self.left = Some(Instant::now() + UNBIND),
            // The driver has done it.
            Action::Restart(_) => {}
        }
    }

    /// Logs something about these IPs, and has it recorded of each.
    #[inline(never)]
    fn happened(&self, level: Level, happening: Happening) {
        for address in self.addresses.all() {
            let happening = happening.clone().to(address.member.cidr);
            log!(level, "{happening}");
            (self.notices)(Notice::Happened(happening));
        }
    }

    /// Tells the supervisor what has changed.
    #[inline(never)]
    fn show(&mut self) {
        let (status, news) = self.words.status(&self.driver, &self.addresses);
        news.into_iter().for_each(|happening| self.happened(Level::Warn, happening));
        if self.shown.as_ref() != Some(&status) {
            self.shown = Some(Arc::clone(&status));
            (self.notices)(Notice::Status(status));
        }
    }
}

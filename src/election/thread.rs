//! The thread of an election, `vip-<address>`: takes events to the core and performs its actions.
//!
//! Owns: the core, and the health checks of its IP. It blocks only on its inbox: requests to etcd
//! and orders to the actuator are sent, and their outcomes come back as events. Whoever sends it
//! something never waits for it. It stops on what dropping its handle sends, leaving address and lock
//! as they are, or when it has given the IP up.
//!
//! There may be a thousand of these threads, and a page of stack that was used once stays. So what is
//! large is in boxes, answers are read on etcd's thread, and the steps are `inline(never)`, so that
//! what one needs is not on the stack during the next: in a release build all is within one page.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use log::{debug, info};

use super::core::{Core, Setting};
use super::handle::{Control, Notice, Notices, Params, Status};
use super::message::{Action, Input};
use crate::checks::Checks;
use crate::etcd;
use crate::lock;
use crate::lock::{Holder, LockAnswer, Request};
use crate::net::{Desired, ManagedAddress, Report};
use crate::network::Liveness;

/// How long a request to etcd may take before it is tried anew.
const REQUEST: Duration = Duration::from_secs(2);

/// How long an election that has left waits for the address to be off the interface.
const UNBIND: Duration = Duration::from_secs(1);

/// Everything that can wake the thread.
#[derive(Debug)]
pub(super) enum Event {
    Control(Control),
    /// Something for the core, from etcd or the actuator.
    Input(Input),
    /// The result of a round of health checks, with the number of their setting.
    Checked(u64, Result<(), String>),
    /// The answer to the core's request, with what it was.
    Answered(Request, Result<LockAnswer, etcd::Error>),
    /// The kernel has the address, or not.
    Bound(bool),
    /// The host of the owner is heard on the network, or not.
    Owner(Liveness),
    /// The core's deadline.
    Timer,
}

impl Drop for Actor {
    /// Also when the thread could not be started.
    fn drop(&mut self) {
        if self.left.is_none() {
            self.unsubscribe();
        }
    }
}

/// The thread's state.
pub(super) struct Actor {
    params: Params,
    core: Core,
    /// The address at the actuator, until it was given up.
    address: Option<ManagedAddress>,
    notices: Notices,
    /// What the handle, etcd, the actuator and the checks send. Unbounded: their sending must never block, and
    /// each sends only on change. Boxed, because a channel has room for 31 messages from the first on,
    /// and there may be a thousand elections.
    event_tx: Sender<Box<Event>>,
    event_rx: Receiver<Box<Event>>,
    checks: Option<Checks>,
    /// Hears of the lock.
    watch: Option<etcd::Subscription>,
    /// Counts the settings of the checks: a round of the ones before may still be under way.
    setting: u64,
    bound: bool,
    shown: Option<Status>,
    /// Who held the lock when it was last seen held.
    holder: Option<Holder>,
    /// The core has given the IP up; when not to wait any longer for the kernel to follow.
    left: Option<Instant>,
    /// etcd has refused the last request, and that was said.
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
    pub(super) fn events(&self) -> Sender<Box<Event>> {
        self.event_tx.clone()
    }

    fn new(params: Params, notices: Notices) -> Actor {
        let (event_tx, event_rx) = unbounded();
        let setting = Setting {
            me: params.host.clone(),
            checked: !params.checks.is_empty(),
            fall: params.fall,
            loss: params.loss,
            all_failing: params.all_failing,
        };
        let core = Core::new(setting, Instant::now());
        Actor {
            params,
            core,
            address: None,
            notices,
            event_tx,
            event_rx,
            checks: None,
            watch: None,
            setting: 0,
            bound: false,
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
            self.unsubscribe();
            (self.notices)(Notice::Left { cleanup_pending: self.core.owes() });
        }
    }

    fn unsubscribe(&mut self) {
        self.watch = None;
        self.address = None;
    }

    /// Who has left says so when the kernel no longer has the address, or after a while if the kernel
    /// cannot be brought to that.
    fn is_over(&self) -> bool {
        self.left.is_some_and(|until| !self.bound || Instant::now() >= until)
    }

    fn subscribe(&mut self) {
        let event_tx = self.event_tx.clone();
        let sink = move |state: etcd::KeyState| {
            let _ = event_tx.send(Box::new(Event::Input(Input::Lock(lock::view_of(&state)))));
        };
        let key = lock::key(self.params.cidr);
        self.watch = Some(self.params.etcd.subscribe(&key, Box::new(sink)));
        let event_tx = self.event_tx.clone();
        let reports = move |report: Report| {
            let event = match report {
                Report::Interface(usable) => Event::Input(Input::Interface(usable)),
                Report::Bound(bound) => Event::Bound(bound),
                // The actuator has logged it and tries again; what counts is what is bound.
                Report::Failed(_) => return,
                Report::Probed(wire) => Event::Input(Input::Probed(wire)),
                Report::Claimed { from, wins_tie_break } => {
                    Event::Input(Input::Claimed { from, wins_tie_break })
                }
                // Only whoever has the host watched is concerned.
                Report::Owner(presence) => Event::Owner(presence),
            };
            let _ = event_tx.send(Box::new(event));
        };
        let Params { net, cidr, interface, .. } = &self.params;
        self.address = Some(net.manage(*cidr, interface, Box::new(reports)));
    }

    fn start_checks(&mut self) {
        self.checks = None;
        self.setting += 1;
        let setting = self.setting;
        if self.params.checks.is_empty() {
            return;
        }
        let event_tx = self.event_tx.clone();
        let reports = Box::new(move |result| {
            let _ = event_tx.send(Box::new(Event::Checked(setting, result)));
        });
        let Params { cidr, checks, timing, .. } = &self.params;
        match Checks::start(*cidr, checks, *timing, reports) {
            Ok(checks) => self.checks = Some(checks),
            // A service that cannot be checked is not known to work.
            Err(error) => {
                let error = Err(format!("start the health checks: {error}"));
                let _ = self.event_tx.send(Box::new(Event::Checked(setting, error)));
            }
        }
    }

    /// Waits for the next event.
    #[inline(never)]
    fn next_event(&self) -> Box<Event> {
        let event = match self.left.or_else(|| self.core.deadline()) {
            Some(deadline) => self.event_rx.recv_deadline(deadline).ok(),
            // The channel does not end: this thread has a sender itself.
            None => self.event_rx.recv().ok(),
        };
        event.unwrap_or_else(|| Box::new(Event::Timer))
    }

    /// What follows from an event.
    #[inline(never)]
    #[allow(clippy::boxed_local, reason = "see the top: it stays off the stack")]
    fn decide(&mut self, event: Box<Event>) -> Vec<Action> {
        let input = match *event {
            Event::Bound(bound) => {
                self.bound = bound;
                Input::Bound(bound)
            }
            Event::Checked(setting, _) if setting != self.setting => return Vec::new(),
            Event::Checked(_, result) => Input::Checked(result),
            Event::Answered(request, result) => self.answer(request, result),
            Event::Owner(presence) => {
                (self.notices)(Notice::Owner(presence));
                return Vec::new();
            }
            Event::Timer => Input::Timer,
            Event::Control(Control::Ping(ping)) => {
                drop(ping);
                return Vec::new();
            }
            Event::Control(Control::End) => return Vec::new(),
            Event::Input(input) | Event::Control(Control::Input(input)) => input,
            Event::Control(Control::Watch(timing)) => {
                self.order(|address| address.watch(timing));
                return Vec::new();
            }
            Event::Control(Control::SetChecks(checks, timing)) => {
                self.params.checks = checks;
                self.params.timing = timing;
                self.start_checks();
                Input::ChecksReplaced(!self.params.checks.is_empty())
            }
        };
        self.note_holder(&input);
        self.core.handle(input, Instant::now())
    }

    /// A lock that is written again as it was tells that somebody has yielded.
    fn note_holder(&mut self, input: &Input) {
        let (Input::Lock(view) | Input::Answered(Ok(LockAnswer { lock: view, .. }))) = input else {
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

    fn answer(&mut self, request: Request, answer: Result<LockAnswer, etcd::Error>) -> Input {
        let cidr = self.params.cidr;
        let refused = answer.as_ref().is_err_and(|error| error.kind == etcd::ErrorKind::Refused);
        let said = std::mem::replace(&mut self.refused, refused);
        if said && answer.is_ok() {
            (self.notices)(Notice::Served);
        }
        Input::Answered(answer.map_err(|error| {
            debug!("{cidr}: {request:?}: {error}");
            if refused {
                (self.notices)(Notice::Refused(error.to_string()));
            }
            error.to_string()
        }))
    }

    #[inline(never)]
    fn perform(&mut self, action: Action) {
        let cidr = self.params.cidr;
        match action {
            Action::Bind => self.order(|address| address.set(Desired::Bound)),
            Action::Unbind => self.order(|address| address.set(Desired::Unbound)),
            Action::Announce => self.order(ManagedAddress::announce),
            Action::Probe(on) => self.order(|address| address.probe(on)),
            Action::Ask(request) => self.ask(request),
            Action::Transition { from, to, event } => {
                info!("{cidr}: {from} -> {to} ({event}): {}", self.core.reason());
            }
            Action::HandedOver(result) => (self.notices)(Notice::HandedOver(result)),
            Action::Left => self.left = Some(Instant::now() + UNBIND),
        }
    }

    fn order(&self, order: impl FnOnce(&ManagedAddress)) {
        if let Some(address) = &self.address {
            order(address);
        }
    }

    #[inline(never)]
    fn ask(&self, request: Request) {
        let Params { cidr, ref host, .. } = self.params;
        let txn = lock::txn_of(&request, cidr, host);
        let (event_tx, host) = (self.event_tx.clone(), host.clone());
        let reply = move |result: Result<etcd::Reply, etcd::Error>| {
            let answer = result.map(|reply| lock::answer_of(&request, cidr, &host, &reply));
            let _ = event_tx.send(Box::new(Event::Answered(request, answer)));
        };
        self.params.etcd.submit(txn, REQUEST, Box::new(reply));
    }

    /// Tells the supervisor what has changed.
    #[inline(never)]
    fn show(&mut self) {
        let status = Status {
            state: self.core.state(),
            since: self.core.since(),
            reason: self.core.reason().to_owned(),
            owner: self.core.owner().map(str::to_owned),
            awaited: self.core.awaited().map(|(host, lease)| (host.to_owned(), lease)),
            bound: self.bound,
            interface_usable: true,
            trouble: Vec::new(),
        };
        if self.shown.as_ref() != Some(&status) {
            self.shown = Some(status.clone());
            (self.notices)(Notice::Status(status));
        }
    }
}

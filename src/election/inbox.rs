//! What wakes the thread of an election: orders from its handle, and events from etcd, the actuator
//! and the checks.

use crossbeam_channel::Sender;

use super::handle::Params;
use super::message::Input;
use crate::checks::{NotPassed, Timing};
use crate::etcd;
use crate::lock::{LockAnswer, Request};
use crate::net::{MonitorTiming, Report};
use crate::network::Heard;
use crate::ping::Ping;
use crate::vip::{Check, Cidr};

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

/// Has neighbours asked, on the interface of this address, whether anybody is heard.
pub(super) fn ask_neighbours(params: &Params, cidr: Cidr, event_tx: Sender<Box<Event>>) {
    let reply = move |heard: Heard| {
        let _ = event_tx.send(Box::new(Event::Input(Input::Neighbours(heard.hearing))));
    };
    params.net.ask_neighbours(cidr, Box::new(reply));
}

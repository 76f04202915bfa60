//! What the failure detector is told once, and what it wants done: plain values.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::network::Missed;
use crate::vip::Slot;

/// The pace of the detection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `PROBE_INTERVAL`.
    pub interval: Duration,
    /// `CRASH_DETECTION=fast`: the network alone is to tell.
    pub alone: bool,
    /// How long before it is doubted a host was alive, about: the middle between its last answer and
    /// the first question that it has not answered.
    pub last_sign: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin or end to monitor the owner of this IP on the network.
    Monitor(Slot, bool),
    /// Ask this host through etcd what it hears on the network of this IP; the outcome comes back
    /// through [`super::FailureDetector::call_news`].
    Call {
        /// The name of the host.
        host: String,
        /// The IP, of which it is the owner.
        ip: Slot,
        /// The number of the question.
        number: u64,
        /// For how long at most the host is to listen.
        within: Duration,
    },
    /// Remove the question to this host.
    EndCall(String),
    /// The host with this lease is dead, or as good as dead: these IPs can be taken from it.
    Dead {
        /// Its lease.
        lease: i64,
        /// The IPs of which it is the owner and this host a standby.
        ips: BTreeSet<Slot>,
        /// What is known of it, to be logged.
        text: String,
    },
    /// The host with this lease lives and has these IPs, which this host has, too.
    Lives(i64, BTreeSet<Slot>),
    /// The host with this lease is missed: see [`Missed`].
    Missed(BTreeSet<Slot>, Missed),
    /// The owner of these IPs was not heard for a while, and is now: clients may have given them up.
    HeardAgain(BTreeSet<Slot>),
    /// Something to be logged.
    Log(String),
}

/// How well the owner of an IP can be monitored through that IP; the best comes first. The answer to a
/// question for an address of IPv4 is for the asker alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// An address of IPv4, whose next owner this host would be: no other standby takes it before this one has had time
    /// to find the owner dead.
    Next,
    /// An address of IPv4.
    Ipv4,
    /// An address of IPv6.
    Ipv6,
    /// The interface of this host cannot be used.
    Down,
    /// Not at all: this host has the IP itself, because it had lost etcd. It lets go if the owner lives, which
    /// only the owner's agent can say.
    Taken,
}

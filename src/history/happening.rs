//! Something that happened: of which kind, about which IP, what, and why. The same value is the line of
//! the log and the event of the history.

use std::fmt;
use std::time::Duration;

use crate::fsm::{self, State};
use crate::vip::Cidr;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The agent itself: it starts, goes on after a reload, stood still, stops.
    Agent,
    /// An IP has another state on this host.
    Transition,
    /// An IP has another owner.
    Move,
    /// Two have what one should have: an address, a mask, a name.
    Conflict,
    /// Another host is silent, dead, or heard again.
    Host,
    /// etcd is lost.
    EtcdLost,
    /// etcd is there again.
    EtcdBack,
    /// What was asked was not done.
    Refused,
    /// A request of the API was carried out, or may have been.
    Change,
    /// Anything else that is not as it should be, or is again.
    Trouble,
}

/// An event, before it has a number and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Its kind.
    pub kind: Kind,
    /// The IP that it concerns; the host as a whole if none.
    pub ip: Option<Cidr>,
    /// What happened.
    pub what: String,
    /// Why; empty if `what` tells.
    pub why: String,
    /// How long it took.
    pub took: Option<Duration>,
    /// Who asked for it: address and user of a client of the API.
    pub by: Option<String>,
    /// The state that the IP has since, and what made it change, if that is what happened.
    pub state: Option<(State, fsm::Event)>,
}

impl Kind {
    /// That this happened.
    pub fn of(self, what: impl Into<String>) -> Happening {
        let what = what.into();
        Happening {
            kind: self,
            ip: None,
            what,
            why: String::new(),
            took: None,
            by: None,
            state: None,
        }
    }

    /// An IP has another state.
    pub fn transition(from: State, to: State, event: fsm::Event) -> Happening {
        let what = format!("{from} -> {to} ({event})");
        Happening { state: Some((to, event)), ..Kind::Transition.of(what) }
    }
}

impl Happening {
    /// To this IP.
    pub fn to(self, ip: Cidr) -> Happening {
        Happening { ip: Some(ip), ..self }
    }

    /// For this reason.
    pub fn because(self, why: impl Into<String>) -> Happening {
        Happening { why: why.into(), ..self }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Agent => "agent",
            Kind::Transition => "transition",
            Kind::Move => "move",
            Kind::Conflict => "conflict",
            Kind::Host => "host",
            Kind::EtcdLost => "etcd-lost",
            Kind::EtcdBack => "etcd-back",
            Kind::Refused => "refused",
            Kind::Change => "change",
            Kind::Trouble => "trouble",
        })
    }
}

impl fmt::Display for Happening {
    /// The line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ip) = self.ip {
            write!(f, "{ip}: ")?;
        }
        f.write_str(&self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

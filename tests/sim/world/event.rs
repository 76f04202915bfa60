//! What happens in a world, and when it does to an agent.

use link::election::message::Input;
use link::etcd::Kv;
use link::supervisor::core::{Event as SupervisorEvent, Timer};
use link::vip::Slot;

use crate::client::{Call, Failed, Said};
use crate::memory_etcd::Millis;
use crate::setup::{HostId, IpId};

/// Something that happens to one life of one agent.
#[derive(Clone, Debug)]
pub(crate) enum Process {
    Message(Message),
    SupervisorTimer(Timer, Millis),
    Wake(Slot, Millis),
    Check(Slot, u64),
    Attempt(u64),
    AttemptOver(u64, u32),
    Deadline(u64),
    Replied(u64, Box<Result<Said, Failed>>),
    Keep(u64),
    Renewed {
        sent: Millis,
        lease: i64,
        ttl: Option<u32>,
        revision: i64,
    },
    Watch(u64),
    WatchOverdue(u64),
    Read(u64, Box<Read>),
    Deliver(u64),
    SafetyRead(u64),
    Probe(Slot, u64),
    ProbeSilence(Slot, u64),
    Monitor(Slot, u64),
    MonitorSilence(Slot, u64),
    /// A host that is asked what it hears has listened.
    Listened(Box<link::call::Call>),
    /// It is known who is heard.
    Hears(Millis),
    /// Neighbours that were asked have answered, or do not.
    Neighbours(Slot),
    /// The supervisor has time again.
    Unread,
    Announce {
        ip: IpId,
        number: u64,
        refresh: bool,
    },
    AddAgain(IpId),
    Gone(Slot),
}

/// What an agent's threads tell each other.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Supervisor(Box<SupervisorEvent>),
    Election(Slot, Box<Input>),
}

/// What a watch has read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(super) known: i64,
    pub(super) cluster: u64,
    pub(super) revision: i64,
    pub(super) kvs: Vec<Kv>,
    pub(super) safety: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Process {
        host: HostId,
        life: u64,
        what: Process,
    },
    RequestArrives {
        host: HostId,
        life: u64,
        era: u64,
        number: u64,
        call: Box<Call>,
    },
    RenewalArrives {
        host: HostId,
        life: u64,
        era: u64,
        sent: Millis,
        lease: Option<i64>,
    },
    ReadArrives {
        host: HostId,
        life: u64,
        era: u64,
        generation: u64,
        known: i64,
        safety: bool,
    },
    /// etcd has a leader again.
    LeaderElected,
    Boot(HostId),
    Kill(HostId),
    GoWakes {
        life: u64,
        polls: bool,
    },
    GoIsRemoved,
    Expire,
    Snapshot,
    AskHealth,
    Fault(usize),
    Heal(usize),
}

//! A host of the world: a real core, and what surrounds it: kernel, service, lease, watch, request.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use link::election::core::{Core, CoreConfig};
use link::lock::{Candidate, Gap, LockAnswer, LockView, Request};
use link::network::{Hearing, Mac, ProbeResult};
use link::policy::{AllFailingPolicy, LossPolicy};
use link::preference::Preference;

use crate::golink::GO;

/// Hosts are numbered from 0.
pub(crate) type HostId = usize;

/// How all agents are configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies {
    pub(crate) loss: LossPolicy,
    pub(crate) all_failing: AllFailingPolicy,
}

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}, {:?}", self.loss, self.all_failing);
        f.write_str(&text.to_lowercase())
    }
}

/// What becomes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Runs,
    /// Stopped, or its machine suspended: the kernel still answers for the address.
    Frozen,
    /// Killed: the address stays.
    Killed,
    /// Without power: the address is gone.
    Off,
    /// The IP was given up, and the agent goes on without it.
    Left,
}

/// What the core was told of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Nothing,
    Held(i64),
    Lost,
}

/// The request that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Exchange {
    None,
    Sent(Request),
    Answered(LockAnswer),
    /// etcd has refused it.
    Refused,
    /// No answer will come.
    Unheard,
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Host {
    /// First, so that leases are numbered by host.
    pub(crate) lease: Option<i64>,
    pub(crate) told: Told,
    pub(crate) life: Life,
    pub(crate) core: Core,
    /// It was told to give the IP up.
    pub(crate) leaves: bool,
    /// Whether the kernel has the address, and takes it when it is told to.
    pub(crate) bound: bool,
    pub(crate) takes_address: bool,
    pub(crate) carrier: bool,
    /// It hears nobody on the network of the IP and is heard by nobody, and what the core was told of that.
    pub(crate) deaf: bool,
    pub(crate) hearing: Hearing,
    /// It asks neighbours whether anybody is there.
    pub(crate) asks: bool,
    /// Whether the service is well, and what the core was told of that.
    pub(crate) service: bool,
    pub(crate) checked: Option<bool>,
    /// Nothing gets through between it and etcd.
    pub(crate) cut: bool,
    pub(crate) exchange: Exchange,
    /// A request that was given up, and may be carried out all the same.
    pub(crate) late: Option<Request>,
    pub(crate) watches: bool,
    /// What lies between what the watch has told and what it is going to tell when it is opened.
    pub(crate) gap: Gap,
    /// It did not tell of a change.
    pub(crate) missed: bool,
    /// What the watch has to tell.
    pub(crate) views: VecDeque<LockView>,
    /// It is going to announce the address once more.
    pub(crate) repeats: bool,
    /// The hosts whose announcement is on its way to this one, as bits.
    pub(crate) claims: u8,
    /// What the network has said, while it is asked.
    pub(crate) probing: Option<Option<ProbeResult>>,
    pub(crate) grants: Grants,
    pub(crate) known: Known,
}

/// The candidates that the core was told of, as long as it knows them for certain. That follows from what it was
/// told, and tells no world from another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(pub(crate) Vec<Candidate>);

impl Known {
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// How many leases a host was granted, so that each has an id of its own. Leases are only told from each other:
/// that tells no world from another either.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants(pub(crate) u8);

impl Hash for Grants {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Host {
    pub(crate) fn new(id: HostId, policies: Policies) -> Host {
        Host {
            lease: None,
            told: Told::Nothing,
            life: Life::Runs,
            core: core(id, policies),
            leaves: false,
            bound: false,
            takes_address: true,
            carrier: true,
            deaf: false,
            hearing: Hearing::Others,
            asks: false,
            service: true,
            checked: None,
            cut: false,
            exchange: Exchange::None,
            late: None,
            watches: false,
            gap: Gap::None,
            missed: false,
            views: VecDeque::new(),
            repeats: false,
            claims: 0,
            probing: None,
            grants: Grants(0),
            known: Known::default(),
        }
    }

    /// The program is gone; what it has asked may still arrive.
    pub(crate) fn die(&mut self, life: Life) {
        self.life = life;
        let exchange = std::mem::replace(&mut self.exchange, Exchange::None);
        if let Exchange::Sent(request) = exchange {
            self.send_late(request);
        }
        self.told = Told::Nothing;
        self.checked = None;
        self.stop_watching();
        self.gap = Gap::None;
        self.claims = 0;
        self.repeats = false;
        self.probing = None;
        self.asks = false;
        if life == Life::Off {
            self.bound = false;
        }
    }

    /// A request will not be answered, and may be carried out at any time. If it only reads, nobody will know.
    pub(crate) fn send_late(&mut self, request: Request) {
        if !matches!(request, Request::ReadLock { .. } | Request::ReadCandidates { .. }) {
            self.late = Some(request);
        }
    }

    pub(crate) fn stop_watching(&mut self) {
        self.watches = false;
        // That etcd is not the one that it was is told with the next.
        if self.views.iter().any(|view| view.gap == Gap::Restored) {
            self.gap = Gap::Restored;
        }
        self.views.clear();
    }

    pub(crate) fn runs(&self) -> bool {
        self.life == Life::Runs
    }

    pub(crate) fn truly_hears(&self) -> Hearing {
        if self.deaf { Hearing::Nobody } else { Hearing::Others }
    }

    /// It could serve the IP.
    pub(crate) fn is_able(&self) -> bool {
        self.runs() && !self.leaves && self.service && self.carrier && self.takes_address
    }
}

pub(crate) fn core(id: HostId, policies: Policies) -> Core {
    let Policies { loss, all_failing } = policies;
    let (host, preference) = (name(id), Preference::new(100, "10.0.0.1_32", &name(id)));
    let company = true;
    let config = CoreConfig { host, preference, company, checked: true, loss, all_failing };
    Core::new(config)
}

pub(crate) fn name(id: HostId) -> String {
    if id == GO { "go".to_owned() } else { format!("h{id}") }
}

pub(crate) fn mac(id: HostId) -> Mac {
    [2, 0, 0, 0, 0, u8::try_from(id).expect("a few hosts")]
}

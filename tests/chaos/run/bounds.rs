//! How long what may take: derived from what the agents are started with (see
//! [`super::stage::ENVIRONMENT`]), from what etcd and the kernel do, and from what LinK promises.

use std::time::Duration;

use link::policy::LossPolicy;

use super::plan::{Around, Kind, OnAgent, OnEtcd, OnHost, OnLock, OnService};
use super::stage::CHECKED;

/// The TTL of the lease: 5 × `KEEPALIVE_INTERVAL`, in whole seconds.
const LEASE: Duration = Duration::from_secs(3);

/// etcd looks for leases that have ended every half second (etcd: lease/lessor.go).
const EXPIRY: Duration = Duration::from_millis(500);

/// etcd's followers wait for one to two election timeouts of 1 s each before they elect another
/// leader, and once more if the votes are split.
const ELECTION: Duration = Duration::from_secs(3);

/// An agent hears of something and acts: milliseconds, and as many again for each process on a
/// machine with fewer processors than agents.
const REACTION: Duration = Duration::from_millis(250);

/// A lock that ends without its owner's doing: the former owner lets go when etcd tells it of the
/// new one, which is told at the same time; what can be seen of that is who of the two was slower.
/// A client is promised not to notice any move but after a crash (a gap below 100 ms).
const HANDOVER: Duration = Duration::from_millis(100);

/// A move on purpose: the former owner lets go when it has heard the new one announce the address,
/// and takes the lock back from one that it has not heard by then.
const HEARD: Duration = Duration::from_millis(500);

/// What is promised for an address that somebody removes, and for two owners when etcd is back.
const PROMISE: Duration = Duration::from_secs(1);

/// From the start of a process until it has read from etcd what it is to do.
const START: Duration = Duration::from_millis(1_500);

/// How long an interface may be without carrier, or gone, before its host gives the IP up.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// A client that has lost a neighbour asks for it once a second (`retrans_time_ms`, arp(7)).
const NEIGHBOUR: Duration = Duration::from_millis(1_250);

/// A host that asks the network who has an address has heard nobody.
const ASKED: Duration = Duration::from_millis(1_750);

/// A host that hears nobody, and answers so in etcd, has lost the IP to one that hears somebody.
const ISOLATED: Duration = Duration::from_millis(800);

/// After the crash of an owner.
const CRASH: Duration = LEASE.saturating_add(EXPIRY).saturating_add(REACTION);

/// When all is well at the latest after the last fault was healed: a read that makes up for a
/// watch that died in silence comes every 10 s, a request to etcd takes 2 s at most.
pub(crate) const WELL: Duration = Duration::from_secs(15);

/// A fault as far as it matters to one IP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    /// How long it really lasted.
    pub(crate) lasted: Duration,
    /// It hit the owner of the IP.
    pub(crate) on_owner: bool,
    /// It was about this very IP.
    pub(crate) about: bool,
    /// What is done without etcd (`ETCD_LOSS_POLICY`).
    pub(crate) loss: LossPolicy,
    /// How long it may take until every agent has a token of etcd's; nothing if none is needed.
    pub(crate) token: Duration,
}

/// What may become of an IP in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// How long nobody may bind it.
    pub(crate) nobody: Duration,
    /// How long the client may get no answer.
    pub(crate) silence: Duration,
    /// How long two hosts may bind it before everything is healed; if none, as long as that takes.
    pub(crate) rivals: Option<Duration>,
    /// How long two hosts may bind it after everything is healed.
    pub(crate) peace: Duration,
    /// Whether another host may own it in the end.
    pub(crate) moves: bool,
    /// How much later what has to happen after another fault may come.
    delay: Duration,
}

/// Nothing happens to the IP.
const NOTHING: Bound = Bound {
    nobody: Duration::ZERO,
    silence: HANDOVER,
    rivals: Some(HANDOVER),
    peace: HANDOVER,
    moves: false,
    delay: Duration::ZERO,
};

impl Bound {
    /// What may become of an IP under all the faults of a round.
    pub(crate) fn of(vip: usize, effects: &[Effect]) -> Bound {
        let several = effects.len() > 1;
        let bounds: Vec<Bound> = effects
            .iter()
            // The owner changes in a round with several faults: any of them may hit it.
            .map(|effect| Effect { on_owner: effect.on_owner || several, ..*effect })
            .map(|effect| effect.bound(vip))
            .collect();
        let delay: Duration = bounds.iter().map(|bound| bound.delay).sum();
        let late = bounds.into_iter().map(|bound| bound.delayed(delay - bound.delay));
        let all = late.reduce(Bound::and).unwrap_or(NOTHING);
        let gone = stopped_without_etcd(effects);
        let all = Bound { nobody: all.nobody + gone, silence: all.silence + gone, ..all };
        // Whoever is out of action may have lost the IP to the other fault, and not know it.
        Bound { rivals: all.rivals.filter(|_| !several), ..all }
    }

    /// With what the other faults of the round add to a time without anybody, or without anybody of
    /// whom the client has heard.
    fn delayed(self, by: Duration) -> Bound {
        let nobody = if self.nobody.is_zero() { Duration::ZERO } else { self.nobody + by };
        let silence = if self.silence == HANDOVER { HANDOVER } else { self.silence + by };
        Bound { nobody, silence, ..self }
    }

    /// Who comes to etcd, or comes back to it, needs a token before anything else.
    fn with_token(self, token: Duration) -> Bound {
        let after = |time: Duration, none: Duration| if time > none { time + token } else { time };
        let (delay, peace) = (after(self.delay, Duration::ZERO), after(self.peace, HANDOVER));
        Bound { delay, peace, ..self }
    }

    fn and(self, other: Bound) -> Bound {
        Bound {
            nobody: self.nobody + other.nobody,
            silence: self.silence + other.silence,
            rivals: self.rivals.zip(other.rivals).map(|(one, another)| one + another),
            peace: self.peace.max(other.peace),
            moves: self.moves || other.moves,
            delay: self.delay + other.delay,
        }
    }

    /// Somebody takes it over, after that time without anybody.
    fn taken_over_after(nobody: Duration) -> Bound {
        Bound { nobody, silence: nobody + HANDOVER, moves: true, ..NOTHING }
    }

    /// The owner gives it to another host: both have it until that one is heard.
    fn given_away() -> Bound {
        Bound { rivals: Some(HEARD + REACTION), moves: true, ..NOTHING }
    }

    /// A host that cannot reach etcd takes it, or does not hear that it has lost it, until it is
    /// healed. The owner that remains announces it again when etcd tells it of that, or whoever takes
    /// over from an owner that etcd can tell nothing.
    fn contested() -> Bound {
        Bound { rivals: None, silence: REACTION, peace: PROMISE, ..NOTHING }
    }
}

/// How long nobody has the IP of an owner that is told to stop while etcd is lost: it cannot give the IP
/// to anybody, and others do not take what it answers for.
fn stopped_without_etcd(effects: &[Effect]) -> Duration {
    let stopped = effects.iter().any(|it| it.kind == Kind::Agent(OnAgent::Terminate));
    let without = effects.iter().filter(|it| matches!(it.kind, Kind::Etcd(_)));
    let longest = without.max_by_key(|it| it.lasted).filter(|_| stopped);
    longest.map_or(Duration::ZERO, |it| match it.loss {
        LossPolicy::Take => Duration::ZERO,
        LossPolicy::Probe => ASKED,
        LossPolicy::Hold => it.lasted + REACTION,
    })
}

impl Effect {
    fn bound(self, vip: usize) -> Bound {
        let bound = self.bound_with_etcd(vip);
        let parted = match self.kind {
            Kind::Host(OnHost::Cut | OnHost::CutIn | OnHost::CutOut | OnHost::CutOff) => true,
            Kind::Etcd(_) => true,
            Kind::Host(_) | Kind::Agent(_) | Kind::Lock(_) | Kind::Service(_) => false,
            Kind::Around(_) | Kind::Calls => false,
        };
        // Who cannot reach etcd waits for it.
        let wait =
            if parted && self.loss == LossPolicy::Hold { self.lasted } else { Duration::ZERO };
        Bound { delay: bound.delay + wait, ..bound }.with_token(self.token)
    }

    fn bound_with_etcd(self, vip: usize) -> Bound {
        match self.kind {
            Kind::Agent(kind) => self.on_agent(kind),
            Kind::Host(OnHost::RemoveAddress) | Kind::Lock(OnLock::Delete | OnLock::Failover)
                if !self.about =>
            {
                NOTHING
            }
            Kind::Host(kind) if self.on_owner => self.on_owners_host(kind),
            Kind::Host(kind) => self.on_another_host(kind),
            Kind::Etcd(kind) => self.on_etcd(kind),
            Kind::Lock(OnLock::Failover) if self.on_owner => Bound::given_away(),
            // Whoever is first gets the lock.
            Kind::Lock(_) if self.on_owner => {
                Bound { rivals: Some(REACTION), ..Bound::taken_over_after(HANDOVER) }
            }
            Kind::Service(kind) if vip == CHECKED => self.on_service(kind),
            Kind::Around(kind) => Effect::around(kind),
            Kind::Lock(_) | Kind::Service(_) | Kind::Calls => NOTHING,
        }
    }

    /// No IP depends on any of that.
    fn around(kind: Around) -> Bound {
        match kind {
            Around::PortTaken => Bound { delay: START, peace: START, ..NOTHING },
            Around::PortTakenReload => Bound { delay: 2 * START, peace: 2 * START, ..NOTHING },
            Around::LogUnread
            | Around::NamesSilent
            | Around::EndpointRefuses
            | Around::EndpointNonsense => NOTHING,
        }
    }

    fn on_agent(self, kind: OnAgent) -> Bound {
        // While an agent does nothing, it does not do what another fault makes necessary either:
        // not even yield a lock that it has won just before.
        let nothing = Bound { delay: self.lasted.min(CRASH) + START, ..NOTHING };
        let moves = self.on_owner;
        // A machine that is busy may undo it too late for the lease.
        let in_time = self.lasted + START < LEASE;
        match kind {
            OnAgent::KillBriefly if !in_time => self.on_agent(OnAgent::Kill),
            OnAgent::FreezeBriefly if !in_time => self.on_agent(OnAgent::Freeze),
            OnAgent::KillBriefly | OnAgent::Reload => Bound { peace: START, ..nothing },
            OnAgent::FreezeBriefly => Bound { peace: PROMISE, ..nothing },
            OnAgent::Terminate if self.on_owner => {
                Bound { delay: nothing.delay, ..Bound::given_away() }
            }
            OnAgent::Terminate => nothing,
            // The kernel goes on answering, whoever has the lock.
            OnAgent::Kill => Bound { rivals: None, peace: START, moves, ..nothing },
            OnAgent::Freeze => Bound { rivals: None, peace: PROMISE, moves, ..nothing },
        }
    }

    fn on_owners_host(self, kind: OnHost) -> Bound {
        match kind {
            OnHost::PowerOff => Bound { delay: CRASH, ..Bound::taken_over_after(CRASH) },
            OnHost::Cut | OnHost::CutIn | OnHost::CutOut => {
                Bound { moves: true, delay: CRASH, ..Bound::contested() }
            }
            // It hears from etcd that it is an owner no more.
            OnHost::Isolate => {
                let silence = self.lasted.min(ISOLATED) + NEIGHBOUR;
                Bound { silence, moves: true, ..NOTHING }
            }
            OnHost::CutOff => Bound {
                silence: self.lasted.min(CRASH) + NEIGHBOUR,
                moves: true,
                delay: CRASH,
                ..Bound::contested()
            },
            // The address stays until it is given up, but nobody hears of it; and whether the new
            // owner is there cannot be heard either.
            OnHost::Unplug => Bound {
                silence: DEBOUNCE + REACTION + HANDOVER,
                delay: self.lasted,
                ..Bound::taken_over_after(HANDOVER)
            },
            // Its kernel has the address all the time, and nobody hears of it.
            OnHost::Suspend => Bound {
                rivals: None,
                silence: CRASH + HANDOVER,
                peace: PROMISE,
                moves: true,
                delay: CRASH,
                ..NOTHING
            },
            OnHost::Blip => Bound { silence: self.lasted + NEIGHBOUR, ..NOTHING },
            OnHost::LinkDown | OnHost::RemoveCard => {
                Bound { delay: self.lasted, ..Bound::taken_over_after(DEBOUNCE + REACTION) }
            }
            OnHost::RemoveAddress => Bound { nobody: PROMISE, silence: PROMISE, ..NOTHING },
        }
    }

    fn on_another_host(self, kind: OnHost) -> Bound {
        match kind {
            OnHost::Cut | OnHost::CutIn | OnHost::CutOut | OnHost::CutOff => {
                Bound { delay: CRASH, ..Bound::contested() }
            }
            OnHost::PowerOff => Bound { delay: CRASH, ..NOTHING },
            OnHost::Suspend => Bound { delay: self.lasted.min(CRASH) + START, ..NOTHING },
            OnHost::Unplug | OnHost::LinkDown | OnHost::RemoveCard => {
                Bound { delay: self.lasted, ..NOTHING }
            }
            OnHost::Isolate | OnHost::Blip | OnHost::RemoveAddress => NOTHING,
        }
    }

    fn on_etcd(self, kind: OnEtcd) -> Bound {
        // With its leader, etcd forgets how old the leases are.
        let delay = ELECTION + LEASE;
        match kind {
            OnEtcd::Compact => NOTHING,
            OnEtcd::MoveLeader | OnEtcd::KillMember => Bound { delay, ..NOTHING },
            // A leader that wakes up ends leases that its successor has renewed, before it knows of
            // that one (etcd #15247): the owners' too.
            OnEtcd::FreezeMember => {
                Bound { delay, rivals: Some(REACTION), ..Bound::taken_over_after(HANDOVER) }
            }
            // The locks are on disk, and every owner renews its lease before it can end.
            OnEtcd::KillAll | OnEtcd::Restart => Bound { delay, ..Bound::contested() },
            // The locks are gone, or those of another time.
            OnEtcd::Wipe | OnEtcd::Restore => {
                Bound { delay, nobody: HANDOVER, moves: true, ..Bound::contested() }
            }
            // etcd's clock goes on while it is frozen: when it wakes up, all leases have ended.
            OnEtcd::FreezeAll => Bound { delay, moves: true, ..Bound::contested() },
        }
    }

    fn on_service(self, kind: OnService) -> Bound {
        match kind {
            OnService::Down if self.on_owner => Bound { delay: self.lasted, ..Bound::given_away() },
            OnService::Down => Bound { delay: self.lasted, ..NOTHING },
            // The owner keeps it, until a host has recovered, which takes it over.
            OnService::AllDown => {
                Bound { delay: self.lasted, peace: HEARD + REACTION, ..Bound::given_away() }
            }
        }
    }
}

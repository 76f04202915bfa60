//! What goes wrong, to whom and when: drawn from a seed, so that a seed tells the same story again,
//! as far as real processes do.

use std::fmt;
use std::time::Duration;

use super::random::Random;
use super::stage::VIPS;

/// Something that goes wrong, or that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Agent(OnAgent),
    Host(OnHost),
    Etcd(OnEtcd),
    Lock(OnLock),
    Service(OnService),
    Around(Around),
    /// IPs are registered, changed and deleted at random on all hosts.
    Calls,
}

/// What is done to the process of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnAgent {
    /// Killed, and started again well within its lease.
    KillBriefly,
    /// Killed, and started again when its lease is gone.
    Kill,
    /// SIGHUP: it executes its program again.
    Reload,
    /// SIGTERM; started again later.
    Terminate,
    /// SIGSTOP, and SIGCONT well within its lease.
    FreezeBriefly,
    /// SIGSTOP, and SIGCONT when its lease is gone.
    Freeze,
}

/// What is done to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnHost {
    /// It loses power, and boots again.
    PowerOff,
    /// Nothing gets through between it and etcd.
    Cut,
    /// It hears nothing of etcd; etcd hears it.
    CutIn,
    /// etcd hears nothing of it; it hears etcd.
    CutOut,
    /// It is off the LAN silently: its carrier stays.
    Isolate,
    /// It is off both networks silently.
    CutOff,
    /// Its card loses its carrier.
    Unplug,
    /// Its card loses its carrier for a moment.
    Blip,
    /// It is suspended: its agent stands still, and its card has no carrier meanwhile.
    Suspend,
    /// Its card is taken down.
    LinkDown,
    /// Its card is taken out, and another one put in.
    RemoveCard,
    /// Somebody removes an IP from it.
    RemoveAddress,
}

/// What is done to etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnEtcd {
    /// A member is killed, and started again.
    KillMember,
    /// A member is stopped without ending, and goes on.
    FreezeMember,
    /// All members are killed, and started again.
    KillAll,
    /// All members are stopped without ending, and go on.
    FreezeAll,
    /// All members are stopped in order, and started again.
    Restart,
    /// All members are stopped, and start again with nothing.
    Wipe,
    /// All members are stopped, and start again with what was saved when not all was registered.
    Restore,
    /// The leader hands over to another member.
    MoveLeader,
    /// It forgets its past.
    Compact,
}

/// What is done to the lock of an IP, or to the lease of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnLock {
    /// It is deleted by hand.
    Delete,
    /// The lease is revoked by hand, with all locks that are attached to it.
    Revoke,
    /// An operator hands the IP over.
    Failover,
}

/// What is done to the service behind one of the IPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnService {
    /// It does not answer on one host.
    Down,
    /// It answers nowhere.
    AllDown,
}

/// What is done around the agents, on which none of their IPs depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// Nobody reads what an agent logs.
    LogUnread,
    /// An agent is killed and started again, and another program has the port of its API meanwhile.
    PortTaken,
    /// The same, and the agent executes its program again.
    PortTakenReload,
    /// The name server is silent that knows the name of a member of etcd.
    NamesSilent,
    /// An endpoint in the list of etcd's members refuses everything; before, nobody listened there.
    EndpointRefuses,
    /// The same, but it talks nonsense.
    EndpointNonsense,
}

/// Whom it hits; which host that is, is known when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The owner of the IP; of etcd, the leader.
    Owner,
    /// The host, or the member, with this number, from 0.
    Number(usize),
}

/// A fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) aim: Aim,
    /// The IP that it is about, by its number.
    pub(crate) vip: usize,
    /// From the beginning of the round.
    pub(crate) at: Duration,
    /// Until it is healed; nothing for what is over as soon as it is done.
    pub(crate) lasts: Duration,
}

/// The faults of one round, in order: one or two, of these kinds.
pub(crate) fn round(random: &mut Random, hosts: usize, kinds: &[Kind]) -> Vec<Fault> {
    let first = fault(random, hosts, kinds, Duration::ZERO);
    let mut faults = vec![first];
    while !random.one_in(3) {
        let at = Duration::from_millis(random.between(0, 3_000));
        let second = fault(random, hosts, kinds, at);
        if !first.kind.excludes(second.kind) {
            faults.push(second);
            break;
        }
    }
    faults
}

fn fault(random: &mut Random, hosts: usize, kinds: &[Kind], at: Duration) -> Fault {
    let kind = kinds[random.index(kinds.len())];
    let vip = random.index(VIPS.len());
    let aim = if random.one_in(3) { Aim::Number(random.index(hosts)) } else { Aim::Owner };
    let (shortest, longest) = kind.lasts();
    Fault { kind, aim, vip, at, lasts: Duration::from_millis(random.between(shortest, longest)) }
}

impl Kind {
    /// True when nothing else can be done to its host until it is healed.
    pub(crate) fn is_alone(self) -> bool {
        !matches!(self, Kind::Around(_))
    }

    /// True when the agent is another process afterwards, or executes its program again.
    pub(crate) fn ends_an_agent(self) -> bool {
        match self {
            Kind::Agent(kind) => !matches!(kind, OnAgent::FreezeBriefly | OnAgent::Freeze),
            Kind::Host(kind) => kind == OnHost::PowerOff,
            Kind::Around(kind) => matches!(kind, Around::PortTaken | Around::PortTakenReload),
            Kind::Etcd(_) | Kind::Lock(_) | Kind::Service(_) | Kind::Calls => false,
        }
    }

    /// All of them.
    pub(crate) const ALL: [Kind; 39] = [
        Kind::Agent(OnAgent::KillBriefly),
        Kind::Agent(OnAgent::Kill),
        Kind::Agent(OnAgent::Reload),
        Kind::Agent(OnAgent::Terminate),
        Kind::Agent(OnAgent::FreezeBriefly),
        Kind::Agent(OnAgent::Freeze),
        Kind::Host(OnHost::PowerOff),
        Kind::Host(OnHost::Cut),
        Kind::Host(OnHost::CutIn),
        Kind::Host(OnHost::CutOut),
        Kind::Host(OnHost::Isolate),
        Kind::Host(OnHost::CutOff),
        Kind::Host(OnHost::Unplug),
        Kind::Host(OnHost::Blip),
        Kind::Host(OnHost::Suspend),
        Kind::Host(OnHost::LinkDown),
        Kind::Host(OnHost::RemoveCard),
        Kind::Host(OnHost::RemoveAddress),
        Kind::Etcd(OnEtcd::KillMember),
        Kind::Etcd(OnEtcd::FreezeMember),
        Kind::Etcd(OnEtcd::KillAll),
        Kind::Etcd(OnEtcd::FreezeAll),
        Kind::Etcd(OnEtcd::Restart),
        Kind::Etcd(OnEtcd::Wipe),
        Kind::Etcd(OnEtcd::Restore),
        Kind::Etcd(OnEtcd::MoveLeader),
        Kind::Etcd(OnEtcd::Compact),
        Kind::Lock(OnLock::Delete),
        Kind::Lock(OnLock::Revoke),
        Kind::Lock(OnLock::Failover),
        Kind::Service(OnService::Down),
        Kind::Service(OnService::AllDown),
        Kind::Around(Around::LogUnread),
        Kind::Around(Around::PortTaken),
        Kind::Around(Around::PortTakenReload),
        Kind::Around(Around::NamesSilent),
        Kind::Around(Around::EndpointRefuses),
        Kind::Around(Around::EndpointNonsense),
        Kind::Calls,
    ];

    /// True when the two would get into each other's way: two faults of etcd's members may cost it
    /// its quorum, which is another fault; the switch has one table of what it drops, and the hosts
    /// one service each; there is one endpoint that is none. Two faults of one host are told apart when
    /// they happen.
    fn excludes(self, other: Kind) -> bool {
        let cuts_wire = |kind| matches!(kind, Kind::Host(OnHost::Isolate | OnHost::CutOff));
        let answers =
            |kind| matches!(kind, Kind::Around(Around::EndpointRefuses | Around::EndpointNonsense));
        match (self, other) {
            (Kind::Etcd(_), Kind::Etcd(_))
            | (Kind::Service(_), Kind::Service(_))
            | (Kind::Calls, Kind::Calls) => true,
            (Kind::Around(one), Kind::Around(another)) if one == another => true,
            _ => (cuts_wire(self) && cuts_wire(other)) || (answers(self) && answers(other)),
        }
    }

    /// The shortest and the longest time until it is healed, in milliseconds. Where the agents'
    /// patience matters (see [`super::bounds`]), the times stay clear of it on one side.
    fn lasts(self) -> (u64, u64) {
        match self {
            Kind::Agent(OnAgent::KillBriefly | OnAgent::FreezeBriefly) => (50, 1_200),
            Kind::Agent(OnAgent::Kill | OnAgent::Freeze) => (4_000, 8_000),
            Kind::Agent(OnAgent::Terminate) | Kind::Service(_) => (500, 6_000),
            Kind::Calls | Kind::Around(_) => (2_000, 9_000),
            Kind::Agent(OnAgent::Reload) | Kind::Lock(_) => (0, 0),
            Kind::Host(kind) => kind.lasts(),
            Kind::Etcd(OnEtcd::MoveLeader | OnEtcd::Compact) => (0, 0),
            Kind::Etcd(_) => (300, 9_000),
        }
    }
}

impl Around {
    /// Whether it is done to one host.
    pub(crate) fn is_on_a_host(self) -> bool {
        match self {
            Around::LogUnread | Around::PortTaken | Around::PortTakenReload => true,
            Around::NamesSilent | Around::EndpointRefuses | Around::EndpointNonsense => false,
        }
    }
}

impl OnHost {
    fn lasts(self) -> (u64, u64) {
        match self {
            OnHost::PowerOff
            | OnHost::Cut
            | OnHost::CutIn
            | OnHost::CutOut
            | OnHost::Isolate
            | OnHost::CutOff => (300, 9_000),
            OnHost::Unplug | OnHost::LinkDown | OnHost::RemoveCard => (1_000, 6_000),
            OnHost::Suspend => (4_000, 8_000),
            OnHost::Blip => (20, 200),
            OnHost::RemoveAddress => (0, 0),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Agent(OnAgent::KillBriefly) => "SIGKILL, restart within the lease",
            Kind::Agent(OnAgent::Kill) => "SIGKILL, restart after the lease",
            Kind::Agent(OnAgent::Reload) => "SIGHUP",
            Kind::Agent(OnAgent::Terminate) => "SIGTERM, restart",
            Kind::Agent(OnAgent::FreezeBriefly) => "SIGSTOP within the lease",
            Kind::Agent(OnAgent::Freeze) => "SIGSTOP longer than the lease",
            Kind::Host(OnHost::PowerOff) => "power off and on",
            Kind::Host(OnHost::Cut) => "host cut from etcd",
            Kind::Host(OnHost::CutIn) => "host deaf to etcd",
            Kind::Host(OnHost::CutOut) => "host mute to etcd",
            Kind::Host(OnHost::Isolate) => "host off the LAN, silently",
            Kind::Host(OnHost::CutOff) => "host off LAN and etcd",
            Kind::Host(OnHost::Unplug) => "carrier lost",
            Kind::Host(OnHost::Blip) => "carrier lost for a moment",
            Kind::Host(OnHost::Suspend) => "suspended, without carrier",
            Kind::Host(OnHost::LinkDown) => "interface down",
            Kind::Host(OnHost::RemoveCard) => "interface deleted and made anew",
            Kind::Host(OnHost::RemoveAddress) => "ip addr del",
            Kind::Etcd(OnEtcd::KillMember) => "etcd member killed",
            Kind::Etcd(OnEtcd::FreezeMember) => "etcd member frozen",
            Kind::Etcd(OnEtcd::KillAll) => "etcd killed",
            Kind::Etcd(OnEtcd::FreezeAll) => "etcd frozen",
            Kind::Etcd(OnEtcd::Restart) => "etcd restarted",
            Kind::Etcd(OnEtcd::Wipe) => "etcd wiped",
            Kind::Etcd(OnEtcd::Restore) => "etcd restored from a snapshot",
            Kind::Etcd(OnEtcd::MoveLeader) => "etcd leader moved",
            Kind::Etcd(OnEtcd::Compact) => "etcd compacted",
            Kind::Lock(OnLock::Delete) => "lock deleted by hand",
            Kind::Lock(OnLock::Revoke) => "lease revoked by hand",
            Kind::Lock(OnLock::Failover) => "failover by the API",
            Kind::Service(OnService::Down) => "service down on a host",
            Kind::Service(OnService::AllDown) => "service down on all hosts",
            Kind::Around(Around::LogUnread) => "log not read",
            Kind::Around(Around::PortTaken) => "port taken, restart",
            Kind::Around(Around::PortTakenReload) => "port taken, restart and SIGHUP",
            Kind::Around(Around::NamesSilent) => "name server silent",
            Kind::Around(Around::EndpointRefuses) => "endpoint that refuses all",
            Kind::Around(Around::EndpointNonsense) => "endpoint that talks nonsense",
            Kind::Calls => "API calls at random",
        })
    }
}

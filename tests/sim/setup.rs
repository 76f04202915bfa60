//! What a world consists of: hosts, IPs, and how each is configured.

use link::command::NewVip;
use link::policy::{AllFailingPolicy, CrashDetection, LossPolicy};
use link::vip::{Check, Cidr, GroupName};

use crate::random::Random;

/// Hosts are numbered from 0.
pub(crate) type HostId = usize;

/// IPs are numbered from 0.
pub(crate) type IpId = usize;

pub(crate) const HOSTS: usize = 3;

/// A further machine, which is there only while it goes by the name of another.
pub(crate) const TWIN: HostId = HOSTS;

/// The machine of a Go LinK, which is there for a while.
pub(crate) const GO: HostId = TWIN + 1;

/// The router of the network of the IPs, which is no host, and in some worlds not there.
pub(crate) const GATEWAY: HostId = GO + 1;

pub(crate) const IPS: usize = 3;

/// How an agent is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policies {
    pub(crate) loss: LossPolicy,
    pub(crate) all_failing: AllFailingPolicy,
    pub(crate) crash: CrashDetection,
    pub(crate) priority: u8,
}

/// What is registered of an IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) checked: bool,
    pub(crate) loss: Option<LossPolicy>,
    pub(crate) priority: Option<u8>,
}

/// The address of an IP; the last is one of IPv6.
pub(crate) fn cidr(ip: IpId) -> Cidr {
    let text =
        if ip + 1 == IPS { format!("fd00::{}", ip + 1) } else { format!("10.0.0.{}", ip + 1) };
    text.parse().expect("an address")
}

/// The group of IPs, in the worlds that have one.
pub(crate) fn gw() -> GroupName {
    "gw".parse().expect("a name")
}

/// The IP with an address.
pub(crate) fn ip_of(cidr: Cidr) -> Option<IpId> {
    (0..IPS).find(|ip| self::cidr(*ip) == cidr)
}

/// The name of a host. The last host of a world with a Go LinK runs it.
pub(crate) fn name(host: HostId) -> String {
    format!("h{}", host + 1)
}

/// The hardware address of a host: a host with a lower number has a lower one.
pub(crate) fn mac(host: HostId) -> [u8; 6] {
    [2, 0, 0, 0, 0, u8::try_from(host + 1).expect("few hosts")]
}

/// Hosts, and perhaps the gateway, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) u8);

impl Group {
    pub(crate) fn has(self, host: HostId) -> bool {
        self.0 & 1 << host != 0
    }

    /// Some of the hosts and perhaps the gateway, but neither nobody nor all.
    pub(crate) fn random(random: &mut Random) -> Group {
        let hosts = (1 << HOSTS) - 1;
        let bits = u8::try_from(random.between(1, hosts - 1)).expect("a few hosts");
        let gateway = if random.one_in(2) { 1 << GATEWAY } else { 0 };
        Group(bits | gateway)
    }
}

impl Policies {
    /// As most agents are configured, or otherwise.
    pub(crate) fn random(random: &mut Random) -> Policies {
        let all_failing = match random.between(0, 2) {
            0 => AllFailingPolicy::None,
            _ => AllFailingPolicy::KeepLast,
        };
        let crash = match random.between(0, 5) {
            0 => CrashDetection::Off,
            1 | 2 => CrashDetection::Fast,
            _ => CrashDetection::Strict,
        };
        Policies { loss: loss(random), all_failing, crash, priority: priority(random) }
    }
}

/// Most hosts are as good as any.
fn priority(random: &mut Random) -> u8 {
    match random.between(0, 5) {
        0 => 90,
        1 => 110,
        _ => 100,
    }
}

fn loss(random: &mut Random) -> LossPolicy {
    match random.between(0, 3) {
        0 | 1 => LossPolicy::Take,
        2 => LossPolicy::Probe,
        _ => LossPolicy::Hold,
    }
}

impl Wish {
    pub(crate) fn random(random: &mut Random) -> Wish {
        let own = random.one_in(3);
        let checked = !random.one_in(4);
        let loss = own.then(|| loss(random));
        let preferred = random.one_in(6);
        Wish { checked, loss, priority: preferred.then(|| priority(random)) }
    }

    pub(crate) fn checks(self) -> Vec<Check> {
        let check = Check::tcp("127.0.0.1", 80);
        if self.checked { vec![check] } else { Vec::new() }
    }

    pub(crate) fn new_vip(self, ip: IpId, group: Option<GroupName>) -> NewVip {
        NewVip {
            cidr: cidr(ip),
            checks: self.checks(),
            healthcheck_interval: 0,
            interface: None,
            loss: self.loss,
            priority: self.priority,
            group,
            force: false,
        }
    }
}

//! What was found out. Where something could not be, its place is empty: what is not known is no finding.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::ctl::failure::Failure;
use crate::wire;

/// Variables with their values.
pub(super) type Environment = BTreeMap<String, String>;

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) told: Told,
    pub(super) process: Option<Process>,
    pub(super) next_start: NextStart,
    pub(super) unit: Option<Unit>,
    pub(super) interfaces: Vec<Interface>,
    /// The interfaces of IPv4 default routes.
    pub(super) default_routes: Vec<String>,
    pub(super) managers: Vec<Manager>,
    /// The table of the firewall that drops ARP.
    pub(super) drops_arp: Option<String>,
    pub(super) members: Vec<Member>,
    pub(super) certificates: Vec<Certificate>,
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) is_root: bool,
}

/// What the agent says.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Where it was asked.
    pub(super) server: String,
    /// Why it does not answer.
    pub(super) failure: Option<Failure>,
    pub(super) ips: Vec<wire::Ip>,
    pub(super) status: Option<wire::Status>,
    /// How often an address was put back that something else had removed.
    pub(super) restored: u64,
    pub(super) claims: Vec<Claim>,
}

/// A machine that offers none of the IPs, and claimed one.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) ip: String,
    pub(super) hardware_address: String,
    /// How many seconds ago.
    pub(super) ago: u64,
}

/// The agent's process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) environment: Option<Environment>,
    /// The bits of its effective capabilities.
    pub(super) capabilities: Option<u64>,
    /// The service of systemd to which it belongs.
    pub(super) service: Option<String>,
}

/// What another start of the agent would meet.
#[derive(Clone, Debug, Default)]
pub(super) struct NextStart {
    /// The environment file.
    pub(super) file: String,
    /// Variables of the file that the running agent has not read.
    pub(super) changed: Vec<String>,
    /// What `linkd --check` warns of.
    pub(super) warnings: Vec<String>,
    /// Why it would not start.
    pub(super) mistakes: Vec<String>,
}

/// The unit of systemd.
#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    pub(super) name: String,
    /// It is started at boot.
    pub(super) enabled: bool,
    /// The agent's process belongs to it.
    pub(super) runs: bool,
}

/// An interface on which IPs are, or are to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) exists: bool,
    pub(super) up: bool,
    pub(super) carrier: bool,
    /// Its addresses with their prefix lengths.
    pub(super) addresses: Vec<(IpAddr, u32)>,
    /// Other interfaces that are up and have an IPv4 address of the same network.
    pub(super) beside: Vec<String>,
    pub(super) parameters: Parameters,
}

/// Parameters of the kernel as they are in effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    pub(super) arp_ignore: u32,
    pub(super) arp_announce: u32,
    pub(super) rp_filter: u32,
    pub(super) promote_secondaries: bool,
    pub(super) ipv6_disabled: bool,
}

/// A program that manages an interface.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub(super) name: &'static str,
    pub(super) interface: String,
    /// It leaves addresses alone that it does not know, as far as can be told.
    pub(super) keeps: bool,
    /// Where that is configured.
    pub(super) file: String,
}

/// An endpoint of etcd.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) endpoint: String,
    pub(super) answer: Result<Answer, String>,
}

/// What a member of etcd answers; each part may be missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) latency: Duration,
    pub(super) version: String,
    pub(super) cluster: String,
    /// What `/health` says.
    pub(super) unhealthy: Option<String>,
    /// Alarms and the like.
    pub(super) errors: Vec<String>,
    /// Seconds by which its clock is ahead of ours.
    pub(super) ahead: Option<i64>,
    /// When its certificate ends, in seconds since 1970.
    pub(super) certificate_ends: Option<i64>,
}

/// A certificate that the environment names.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) variable: &'static str,
    pub(super) path: String,
    /// In seconds since 1970.
    pub(super) ends: i64,
}

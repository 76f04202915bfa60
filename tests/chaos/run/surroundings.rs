//! What is around the agents: who reads their logs, who else wants the port of the API, who knows the
//! name of a member of etcd, and an endpoint in their list that is none.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tonic::Code;

use super::plan::{Around, Kind};
use super::random::Random;
use super::stage::{HOSTS, Stage};
use crate::harness::{
    FakeAnswer, FakeMember, HostId, Lab, LogPipe, SilentNameServer, Squatter, until,
};

/// The name of the last member of etcd: it is listed by that alone.
const NAME: &str = "etcd.example";

/// The port of etcd's members for clients.
const ETCD: u16 = 2379;

/// How long an agent may take after its start until it can be told to execute its program again.
const RELOAD: Duration = Duration::from_secs(2);

/// What an endpoint may refuse everything with.
const REFUSALS: [Code; 7] = [
    Code::Unimplemented,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::OutOfRange,
    Code::FailedPrecondition,
    Code::DataLoss,
    Code::Internal,
];

/// What an endpoint may answer that is no answer.
const NONSENSE: [FakeAnswer; 4] =
    [FakeAnswer::Empty, FakeAnswer::Endless, FakeAnswer::Page, FakeAnswer::OldHttp];

/// What is around the agents of a stage.
pub(super) struct Surroundings {
    logs: BTreeMap<HostId, Log>,
    squatters: BTreeMap<HostId, Squatter>,
    name_server: SilentNameServer,
    /// The last member of etcd.
    named: IpAddr,
    names_are_known: bool,
    /// Where the endpoint is that is none: nobody listens there most of the time.
    endpoint: Ipv4Addr,
    fake: Option<FakeMember>,
}

/// The log of a host's agents.
struct Log {
    pipe: LogPipe,
    file: PathBuf,
    is_read: bool,
}

impl Surroundings {
    /// Makes them, for agents that have not been started yet.
    pub(super) fn new(lab: &mut Lab) -> Surroundings {
        let mut log = |host: HostId| {
            let host = &mut lab[host];
            Log { pipe: LogPipe::of(host), file: host.log(), is_read: true }
        };
        let logs = HOSTS.map(|host| (host, log(host)));
        let name_server = SilentNameServer::of(lab, &HOSTS);
        let named = *lab.etcd.addresses().last().expect("etcd has members");
        name_server.tell(NAME, named);
        Surroundings {
            logs: logs.into(),
            squatters: BTreeMap::new(),
            name_server,
            named,
            names_are_known: true,
            endpoint: lab.client.address(),
            fake: None,
        }
    }

    /// `ETCD_HOSTS` of the agents: the endpoint that is none comes first, the member with the name last.
    pub(super) fn endpoints(&self, lab: &Lab) -> String {
        let (endpoint, named, name) = (self.endpoint, self.named, NAME);
        let members = lab.etcd.endpoints().replace(&named.to_string(), name);
        format!("http://{endpoint}:{ETCD},{members}")
    }

    /// Reads what the agents have logged, as far as somebody reads it now.
    pub(super) fn read_logs(&self) {
        for Log { pipe, file, .. } in self.logs.values().filter(|log| log.is_read) {
            let text = pipe.drain();
            let file = || OpenOptions::new().create(true).append(true).open(file);
            let written = text.is_empty() || file().is_ok_and(|mut file| write(&mut file, &text));
            assert!(written, "the log of an agent cannot be written");
        }
    }

    /// Has an endpoint answer like that; false if it answers already.
    fn answer(&mut self, lab: &Lab, answer: FakeAnswer) -> bool {
        let is_new = self.fake.is_none();
        let address = (self.endpoint, ETCD);
        let namespace = lab.client.namespace();
        self.fake.get_or_insert_with(|| FakeMember::start(namespace, address, answer));
        is_new
    }
}

fn write(file: &mut impl Write, text: &str) -> bool {
    file.write_all(text.as_bytes()).is_ok()
}

impl Stage {
    /// Does something to what is around the agents, or one of them; false where that is done already.
    pub(super) fn strike_around(&mut self, kind: Around, host: Option<HostId>) -> bool {
        let around = &mut self.surroundings;
        match (kind, host) {
            (Around::LogUnread, Some(host)) => around.logs.get_mut(&host).is_some_and(|log| {
                log.pipe.fill();
                std::mem::replace(&mut log.is_read, false)
            }),
            (Around::PortTaken | Around::PortTakenReload, Some(host)) => {
                self.take_port(host, kind == Around::PortTakenReload)
            }
            (Around::NamesSilent, None) => {
                around.name_server.forget();
                std::mem::replace(&mut around.names_are_known, false)
            }
            (Around::EndpointRefuses | Around::EndpointNonsense, None) => {
                answer(Kind::Around(kind), self.seed)
                    .is_some_and(|answer| around.answer(&self.lab, answer))
            }
            (Around::LogUnread | Around::PortTaken | Around::PortTakenReload, None)
            | (Around::NamesSilent | Around::EndpointRefuses | Around::EndpointNonsense, Some(_)) => {
                false
            }
        }
    }

    /// Kills an agent and starts it again when another program has its port.
    fn take_port(&mut self, host: HostId, reload: bool) -> bool {
        // The agent of a host to which something else is being done may not be there to be killed.
        if self.struck.contains(&host) || self.surroundings.squatters.contains_key(&host) {
            return false;
        }
        self.lab[host].kill();
        let squatter = Squatter::start(&self.lab[host]);
        self.lab[host].spawn();
        let squatter = squatter.expect("the port of an agent that was killed is free");
        self.surroundings.squatters.insert(host, squatter);
        let host = &self.lab[host];
        if reload && until(RELOAD, || host.agent_awaits(Signal::SIGHUP)) {
            host.agent().signal(Signal::SIGHUP);
        }
        true
    }

    /// Undoes it.
    pub(super) fn heal_around(&mut self, kind: Around, host: Option<HostId>) {
        let around = &mut self.surroundings;
        match kind {
            Around::LogUnread => {
                let log = host.and_then(|host| around.logs.get_mut(&host));
                log.into_iter().for_each(|log| log.is_read = true);
            }
            Around::PortTaken | Around::PortTakenReload => {
                drop(host.and_then(|host| around.squatters.remove(&host)));
            }
            Around::NamesSilent => {
                around.name_server.tell(NAME, around.named);
                around.names_are_known = true;
            }
            Around::EndpointRefuses | Around::EndpointNonsense => around.fake = None,
        }
    }
}

/// What the endpoint that is none answers under such a fault, in a round with this seed.
pub(crate) fn answer(kind: Kind, seed: u64) -> Option<FakeAnswer> {
    let mut random = Random::new(seed);
    match kind {
        Kind::Around(Around::EndpointRefuses) => {
            Some(FakeAnswer::Status(REFUSALS[random.index(REFUSALS.len())]))
        }
        Kind::Around(Around::EndpointNonsense) => Some(NONSENSE[random.index(NONSENSE.len())]),
        Kind::Around(_) | Kind::Agent(_) | Kind::Host(_) | Kind::Etcd(_) | Kind::Lock(_) => None,
        Kind::Service(_) | Kind::Calls => None,
    }
}

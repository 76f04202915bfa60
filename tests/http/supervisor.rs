//! A stand-in for the supervisor: it answers commands as a test wants them answered.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use link::api::{Api, Options};
use link::bell::Bell;
use link::cluster::{Facts, Own};
use link::command::{Answer, Command, Refusal, Request};
use link::secret::Credentials;
use link::tls::ServerFiles;
use link::wire;

use crate::client::Client;

pub(crate) const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

pub(crate) type Outcome = Result<Answer, Refusal>;

/// A running API with its supervisor.
pub(crate) struct Server {
    // Dropped first: the supervisor ends when nobody can send it commands.
    pub(crate) api: Option<Api>,
    pub(crate) address: SocketAddr,
    /// What the supervisor was asked.
    pub(crate) commands: Receiver<Command>,
    supervisor: Option<JoinHandle<()>>,
}

impl Server {
    /// `decide` answers a command, or leaves it unanswered for ever.
    pub(crate) fn start(
        password: Option<&str>,
        decide: impl Fn(Command) -> Option<Outcome> + Send + 'static,
    ) -> Server {
        Server::start_with_news(password, None, decide)
    }

    /// The same, with a bell that tells of news.
    pub(crate) fn start_with_news(
        password: Option<&str>,
        news: Option<Bell>,
        decide: impl Fn(Command) -> Option<Outcome> + Send + 'static,
    ) -> Server {
        Server::start_with(Options { news, ..Options::default() }, password, decide)
    }

    /// The same, with a certificate and its key.
    pub(crate) fn start_with_tls(
        tls: ServerFiles,
        news: Option<Bell>,
        decide: impl Fn(Command) -> Option<Outcome> + Send + 'static,
    ) -> Server {
        let options = Options { news, tls: Some(tls), ..Options::default() };
        Server::start_with(options, Some("pw"), decide)
    }

    fn start_with(
        options: Options,
        password: Option<&str>,
        decide: impl Fn(Command) -> Option<Outcome> + Send + 'static,
    ) -> Server {
        let (requests, inbox) = unbounded();
        let (seen, commands) = unbounded();
        let supervisor = thread::spawn(move || supervise(&inbox, &seen, decide));
        let credentials = password.map(|password| Credentials::new("admin", password).unwrap());
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let names = vec!["h".to_owned()];
        let options = Options { listen, names, credentials, ..options };
        let api = Api::start(options, requests).unwrap();
        let address = api.addresses()[0];
        Server { api: Some(api), address, commands, supervisor: Some(supervisor) }
    }

    /// Answers everything with success.
    pub(crate) fn obliging() -> Server {
        Server::start(None, |command| Some(Ok(oblige(&command))))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.api = None;
        self.supervisor.take().unwrap().join().unwrap();
    }
}

fn supervise(
    inbox: &Receiver<Request>,
    seen: &Sender<Command>,
    decide: impl Fn(Command) -> Option<Outcome>,
) {
    let mut unanswered = Vec::new();
    for Request { command, reply, .. } in inbox {
        let _ = seen.send(command.clone());
        match decide(command) {
            Some(outcome) => reply.send(outcome).unwrap_or_default(),
            None => unanswered.push(reply),
        }
    }
}

/// The answer that success has.
pub(crate) fn oblige(command: &Command) -> Answer {
    match command {
        Command::List => Answer::List(vec![ip("10.0.0.1/32")]),
        Command::Get(_) | Command::Change(..) => Answer::One(Box::new(ip("10.0.0.1/32"))),
        Command::CreateMany(all) => {
            Answer::List(all.iter().map(|vip| ip(&vip.cidr.to_string())).collect())
        }
        Command::Create(vip) => Answer::One(Box::new(ip(&vip.cidr.to_string()))),
        Command::Delete(_)
        | Command::Lock(_)
        | Command::Failover(..)
        | Command::Undrain
        | Command::Leave => Answer::Done,
        Command::Fence { host, .. } => {
            let owner = Some("h1".to_owned());
            let ips = vec![wire::FencedIp { ip: "10.0.0.1/32".to_owned(), owner }];
            Answer::Fence(wire::Fence { host: host.clone(), ips })
        }
        Command::Drain(time) => Answer::Drain(wire::Drain {
            drained: true,
            seconds_left: time.map(|time| time.as_secs()),
            ips: vec![wire::DrainedIp { ip: "10.0.0.1/32".to_owned(), stays: true }],
        }),
        Command::Drained => {
            Answer::Drain(wire::Drain { drained: false, seconds_left: None, ips: Vec::new() })
        }
        Command::Hosts(_) => Answer::Hosts(["h1", "h2"].map(wire::Host::named).into()),
        Command::Health => Answer::Health(Vec::new()),
        Command::Status => Answer::Cluster(Box::new(cluster())),
        Command::Metrics => Answer::Metrics(Box::default()),
        Command::Events(after) => events(after.seq, 0),
    }
}

/// A host that has lost etcd, and one IP.
fn cluster() -> Facts {
    let own = Own { host: "h1".to_owned(), ips: vec![ip("10.0.0.1/32")], ..Own::default() };
    Facts { own, now: 0, etcd: Err("etcd is lost".to_owned()) }
}

/// A history with so many events, of which a client knows these.
pub(crate) fn events(known: Option<u64>, last: u64) -> Answer {
    let event = |seq| wire::Event {
        seq,
        time: "2026-11-29T07:00:00.123Z".to_owned(),
        host: "h1".to_owned(),
        ip: None,
        kind: "agent".to_owned(),
        what: "x".to_owned(),
        why: String::new(),
        took_ms: None,
        by: None,
        times: None,
    };
    let events = (known.unwrap_or(0) + 1..=last).map(event).collect();
    Answer::Events(Box::new(wire::Events { history: "a".to_owned(), last, missed: false, events }))
}

pub(crate) fn ip(cidr: &str) -> wire::Ip {
    wire::Ip {
        id: ID.to_owned(),
        ip: cidr.to_owned(),
        interface: "eth0".to_owned(),
        status: "ACTIVATED".to_owned(),
        checks: Vec::new(),
        healthcheck_interval: 5,
        etcd_loss_policy: "take".to_owned(),
        priority: Some(100),
        group: None,
        plugin: "arp".to_owned(),
        election_key: cidr.replace('/', "_"),
        owner: Some("h1".to_owned()),
        bound: true,
        reason: "elected".to_owned(),
        since: 7,
        defaults: Vec::new(),
        seen: None,
    }
}

//! API calls at random, and whether each answer was true.
//!
//! They concern IPs of their own: what becomes of those is what the answers say, and is looked at
//! when all is well ([`super::well`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use link::wire::IpList;
use serde_json::json;

use super::random::Random;
use crate::harness::{Api, HostId, Response, Vip, until};

/// The IPs that are registered and deleted at random.
pub(crate) const EXTRAS: [Vip; 3] = [Vip::v4(101), Vip::v4(102), Vip::v6(103)];

/// The values of `etcd_loss_policy`: what a change can be seen by.
const POLICIES: [&str; 3] = ["take", "probe", "hold"];

/// Between two calls, at most.
const PAUSE: Duration = Duration::from_millis(100);

/// What is asked of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `POST`, with this `etcd_loss_policy`.
    Register(&'static str),
    /// `PUT`, with this `etcd_loss_policy`.
    Change(&'static str),
    /// `DELETE`.
    Delete,
}

/// What is known of an IP on a host, by the answers of its API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fact {
    #[default]
    Absent,
    /// With this `etcd_loss_policy`.
    Registered(&'static str),
    /// An answer did not come, or said that the outcome is unknown.
    Unknown,
}

/// What an API has answered: its status and what it says, if it has answered at all.
pub(crate) type Answer = Option<(u16, String)>;

/// All that the APIs have answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) facts: BTreeMap<(HostId, usize), Fact>,
    /// What was asked since [`Ledger::begin`], and what came of it.
    pub(crate) calls: Vec<(Instant, String)>,
    pub(crate) counts: Counts,
    pub(crate) lies: Vec<String>,
}

/// How many calls were answered in which way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    done: usize,
    refused: usize,
    unknown: usize,
    unanswered: usize,
}

impl Fact {
    /// What is known after an answer, or why the answer cannot be true.
    pub(crate) fn after(self, call: Call, answer: &Answer) -> Result<Fact, String> {
        let Some((status, text)) = answer else { return Ok(Fact::Unknown) };
        let lie = || Err(format!("{call:?} was answered {status} {text}, but it is {self:?}"));
        match (call, status) {
            (_, 503) if text.contains("unknown") => Ok(Fact::Unknown),
            // Nothing was changed.
            (_, 503) => Ok(self),
            (Call::Register(_), 201) if matches!(self, Fact::Registered(_)) => lie(),
            (Call::Register(policy), 201) | (Call::Change(policy), 200) => {
                Ok(Fact::Registered(policy))
            }
            (Call::Register(_), 409) if self == Fact::Absent => lie(),
            (Call::Register(_), 409) => Ok(self),
            (Call::Change(_) | Call::Delete, 404) if matches!(self, Fact::Registered(_)) => lie(),
            (Call::Delete, 204) | (Call::Change(_) | Call::Delete, 404) => Ok(Fact::Absent),
            _ => Err(format!("{call:?} was answered {status} {text}")),
        }
    }
}

impl Ledger {
    /// Forgets what was asked, not what came of it.
    pub(crate) fn begin(&mut self) {
        self.calls.clear();
        self.lies.clear();
        self.counts = Counts::default();
    }

    fn note(&mut self, host: HostId, vip: usize, call: Call, answer: Answer) {
        let fact = self.facts.entry((host, vip)).or_default();
        let after = fact.after(call, &answer);
        self.counts.add(&answer);
        self.calls.push((
            Instant::now(),
            format!("{host}, {}: {call:?} was answered {answer:?}", EXTRAS[vip]),
        ));
        match after {
            Ok(after) => *fact = after,
            Err(lie) => {
                *fact = Fact::Unknown;
                self.lies.push(format!("{host}, {}: {lie}", EXTRAS[vip]));
            }
        }
    }

    /// Of what was asked in this round nothing is known: etcd and an agent have both lost something.
    pub(crate) fn doubt(&mut self) {
        self.facts.values_mut().for_each(|fact| *fact = Fact::Unknown);
    }
}

impl Counts {
    fn add(&mut self, answer: &Answer) {
        let count = match answer {
            None => &mut self.unanswered,
            Some((503, text)) if text.contains("unknown") => &mut self.unknown,
            Some((200..300, _)) => &mut self.done,
            Some(_) => &mut self.refused,
        };
        *count += 1;
    }

    /// Both together.
    pub(crate) fn and(self, other: Counts) -> Counts {
        Counts {
            done: self.done + other.done,
            refused: self.refused + other.refused,
            unknown: self.unknown + other.unknown,
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { done, refused, unknown, unanswered } = self;
        let all = done + refused + unknown + unanswered;
        write!(
            f,
            "{all} API calls: {done} done, {refused} refused, {unknown} of unknown outcome, \
             {unanswered} unanswered"
        )
    }
}

/// Calls until it is told to stop.
pub(crate) struct Caller {
    stop: Option<Sender<()>>,
    thread: JoinHandle<Ledger>,
}

impl Caller {
    /// Starts to call; the answers are added to the ledger.
    pub(crate) fn start(apis: Vec<(HostId, Api)>, seed: u64, mut ledger: Ledger) -> Caller {
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("lab-caller".to_owned())
            .spawn(move || {
                call_until(&apis, &mut Random::new(seed), &stopped, &mut ledger);
                ledger
            })
            .expect("start a caller's thread");
        Caller { stop: Some(stop), thread }
    }

    /// Tells it to stop; the answer to its last call may be on its way.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }

    /// Whether it has stopped.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// What the answers were.
    pub(crate) fn join(self) -> Ledger {
        drop(self.stop);
        self.thread.join().expect("a caller does not panic")
    }
}

fn call_until(
    apis: &[(HostId, Api)],
    random: &mut Random,
    stopped: &Receiver<()>,
    ledger: &mut Ledger,
) {
    // Nothing is ever sent: the other end is there, or it is gone.
    let ended = || stopped.try_recv().is_err_and(|error| error.is_disconnected());
    while !ended() {
        let (host, api) = &apis[random.index(apis.len())];
        let vip = random.index(EXTRAS.len());
        let policy = POLICIES[random.index(POLICIES.len())];
        let call = match random.index(5) {
            0 | 1 => Call::Register(policy),
            2 => Call::Change(policy),
            _ => Call::Delete,
        };
        if let Some(answer) = make(api, call, EXTRAS[vip]) {
            ledger.note(*host, vip, call, answer);
        }
        until(PAUSE.mul_f64(0.2 * random.index(6) as f64), ended);
    }
}

/// Makes a call; nothing if the IP is not shown to which it would be made.
fn make(api: &Api, call: Call, vip: Vip) -> Option<Answer> {
    let (method, path, body) = match call {
        Call::Register(policy) => {
            let body = json!({ "ip": vip.to_string(), "etcd_loss_policy": policy });
            ("POST", "/ips".to_owned(), Some(body))
        }
        Call::Change(policy) => {
            ("PUT", shown(api, vip)?, Some(json!({ "etcd_loss_policy": policy })))
        }
        Call::Delete => ("DELETE", shown(api, vip)?, None),
    };
    let body = body.map(|body| body.to_string());
    Some(answer_of(api.try_send(method, &path, body.as_deref())))
}

fn answer_of(response: io::Result<Response>) -> Answer {
    response.ok().map(|response| (response.status, response.body.trim_end().to_owned()))
}

/// The path of an IP, if the host shows it.
fn shown(api: &Api, vip: Vip) -> Option<String> {
    let answer = api.try_send("GET", "/ips", None).ok()?;
    let list: IpList = serde_json::from_str(&answer.body).ok()?;
    let ip = list.ips.into_iter().find(|ip| ip.ip == vip.to_string())?;
    Some(format!("/ips/{}", ip.id))
}

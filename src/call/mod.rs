//! Calls: a host asks another one through etcd what it hears on the network.
//!
//! The question is a key in etcd, on the lease of the host that asks. Each agent watches the prefix, so
//! that the one that is called finds it at once; it listens on the network and writes its answer in the
//! same key. The host that asks sees its own question in its own watch, too.
//!
//! Pure: no clock, no channel, no I/O. What is read is untrusted: what cannot be understood is named and
//! skipped.
//!
//! | key | value | lease |
//! |---|---|---|
//! | `/link/agents/<host>` | `{"answers":true,"version":"v1.2.3","started":1764402900,"drained":false}`: its agent answers calls, since when it runs, and whether the host is drained | the host's |
//! | `/link/agents/<host>/<caller>` | `{"ip":"10.0.0.1/32","number":7,"within_ms":100}`: the caller asks what the host hears where it has this IP, and waits for so long | the caller's |
//! | the same | `{"ip":"10.0.0.1/32","number":7,"hears":"others","has":true}` (`nobody`, `unknown`; whether it has the IP): the answer | the caller's |
//! | `/link/agents/<host>/.fence:<caller>` | both, where an operator has told the caller to fence the host | the caller's |
//!
//! The presence of a host is written again, as it is, when the IPs have changed for which the host is a candidate,
//! or when it hears nobody any more where it owns an IP: its revision tells others that what they know is old.

mod exchange;

use std::time::Duration;

use serde_json::Value;

pub use self::exchange::{Exchange, Step};
use crate::etcd::{Compare, Kv, Op, Txn};
use crate::network::{Heard, Hearing};
use crate::text::is_host_name;
use crate::vip::Cidr;

/// The prefix of all these keys.
pub const PREFIX: &str = "/link/agents/";

/// For how long a host listens that is called, at least and at most, whatever the caller says.
const LISTENS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

/// Characters of a version that are kept.
const LONGEST_VERSION: usize = 32;

/// What a host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The IP on whose interface the host is to listen.
    pub cidr: Cidr,
    /// The caller's number of the question.
    pub number: u64,
    /// For how long at most it is to listen.
    pub within: Duration,
}

/// For whom a host is called. Each has a key of its own, so that the one takes no question of the other's away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// For the failure detector.
    Detection,
    /// For an operator, who wants the host fenced.
    Fence,
}

/// A question to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The question.
    pub question: Question,
    /// Where it was found.
    pub kv: Kv,
}

/// What a value says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Answers(bool),
    Call(Call),
    Answer(u64, Heard),
}

/// The key of a host whose agent answers calls.
pub fn presence_key(host: &str) -> String {
    format!("{PREFIX}{host}")
}

/// What stands before the name of a caller that is to fence a host. An agent that knows nothing of that takes it for
/// a part of the name, and answers.
const FENCE: &str = ".fence:";

/// The key of a call to a host.
pub fn call_key(host: &str, caller: &str, purpose: Purpose) -> String {
    let before = match purpose {
        Purpose::Detection => "",
        Purpose::Fence => FENCE,
    };
    format!("{PREFIX}{host}/{before}{caller}")
}

/// For what a caller calls, if it has this name.
fn purpose_of(caller: &str, name: &str) -> Option<Purpose> {
    match caller.strip_prefix(FENCE) {
        _ if caller == name => Some(Purpose::Detection),
        Some(rest) if rest == name => Some(Purpose::Fence),
        Some(_) | None => None,
    }
}

/// Says that the agent of a host answers calls, as long as its lease lives, since when it runs, and whether
/// the host is drained.
pub fn presence_txn(host: &str, lease: i64, started: u64, drained: bool) -> Txn {
    let version = crate::VERSION;
    let value = format!(
        r#"{{"answers":true,"version":"{version}","started":{started},"drained":{drained}}}"#
    );
    put(presence_key(host), lease, value)
}

/// What a presence tells of the agent of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The host.
    pub host: String,
    /// The lease with which it ends.
    pub lease: i64,
    /// The version of the agent, if it tells it.
    pub version: Option<String>,
    /// When it began, in seconds since 1970, if it tells that.
    pub started: Option<u64>,
    /// Whether the host is drained.
    pub drained: bool,
}

/// Reads a key under the prefix; nothing if it is no presence.
pub fn presence(kv: &Kv) -> Option<Result<Presence, String>> {
    let (host, None) = parties(&kv.key)? else { return None };
    Some(read_presence(host, kv))
}

fn read_presence(host: &str, kv: &Kv) -> Result<Presence, String> {
    if !is_host_name(host) {
        return Err("it names no host".to_owned());
    }
    let value: Value = serde_json::from_slice(&kv.value).map_err(|error| error.to_string())?;
    if value["answers"].as_bool().is_none() {
        return Err("answers is missing".to_owned());
    }
    let version =
        value["version"].as_str().map(|text| text.chars().take(LONGEST_VERSION).collect());
    let started = value["started"].as_u64();
    let drained = value["drained"].as_bool().unwrap_or_default();
    Ok(Presence { host: host.to_owned(), lease: kv.lease, version, started, drained })
}

/// Calls a host: asks what it hears where it has an IP.
pub fn call_txn(key: String, lease: i64, question: Question) -> Txn {
    let Question { cidr, number, within } = question;
    let within = within.as_millis();
    let value = format!(r#"{{"ip":"{cidr}","number":{number},"within_ms":{within}}}"#);
    put(key, lease, value)
}

/// Removes a call.
pub fn end_txn(key: String) -> Txn {
    Txn::unconditional(vec![Op::Delete(key)])
}

impl Call {
    /// Answers, if the call is still what it was.
    pub fn answer_txn(&self, heard: Heard) -> Txn {
        let hears = match heard.hearing {
            Hearing::Unknown => "unknown",
            Hearing::Others => "others",
            Hearing::Nobody => "nobody",
        };
        let Question { cidr, number, .. } = self.question;
        let Kv { key, lease, mod_revision, .. } = &self.kv;
        let has = heard.has_address;
        let value = format!(r#"{{"ip":"{cidr}","number":{number},"hears":"{hears}","has":{has}}}"#);
        let unchanged = Compare::ModRevision(key.clone(), *mod_revision);
        Txn { when: vec![unchanged], ..put(key.clone(), *lease, value) }
    }
}

fn put(key: String, lease: i64, value: String) -> Txn {
    Txn::unconditional(vec![Op::Put { key, value: value.into_bytes(), lease }])
}

/// The host that a key is about, and the caller if it is a call; nothing if it is no such key.
fn parties(key: &str) -> Option<(&str, Option<&str>)> {
    let name = key.strip_prefix(PREFIX)?;
    Some(name.split_once('/').map_or((name, None), |(host, caller)| (host, Some(caller))))
}

/// What a key says.
fn read(kv: Kv) -> Result<Word, String> {
    if kv.lease == 0 {
        return Err("it is attached to no lease".to_owned());
    }
    let value: Value = serde_json::from_slice(&kv.value).map_err(|error| error.to_string())?;
    if let Some(answers) = value["answers"].as_bool() {
        return Ok(Word::Answers(answers));
    }
    let number = |name: &str| {
        value[name]
            .as_u64()
            .ok_or_else(|| format!("{name} is missing, or is no number of that kind"))
    };
    let call = number("number")?;
    let answers = |hearing| {
        let has_address = value["has"].as_bool() == Some(true);
        Ok(Word::Answer(call, Heard { hearing, has_address }))
    };
    match value["hears"].as_str() {
        Some("others") => return answers(Hearing::Others),
        Some("nobody") => return answers(Hearing::Nobody),
        // What a later version may say is no reason to act.
        Some(_) => return answers(Hearing::Unknown),
        None => {}
    }
    let cidr: Cidr =
        value["ip"].as_str().unwrap_or_default().parse().map_err(|error| format!("ip: {error}"))?;
    let within = Duration::from_millis(number("within_ms")?);
    let question = Question { cidr, number: call, within: within.clamp(LISTENS.0, LISTENS.1) };
    Ok(Word::Call(Call { question, kv }))
}

#[cfg(test)]
mod tests;

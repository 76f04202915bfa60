//! What hooks are told of an IP, and in which form.

use std::fmt;

use serde::Serialize;

use crate::fsm::{self, State};
use crate::vip::Cidr;

/// The state of an IP on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The IP.
    pub cidr: Cidr,
    /// Its id on this host.
    pub id: String,
    /// The interface on which it is, if it is on this host.
    pub interface: String,
    /// Its state.
    pub state: State,
    /// Why hooks are told of it now.
    pub event: Event,
    /// Why it has this state, for people.
    pub why: String,
}

/// Why hooks are told of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is known for the first time in this life of the agent.
    Start,
    /// It has changed.
    Changed(fsm::Event),
    /// It is what it was, and another machine may have had the IP meanwhile.
    ConflictOver,
    /// The IP is not served by this host any more.
    Removed,
}

/// A [`Standing`] with its number and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What is told.
    pub standing: Standing,
    /// This host.
    pub host: String,
    /// The history of this host that has the number.
    pub history: String,
    /// The number of the event in that history which it belongs to. It grows from one notification of an IP to the
    /// next.
    pub sequence: u64,
    /// When it happened (RFC 3339).
    pub time: String,
}

/// The body of a request. The first four fields are those of the Go LinK.
#[derive(Serialize)]
struct Body<'a> {
    endpoint_id: &'a str,
    resource_id: &'a str,
    plugin: &'a str,
    status: String,
    event_id: String,
    sequence: u64,
    history: &'a str,
    time: &'a str,
    host: &'a str,
    ip: &'a str,
    interface: &'a str,
    event: String,
    why: &'a str,
    missed: u64,
}

impl Notification {
    /// The text of the IP, by which external systems know it.
    pub(super) fn ip(&self) -> String {
        self.standing.cidr.to_string()
    }

    /// What no other notification has; the same however often it is delivered.
    pub(super) fn event_id(&self) -> String {
        let key = self.standing.cidr.election_key();
        format!("{}-{}-{key}", self.history, self.sequence)
    }

    /// The body of a request that tells it. So many of this IP before it were not delivered.
    pub(super) fn body(&self, missed: u64) -> String {
        let Standing { id, interface, state, event, why, .. } = &self.standing;
        let ip = self.ip();
        let body = Body {
            endpoint_id: id,
            resource_id: &ip,
            plugin: "arp",
            status: state.to_string(),
            event_id: self.event_id(),
            sequence: self.sequence,
            history: &self.history,
            time: &self.time,
            host: &self.host,
            ip: &ip,
            interface,
            event: event.to_string(),
            why,
            missed,
        };
        // It has neither maps nor anything else that is not JSON.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The arguments of a command that is told it.
    pub(super) fn args(&self) -> Vec<String> {
        let Standing { state, event, .. } = &self.standing;
        vec![self.ip(), state.to_string(), event.to_string()]
    }

    /// The environment of a command that is told it.
    pub(super) fn env(&self, missed: u64) -> Vec<(&'static str, String)> {
        let Standing { id, interface, state, event, why, .. } = &self.standing;
        // The end of the text for a program in C.
        let why = why.replace('\0', "");
        vec![
            ("LINK_IP", self.ip()),
            ("LINK_ID", id.clone()),
            ("LINK_INTERFACE", interface.clone()),
            ("LINK_STATE", state.to_string()),
            ("LINK_EVENT", event.to_string()),
            ("LINK_WHY", why),
            ("LINK_HOST", self.host.clone()),
            ("LINK_TIME", self.time.clone()),
            ("LINK_EVENT_ID", self.event_id()),
            ("LINK_SEQUENCE", self.sequence.to_string()),
            ("LINK_HISTORY_ID", self.history.clone()),
            ("LINK_MISSED", missed.to_string()),
        ]
    }
}

impl fmt::Display for Notification {
    /// For the log: which one it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { cidr, state, event, .. } = &self.standing;
        write!(f, "{cidr} {state} ({event})")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Start => f.write_str("start"),
            Event::Changed(event) => event.fmt(f),
            Event::ConflictOver => f.write_str("conflict_over"),
            Event::Removed => f.write_str("removed"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::hooks) fn notification(ip: &str, sequence: u64) -> Notification {
        let standing = Standing {
            cidr: ip.parse().unwrap(),
            id: "vip-1".to_owned(),
            interface: "eth0".to_owned(),
            state: State::Activated,
            event: Event::Changed(fsm::Event::Elected),
            why: "h1 \"holds\"\0 the lock".to_owned(),
        };
        let [host, history, time] = ["h1", "h", "2026-11-29T17:00:00.000Z"].map(str::to_owned);
        Notification { standing, host, history, sequence, time }
    }

    #[test]
    fn the_body_begins_as_the_go_link_s_and_says_which_event_it_is() {
        let body = notification("10.0.0.1", 7).body(2);
        let expected = concat!(
            r#"{"endpoint_id":"vip-1","resource_id":"10.0.0.1/32","plugin":"arp","status":"ACTIVATED","#,
            r#""event_id":"h-7-10.0.0.1_32","sequence":7,"history":"h","time":"2026-11-29T17:00:00.000Z","#,
            r#""host":"h1","ip":"10.0.0.1/32","interface":"eth0","event":"elected","#,
            r#""why":"h1 \"holds\"\u0000 the lock","missed":2}"#,
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn a_command_is_told_the_same() {
        let told = notification("fd00::1", 8);
        assert_eq!(told.args(), ["fd00::1/128", "ACTIVATED", "elected"]);
        let env = told.env(3);
        for (name, value) in [
            ("LINK_IP", "fd00::1/128"),
            ("LINK_WHY", "h1 \"holds\" the lock"),
            ("LINK_EVENT_ID", "h-8-fd00::1_128"),
            ("LINK_SEQUENCE", "8"),
            ("LINK_MISSED", "3"),
        ] {
            assert!(env.contains(&(name, value.to_owned())), "{name}: {env:?}");
        }
        assert!(env.iter().all(|(_, value)| !value.contains('\0')));
    }
}

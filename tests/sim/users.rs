//! Users of the API: what they ask for, and what they may expect from the answers.

use std::collections::BTreeMap;

use link::command::{Answer, Change, Command, Refusal};
use link::policy::LossPolicy;
use link::supervisor::core::Token;
use link::vip::VipId;
use link::wire;

use crate::memory_etcd::Millis;
use crate::setup::{HOSTS, HostId, IPS, IpId, TWIN, Wish, cidr};

/// What somebody wants of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Create(Wish),
    Delete,
    Loss(Option<LossPolicy>),
    Failover,
    Lock,
    /// That the host is drained, or no longer.
    Drained(bool),
}

/// Whether an IP is registered on a host, as far as the answers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    No,
    Yes(Wish),
    /// Nobody was told, or what was done by hand leaves it open.
    Either,
}

/// A question that was not answered yet.
#[derive(Clone, Debug)]
struct Asked {
    host: HostId,
    ip: IpId,
    want: Want,
    /// What was registered when it was asked.
    before: Registered,
}

#[derive(Debug)]
pub(crate) struct Users {
    asked: BTreeMap<Token, Asked>,
    tokens: u64,
    pub(crate) registered: [[Registered; IPS]; HOSTS],
    /// What is to be registered at the beginning, and when that is asked for (again).
    pub(crate) first: Vec<(HostId, IpId, Wish, Millis)>,
    /// What each agent last said of its health, and when it was asked.
    pub(crate) health: [(Millis, Vec<String>); TWIN + 1],
    pub(crate) answers: u64,
    pub(crate) refusals: u64,
    pub(crate) unknown: u64,
}

impl Users {
    pub(crate) fn new() -> Users {
        Users {
            asked: BTreeMap::new(),
            tokens: 0,
            registered: [[Registered::No; IPS]; HOSTS],
            first: Vec::new(),
            health: std::array::from_fn(|_| (0, Vec::new())),
            answers: 0,
            refusals: 0,
            unknown: 0,
        }
    }

    pub(crate) fn wants(&mut self, host: HostId, ip: IpId, wish: Wish, at: Millis) {
        self.first.push((host, ip, wish, at));
    }

    /// Nothing can be said of the IPs of a host before it was looked.
    pub(crate) fn doubt(&mut self, host: HostId) {
        self.registered[host] = [Registered::Either; IPS];
    }

    pub(crate) fn doubt_one(&mut self, host: HostId, ip: IpId) {
        self.registered[host][ip] = Registered::Either;
    }

    /// Whether the answer to a question about this IP is awaited.
    pub(crate) fn waits(&self, host: HostId, ip: IpId) -> bool {
        self.asked.values().any(|asked| (asked.host, asked.ip) == (host, ip))
    }

    /// A command for what somebody wants, and where it is answered.
    pub(crate) fn ask(
        &mut self,
        host: HostId,
        ip: IpId,
        want: Want,
        id: Option<VipId>,
    ) -> Option<(Command, Token)> {
        let command = match (want, id) {
            (Want::Create(wish), _) => Command::Create(wish.new_vip(ip)),
            (Want::Drained(true), _) => Command::Drain(None),
            (Want::Drained(false), _) => Command::Undrain,
            (_, None) => return None,
            (Want::Delete, Some(id)) => Command::Delete(id),
            (Want::Loss(loss), Some(id)) => {
                Command::Change(id, Change { loss: Some(loss), ..Change::default() })
            }
            (Want::Failover, Some(id)) => Command::Failover(id, None),
            (Want::Lock, Some(id)) => Command::Lock(id),
        };
        self.tokens += 1;
        let token = Token(self.tokens);
        let before = self.registered[host][ip];
        self.asked.insert(token, Asked { host, ip, want, before });
        if matches!(want, Want::Create(_) | Want::Delete | Want::Loss(_)) {
            self.registered[host][ip] = Registered::Either;
        }
        Some((command, token))
    }

    /// A token for a question that changes nothing.
    pub(crate) fn look(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// Takes an answer.
    pub(crate) fn answered(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        let Some(Asked { host, ip, want, before }) = self.asked.remove(&token) else { return };
        let overtaken = self.waits(host, ip);
        let now = match (answer, want) {
            (Ok(_), Want::Create(wish)) => Registered::Yes(wish),
            (Ok(_), Want::Delete) => Registered::No,
            (Ok(_), Want::Loss(loss)) => match before {
                Registered::Yes(wish) => Registered::Yes(Wish { loss, ..wish }),
                Registered::No | Registered::Either => Registered::Either,
            },
            (_, Want::Failover | Want::Lock | Want::Drained(_)) => return,
            (Err(Refusal::OutcomeUnknown(_)), _) => Registered::Either,
            (Err(_), _) => before,
        };
        match answer {
            Ok(_) => self.answers += 1,
            Err(Refusal::OutcomeUnknown(_)) => self.unknown += 1,
            Err(_) => self.refusals += 1,
        }
        self.registered[host][ip] = if overtaken { Registered::Either } else { now };
    }

    /// What was not certain is what the agent has, when everything else agrees with it.
    pub(crate) fn adopt(&mut self, host: HostId, list: &[wire::Ip]) {
        for ip in 0..IPS {
            let text = cidr(ip).to_string();
            let shown = list.iter().find(|shown| shown.ip == text);
            if self.registered[host][ip] == Registered::Either && !self.waits(host, ip) {
                self.registered[host][ip] = match shown {
                    Some(shown) => Registered::Yes(Wish {
                        checked: !shown.checks.is_empty(),
                        loss: shown.etcd_loss_policy.parse().ok(),
                    }),
                    None => Registered::No,
                };
            }
        }
    }

    /// An agent is gone, and who waits for its answers waits in vain.
    pub(crate) fn killed(&mut self, host: HostId) {
        let unanswered: Vec<Token> =
            self.asked.iter().filter(|(_, it)| it.host == host).map(|(token, _)| *token).collect();
        for token in unanswered {
            self.asked.remove(&token);
        }
    }

    pub(crate) fn restarted(&mut self, host: HostId) {
        self.health[host] = (0, Vec::new());
    }
}

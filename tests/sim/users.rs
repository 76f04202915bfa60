//! Users of the API: what they ask for, and what they may expect from the answers.

use std::collections::BTreeMap;

use link::command::{Answer, Change, Command, Refusal};
use link::policy::LossPolicy;
use link::supervisor::core::Token;
use link::vip::VipId;
use link::wire;

use crate::memory_etcd::Millis;
use crate::setup::{self, HOSTS, HostId, IPS, IpId, TWIN, Wish, cidr};

/// What somebody wants of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Create(Wish),
    /// This IP and the next one, together or not at all.
    CreateBoth(Wish),
    Delete,
    Loss(Option<LossPolicy>),
    Priority(Option<u8>),
    /// That the IP belongs to the group, or not.
    Grouped(bool),
    Failover,
    Lock,
    /// That the host is drained, or no longer.
    Drained(bool),
    /// That a host is fenced, perhaps without being asked.
    Fence {
        target: HostId,
        force: bool,
    },
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
    /// The other IP that it is about, if there is one, and the same of that.
    other: Option<(IpId, Registered)>,
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
    /// The IPs that are to be a group.
    pub(crate) grouped: [bool; IPS],
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
            grouped: [false; IPS],
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
        let is_about = |asked: &Asked| asked.ip == ip || asked.other.is_some_and(|it| it.0 == ip);
        self.asked.values().any(|asked| asked.host == host && is_about(asked))
    }

    /// A command for what somebody wants, and where it is answered.
    pub(crate) fn ask(
        &mut self,
        host: HostId,
        ip: IpId,
        want: Want,
        id: Option<VipId>,
    ) -> Option<(Command, Token)> {
        let group = |ip: IpId| self.grouped[ip].then(setup::gw);
        let command = match (want, id) {
            (Want::Create(wish), _) => Command::Create(wish.new_vip(ip, group(ip))),
            (Want::CreateBoth(wish), _) => {
                let all = [ip, next(ip)].map(|ip| wish.new_vip(ip, group(ip)));
                Command::CreateMany(all.into())
            }
            (Want::Drained(true), _) => Command::Drain(None),
            (Want::Drained(false), _) => Command::Undrain,
            (Want::Fence { target, force }, _) => {
                Command::Fence { host: setup::name(target), force }
            }
            (_, None) => return None,
            (Want::Delete, Some(id)) => Command::Delete(id),
            (Want::Loss(loss), Some(id)) => {
                Command::Change(id, Change { loss: Some(loss), ..Change::default() })
            }
            (Want::Priority(priority), Some(id)) => {
                Command::Change(id, Change { priority: Some(priority), ..Change::default() })
            }
            (Want::Grouped(_), Some(_)) if !self.grouped[ip] => return None,
            (Want::Grouped(grouped), Some(id)) => {
                let group = Some(grouped.then(setup::gw));
                Command::Change(id, Change { group, ..Change::default() })
            }
            (Want::Failover, Some(id)) => Command::Failover(id, None),
            (Want::Lock, Some(id)) => Command::Lock(id),
        };
        self.tokens += 1;
        let token = Token(self.tokens);
        let before = self.registered[host][ip];
        let both = matches!(want, Want::CreateBoth(_));
        let other = both.then(|| (next(ip), self.registered[host][next(ip)]));
        self.asked.insert(token, Asked { host, ip, want, before, other });
        if both
            || matches!(want, Want::Create(_) | Want::Delete | Want::Loss(_) | Want::Priority(_))
        {
            self.registered[host][ip] = Registered::Either;
        }
        if let Some((other, _)) = other {
            self.registered[host][other] = Registered::Either;
        }
        Some((command, token))
    }

    /// Whether a host is to be fenced without being asked.
    pub(crate) fn is_by_force(&self, token: Token) -> bool {
        let asked = self.asked.get(&token);
        asked.is_some_and(|asked| matches!(asked.want, Want::Fence { force: true, .. }))
    }

    /// A token for a question that changes nothing.
    pub(crate) fn look(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// Takes an answer.
    pub(crate) fn answered(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        let Some(Asked { host, ip, want, before, other }) = self.asked.remove(&token) else {
            return;
        };
        match answer {
            _ if matches!(
                want,
                Want::Failover
                    | Want::Lock
                    | Want::Drained(_)
                    | Want::Fence { .. }
                    | Want::Grouped(_)
            ) =>
            {
                return;
            }
            Ok(_) => self.answers += 1,
            Err(Refusal::OutcomeUnknown(_)) => self.unknown += 1,
            Err(_) => self.refusals += 1,
        }
        for (ip, before) in [(ip, before)].into_iter().chain(other) {
            let now = known_after(answer, want, before);
            let overtaken = self.waits(host, ip);
            self.registered[host][ip] = if overtaken { Registered::Either } else { now };
        }
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
                        priority: shown.priority,
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

/// The IP that is created together with one.
fn next(ip: IpId) -> IpId {
    (ip + 1) % IPS
}

/// What is registered, as far as an answer to what somebody wanted tells.
fn known_after(answer: &Result<Answer, Refusal>, want: Want, before: Registered) -> Registered {
    match (answer, want) {
        (Ok(_), Want::Create(wish) | Want::CreateBoth(wish)) => Registered::Yes(wish),
        (Ok(_), Want::Delete) => Registered::No,
        (Ok(_), Want::Loss(loss)) => match before {
            Registered::Yes(wish) => Registered::Yes(Wish { loss, ..wish }),
            Registered::No | Registered::Either => Registered::Either,
        },
        (Ok(_), Want::Priority(priority)) => match before {
            Registered::Yes(wish) => Registered::Yes(Wish { priority, ..wish }),
            Registered::No | Registered::Either => Registered::Either,
        },
        (Err(Refusal::OutcomeUnknown(_)), _) => Registered::Either,
        (
            Ok(_),
            Want::Failover | Want::Lock | Want::Drained(_) | Want::Fence { .. } | Want::Grouped(_),
        )
        | (Err(_), _) => before,
    }
}

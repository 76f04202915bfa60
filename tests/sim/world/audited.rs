//! What goes between the agents and the users of their APIs.

use link::command::{Answer, Command, Refusal};
use link::supervisor::core::{Action, Event as SupervisorEvent, Token};
use link::vip::VipId;
use link::wire;

use super::{Event, World};
use crate::setup::{self, HostId, IpId, TWIN};
use crate::users::Want;

/// Between two questions for an agent's health.
const HEALTH: u64 = 1_000;

impl World {
    /// Has somebody ask an agent for something; nothing if the agent does not run.
    pub(super) fn ask_agent(&mut self, host: HostId, ip: IpId, want: Want) {
        if !self.hosts[host].runs() {
            return;
        }
        let id = self.id_of(host, ip);
        let Some((command, token)) = self.users.ask(host, ip, want, id) else { return };
        self.trace(host, || format!("is asked: {command:?}"));
        self.tell_supervisor(host, SupervisorEvent::Command(command, token));
    }

    fn id_of(&mut self, host: HostId, ip: IpId) -> Option<VipId> {
        let list = self.list(host)?;
        let cidr = setup::cidr(ip).to_string();
        list.into_iter().find(|shown| shown.ip == cidr)?.id.parse().ok()
    }

    /// What an agent says is registered, if it says something.
    pub(crate) fn list(&mut self, host: HostId) -> Option<Vec<wire::Ip>> {
        match self.look(host, Command::List)? {
            Answer::List(list) => Some(list),
            Answer::One(_)
            | Answer::Done
            | Answer::Hosts(_)
            | Answer::Drain(_)
            | Answer::Fence(_)
            | Answer::Metrics(_)
            | Answer::Events(_)
            | Answer::Health(_)
            | Answer::Cluster(_) => None,
        }
    }

    /// Asks an agent that runs something that it answers at once and that changes nothing.
    fn look(&mut self, host: HostId, command: Command) -> Option<Answer> {
        let token = self.users.look();
        let (now, time) = (self.instant(), self.now);
        let agent = self.hosts[host].agent.as_mut().filter(|agent| agent.frozen.is_none())?;
        if time < agent.busy_until || !agent.unread.is_empty() {
            return None;
        }
        let mut answer = None;
        for action in agent.core.handle(SupervisorEvent::Command(command, token), now) {
            match action {
                Action::Reply(same, Ok(said)) if same == token => answer = Some(said),
                _ => self.perform_for_supervisor(host, action),
            }
        }
        answer
    }

    /// Asks all agents for their health, and for IPs that were not registered yet at the beginning.
    pub(super) fn ask_health(&mut self) {
        self.after(HEALTH, Event::AskHealth);
        // The audit looks once a second also when nothing happens.
        self.changed = true;
        self.attend_all();
        for host in 0..=TWIN {
            if let Some(Answer::Health(problems)) = self.look(host, Command::Health) {
                self.users.health[host] = (self.now, problems);
            }
        }
        let (due, later) = self.users.first.iter().partition(|(.., at)| *at <= self.now);
        self.users.first = later;
        let due: Vec<_> = due;
        for (host, ip, wish, at) in due {
            if self.hosts[host].runs() {
                self.ask_agent(host, ip, Want::Create(wish));
            } else {
                self.users.first.push((host, ip, wish, at + HEALTH));
            }
        }
    }

    pub(super) fn replied_to_user(
        &mut self,
        host: HostId,
        token: Token,
        answer: Result<Answer, Refusal>,
    ) {
        self.trace(host, || format!("answers {answer:?}"));
        self.users.answered(token, &answer);
        self.changed = true;
    }
}

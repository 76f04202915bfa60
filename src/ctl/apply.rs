//! `linkctl apply`: the agent's host offers exactly what a file says.
//!
//! What is to be done is a pure function of what is listed and what is wanted. IPs are added first and
//! deleted last, so that nothing is missing meanwhile; settings are changed where the IP is.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::agent::{Agent, NewIp};
use super::failure::{Failure, Next};
use super::output::Output;
use super::settings::{SETTINGS, Said, Setting};
use crate::text::clean;
use crate::vip::{Cidr, VipId};

/// How many IPs go in one request.
const AT_ONCE: usize = 1000;

/// An IP that the agent has.
#[derive(Clone, Debug)]
struct Listed {
    id: VipId,
    cidr: Cidr,
    ip: Map<String, Value>,
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
struct Plan {
    add: Vec<NewIp>,
    change: Vec<(Listed, Vec<Differs>)>,
    delete: Vec<Listed>,
    /// Deleted and registered anew: another mask, or something that cannot be changed.
    replace: Vec<(Listed, NewIp)>,
}

/// A setting that is to be another, from one value to the other.
#[derive(Clone, Debug)]
struct Differs {
    setting: &'static Setting,
    from: Value,
    to: Value,
}

/// Makes it so; whether anything was, or is to be, changed.
pub(super) fn run(
    agent: &Agent,
    output: Output,
    wanted: Vec<NewIp>,
    dry_run: bool,
) -> Result<bool, Failure> {
    let listed = listed(&agent.list()?.json)?;
    let plan = Plan::of(&listed, wanted);
    let text = plan.text(dry_run);
    let json = plan.json();
    let changes = !plan.is_empty();
    if !dry_run {
        plan.carry_out(agent)?;
    }
    output.answer(json.to_string().as_bytes(), |_| text)?;
    Ok(changes)
}

fn listed(json: &[u8]) -> Result<Vec<Listed>, Failure> {
    let wrong = || Failure::new(Next::Update, "the agent's list cannot be understood");
    let value: Value = serde_json::from_slice(json).map_err(|_| wrong())?;
    let ips = value.get("ips").and_then(Value::as_array).ok_or_else(wrong)?;
    let one = |ip: &Value| {
        let ip = ip.as_object()?;
        let text = |field: &str| ip.get(field)?.as_str();
        let (id, cidr) = (text("id")?.parse().ok()?, text("ip")?.parse().ok()?);
        Some(Listed { id, cidr, ip: ip.clone() })
    };
    ips.iter().map(|ip| one(ip).ok_or_else(wrong)).collect()
}

impl Plan {
    fn of(listed: &[Listed], wanted: Vec<NewIp>) -> Plan {
        let mut plan = Plan::default();
        let is_wanted = |it: &&Listed| wanted.iter().any(|new| new.cidr.addr() == it.cidr.addr());
        plan.delete = listed.iter().filter(|it| !is_wanted(it)).cloned().collect();
        for new in wanted {
            let same = listed.iter().find(|it| it.cidr.addr() == new.cidr.addr());
            let Some(same) = same.cloned() else {
                plan.add.push(new);
                continue;
            };
            let differs = same.differs(&new.settings);
            if same.cidr != new.cidr || differs.iter().any(|it| !it.setting.can_change) {
                plan.replace.push((same, new));
            } else if !differs.is_empty() {
                plan.change.push((same, differs));
            }
        }
        plan
    }

    fn is_empty(&self) -> bool {
        let Plan { add, change, delete, replace } = self;
        add.is_empty() && change.is_empty() && delete.is_empty() && replace.is_empty()
    }

    fn carry_out(self, agent: &Agent) -> Result<(), Failure> {
        for new in self.add.chunks(AT_ONCE) {
            let first = new.first().map(|new| new.cidr.to_string()).unwrap_or_default();
            let what = format!("{} IPs, the first of which is {first}", new.len());
            agent.add_many(new).map_err(|failure| failure.on("add", what))?;
        }
        for (listed, differs) in &self.change {
            let mut said = Said::new();
            for Differs { setting, to, .. } in differs {
                said.insert(setting.field.to_owned(), setting.to_send(to));
            }
            agent.set(&listed.id, said).map_err(|failure| failure.on("set", listed.cidr))?;
        }
        for listed in &self.delete {
            agent.delete(&listed.id).map_err(|failure| failure.on("delete", listed.cidr))?;
        }
        for (listed, new) in &self.replace {
            agent.delete(&listed.id).map_err(|failure| failure.on("delete", listed.cidr))?;
            agent.add(new).map_err(|failure| failure.on("add", new.cidr))?;
        }
        Ok(())
    }

    fn text(&self, dry_run: bool) -> String {
        if self.is_empty() {
            return "nothing to change\n".to_owned();
        }
        let mut text = String::new();
        for new in &self.add {
            let _ = writeln!(text, "+ {}", new.cidr);
        }
        for (listed, differs) in &self.change {
            let _ = writeln!(text, "~ {}: {}", listed.cidr, told(differs));
        }
        for listed in &self.delete {
            let _ = writeln!(text, "- {}", listed.cidr);
        }
        for (listed, new) in &self.replace {
            let _ = match listed.cidr == new.cidr {
                true => {
                    let differs = told(&listed.differs(&new.settings));
                    writeln!(text, "! {}: registered anew: {differs}", new.cidr)
                }
                false => writeln!(text, "! {}: registered anew as {}", listed.cidr, new.cidr),
            };
        }
        let [added, changed, deleted, anew] = self.counts();
        let would = if dry_run { "to do: " } else { "" };
        let _ = writeln!(
            text,
            "{would}{added} added, {changed} changed, {deleted} deleted, {anew} registered anew"
        );
        text
    }

    fn counts(&self) -> [usize; 4] {
        [self.add.len(), self.change.len(), self.delete.len(), self.replace.len()]
    }

    fn json(&self) -> Value {
        let texts = |all: Vec<String>| Value::Array(all.into_iter().map(Value::String).collect());
        let cidrs = |all: &[Listed]| texts(all.iter().map(|it| it.cidr.to_string()).collect());
        let added = self.add.iter().map(|new| new.cidr.to_string()).collect();
        let changed = self.change.iter().map(|(it, _)| it.cidr.to_string()).collect();
        let anew = self.replace.iter().map(|(_, new)| new.cidr.to_string()).collect();
        let mut object = Map::new();
        object.insert("changed".to_owned(), texts(changed));
        object.insert("added".to_owned(), texts(added));
        object.insert("deleted".to_owned(), cidrs(&self.delete));
        object.insert("registered_anew".to_owned(), texts(anew));
        Value::Object(object)
    }
}

impl Listed {
    /// Which settings are to be others.
    fn differs(&self, wanted: &Said) -> Vec<Differs> {
        // An older agent does not tell what is its own: then what is not said may be so.
        let tells_defaults = self.ip.contains_key("defaults");
        let mut differs = Vec::new();
        for setting in &SETTINGS {
            let (from, to) = (setting.of(&self.ip), setting.of(wanted));
            let is_of_agent = setting.shows_agents && to.is_null() && !tells_defaults;
            if from != to && !is_of_agent {
                differs.push(Differs { setting, from, to });
            }
        }
        differs
    }
}

fn told(differs: &[Differs]) -> String {
    let one = |Differs { setting, from, to }: &Differs| {
        format!("{} {} -> {}", clean(setting.field), setting.shown(from), setting.shown(to))
    };
    differs.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::file::understand;

    const LIST: &str = r#"{"ips":[
        {"id":"vip-00000000-0000-4000-8000-000000000001","ip":"10.0.0.1/32","interface":"eth0",
         "checks":[],"healthcheck_interval":0,"etcd_loss_policy":"take","owner":"h1",
         "defaults":["healthcheck_interval","interface","etcd_loss_policy"]},
        {"id":"vip-00000000-0000-4000-8000-000000000002","ip":"10.0.0.2/32","interface":"eth1",
         "checks":[{"type":"TCP","host":"db","port":1}],"healthcheck_interval":7,
         "etcd_loss_policy":"take","defaults":[]}]}"#;

    fn plan(list: &str, file: &str) -> String {
        let listed = listed(list.as_bytes()).unwrap();
        Plan::of(&listed, understand(file).unwrap()).text(true)
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        assert_eq!(plan(LIST, LIST), "nothing to change\n");
        let lines = "10.0.0.2 --interface eth1 --interval 7 --check db:1 --etcd-loss-policy take\n\
                     10.0.0.1\n";
        assert_eq!(plan(LIST, lines), "nothing to change\n");
        // An older agent tells what it does, not what the IP says.
        let older = LIST.replace(r#","owner":"h1","#, ",").replace(r#"defaults":["#, r#"x":["#);
        assert_eq!(
            plan(&older, "10.0.0.1\n10.0.0.2 --interval 7 --check db:1"),
            "nothing to change\n"
        );
    }

    #[test]
    fn what_differs_is_added_changed_deleted_and_only_then_registered_anew() {
        for (file, expected) in [
            (
                "10.0.0.1 --interval 5 --etcd-loss-policy hold\n10.0.0.3",
                "+ 10.0.0.3/32\n\
                 ~ 10.0.0.1/32: healthcheck_interval default -> 5, etcd_loss_policy default -> hold\n\
                 - 10.0.0.2/32\nto do: 1 added, 1 changed, 1 deleted, 0 registered anew\n",
            ),
            (
                "10.0.0.1/24\n10.0.0.2 --interval 7 --etcd-loss-policy take",
                "! 10.0.0.1/32: registered anew as 10.0.0.1/24\n\
                 ! 10.0.0.2/32: registered anew: checks tcp://db:1 -> none, interface eth1 -> default\n\
                 to do: 0 added, 0 changed, 0 deleted, 2 registered anew\n",
            ),
            (
                r#"{"ips":[]}"#,
                "- 10.0.0.1/32\n- 10.0.0.2/32\n\
                 to do: 0 added, 0 changed, 2 deleted, 0 registered anew\n",
            ),
        ] {
            assert_eq!(plan(LIST, file), expected, "{file}");
        }
    }
}

//! A round: faults are done and healed, each at its time, and what becomes of the IPs is judged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::audit::{Seen, Times};
use super::bounds::{Bound, Effect, WELL};
use super::noise::{Noise, waited_for_memory};
use super::outcome::{Outcome, Story};
use super::plan::{Fault, Kind, OnEtcd, OnHost};
use super::stage::{HOSTS, Stage, VIPS};
use super::strike::Struck;
use crate::harness::{HostId, PingReport, Pinger, until};

/// Before the first fault, for the pings to find their way.
const LEAD: Duration = Duration::from_millis(200);

/// How long all has to stay well before the next round.
const CALM: Duration = Duration::from_secs(1);

/// How long etcd may take to be one cluster again.
const ETCD: Duration = Duration::from_secs(40);

/// A round that is being played.
pub(crate) struct Round<'a> {
    stage: &'a mut Stage,
    begun: Instant,
    /// What the machine's processes had waited for memory by then.
    waited: Duration,
    /// Who bound each IP then.
    before: Vec<BTreeSet<HostId>>,
    pingers: [Pinger; VIPS.len()],
    done: Vec<Done>,
    violations: Vec<String>,
}

/// A fault that was done, who bound each IP then, and when it was healed.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) struck: Struck,
    binders: Vec<BTreeSet<HostId>>,
    pub(crate) healed: Instant,
}

enum Step {
    Strike(Fault),
    Heal(usize),
}

impl Round<'_> {
    /// Begins to watch and to ping.
    pub(crate) fn begin(stage: &mut Stage) -> Round<'_> {
        stage.ledger.begin();
        stage.longest_look.set(Duration::ZERO);
        let pingers = stage.ping();
        let before = stage.watch.begin();
        let (begun, waited) = (Instant::now(), waited_for_memory());
        Round { stage, begun, waited, before, pingers, done: Vec::new(), violations: Vec::new() }
    }

    /// Does the faults and undoes them, waits until all is well, and judges.
    pub(crate) fn play(mut self, faults: &[Fault]) -> Outcome {
        self.stage.pass_until(self.begun + LEAD);
        self.strike_and_heal(faults);
        self.judge_calls();
        let etcd_is_ready = until(ETCD, || self.stage.lab.etcd.is_ready());
        if !etcd_is_ready {
            self.violations.push(format!("etcd is not ready after {ETCD:?}"));
        }
        self.stage.demand_passwords();
        // Everything is healed when etcd answers too.
        let healed = Instant::now();
        let owners = self.await_calm(healed);
        self.judge(healed, owners)
    }

    fn strike_and_heal(&mut self, faults: &[Fault]) {
        let begun = Instant::now();
        let strikes = faults.iter().map(|fault| (begun + fault.at, Step::Strike(*fault)));
        let mut steps: Vec<(Instant, Step)> = strikes.collect();
        while let Some(next) = (0..steps.len()).min_by_key(|index| steps[*index].0) {
            let (at, step) = steps.swap_remove(next);
            self.stage.pass_until(at);
            match step {
                Step::Strike(fault) => steps.extend(self.strike(fault)),
                Step::Heal(number) => self.heal(number),
            }
        }
    }

    /// Does a fault; gives when it is to be healed.
    fn strike(&mut self, fault: Fault) -> Option<(Instant, Step)> {
        let binders = (0..VIPS.len()).map(|vip| self.stage.watch.binders(vip).clone()).collect();
        let struck = self.stage.strike(fault)?;
        self.done.push(Done { struck, binders, healed: Instant::now() });
        Some((struck.at + fault.lasts, Step::Heal(self.done.len() - 1)))
    }

    fn heal(&mut self, number: usize) {
        let done = &mut self.done[number];
        let wrong = self.stage.heal(&done.struck).err();
        done.healed = Instant::now();
        self.violations.extend(wrong);
    }

    /// Takes note of answers that cannot be true. Where etcd has lost something and an agent has, too,
    /// what was told meanwhile may be lost with both.
    fn judge_calls(&mut self) {
        let ledger = &mut self.stage.ledger;
        self.violations.append(&mut ledger.lies);
        let done = |such: fn(&Kind) -> bool| self.done.iter().any(|d| such(&d.struck.fault.kind));
        let forgets =
            |kind: &Kind| matches!(kind, Kind::Etcd(OnEtcd::Wipe) | Kind::Etcd(OnEtcd::Restore));
        let restarts = |kind: &Kind| matches!(kind, Kind::Agent(_) | Kind::Host(OnHost::PowerOff));
        if done(forgets) && done(restarts) {
            ledger.doubt();
        }
    }

    /// Waits until all is well and stays so: a lease that could not be renewed in time may end
    /// after that.
    fn await_calm(&mut self, healed: Instant) -> Option<Vec<HostId>> {
        let mut calm = Err(String::new());
        let patience = (healed + WELL).saturating_duration_since(Instant::now());
        until(patience, || {
            calm = self.calm();
            calm.is_ok()
        });
        calm.map_err(|why| {
            self.violations.push(format!("not well {WELL:?} after everything was healed: {why}"));
        })
        .ok()
    }

    fn calm(&mut self) -> Result<Vec<HostId>, String> {
        let owners = self.stage.owners()?;
        self.stage.pass_until(Instant::now() + CALM);
        let same = self.stage.owners()?;
        if same == owners { Ok(owners) } else { Err("the owners change".to_owned()) }
    }

    fn judge(mut self, healed: Instant, owners: Option<Vec<HostId>>) -> Outcome {
        let times = Times { begun: self.begun, healed, ended: Instant::now() };
        let pings = self.pingers.map(Pinger::stop);
        self.stage.watch.look();
        let (scrapes, differences) = self.stage.scrapes.take();
        self.violations.extend(differences);
        let noise = noise(&pings, self.stage.watch.late, waited_for_memory() - self.waited);
        let mut seen = Vec::new();
        for (vip, ping) in pings.iter().enumerate() {
            let changes = self.stage.watch.changes_of(vip);
            let before = self.before[vip].first().copied().unwrap_or(HOSTS[0]);
            let after = owners.as_ref().map(|owners| owners[vip]);
            let bound = Bound::of(vip, &effects(&self.done, vip, self.stage));
            let this = Seen::new(&self.before[vip], &changes, times, ping, (before, after));
            let violations = this.violations(&bound, noise.allowance());
            let named = violations.into_iter().map(|what| format!("{}: {what}", VIPS[vip]));
            self.violations.extend(named);
            seen.push((this, bound));
        }
        if noise.drowns_everything() {
            self.violations.clear();
        }
        // However late the machine is: what an agent does follows from what it was told.
        let refused = self.stage.lab.replay().err();
        let is_well = owners.is_some() && refused.is_none();
        self.violations.extend(refused);
        let story = Story {
            stage: self.stage,
            began: self.begun,
            done: &self.done,
            violations: &self.violations,
            pings: &pings,
        };
        let story = story.to_string();
        Outcome {
            faults: self.done.iter().map(|done| done.struck).collect(),
            seen,
            violations: self.violations,
            noise,
            began: self.begun,
            is_well,
            calls: self.stage.ledger.counts,
            scrapes,
            story,
        }
    }
}

fn noise(pings: &[PingReport], watch: Duration, memory: Duration) -> Noise {
    let stall = pings.iter().map(|ping| ping.longest_stall).max().unwrap_or_default();
    Noise::new(stall.max(watch).max(memory))
}

/// The faults as far as they matter to one IP.
fn effects(done: &[Done], vip: usize, stage: &Stage) -> Vec<Effect> {
    let effect = |done: &Done| Effect {
        kind: done.struck.fault.kind,
        lasted: done.healed - done.struck.at,
        on_owner: done.struck.host.is_some_and(|host| done.binders[vip].contains(&host)),
        about: done.struck.fault.vip == vip,
        loss: stage.loss(vip),
        token: stage.token(),
    };
    done.iter().map(effect).collect()
}

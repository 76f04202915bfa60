//! The watch of an agent over the locks and its own keys, as `link::etcd::watch` has it.

use link::call;
use link::election::message::Input;
use link::etcd::{Gap, Kv, Op, Txn};
use link::lock::{self, view_of};
use link::store;
use link::supervisor::core::Event as SupervisorEvent;

use super::{Event, Process, Read, World};
use crate::bugs::Bug;
use crate::memory_etcd::Change;
use crate::setup::HostId;
use crate::times::{ATTEMPT, BACK_OFF, SAFETY_READ};

/// How many revisions an etcd goes back that tells old events to a new watch (etcd #20221).
const OLD: i64 = 6;

impl World {
    /// Reads and watches anew, for as long as it takes.
    pub(super) fn begin_to_watch(&mut self, host: HostId, pause: u64) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let watch = &mut agent.client.watch;
        watch.generation += 1;
        (watch.open, watch.streams, watch.reads) = (false, false, false);
        watch.queue.clear();
        let generation = watch.generation;
        self.process_after(pause, host, Process::Watch(generation));
    }

    /// The connection was given up.
    pub(super) fn break_watch(&mut self, host: HostId) {
        let Some(agent) = &self.hosts[host].agent else { return };
        if agent.client.watch.open {
            self.begin_to_watch(host, 0);
        }
    }

    pub(super) fn open_watch(&mut self, host: HostId, generation: u64) {
        let reachable = self.cluster.up && self.hosts[host].faults.cut_out == 0;
        let broken = self.bug == Some(Bug::DeadWatchesStayDead) && self.now > 10_000;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let watch = &mut agent.client.watch;
        if watch.generation != generation || broken {
            return;
        }
        if reachable {
            return self.send_read(host, generation, false);
        }
        let pause = watch.pause;
        watch.pause = (pause * 2).min(BACK_OFF.1);
        self.process_after(pause, host, Process::Watch(generation));
    }

    fn send_read(&mut self, host: HostId, generation: u64, safety: bool) {
        self.process_after(ATTEMPT, host, Process::WatchOverdue(generation));
        let (way, life, era) = (self.way(host), self.hosts[host].life, self.era);
        let Some(agent) = &mut self.hosts[host].agent else { return };
        agent.client.watch.reads = true;
        let known = agent.client.known;
        let lost = self.random.one_in(50) || self.hosts[host].faults.cut_out > 0;
        if !lost {
            self.after(way, Event::ReadArrives { host, life, era, generation, known, safety });
        }
    }

    /// A read was not answered.
    pub(super) fn watch_overdue(&mut self, host: HostId, generation: u64) {
        let Some(agent) = &self.hosts[host].agent else { return };
        let watch = &agent.client.watch;
        if watch.generation == generation && watch.reads {
            self.begin_to_watch(host, watch.pause);
        }
    }

    pub(super) fn read_arrives(
        &mut self,
        host: HostId,
        life: u64,
        generation: u64,
        known: i64,
        safety: bool,
    ) {
        if !self.cluster.up {
            return;
        }
        let prefixes = [lock::PREFIX, call::PREFIX].map(|it| Op::GetPrefix(it.to_owned()));
        let read = Txn::unconditional(prefixes.to_vec());
        let Ok((reply, _)) = self.cluster.transact(host, &read) else { return };
        let kvs: Vec<Kv> = [reply.kvs(0), reply.kvs(1)].concat();
        let (cluster, revision) = (reply.cluster, reply.revision);
        let way = self.way(host);
        let heard = self.hosts[host].faults.cut_in == 0 && self.hosts[host].life == life;
        let at = self.now + way;
        let Some(agent) = self.hosts[host].agent.as_mut().filter(|_| heard) else { return };
        let watch = &mut agent.client.watch;
        if watch.generation != generation {
            return;
        }
        // A stream that was silent tells of what comes from here on.
        watch.streams = true;
        if !safety {
            let from =
                if std::mem::take(&mut watch.repeats_old) { revision - OLD } else { revision };
            // What was written since a stale read, too.
            let missed = self.cluster.history.since(from + 1, "");
            let followed = |change: &&Change| {
                [lock::PREFIX, call::PREFIX].iter().any(|it| change.key.starts_with(it))
            };
            let missed = missed.into_iter().flatten().filter(followed);
            let missed: Vec<Change> = missed.cloned().collect();
            if !missed.is_empty() {
                watch.queue.push_back((at + 1, missed));
                let what = Process::Deliver(generation);
                self.after(way + 1, Event::Process { host, life, what });
            }
        }
        let what =
            Process::Read(generation, Box::new(Read { known, cluster, revision, kvs, safety }));
        self.after(way, Event::Process { host, life, what });
    }

    pub(super) fn read(&mut self, host: HostId, generation: u64, read: Read) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let holds_lease = agent.client.holds_lease();
        let client = &mut agent.client;
        if client.watch.generation != generation {
            return;
        }
        client.watch.reads = false;
        let Read { known, cluster, revision, kvs, safety } = read;
        let same = |kv: &Kv| kv.mod_revision <= client.watch.seen.0;
        let unchanged = kvs.len() == client.watch.seen.1 && kvs.iter().all(same);
        let same_cluster = cluster == client.watch.cluster;
        if safety && holds_lease && unchanged && revision >= known && same_cluster {
            return self.process_after(SAFETY_READ, host, Process::SafetyRead(generation));
        }
        let before = std::mem::replace(&mut client.watch.cluster, cluster);
        let gap = match safety {
            _ if before != 0 && before != cluster => Gap::Replaced,
            _ if revision < known => Gap::Restored,
            true => Gap::None,
            false => Gap::Reconnected,
        };
        if matches!(gap, Gap::Replaced | Gap::Restored) {
            client.known = 0;
        }
        client.heard(revision);
        client.watch.seen = (revision, kvs.len());
        client.watch.gap = client.watch.gap.max(gap);
        self.tell_all_locks(host, &kvs, revision, gap);
        self.read_agents(host, &kvs, revision);
        if safety && gap != Gap::None {
            // It waits for revisions that are a long way off.
            return self.begin_to_watch(host, 0);
        }
        if !safety {
            self.watch_is_open(host);
        }
        self.process_after(SAFETY_READ, host, Process::SafetyRead(generation));
    }

    fn watch_is_open(&mut self, host: HostId) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let watch = &mut agent.client.watch;
        (watch.open, watch.pause) = (true, BACK_OFF.0);
        let gap = std::mem::replace(&mut watch.gap, Gap::None);
        self.tell_supervisor(host, SupervisorEvent::WatchOpened(gap.into()));
    }

    fn tell_all_locks(&mut self, host: HostId, kvs: &[Kv], revision: i64, gap: Gap) {
        let Some(agent) = &self.hosts[host].agent else { return };
        let views: Vec<_> = agent
            .elections
            .iter()
            .filter(|(_, election)| !election.unsubscribed)
            .map(|(slot, election)| {
                let key = lock::key(&election.key);
                let kv = kvs.iter().find(|kv| kv.key == key).cloned();
                (*slot, view_of(&link::etcd::KeyState { kv, revision, gap }))
            })
            .collect();
        for (slot, view) in views {
            self.tell_election(host, slot, Input::Lock(view));
        }
    }

    pub(super) fn safety_read(&mut self, host: HostId, generation: u64) {
        let Some(agent) = &self.hosts[host].agent else { return };
        if agent.client.watch.generation != generation {
            return;
        }
        self.send_read(host, generation, true);
    }

    /// All who watch are sent what has changed, each after a while of its own, but in order.
    pub(super) fn publish(&mut self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.note_locks();
        self.trace(0, || format!("   etcd: {changes:?}"));
        self.tell_go(changes);
        for host in 0..self.hosts.len() {
            let late = self.hosts[host].faults.late_watch > 0;
            let way = self.way(host) + if late { self.random.between(300, 3_000) } else { 0 };
            let name = &self.hosts[host].name;
            let own =
                [store::records_prefix(name), store::config_prefix(name), store::GROUPS.to_owned()];
            let concerns = |change: &&Change| {
                let key = &change.key;
                let all = [lock::PREFIX, call::PREFIX].iter().any(|it| key.starts_with(it));
                all || own.iter().any(|own| key.starts_with(own.as_str()))
            };
            let mut sent: Vec<Change> = changes.iter().filter(concerns).cloned().collect();
            let Some(agent) = &mut self.hosts[host].agent else { continue };
            let watch = &mut agent.client.watch;
            // What is lost of a record is found by a comparison, which nobody here waits for so long.
            let is_lost =
                |change: &Change| change.is_deletion() && change.key.starts_with(lock::PREFIX);
            if watch.loses_deletion && sent.iter().any(is_lost) {
                watch.loses_deletion = false;
                sent.retain(|change| !is_lost(change));
            }
            if sent.is_empty() || !watch.streams {
                continue;
            }
            let last = watch.queue.back().map_or(0, |(at, _)| *at);
            let (at, generation) = ((self.now + way).max(last), watch.generation);
            watch.queue.push_back((at, sent));
            self.process_at(at, host, Process::Deliver(generation));
        }
    }

    /// What etcd has sent arrives; while nothing gets through, later.
    pub(super) fn deliver(&mut self, host: HostId, generation: u64) {
        let cut = self.hosts[host].faults.cut_in > 0;
        let Some(agent) = &mut self.hosts[host].agent else { return };
        let watch = &mut agent.client.watch;
        if watch.generation != generation {
            return;
        }
        if cut {
            return self.process_after(200, host, Process::Deliver(generation));
        }
        if watch.queue.front().is_none_or(|(at, _)| *at > self.now) {
            return;
        }
        let (_, changes) = watch.queue.pop_front().expect("it was looked at");
        for change in changes {
            self.tell_change(host, &change);
        }
    }

    fn tell_change(&mut self, host: HostId, change: &Change) {
        let Some(agent) = &mut self.hosts[host].agent else { return };
        agent.client.heard(change.revision);
        if change.key.starts_with(call::PREFIX) {
            return self.agents_changed(host, change);
        }
        if !change.key.starts_with(lock::PREFIX) {
            let (key, exists) = (change.key.to_string(), !change.is_deletion());
            let revision = change.revision;
            return self
                .tell_supervisor(host, SupervisorEvent::KeyChanged { key, exists, revision });
        }
        let subscribed = agent.elections.iter().filter(|(_, election)| !election.unsubscribed);
        let of_key = subscribed.filter(|(_, it)| lock::key(&it.key) == *change.key);
        let slots: Vec<_> = of_key.map(|(slot, _)| *slot).collect();
        for slot in slots {
            let view = view_of(&change.state());
            self.tell_election(host, slot, Input::Lock(view));
        }
    }
}

//! etcd's members and their leader: in some worlds each host has a member on it, which dies with it.

use super::{Event, World};
use crate::setup::{HOSTS, HostId};

/// How long an election of a leader takes.
const ELECTION: (u64, u64) = (1_000, 3_000);

impl World {
    /// Nothing is carried out, and nothing is said.
    pub(crate) fn etcd_stalls(&self) -> bool {
        self.leaderless > 0
    }

    /// etcd carries out what it is asked for, as far as it can be reached.
    pub(crate) fn etcd_serves(&self) -> bool {
        self.cluster.up && !self.etcd_stalls()
    }

    pub(super) fn lose_leader(&mut self) {
        self.leaderless += 1;
    }

    /// There is a leader again: all leases begin again, and some of what was asked meanwhile is done.
    pub(super) fn elect_leader(&mut self) {
        self.leaderless -= 1;
        if self.etcd_stalls() {
            return;
        }
        self.cluster.data.restart_leases(self.now);
        self.audit.leader_elected(self.now);
        self.changed = true;
        let powered: Vec<HostId> = (0..HOSTS).filter(|host| self.hosts[*host].power).collect();
        if !powered.is_empty() {
            self.leader = powered[self.random.index(powered.len())];
        }
        for event in std::mem::take(&mut self.stalled) {
            if self.random.one_in(2) {
                let after = self.random.between(0, 50);
                self.after(after, event);
            }
        }
    }

    /// A host has lost its power or has it again.
    pub(super) fn member_changed(&mut self, host: HostId) {
        if !self.members {
            return;
        }
        let powered = (0..HOSTS).filter(|host| self.hosts[*host].power).count();
        let quorum = powered * 2 > HOSTS;
        let (had_quorum, lasts) = (self.quorum, self.random.between(ELECTION.0, ELECTION.1));
        self.quorum = quorum;
        match (had_quorum, quorum) {
            (true, false) => self.lose_leader(),
            (false, true) => self.after(lasts, Event::LeaderElected),
            (true, true) if !self.hosts[host].power && self.leader == host => {
                self.lose_leader();
                self.after(lasts, Event::LeaderElected);
            }
            (true, true) | (false, false) => {}
        }
    }
}

//! A machine that comes up under the name of another.

use super::World;
use crate::setup::{HostId, IPS, TWIN};

impl World {
    /// Another machine comes up under the name of a host, if all is well.
    pub(super) fn begin_twin(&mut self, host: HostId) {
        let first = &self.hosts[host];
        if !self.audit.is_well(self.now) || !first.runs() {
            return;
        }
        let name = first.name.clone();
        let disk = first.disk.clone().filter(|_| self.random.one_in(2));
        let twin = &mut self.hosts[TWIN];
        (twin.name, twin.disk, twin.power) = (name, disk, true);
        twin.boots += 1;
        self.audit.twins.begin(host, self.now);
        self.boot(TWIN);
    }

    /// It is switched off again.
    pub(super) fn end_twin(&mut self) {
        if std::mem::take(&mut self.hosts[TWIN].power) {
            self.kill(TWIN);
            self.hosts[TWIN].kernel = [false; IPS];
            self.audit.twins.end(self.now);
        }
    }
}

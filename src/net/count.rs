//! What the actuator tells of itself when it is asked.

use super::actuator::Actuator;
use crate::metrics::NetworkCounts;

impl Actuator {
    /// Answers those that have asked a question. What is told is what is known after all notices of the
    /// kernel that have come.
    pub(super) fn answer(&mut self) {
        for (question, reply) in self.questions.drain(..) {
            // Whoever does not wait any longer has no use for the answer.
            let _ = reply.try_send(self.reconciler.look_at(&question));
        }
        for counted in std::mem::take(&mut self.scrapes) {
            counted(self.counts());
        }
    }

    fn counts(&self) -> NetworkCounts {
        let announcements = self.announcer.counts();
        NetworkCounts {
            addresses: self.reconciler.addresses(),
            interfaces: self.reconciler.interfaces(),
            announcements: announcements.sent,
            announcement_failures: announcements.failed,
            restored: self.reconciler.restored(),
        }
    }
}

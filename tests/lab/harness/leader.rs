//! Which member of etcd leads.

use super::etcd::Etcd;
use super::wait;

impl Etcd {
    /// The member that leads, if all that serve answer; the first is 0.
    pub(crate) fn leader(&self) -> Option<usize> {
        let status = self.status()?;
        let leader = status.iter().find(|status| status.leads())?;
        self.members.iter().position(|member| member.url() == leader.endpoint)
    }

    /// Has the leader hand its leadership to that member; false when that cannot be done now.
    pub(crate) fn move_leader(&self, heir: usize) -> bool {
        let status = self.status().unwrap_or_default();
        let leader = status.iter().find(|status| status.leads());
        let heir = status.iter().find(|status| status.endpoint == self.members[heir].url());
        let (Some(leader), Some(heir)) = (leader, heir) else {
            return false;
        };
        // Only the leader itself takes this order.
        self.ask(&leader.endpoint, &["move-leader", &format!("{:x}", heir.member)]).is_ok()
    }

    /// Waits until that member leads and all know it.
    #[track_caller]
    pub(crate) fn lead(&self, member: usize) {
        wait::eventually("it leads", || {
            if self.leader() == Some(member) {
                return true;
            }
            self.move_leader(member);
            false
        });
        self.await_ready();
    }
}

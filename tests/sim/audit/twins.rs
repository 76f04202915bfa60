//! One host, one name: the second machine with a name serves nothing, and both say that it is there.

use super::Millis;
use crate::setup::{HOSTS, HostId, IPS, TWIN, cidr};
use crate::world::World;

/// How long it may take before both say so.
const TOLD: Millis = 15_000;

/// How long the first says so after the second is gone: until its claim to the name has ended, which is
/// counted anew by an agent that starts meanwhile.
const REMEMBERED: Millis = 135_000;

/// Which host has another machine beside it with its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twins {
    /// The host, and since when.
    present: Option<(HostId, Millis)>,
    ended: [Option<Millis>; HOSTS],
}

impl Twins {
    pub(crate) fn begin(&mut self, host: HostId, now: Millis) {
        self.present = Some((host, now));
    }

    pub(crate) fn end(&mut self, now: Millis) {
        if let Some((host, _)) = self.present.take() {
            self.ended[host] = Some(now);
        }
    }

    /// Whether a host has a reason to complain of another with its name: while that is there and a while
    /// after, and a while after the claim may have come back.
    pub(super) fn are_told_of(&self, host: HostId, disturbed: Millis, now: Millis) -> bool {
        let present = self.present.is_some_and(|(first, _)| first == host);
        present || self.ended[host].is_some_and(|at| now < at.max(disturbed) + REMEMBERED)
    }

    pub(super) fn judge(&self, world: &World) -> Result<(), String> {
        let Some((first, since)) = self.present else { return Ok(()) };
        let (twin, name) = (&world.hosts[TWIN], &world.hosts[first].name);
        if let Some(ip) = (0..IPS).find(|ip| twin.has(*ip)) {
            return Err(format!("the second {name} has {}", cidr(ip)));
        }
        let silent = |host: HostId| world.users.health[host].1.is_empty();
        if world.now > since + TOLD && (silent(first) || silent(TWIN)) {
            return Err(format!("not both machines with the name {name} say so"));
        }
        Ok(())
    }
}

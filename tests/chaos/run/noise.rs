//! What the machine itself does to the lab: a processor that is busy with something else, or memory
//! that is not there when it is needed, holds up agents and etcd as it holds up everything.

use std::fs;
use std::time::Duration;

/// How often the noise may hit the agents until they have done what they have to.
const TURNS: u32 = 4;

/// A machine that stands still for so long is out of what the agents are made for: they take it for
/// a pause of their own, and etcd's members for that of another.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The noise of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Noise(Duration);

impl Noise {
    /// The longest time by which something in the lab was late that is never late by itself.
    pub(crate) fn new(late: Duration) -> Noise {
        Noise(late)
    }

    /// How much longer than its bound something may take.
    pub(crate) fn allowance(self) -> Duration {
        self.0 * TURNS
    }

    /// Whether nothing can be said of the agents.
    pub(crate) fn drowns_everything(self) -> bool {
        self.0 >= STANDSTILL
    }

    /// As a duration.
    pub(crate) fn late(self) -> Duration {
        self.0
    }
}

/// How long all processes of the machine have waited for memory, since it was started (kernel:
/// Documentation/accounting/psi.rst); nothing where the kernel does not count that.
pub(crate) fn waited_for_memory() -> Duration {
    let pressure = fs::read_to_string("/proc/pressure/memory").unwrap_or_default();
    let full = pressure.lines().find_map(|line| line.strip_prefix("full "));
    let total = full.and_then(|full| full.split_once("total=")?.1.trim().parse().ok());
    Duration::from_micros(total.unwrap_or_default())
}

//! What is heard of the address on the network.

use super::isolation::Isolation;
use super::{Conflict, Core};
use crate::network::ProbeResult;

/// What is heard of the address on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    pub(super) probe: Probe,
    pub(super) conflict: Conflict,
    pub(super) isolation: Isolation,
}

impl Wire {
    pub(super) fn new() -> Wire {
        Wire { probe: Probe::Off, conflict: Conflict::None, isolation: Isolation::new() }
    }
}

/// Whether the network is being asked who has the address, and what it has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Probe {
    Off,
    Asked,
    Silent,
    Answered {
        wins_tie_break: bool,
    },
    /// Not an answer, but as good as one: another host has announced the address.
    Claimed {
        wins_tie_break: bool,
    },
}

impl Core {
    pub(super) fn on_probed(&mut self, result: ProbeResult) {
        if self.wire.probe != Probe::Off {
            self.wire.probe = match result {
                ProbeResult::Silent => Probe::Silent,
                ProbeResult::Answered { wins_tie_break } => Probe::Answered { wins_tie_break },
            };
        }
    }
}

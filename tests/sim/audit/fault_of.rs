//! What a fault is a reason for.

use crate::fault::Fault;
use crate::memory_etcd::Millis;

/// For so long an agent may stand still, and nothing moves.
const SHORT: Millis = 300;

/// Whether it must not move anything.
pub(super) fn moves_nothing(fault: Fault) -> bool {
    match fault {
        Fault::Freeze { lasts, .. } => lasts <= SHORT,
        Fault::Twin { .. } | Fault::GoLink { .. } | Fault::Pause { .. } | Fault::Busy { .. } => {
            true
        }
        _ => false,
    }
}

/// Whether the network of the IPs does not carry everything.
pub(super) fn is_of_wire(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::Isolated { .. }
            | Fault::Parted { .. }
            | Fault::Split { .. }
            | Fault::Pause { .. }
            | Fault::Suspend { .. }
            | Fault::Unplugged { .. }
    )
}

/// Whether it may keep agents from asking each other through etcd, or from answering.
pub(super) fn impairs(fault: Fault) -> bool {
    !matches!(
        fault,
        Fault::Sick { .. }
            | Fault::AllSick { .. }
            | Fault::Stuck { .. }
            | Fault::Isolated { .. }
            | Fault::Parted { .. }
            | Fault::Split { .. }
            | Fault::Pause { .. }
            | Fault::Unplugged { .. }
            | Fault::Busy { .. }
            | Fault::Asks { .. }
            | Fault::Twin { .. }
            | Fault::GoLink { .. }
            | Fault::DeleteLock { .. }
            | Fault::WriteLock { .. }
            | Fault::DeleteRecord { .. }
            | Fault::GarbleRecord { .. }
    )
}

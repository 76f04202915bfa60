//! Questions to other hosts, and what they say.
//!
//! `duplicates` looks for a machine that has an address before it is shared; `prober` asks who has an
//! address, on the schedule of `probes` and in the `groups` where others ask; `host_monitor` asks whether
//! the host of an owner still answers, on the schedule of `monitored`, and the neighbours of one that
//! does not (`reference_probes`); `ears` find out whether anybody is heard on an interface (`hearing`).
//! All send through an `asker`; what comes in is heard by the `listener`.

mod asker;
mod duplicates;
mod ears;
mod groups;
mod hearing;
mod host_monitor;
mod listener;
mod monitored;
mod prober;
mod probes;
mod reference_probes;

pub(super) use asker::{Asker, ProbeSource, Reference};
pub(super) use duplicates::Duplicates;
pub use duplicates::Found;
pub use ears::Listened;
pub(super) use ears::{Askable, Ears, Listen};
pub(super) use host_monitor::HostMonitor;
pub(super) use listener::{Frame, Listener};
pub use monitored::MonitorTiming;
pub(super) use prober::Prober;

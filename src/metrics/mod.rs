//! What Prometheus is told: families of samples, written from what the threads of the agent have counted.
//!
//! Pure. Each counter lives with the state that it counts, as a plain integer of its thread. A scrape is
//! a question that goes from thread to thread and collects a [`Snapshot`]; nothing is shared, and nothing
//! locks. [`text`] writes the snapshot in the text format 0.0.4
//! (prometheus.io/docs/instrumenting/exposition_formats), on the thread of the one who asked.
//!
//! A sample exists only within a [`Family`], and a family only with its name, type and help.

mod families;
mod family;
mod histogram;
mod snapshot;

pub use self::families::{FAMILIES, text};
pub use self::family::{Family, Kind};
pub use self::histogram::Histogram;
pub use self::snapshot::{
    Address, Budget, CertificateExpiry, EtcdCounts, Failovers, HookCounts, HostCounts,
    InterfaceCounts, NetworkCounts, Process, Snapshot, VipCounts,
};

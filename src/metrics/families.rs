//! The families, in the order in which they are shown.

use std::fmt::Display;

use super::family::{Family, Kind, Samples};
use super::snapshot::{CertificateExpiry, Snapshot};
use crate::fsm::{Event, State};

/// Bytes that an IP takes, about; the text is written into a place that has room for it.
const BYTES_PER_IP: usize = 1024;

/// The order of what is in [`super::NetworkCounts::announcements`].
const ANNOUNCED: [&str; 3] = ["first", "repeat", "refresh"];
const FAMILY: [&str; 2] = ["ipv4", "ipv6"];

/// All families.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "linkd_build_info",
        help: "1; the version of the agent is a label.",
        kind: Kind::Gauge,
        labels: &["version"],
        samples: |_, out| out.add(&[&crate::VERSION], true),
    },
    Family {
        name: "linkd_problems",
        help: "How many problems GET /health lists; 0 when all is well.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.host.problems),
    },
    Family {
        name: "linkd_vip_state",
        help: "1 for the state in which an IP is on this host, 0 for the others.",
        kind: Kind::Gauge,
        labels: &["ip", "state"],
        samples: states,
    },
    Family {
        name: "linkd_vip_bound",
        help: "The kernel: 1 if it has the address on the interface, 0 if not.",
        kind: Kind::Gauge,
        labels: &["ip", "interface"],
        samples: |all, out| {
            for it in &all.network.addresses {
                out.add(&[&it.cidr, &it.interface], it.bound);
            }
        },
    },
    Family {
        name: "linkd_vip_lock_held",
        help: "etcd: 1 if this host holds the lock of the IP, as last seen, 0 if not.",
        kind: Kind::Gauge,
        labels: &["ip"],
        samples: |all, out| each_vip(all, out, |vip| Some(vip.lock_held)),
    },
    Family {
        name: "linkd_vip_conflict",
        help: "The network: 1 while another machine claims an IP that is bound here, 0 if none does.",
        kind: Kind::Gauge,
        labels: &["ip"],
        samples: |all, out| each_vip(all, out, |vip| Some(vip.conflict)),
    },
    Family {
        name: "linkd_vip_owner_heard",
        help: "The network: 1 if the host of the owner answers, 0 if it is silent; nothing if this \
               host does not wait for it, or has not heard it yet.",
        kind: Kind::Gauge,
        labels: &["ip"],
        samples: |all, out| each_vip(all, out, |vip| vip.owner_heard),
    },
    Family {
        name: "linkd_vip_transitions_total",
        help: "How often the state of an IP has changed, by what made it change.",
        kind: Kind::Counter,
        labels: &["ip", "event"],
        samples: transitions,
    },
    Family {
        name: "linkd_check_up",
        help: "1 if a health check counts as up, after as many successes in a row as configured, 0 if it is \
               down; nothing before its first result.",
        kind: Kind::Gauge,
        labels: &["ip", "check"],
        samples: checks,
    },
    Family {
        name: "linkd_check_failures_total",
        help: "Health checks that have failed, each time that they were made.",
        kind: Kind::Counter,
        labels: &["ip"],
        samples: |all, out| {
            each_vip(all, out, |vip| (!vip.checks.is_empty()).then_some(vip.check_failures))
        },
    },
    Family {
        name: "linkd_failover_duration_seconds",
        help: "How long an IP that another host had was nobody's until it was bound here: since that \
               host fell silent (crash), or since its lock was known to be given to this host or free \
               (handover).",
        kind: Kind::Histogram,
        labels: &["kind"],
        samples: |all, out| {
            out.histogram(&[&"crash"], &all.host.failovers.crash);
            out.histogram(&[&"handover"], &all.host.failovers.handover);
        },
    },
    Family {
        name: "linkd_failover_budget_seconds",
        help: "Within which time this is acted on, as configured: a silent host (crash), a lease that \
               is not renewed (lease), an etcd that is silent (etcd_loss), a failed check (check).",
        kind: Kind::Gauge,
        labels: &["kind"],
        samples: |all, out| {
            for budget in &all.budgets {
                out.add(&[&budget.kind], budget.within);
            }
        },
    },
    Family {
        name: "linkd_dual_ownership_seconds_total",
        help: "How long IPs were bound here while their lock was not known to be held here, all together.",
        kind: Kind::Counter,
        labels: &[],
        samples: |all, out| out.add(&[], all.host.dual_ownership),
    },
    Family {
        name: "linkd_drained",
        help: "1 if this host is drained: its IPs go to other hosts.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.host.drained),
    },
    Family {
        name: "linkd_interface_usable",
        help: "1 if the interface is up and has a carrier, 0 if not.",
        kind: Kind::Gauge,
        labels: &["interface"],
        samples: |all, out| {
            for it in &all.network.interfaces {
                out.add(&[&it.name], it.usable);
            }
        },
    },
    Family {
        name: "linkd_interface_others_heard",
        help: "The network: 1 if another host is heard on the interface, 0 if nobody is, nothing if \
               that is not known.",
        kind: Kind::Gauge,
        labels: &["interface"],
        samples: |all, out| {
            for it in &all.network.interfaces {
                it.hears_others.into_iter().for_each(|hears| out.add(&[&it.name], hears));
            }
        },
    },
    Family {
        name: "linkd_announcements_total",
        help: "Announcements that have left: the first of an IP, its repeats, and the refreshes after \
               them.",
        kind: Kind::Counter,
        labels: &["family", "kind"],
        samples: announcements,
    },
    Family {
        name: "linkd_announcement_failures_total",
        help: "Announcements that the kernel did not take.",
        kind: Kind::Counter,
        labels: &[],
        samples: |all, out| out.add(&[], all.network.announcement_failures),
    },
    Family {
        name: "linkd_address_restored_total",
        help: "How often another program had removed or added an address, and that was undone.",
        kind: Kind::Counter,
        labels: &[],
        samples: |all, out| out.add(&[], all.network.restored),
    },
    Family {
        name: "linkd_notifications_total",
        help: "What the hooks were told: notifications that were delivered, attempts that have failed, and \
               notifications that were left out (dropped).",
        kind: Kind::Counter,
        labels: &["hook", "result"],
        samples: notifications,
    },
    Family {
        name: "linkd_notifications_queued",
        help: "Notifications that wait to be delivered.",
        kind: Kind::Gauge,
        labels: &["hook"],
        samples: |all, out| {
            all.host.hooks.iter().for_each(|it| out.add(&[&it.hook], it.queued));
        },
    },
    Family {
        name: "linkd_etcd_up",
        help: "1 if etcd renews the lease and carries out what it is asked for, 0 if not.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.host.etcd_up),
    },
    Family {
        name: "linkd_lease_remaining_seconds",
        help: "Until the lease of this host ends, if it is not renewed; nothing without a lease.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| {
            all.host.lease_remaining.into_iter().for_each(|time| out.add(&[], time));
        },
    },
    Family {
        name: "linkd_etcd_request_duration_seconds",
        help: "How long requests took that one member of etcd has answered.",
        kind: Kind::Histogram,
        labels: &["op"],
        samples: |all, out| {
            out.histogram(&[&"transaction"], &all.etcd.transactions);
            out.histogram(&[&"renewal"], &all.etcd.renewals);
        },
    },
    Family {
        name: "linkd_etcd_errors_total",
        help: "Requests that one member of etcd has refused or not answered in time.",
        kind: Kind::Counter,
        labels: &["kind"],
        samples: etcd_errors,
    },
    Family {
        name: "linkd_certificate_expiry_timestamp_seconds",
        help: "When the first certificate in a file for etcd or the API ends, since 1970 (UTC).",
        kind: Kind::Gauge,
        labels: &["file"],
        samples: certificates,
    },
    Family {
        name: "linkd_threads",
        help: "Threads of the agent.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.process.threads),
    },
    Family {
        name: "linkd_start_time_seconds",
        help: "When the agent began, or was reloaded, since 1970 (UTC).",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.process.started),
    },
    Family {
        name: "process_cpu_seconds_total",
        help: "Processor time of the process.",
        kind: Kind::Counter,
        labels: &[],
        samples: |all, out| out.add(&[], all.process.cpu),
    },
    Family {
        name: "process_resident_memory_bytes",
        help: "Memory of the process that is there.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.process.resident_bytes),
    },
    Family {
        name: "process_open_fds",
        help: "Open descriptors of the process.",
        kind: Kind::Gauge,
        labels: &[],
        samples: |all, out| out.add(&[], all.process.open_fds),
    },
];

/// The text of a snapshot.
pub fn text(snapshot: &Snapshot) -> String {
    let mut text = String::with_capacity(BYTES_PER_IP * (snapshot.host.vips.len() + 8));
    FAMILIES.iter().for_each(|family| family.write(snapshot, &mut text));
    text
}

fn states(all: &Snapshot, out: &mut Samples<'_>) {
    for vip in &all.host.vips {
        for state in State::ALL {
            out.add(&[&vip.cidr, &state], vip.state == state);
        }
    }
}

fn transitions(all: &Snapshot, out: &mut Samples<'_>) {
    for vip in &all.host.vips {
        for (event, count) in Event::ALL.iter().zip(vip.transitions) {
            out.add(&[&vip.cidr, event], count);
        }
    }
}

fn checks(all: &Snapshot, out: &mut Samples<'_>) {
    for vip in &all.host.vips {
        for (check, up) in &vip.checks {
            out.add(&[&vip.cidr, check], *up);
        }
    }
}

fn announcements(all: &Snapshot, out: &mut Samples<'_>) {
    for (family, counts) in FAMILY.iter().zip(all.network.announcements) {
        for (kind, count) in ANNOUNCED.iter().zip(counts) {
            out.add(&[family, kind], count);
        }
    }
}

fn notifications(all: &Snapshot, out: &mut Samples<'_>) {
    for it in &all.host.hooks {
        for (result, count) in
            [("delivered", it.delivered), ("failed", it.failed), ("dropped", it.dropped)]
        {
            out.add(&[&it.hook, &result], count);
        }
    }
}

fn etcd_errors(all: &Snapshot, out: &mut Samples<'_>) {
    let etcd = &all.etcd;
    let kinds: [(&dyn Display, u64); 4] = [
        (&"unreachable", etcd.unreachable),
        (&"auth", etcd.auth),
        (&"lease_not_found", etcd.lease_not_found),
        (&"refused", etcd.refused),
    ];
    kinds.into_iter().for_each(|(kind, count)| out.add(&[kind], count));
}

/// A file may serve several roles, each of which has read it in its own time: the earliest end is told.
fn certificates(all: &Snapshot, out: &mut Samples<'_>) {
    let files = || all.etcd.certificates.iter().chain(&all.certificates).enumerate();
    for (place, it) in files() {
        let is_before = |(other_place, other): (usize, &CertificateExpiry)| {
            other.file == it.file && (other.ends, other_place) < (it.ends, place)
        };
        if !files().any(is_before) {
            out.add(&[&it.file], it.ends);
        }
    }
}

/// A sample for each IP of which this is known.
fn each_vip<T: Into<super::family::Value>>(
    all: &Snapshot,
    out: &mut Samples<'_>,
    what: fn(&super::VipCounts) -> Option<T>,
) {
    for vip in &all.host.vips {
        what(vip).into_iter().for_each(|value| out.add(&[&vip.cidr], value));
    }
}

#[cfg(test)]
#[path = "families_tests.rs"]
mod tests;

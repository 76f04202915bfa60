//! The scenarios that need root, etcd and several hosts.
//!
//! Each runs in network namespaces of its own, so that they can run in parallel. See [`harness`].

#[cfg(test)]
mod harness;
#[cfg(test)]
#[path = "../memory_etcd/mod.rs"]
mod memory_etcd;
#[cfg(test)]
#[path = "../sim/random.rs"]
mod random;

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod announce;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod api;
#[cfg(test)]
mod api_tls;
#[cfg(test)]
mod authentication;
#[cfg(test)]
mod binding;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod ctl;
#[cfg(test)]
mod doctor;
mod drain;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod election;
#[cfg(test)]
mod errands;
#[cfg(test)]
mod etcd;
#[cfg(test)]
mod events;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fence;
#[cfg(test)]
mod footprint;
#[cfg(test)]
mod golink;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod health;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod https;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod leave;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log;
#[cfg(test)]
mod loss;
#[cfg(test)]
mod many;
#[cfg(test)]
mod masks;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod names;
#[cfg(test)]
mod partition;
#[cfg(test)]
mod port;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod resolver;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod rise;
#[cfg(test)]
mod role;
#[cfg(test)]
mod same_answers;
#[cfg(test)]
mod selftest;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod shim;
mod shim_watch;
#[cfg(test)]
mod shortage;
#[cfg(test)]
mod size;
#[cfg(test)]
mod start;
#[cfg(test)]
mod state_dir;
mod status;
#[cfg(test)]
mod surroundings;
#[cfg(test)]
mod together;
#[cfg(test)]
mod told;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod watchdog;

//! LinK: several hosts share an IP address.

pub mod api;
pub mod checks;
pub mod command;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod election;
pub mod etcd;
pub mod fsm;
pub mod net;
pub mod secret;
pub mod store;
pub mod supervisor;
mod thread;
pub mod vip;
pub mod wire;

/// The version, as `GET /version` tells it.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

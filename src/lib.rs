//! LinK: several hosts share an IP address. One agent runs on each host; for each IP the agents
//! elect an owner through etcd; the owner adds the IP to its interface and announces it.
//!
//! This library is what `linkd`, the agent, and `linkctl`, its command-line client, are made of. It
//! is not meant for other programs.
//!
//! # Threads and channels
//!
//! ```text
//!             SIGTERM, SIGINT                         curl, linkctl
//!             ┌──────▼──────┐                       ┌──────▼──────┐
//!             │    main     │ starts bottom-up,     │    gate     │ poll(): complete, bounded,
//!             │   daemon    │ stops top-down        │  api::gate  │ canonical requests only
//!             └─────────────┘                       └──────┬──────┘
//!                        private Unix socket, 16 times     │
//!                                                   ┌──────▼──────┐
//!                                                   │    api-N    │ tiny_http; owns no state
//!                                                   └──────┬──────┘
//!                                   command::Request{reply}│
//!                                                   ┌──────▼──────┐
//!        ┌──────────────────────────────────────────│ supervisor  │◄─────────────┐   ┌───────┐
//!        │ transactions, with a deadline            │ the table   │──copy────────┼──►│ copy  │ disk
//!        │                                          │             │  Notice      │   └───────┘
//!        │                                          └──────┬──────┘  (unbounded, │
//! ┌──────▼──────┐                                  Control │          never      │
//! │   etcd-io   │ Event (to the supervisor)                │          blocks)    │
//! │ one runtime │ KeyState, Reply (to the elections)┌──────▼──────┐              │
//! │  one lease  │──────────────────────────────────►│  vip-<ip>   │──────────────┘
//! │  one watch  │◄──────────────────────────────────│ one per IP  │
//! └─────────────┘  transactions, with a deadline    └──┬───────▲──┘
//! ┌─────────────┐  round of checks: Ok or Err          │       │
//! │ check-<ip>  │──────────────────────────────────────┼──────►│
//! │ if it has   │                 manage, set, forget  │       │ Report
//! └─────────────┘                                   ┌──▼───────┴──┐
//!                                                   │     net     │ rtnetlink, AF_PACKET
//!                                                   └─────────────┘
//! ```
//!
//! A call of another host goes from `etcd-io` to `net` and back, past the supervisor.
//!
//! Downward edges may be waited for, with a deadline; upward edges never block. A thread ends when
//! the channel that feeds it does: stopping is disconnection, from the top down, or a last message where
//! others keep the channel open. No thread polls a flag, and none outlives its handle but for a
//! health check or a look-up of a name that is under way, and the idle threads of tiny_http. `ARCHITECTURE.md` tells what each part may and may not do.

pub mod api;
pub mod bell;
pub mod call;
mod carrier;
pub mod checks;
mod clock;
pub mod cluster;
pub mod command;
pub mod config;
pub mod ctl;
pub mod daemon;
mod duration;
pub mod election;
pub mod etcd;
pub mod failure_detector;
mod few;
pub mod fsm;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod history;
pub mod hooks;
mod http;
pub mod interface_name;
pub mod local_copy;
pub mod lock;
mod logging;
mod machine;
pub mod metrics;
pub mod net;
pub mod network;
pub mod ping;
pub mod policy;
pub mod preference;
mod reload;
pub mod secret;
mod sorted;
pub mod store;
pub mod supervisor;
mod systemd;
mod tcp;
mod text;
mod thread;
pub mod tls;
pub mod vip;
pub mod wire;

/// The version of both programs, as `GET /version` tells it.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

//! A laboratory in network namespaces: hosts with real agents, a real etcd, a client that pings and
//! captures, on a switch of their own.
//!
//! ```text
//!   h1      h2      h3        client      etcd1 … etcd3
//!   │.11    │.12    │.13      │.99        │.81 …           10.0.0.0/16, fd00::/64
//!   └───────┴───────┴──[ lan ]┴───────────┘
//! ```
//!
//! With [`builder::Builder::management_network`], etcd is on a second bridge (10.1.0.0/16) to which each
//! host has a second card, `eth1`: the LAN and etcd can then fail apart from each other. With
//! [`builder::Builder::etcd_on_hosts`], each member is on a host, and dies with it.
//!
//! Everything is made when it is asked for and gone on drop, after a panic too; what a killed test
//! process left behind, the next one removes. The machine's own namespace is not touched.

mod agent;
mod api;
mod authentication;
mod builder;
mod capture;
mod client;
mod connection;
mod disaster;
mod disk;
mod etcd;
mod etcdctl;
mod fake_member;
mod fault;
mod frames;
mod golink;
mod history;
mod holders;
mod host;
mod lab;
mod leader;
mod log_pipe;
mod member;
mod monitor;
mod name_server;
mod namespace;
mod ping;
mod pki;
mod process;
mod proxy;
mod records;
mod refusals;
mod release;
pub(crate) mod replay;
mod scratch;
mod socket;
mod squatter;
mod stranger;
mod switch;
mod vip;
mod wait;

pub(crate) use agent::{linkctl, linkd};
pub(crate) use api::{Api, Response, read_response};
pub(crate) use authentication::PASSWORD as ETCD_PASSWORD;
pub(crate) use capture::{Capture, Mac, Payload};
pub(crate) use connection::{Connection, Heard};
pub(crate) use fake_member::{FakeAnswer, FakeMember};
pub(crate) use fault::Way;
pub(crate) use golink::GoLink;
#[allow(unused_imports, reason = "the benchmark names it")]
pub(crate) use holders::{HolderChange, Holders};
pub(crate) use host::{H1, H2, H3, Host, HostId};
pub(crate) use lab::Lab;
pub(crate) use log_pipe::LogPipe;
pub(crate) use monitor::{AddressChange, AddressMonitor};
pub(crate) use name_server::SilentNameServer;
pub(crate) use namespace::{Namespace, sweep, tool};
pub(crate) use ping::PingReport;
#[allow(unused_imports, reason = "the chaos run names them")]
pub(crate) use ping::Pinger;
pub(crate) use pki::{Authority, Certificate};
#[allow(unused_imports, reason = "the chaos run names them")]
pub(crate) use process::tail;
pub(crate) use process::{Process, Program};
pub(crate) use proxy::Proxy;
pub(crate) use records::{lock_key, record_key};
pub(crate) use refusals::Refusals;
pub(crate) use release::{ETCD_3_4, ETCD_3_5};
pub(crate) use squatter::Squatter;
pub(crate) use stranger::Stranger;
pub(crate) use vip::{VIP, VIP2, VIP6, Vip};
pub(crate) use wait::{eventually, holds_for, until, within};

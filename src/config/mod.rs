//! The configuration: read from the environment once, checked as a whole, passed on as values.
//!
//! All mistakes are reported together, each naming its variable and value. Nothing else in the
//! program reads the environment (but for `RUST_LOG`, which is the log's).

mod endpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod help;
mod names;
mod notify;
mod reader;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::help::VARIABLES;
pub(crate) use self::names::NAMES;
pub use self::names::unknown as unknown_names;
use self::reader::Reader;
use crate::checks::CheckDefaults;
use crate::etcd;
use crate::hooks;
use crate::net::MonitorTiming;
use crate::policy::{AllFailingPolicy, Connections, CrashDetection, LossPolicy, StopPolicy};
use crate::secret::Credentials;
use crate::text::clean;
use crate::tls::ServerFiles;

/// etcd grants no shorter lease than this (1.5 election timeouts, by default).
const SHORTEST_TTL: Duration = Duration::from_secs(2);

/// The DELETE of an expired lock comes up to this late (etcd: lease expiry loop).
const EXPIRY_DELAY: Duration = Duration::from_millis(500);

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Config {
    /// `INTERFACE`: where IPs are added that do not name another.
    pub interface: String,
    /// `HOSTNAME`: this host's name in etcd.
    pub hostname: String,
    /// `USER` and `PASSWORD` of the API; nothing without a password.
    pub credentials: Option<Credentials>,
    /// `LISTEN` and `PORT`.
    pub listen: Vec<SocketAddr>,
    /// `API_HOSTS`: names under which the API may be asked.
    pub api_hosts: Vec<String>,
    /// `API_TLS_CERT` and `API_TLS_KEY`: the API speaks TLS with them.
    pub api_tls: Option<ServerFiles>,
    /// `ETCD_…` and `KEEPALIVE_…`.
    pub etcd: etcd::Options,
    /// `HEALTH_CHECK_…`, `FAIL_COUNT_BEFORE_FAILOVER` and `RISE_COUNT`.
    pub checks: CheckDefaults,
    /// `ARP_GRATUITOUS_INTERVAL` and `ARP_GRATUITOUS_COUNT`, if either is set.
    pub announce: Option<(Duration, u32)>,
    /// `ARP_GRATUITOUS_RATE`: frames per second of first announcements.
    pub announce_rate: u32,
    /// `MAX_NUMBER_OF_ENDPOINTS`; no limit if none.
    pub max_ips: Option<usize>,
    /// `ETCD_LOSS_POLICY`: for IPs that do not say otherwise.
    pub loss_policy: LossPolicy,
    /// `PRIORITY`: who is first when an IP is free that does not say otherwise.
    pub priority: u8,
    /// `ALL_FAILING_POLICY`.
    pub all_failing_policy: AllFailingPolicy,
    /// `CRASH_DETECTION`.
    pub crash_detection: CrashDetection,
    /// `PROBE_INTERVAL` and `PROBE_COUNT`: how the host of an owner is monitored.
    pub probes: MonitorTiming,
    /// `STOP_POLICY`.
    pub stop_policy: StopPolicy,
    /// `CONNECTIONS`.
    pub connections: Connections,
    /// `NOTIFY_…`: who is told of changes of IPs.
    pub hooks: hooks::Settings,
    /// `STATE_DIR`: where the local copy of this host's configuration is.
    pub state_dir: PathBuf,
}

/// Everything that is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

/// What was read: a configuration, and what is wrong with it.
#[derive(Debug)]
pub struct Reading {
    config: Config,
    mistakes: Vec<String>,
}

impl Reading {
    /// Reads the environment through `var`. `kernel_name` is the host name without `HOSTNAME`.
    pub fn of(var: impl Fn(&str) -> Option<std::ffi::OsString>, kernel_name: &str) -> Reading {
        let mut reader = Reader { var: &var, mistakes: Vec::new() };
        let config = reader.config(kernel_name);
        Reading { config, mistakes: reader.mistakes }
    }

    /// Looks at the files that it names as well.
    pub fn with_files(mut self) -> Reading {
        if let Some(files) = &self.config.etcd.tls {
            let settings = ["ETCD_TLS_CERT", "ETCD_TLS_KEY", "ETCD_CACERT"];
            self.mistakes.append(&mut files.mistakes(settings));
        }
        if let Some(files) = &self.config.api_tls {
            self.mistakes.append(&mut files.mistakes(["API_TLS_CERT", "API_TLS_KEY"]));
        }
        self
    }

    /// Where the local copy is to be, whatever else is wrong.
    pub fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    /// How many IPs there may be, as far as that is understood; no limit if none.
    pub fn max_ips(&self) -> Option<usize> {
        self.config.max_ips
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// All mistakes.
    pub fn config(self) -> Result<Config, ConfigErrors> {
        if self.mistakes.is_empty() { Ok(self.config) } else { Err(ConfigErrors(self.mistakes)) }
    }
}

impl Config {
    /// The addresses of etcd, where endpoints have addresses and no names.
    pub fn etcd_addresses(&self) -> Vec<IpAddr> {
        self.etcd.endpoints.iter().filter_map(|url| endpoint::address(url)).collect()
    }

    /// How long after the crash of an owner another host has taken over, at the latest.
    pub fn crash_failover(&self) -> Duration {
        self.etcd.ttl().max(SHORTEST_TTL) + EXPIRY_DELAY
    }

    /// The same if its host is found dead: by the network and etcd, or by the network alone. etcd may take
    /// longer.
    pub fn crash_detection(&self) -> Option<Duration> {
        (self.crash_detection != CrashDetection::Off).then(|| self.probes.silence())
    }
}

impl fmt::Display for Config {
    /// The effective configuration in one line, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen: Vec<_> = self.listen.iter().map(SocketAddr::to_string).collect();
        write!(
            f,
            "host {}, interface {}, API on {} ({}{}), etcd {}, lease {:?} renewed every {:?}, \
             checks every {:?} (timeout {:?}, fall {}, rise {}), crash detection {} (silent for \
             {:?}), priority {}, policies: etcd loss {}, all failing {}, stop {}, \
             connections {}, hooks {}",
            self.hostname,
            self.interface,
            listen.join(" and "),
            if self.credentials.is_some() { "with a password" } else { "without a password" },
            if self.api_tls.is_some() { ", with TLS" } else { "" },
            self.etcd.endpoints.join(" "),
            self.etcd.ttl(),
            self.etcd.renewal,
            self.checks.interval,
            self.checks.timeout,
            self.checks.fall,
            self.checks.rise,
            self.crash_detection,
            self.probes.silence(),
            self.priority,
            self.loss_policy,
            self.all_failing_policy,
            self.stop_policy,
            self.connections,
            self.hooks,
        )
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line each, whatever stands in the value.
        let mistakes: Vec<String> = self.0.iter().map(|mistake| clean(mistake)).collect();
        f.write_str(&mistakes.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

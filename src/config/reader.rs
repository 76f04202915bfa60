//! Reads the variables one by one, and collects what is wrong with them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::{Config, endpoint};
use crate::call;
use crate::checks::CheckDefaults;
use crate::duration;
use crate::etcd::{self, TlsFiles};
use crate::interface_name;
use crate::lock;
use crate::net::{Announce, MonitorTiming};
use crate::policy::{CrashDetection, UnknownWord};
use crate::preference::DEFAULT_PRIORITY;
use crate::secret::{Credentials, Secret};
use crate::store;
use crate::text::is_host_name;
use crate::tls::{SYSTEM_CA, ServerFiles};
use crate::vip::ElectionKey;

/// A host that is asked less often than this would be found dead by its lease before.
const LONGEST_PROBE_INTERVAL: Duration = Duration::from_secs(10);
const SHORTEST_PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// Reads variables and collects what is wrong with them; a variable that is wrong reads as its
/// default, so that the others are still looked at.
pub(super) struct Reader<'a> {
    pub(super) var: &'a dyn Fn(&str) -> Option<std::ffi::OsString>,
    pub(super) mistakes: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn config(&mut self, kernel_name: &str) -> Config {
        let credentials = self.credentials();
        let crash_detection = self.policy("CRASH_DETECTION");
        let hostname = self.hostname(kernel_name);
        let own = [store::records_prefix(&hostname), store::config_prefix(&hostname)];
        let own = own.into_iter().chain([store::GROUPS.to_owned()]).collect();
        Config {
            interface: self.interface(),
            hostname,
            listen: self.listen(credentials.is_some()),
            api_hosts: self.api_hosts(),
            api_tls: self.api_tls(),
            credentials,
            etcd: etcd::Options { own_prefixes: own, ..self.etcd() },
            checks: CheckDefaults {
                interval: self.duration("HEALTH_CHECK_INTERVAL", "5s", 100),
                timeout: self.duration("HEALTH_CHECK_TIMEOUT", "5s", 10),
                fall: self.count("FAIL_COUNT_BEFORE_FAILOVER", 3, 1000),
                rise: self.count("RISE_COUNT", 1, 1000),
                commands: self.commands(),
            },
            announce: self.announce(),
            announce_rate: self.number("ARP_GRATUITOUS_RATE", Announce::RATE, 200..=1_000_000),
            max_ips: self.max_ips(),
            loss_policy: self.policy("ETCD_LOSS_POLICY"),
            priority: self.number("PRIORITY", DEFAULT_PRIORITY, 0..=u8::MAX),
            all_failing_policy: self.policy("ALL_FAILING_POLICY"),
            crash_detection,
            probes: self.probes(crash_detection == CrashDetection::Fast),
            stop_policy: self.policy("STOP_POLICY"),
            connections: self.policy("CONNECTIONS"),
            hooks: self.hooks(),
            state_dir: self.state_dir(),
        }
    }

    /// The value of a variable; an empty one counts as unset, as in a unit's environment file.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match (self.var)(name)?.into_string() {
            Ok(text) if is_secret(name) => {
                if text.contains(char::is_control) {
                    self.mistakes.push(format!("{name} has a line end or the like in it"));
                }
                Some(text).filter(|text| !text.is_empty())
            }
            Ok(text) => {
                let bare = bare(&text);
                if bare.len() < text.len() {
                    let shown = format!("{:?}", &text[password_end(&text)..]);
                    let why =
                        "has quotes or white space around it (kept from an environment file?)";
                    self.mistake(name, &shown, why);
                }
                Some(bare.to_owned()).filter(|text| !text.is_empty())
            }
            Err(_) if is_secret(name) => {
                self.mistakes.push(format!("{name} is not UTF-8"));
                None
            }
            Err(raw) => {
                let raw = raw.to_string_lossy();
                self.mistake(name, &raw[password_end(&raw)..], "is not UTF-8");
                None
            }
        }
    }

    pub(super) fn mistake(&mut self, name: &str, value: &str, why: &str) {
        self.mistakes.push(format!("{name}={value} {why}"));
    }

    fn interface(&mut self) -> String {
        let Some(name) = self.text("INTERFACE") else {
            self.mistakes
                .push("INTERFACE is required: the interface on which IPs are added (a service reads it in /etc/link/link.env)".into());
            return String::new();
        };
        if let Err(why) = interface_name::check(&name) {
            self.mistake("INTERFACE", &name, why);
        }
        name
    }

    fn hostname(&mut self, kernel_name: &str) -> String {
        let name = self.text("HOSTNAME").unwrap_or_else(|| kernel_name.to_owned());
        if !is_host_name(&name) {
            self.mistake("HOSTNAME", &name, "is not a host name (no '/' and no white space)");
        }
        if name.starts_with(ElectionKey::GROUP) {
            self.mistake("HOSTNAME", &name, "is the name of a group in etcd, and of no host");
        }
        name
    }

    /// A password turns authentication on; a user alone, which every login shell sets, does not.
    fn credentials(&mut self) -> Option<Credentials> {
        let user = self.text("USER").unwrap_or_default();
        let credentials = Credentials::new(user.clone(), self.text("PASSWORD")?);
        credentials.map_err(|why| self.mistake("USER", &user, why)).ok()
    }

    fn listen(&mut self, password: bool) -> Vec<SocketAddr> {
        let port = self.number("PORT", 1313, 1..=u16::MAX);
        let addresses: Vec<IpAddr> = match self.text("LISTEN") {
            None if password => vec![Ipv6Addr::UNSPECIFIED.into()],
            None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Some(list) => self.addresses(&list),
        };
        addresses.into_iter().map(|addr| SocketAddr::new(addr, port)).collect()
    }

    fn addresses(&mut self, list: &str) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        if is_blank(list) {
            self.mistake("LISTEN", list, "names no address");
        }
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']'));
            match bare.unwrap_or(item).parse() {
                Ok(addr) => addresses.push(addr),
                Err(_) => self.mistake("LISTEN", item, "is not an IP address"),
            }
        }
        addresses
    }

    fn api_hosts(&mut self) -> Vec<String> {
        let list = self.text("API_HOSTS").unwrap_or_default();
        let names: Vec<&str> =
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        for name in &names {
            if !name.chars().all(is_name) {
                self.mistake("API_HOSTS", name, "is not a host name (without a scheme and a port)");
            }
        }
        names.into_iter().map(str::to_owned).collect()
    }

    fn etcd(&mut self) -> etcd::Options {
        let endpoints = self.endpoints();
        let secure = endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        etcd::Options {
            tls: self.tls(secure),
            endpoints,
            user: self.etcd_user(),
            renewal: self.duration("KEEPALIVE_INTERVAL", "1s", 100),
            retries: self.count("KEEPALIVE_RETRY", 5, 1000),
            watch_prefix: lock::PREFIX.to_owned(),
            own_prefixes: Vec::new(),
            followed_prefix: Some(call::PREFIX.to_owned()),
            stray: |key| lock::misspelled(key).is_some(),
        }
    }

    fn endpoints(&mut self) -> Vec<String> {
        // Empty, it is no wish for the default: something was to be filled in.
        let unset = (self.var)("ETCD_HOSTS").is_none_or(|value| !value.is_empty());
        let default = if unset { "http://127.0.0.1:2379" } else { "" };
        let list = self.text("ETCD_HOSTS").unwrap_or_else(|| default.to_owned());
        let mut endpoints = Vec::new();
        if is_blank(&list) {
            self.mistake("ETCD_HOSTS", &list, "names no endpoint");
        }
        let mut start = 0;
        for item in list.split(',') {
            let end = start + item.len();
            match endpoint::parse(item.trim()) {
                Ok(endpoint) => endpoints.push(endpoint),
                // Go LinK lets a comma stand after the last one.
                Err(_) if item.trim().is_empty() => {}
                Err(why) => {
                    // A comma may be the password's own.
                    let shown = password_end(&list).clamp(start, end);
                    self.mistake("ETCD_HOSTS", list[shown..end].trim(), why);
                }
            }
            start = end + 1;
        }
        endpoints
    }

    fn etcd_user(&mut self) -> Option<(String, Secret)> {
        let user = self.text("ETCD_USER");
        let password = self.text("ETCD_PASSWORD");
        match (user, password) {
            (Some(user), Some(password)) => Some((user, Secret::new(password))),
            (Some(user), None) => {
                self.mistake("ETCD_USER", &user, "needs ETCD_PASSWORD");
                None
            }
            (None, Some(_)) => {
                self.mistakes.push("ETCD_PASSWORD is set and needs ETCD_USER".to_owned());
                None
            }
            (None, None) => None,
        }
    }

    fn tls(&mut self, secure: bool) -> Option<TlsFiles> {
        let identity = self.identity("ETCD_TLS_CERT", "ETCD_TLS_KEY");
        let ca = self.text("ETCD_CACERT").map(PathBuf::from);
        if !secure {
            if identity.is_some() || ca.is_some() {
                let text = "ETCD_TLS_CERT, ETCD_TLS_KEY and ETCD_CACERT need an https:// endpoint";
                self.mistakes.push(format!("{text} in ETCD_HOSTS"));
            }
            return None;
        }
        let system = || SYSTEM_CA.iter().map(PathBuf::from).find(|path| Path::exists(path));
        Some(TlsFiles { identity, ca: ca.or_else(system) })
    }

    fn api_tls(&mut self) -> Option<ServerFiles> {
        let (certificate, key) = self.identity("API_TLS_CERT", "API_TLS_KEY")?;
        Some(ServerFiles { certificate, key })
    }

    /// A certificate and its key: both, or neither.
    fn identity(&mut self, cert: &str, key: &str) -> Option<(PathBuf, PathBuf)> {
        match (self.text(cert), self.text(key)) {
            (Some(cert), Some(key)) => Some((PathBuf::from(cert), PathBuf::from(key))),
            (Some(path), None) => {
                self.mistake(cert, &path, &format!("needs {key}"));
                None
            }
            (None, Some(path)) => {
                self.mistake(key, &path, &format!("needs {cert}"));
                None
            }
            (None, None) => None,
        }
    }

    fn probes(&mut self, alone: bool) -> MonitorTiming {
        let interval = self.duration("PROBE_INTERVAL", "100ms", 10);
        if interval > LONGEST_PROBE_INTERVAL {
            let text = format!("{interval:?}");
            self.mistake("PROBE_INTERVAL", &text, "is out of range (10ms to 10s)");
        }
        let count = self.number("PROBE_COUNT", 3, 1..=100);
        if alone {
            return MonitorTiming { interval, doubt: interval, count, alone };
        }
        // Silence on the network is only the reason to ask etcd: it need not be looked for as often, and
        // may be found in a hurry, but with so many questions that it takes as long.
        let doubt = (interval / 2).max(SHORTEST_PROBE_INTERVAL);
        MonitorTiming { interval: interval * 7 / 4, doubt, count: 2 * count - 1, alone }
    }

    fn announce(&mut self) -> Option<(Duration, u32)> {
        let is_set = |name| (self.var)(name).is_some_and(|value| !value.is_empty());
        (is_set("ARP_GRATUITOUS_INTERVAL") || is_set("ARP_GRATUITOUS_COUNT")).then(|| {
            let interval = self.duration("ARP_GRATUITOUS_INTERVAL", "1s", 10);
            (interval, self.count("ARP_GRATUITOUS_COUNT", 3, 1_000_000))
        })
    }

    fn max_ips(&mut self) -> Option<usize> {
        let max: i64 = self.number("MAX_NUMBER_OF_ENDPOINTS", 1000, -1..=1_000_000);
        usize::try_from(max).ok()
    }

    fn policy<P: FromStr<Err = UnknownWord> + Default>(&mut self, name: &str) -> P {
        let Some(text) = self.text(name) else {
            return P::default();
        };
        text.parse().unwrap_or_else(|error: UnknownWord| {
            self.mistake(name, &text, &error.to_string());
            P::default()
        })
    }

    /// What is in the folder is looked at whenever a command is run.
    fn commands(&mut self) -> Option<Arc<Path>> {
        let folder = PathBuf::from(self.text("CHECK_COMMANDS_DIR")?);
        if !folder.is_absolute() {
            let shown = folder.display().to_string();
            self.mistake("CHECK_COMMANDS_DIR", &shown, "is not an absolute path");
        }
        Some(folder.into())
    }

    /// systemd names the folder that it made for the unit (`StateDirectory=`).
    fn state_dir(&mut self) -> PathBuf {
        let folder = self.text("STATE_DIR").or_else(|| self.text("STATE_DIRECTORY"));
        PathBuf::from(folder.unwrap_or_else(|| "/var/lib/link".to_owned()))
    }

    /// A duration of at least so many milliseconds and at most a day. Go LinK starts with 0: it stands for the
    /// default.
    pub(super) fn duration(&mut self, name: &str, default: &str, least_ms: u64) -> Duration {
        let given = self.text(name).filter(|text| duration::parse(text) != Some(Duration::ZERO));
        let text = given.unwrap_or_else(|| default.to_owned());
        let least = Duration::from_millis(least_ms);
        let most = Duration::from_secs(24 * 3600);
        match duration::parse(&text) {
            Some(duration) if duration >= least && duration <= most => duration,
            Some(_) => {
                self.mistake(name, &text, &format!("is out of range ({least:?} to 24h)"));
                least
            }
            None => {
                self.mistake(name, &text, "is not a duration (such as 500ms, 3s, 1m30s)");
                least
            }
        }
    }

    /// How often something has to happen before something else does. 0 is once, as for Go LinK: what
    /// happens at all is enough.
    fn count(&mut self, name: &str, default: u32, most: u32) -> u32 {
        self.number(name, default, 0..=most).max(1)
    }

    fn number<T>(&mut self, name: &str, default: T, range: std::ops::RangeInclusive<T>) -> T
    where
        T: std::str::FromStr + PartialOrd + fmt::Display + Copy,
    {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let why = format!("is not a number from {} to {}", range.start(), range.end());
                self.mistake(name, &text, &why);
                default
            }
        }
    }
}

/// A value without what readers of environment files leave around it.
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\'')
}

/// Whether what is wrong with a value is said without it. A URL for messages may have a token in it.
fn is_secret(name: &str) -> bool {
    name.ends_with("PASSWORD") || name.ends_with("SECRET") || name == "NOTIFY_URL"
}

/// Whether a list has nothing in it but commas.
fn is_blank(list: &str) -> bool {
    list.split(',').all(|item| item.trim().is_empty())
}

/// From where on endpoints may be shown: a user and a password may stand before a host.
pub(super) fn password_end(endpoints: &str) -> usize {
    endpoints.rfind('@').unwrap_or(0)
}

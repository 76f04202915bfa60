//! The variables as `linkd --help` lists them: with default and unit.

/// A line for each variable, in groups. Times are written as in Go.
pub const VARIABLES: &str = "\
This host
  INTERFACE                   required; on which IPs are added
  HOSTNAME                    the kernel's; name in etcd, unique in the cluster
  STATE_DIR                   $STATE_DIRECTORY or /var/lib/link; local copy
  MAX_NUMBER_OF_ENDPOINTS     1000 IPs; -1: no limit
  PRIORITY                    100 (0 to 255): who is first when an IP is free
  RUST_LOG                    info; what is logged, on stderr

API
  LISTEN                      127.0.0.1,::1; with a password all addresses
  PORT                        1313
  USER, PASSWORD              none; a password turns authentication on
  API_HOSTS                   none; names of this host that clients use, a,b
  API_TLS_CERT, API_TLS_KEY   none; PEM files, with which the API speaks https

etcd
  ETCD_HOSTS                  http://127.0.0.1:2379; a,b; https:// for TLS
  ETCD_CACERT                 the system's; a PEM file
  ETCD_TLS_CERT, ETCD_TLS_KEY none; PEM files
  ETCD_USER, ETCD_PASSWORD    none
  KEEPALIVE_INTERVAL          1s (100ms to 24h); the lease lives 5 times as long
  KEEPALIVE_RETRY             5 renewals that fail: etcd is lost
  ETCD_LOSS_POLICY            take; probe, hold: what is done with IPs then

Health checks
  HEALTH_CHECK_INTERVAL       5s (100ms to 24h)
  HEALTH_CHECK_TIMEOUT        5s (10ms to 24h)
  FAIL_COUNT_BEFORE_FAILOVER  3 checks that fail in a row
  RISE_COUNT                  1 check that succeeds
  CHECK_COMMANDS_DIR          none; root's folder of commands for EXEC checks
  ALL_FAILING_POLICY          keep-last; none: when they fail on every host

Hooks
  NOTIFY_COMMAND              none; root's command, run when an IP changes
  NOTIFY_URL                  none; http(s)://host/path that is told then
  NOTIFY_URL_SECRET           none; with what these requests are signed
  NOTIFY_URL_CACERT           the system's; a PEM file
  NOTIFY_TIMEOUT              10s (100ms to 24h); of a command, of a request

Hosts that die, agents that stop
  CRASH_DETECTION             strict; fast, off
  PROBE_INTERVAL              100ms (10ms to 10s); how often an owner is asked
  PROBE_COUNT                 3 intervals without an answer: it is silent
  STOP_POLICY                 release; keep: address and lease stay at SIGTERM
  CONNECTIONS                 reset; keep: those at an IP that leaves

Announcements
  ARP_GRATUITOUS_INTERVAL     none: at 0, 1.1, 2.2, 3.3, 5, 30 s, each minute
  ARP_GRATUITOUS_COUNT        none; so many at that interval (10ms to 24h)
  ARP_GRATUITOUS_RATE         10000 first frames per second
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::names::NAMES;

    fn names(text: &str) -> Vec<&str> {
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        let words = text.split(|c| !is_part(c)).filter(|word| word.len() > 3);
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())).collect()
    }

    /// What the reader asks for stands in quotes; names of the three lists agree (`names`, docs/configuration.md).
    #[test]
    fn each_variable_that_is_read_is_told() {
        let source = concat!(include_str!("reader.rs"), include_str!("notify.rs"));
        let quoted = source.split('"').skip(1).step_by(2);
        let is_name = |text: &&str| names(text) == [*text];
        let read: Vec<&str> = quoted.filter(is_name).collect();
        assert!(read.len() > 30, "{read:?}");
        for name in read.into_iter().chain(NAMES.split(' ')) {
            assert!(NAMES.split(' ').any(|known| known == name), "{name} is in no list");
            assert!(names(VARIABLES).contains(&name), "--help does not tell {name}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_handbook_and_fit_a_terminal() {
        let page = include_str!("../../docs/configuration.md");
        let rows: Vec<(Vec<&str>, Vec<&str>)> = (page.lines())
            .filter_map(|row| row.strip_prefix("| `")?.split_once(" | "))
            .map(|(named, rest)| {
                let default = rest.split(" | ").next().unwrap();
                (names(named), default.split('`').skip(1).step_by(2).collect())
            })
            .collect();
        for line in VARIABLES.lines().filter(|line| line.starts_with("  ")) {
            assert!(line.chars().count() <= 80, "{line}");
            let (named, told) = line.split_at(30);
            let first = names(named)[0];
            let (all, defaults) = rows.iter().find(|(all, _)| all.contains(&first)).unwrap();
            let place = all.iter().position(|name| *name == first).unwrap();
            if let Some(default) = defaults.get(place).or(defaults.first()) {
                assert!(told.contains(default), "{first}: {default} is not in {told:?}");
            }
        }
    }
}

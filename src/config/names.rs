//! Variables that are none of LinK's and look as if they were: mistakes that nothing else would show.

use crate::text::first_of;

/// All that LinK reads of its environment and that an operator sets, with systemd's `STATE_DIRECTORY`.
pub(crate) const NAMES: &str = "ALL_FAILING_POLICY API_HOSTS API_TLS_CERT API_TLS_KEY ARP_GRATUITOUS_COUNT ARP_GRATUITOUS_INTERVAL \
    ARP_GRATUITOUS_RATE CHECK_COMMANDS_DIR CONNECTIONS CRASH_DETECTION ETCD_CACERT ETCD_HOSTS ETCD_LOSS_POLICY ETCD_PASSWORD ETCD_TLS_CERT \
    ETCD_TLS_KEY ETCD_USER FAIL_COUNT_BEFORE_FAILOVER HEALTH_CHECK_INTERVAL HEALTH_CHECK_TIMEOUT HOSTNAME \
    INTERFACE KEEPALIVE_INTERVAL KEEPALIVE_RETRY LISTEN MAX_NUMBER_OF_ENDPOINTS NOTIFY_COMMAND NOTIFY_TIMEOUT \
    NOTIFY_URL NOTIFY_URL_CACERT NOTIFY_URL_SECRET PASSWORD PORT PRIORITY PROBE_COUNT \
    PROBE_INTERVAL RISE_COUNT RUST_LOG STATE_DIR STATE_DIRECTORY STOP_POLICY USER";

/// How names begin that hardly another program has.
const PREFIXES: &str =
    "API_ ARP_ CHECK_ CRASH_ ETCD_ FAIL_ HEALTHCHECK_ HEALTH_CHECK_ KEEPALIVE_ PROBE_ RISE_";

/// Bytes of a name; longer ones are not looked at: what is in the environment may be of any length.
const LONGEST: usize = 40;

/// How many names are told.
const TOLD: usize = 10;

/// Which of these names are not LinK's and look as if they were, and what may be meant; nothing if none is.
pub fn unknown(names: impl Iterator<Item = String>) -> Option<String> {
    let unknown: Vec<String> = names.filter_map(|name| doubt(&name)).collect();
    let told = first_of(unknown.iter(), TOLD, ", ");
    (!unknown.is_empty()).then(|| format!("variables that LinK does not know: {told}"))
}

fn doubt(name: &str) -> Option<String> {
    if name.len() > LONGEST {
        return None;
    }
    let letters = letters(name);
    let (mut least, mut nearest) = (usize::MAX, "");
    for known in NAMES.split(' ') {
        let distance = distance(&letters, &self::letters(known));
        if known == name {
            return None;
        }
        if distance < least {
            (least, nearest) = (distance, known);
        }
    }
    let looks_like_ours = PREFIXES.split(' ').any(|prefix| name.starts_with(prefix));
    let most = match nearest.len() {
        length if looks_like_ours => length / 4,
        // Short names are like many others.
        0..=4 => 0,
        5..=7 => 1,
        _ => 2,
    };
    if least <= most {
        return Some(format!("{name} (is {nearest} meant?)"));
    }
    looks_like_ours.then(|| name.to_owned())
}

/// What is left of a name when it does not matter how words are separated, and small letters are capital.
fn letters(name: &str) -> Vec<u8> {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

/// How many letters have to be added, left out or changed to make one name of the other (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    // Of what was read of `one`, to each beginning of `other`.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for letter in one {
        let mut left = row[0] + 1;
        let mut diagonal = std::mem::replace(&mut row[0], left);
        for (above, same) in row[1..].iter_mut().zip(other.iter().map(|it| it == letter)) {
            let changed = diagonal + usize::from(!same);
            diagonal = *above;
            left = changed.min(left + 1).min(diagonal + 1);
            *above = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "PORT", 4),
            ("PORT", "", 4),
            ("ETCDHOST", "ETCDHOSTS", 1),
            ("ETCDHSOTS", "ETCDHOSTS", 2),
            ("KITTEN", "SITTING", 3),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
        }
    }

    #[test]
    fn errors_of_typing_are_told_with_what_may_be_meant() {
        for (name, meant) in [
            ("ETCD_HOST", "ETCD_HOSTS"),
            ("ETCD_HSOTS", "ETCD_HOSTS"),
            ("ETCDHOSTS", "ETCD_HOSTS"),
            ("etcd_hosts", "ETCD_HOSTS"),
            ("ETCD-HOSTS", "ETCD_HOSTS"),
            ("ETCD_CA_CERT", "ETCD_CACERT"),
            ("ETCD_PASSWD", "ETCD_PASSWORD"),
            ("INTERFACES", "INTERFACE"),
            ("HOST_NAME", "HOSTNAME"),
            ("PASSWD", "PASSWORD"),
            ("LISTENS", "LISTEN"),
            ("KEEP_ALIVE_INTERVAL", "KEEPALIVE_INTERVAL"),
            ("KEEPALIVE_RETRIES", "KEEPALIVE_RETRY"),
            ("HEALTHCHECK_INTERVAL", "HEALTH_CHECK_INTERVAL"),
            ("STOP_POLICE", "STOP_POLICY"),
            ("RUSTLOG", "RUST_LOG"),
            ("NOTIFY_COMAND", "NOTIFY_COMMAND"),
        ] {
            let told = unknown([name.to_owned()].into_iter()).unwrap();
            assert!(told.ends_with(&format!(": {name} (is {meant} meant?)")), "{told}");
        }
    }

    #[test]
    fn names_that_begin_as_ours_are_told_and_those_of_others_are_not() {
        let told = |names: &[&str]| unknown(names.iter().map(|name| (*name).to_owned()));
        for name in ["KEEPALIVE_TTL", "ETCD_DATA_DIR", "CHECK_EVERY", "PROBE_X", "ARP_"] {
            let expected = format!("variables that LinK does not know: {name}");
            assert_eq!(told(&[name]), Some(expected));
        }
        // Of login shells, systemd, containers and their managers, and of etcdctl.
        let others = "HOME LOGNAME SHELL PATH PWD OLDPWD _ SHLVL TERM LANG LC_ALL MAIL EDITOR TZ HOSTTYPE \
             MACHTYPE OSTYPE SUDO_USER SUDO_UID SUDO_COMMAND USERNAME DISPLAY TMPDIR UID INVOCATION_ID \
             JOURNAL_STREAM NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID SYSTEMD_EXEC_PID MAINPID \
             LISTEN_FDS LISTEN_PID LISTEN_FDNAMES RUNTIME_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY \
             CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY MEMORY_PRESSURE_WATCH RUST_BACKTRACE \
             KUBERNETES_SERVICE_HOST KUBERNETES_PORT container ETCDCTL_API ETCDCTL_ENDPOINTS \
             LINK_HOST LINK_USER LINK_PASSWORD LINK_SOCKETS LINK_HISTORY LINK_RELOADER PLUGIN_ENSURE_INTERVAL";
        for name in others.split_whitespace().chain(NAMES.split(' ')) {
            assert_eq!(told(&[name]), None, "{name}");
        }
        assert_eq!(told(&["ETCD_".repeat(1000).as_str()]), None);
        let many: Vec<String> = (0..1000).map(|number| format!("ETCD_{number}00")).collect();
        assert!(unknown(many.into_iter()).unwrap().ends_with("ETCD_900 and 990 more"));
    }

    /// The tables of docs/configuration.md, and what the reader asks for.
    #[test]
    fn the_names_are_those_of_the_handbook() {
        let page = include_str!("../../docs/configuration.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let named = rows.flat_map(|names| names.split(", ").map(|name| name.trim_matches('`')));
        let mut named: Vec<&str> = named.chain(["STATE_DIRECTORY"]).collect();
        named.sort_unstable();
        assert_eq!(named.join(" "), NAMES);
    }
}

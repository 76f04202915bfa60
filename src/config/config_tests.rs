//! The environment, good and bad.

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let vars = vars.to_vec();
    let var = move |name: &str| {
        vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
    };
    Reading::of(var, "kernel-name").config()
}

fn good(vars: &[(&str, &str)]) -> Config {
    let mut all = vec![("INTERFACE", "eth0")];
    all.extend(vars);
    read(&all).unwrap()
}

#[test]
fn an_interface_is_all_that_is_needed() {
    let config = good(&[]);
    assert_eq!((config.interface.as_str(), config.hostname.as_str()), ("eth0", "kernel-name"));
    assert_eq!(config.etcd.endpoints, ["http://127.0.0.1:2379"]);
    assert_eq!(config.etcd.ttl(), Duration::from_secs(5));
    assert_eq!(config.etcd.loss_after(), Duration::from_secs(5));
    assert_eq!(config.crash_failover(), Duration::from_millis(5500));
    assert_eq!((config.max_ips, config.announce), (Some(1000), None));
    assert_eq!(config.announce_rate, 10_000);
    assert_eq!(config.loss_policy, LossPolicy::Take);
    assert_eq!(config.all_failing_policy, AllFailingPolicy::KeepLast);
    assert_eq!(config.stop_policy, StopPolicy::Release);
    assert_eq!(config.connections, Connections::Reset);
    let listen: Vec<_> = config.listen.iter().map(SocketAddr::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:1313", "[::1]:1313"]);
}

#[test]
fn all_mistakes_are_reported_together_each_naming_its_variable_and_value() {
    let wrong = [
        ("HOSTNAME", "a/b"),
        ("PORT", "0"),
        ("LISTEN", "localhost"),
        ("API_HOSTS", "http://a"),
        ("ETCD_HOSTS", "ftp://a"),
        ("ETCD_TLS_CERT", "/cert"),
        ("ETCD_USER", "root"),
        ("ETCD_LOSS_POLICY", "guess"),
        ("KEEPALIVE_INTERVAL", "1"),
        ("KEEPALIVE_RETRY", "-1"),
        ("HEALTH_CHECK_INTERVAL", "-1s"),
        ("HEALTH_CHECK_TIMEOUT", "48h"),
        ("FAIL_COUNT_BEFORE_FAILOVER", "many"),
        ("ARP_GRATUITOUS_INTERVAL", "x"),
        ("ARP_GRATUITOUS_COUNT", "-3"),
        ("ARP_GRATUITOUS_RATE", "199"),
        ("MAX_NUMBER_OF_ENDPOINTS", "-2"),
        ("PRIORITY", "256"),
        ("ALL_FAILING_POLICY", "panic"),
        ("STOP_POLICY", "run"),
        ("CONNECTIONS", "drop"),
    ];
    let ConfigErrors(mistakes) = read(&wrong).unwrap_err();
    assert_eq!(mistakes.len(), wrong.len() + 1, "{mistakes:#?}");
    for (name, value) in wrong {
        let named = format!("{name}={value} ");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(&named)), "{named}");
    }
    assert!(mistakes.iter().any(|mistake| mistake.starts_with("INTERFACE is required")));
}

#[test]
fn no_host_has_the_name_of_a_group_in_etcd() {
    let ConfigErrors(mistakes) =
        read(&[("HOSTNAME", "group:gw"), ("INTERFACE", "eth0")]).unwrap_err();
    assert_eq!(mistakes, ["HOSTNAME=group:gw is the name of a group in etcd, and of no host"]);
    assert_eq!(good(&[("HOSTNAME", "group")]).hostname, "group");
}

#[test]
fn a_user_alone_turns_nothing_on_and_a_password_opens_the_api() {
    assert_eq!(good(&[("USER", "root")]).credentials, None);
    let config = good(&[("USER", "root"), ("PASSWORD", "hunter2")]);
    assert_eq!(config.credentials, Credentials::new("root", "hunter2").ok());
    assert_eq!(config.listen, ["[::]:1313".parse().unwrap()]);
    assert_eq!(good(&[("PASSWORD", "")]).credentials, None);
}

/// systemd sets USER to the user of the unit, before what the unit says; empty counts as unset.
#[test]
fn under_the_unit_a_password_alone_has_no_user() {
    let unit = include_str!("../../link.service");
    let line = |text: &str| unit.lines().position(|line| line.starts_with(text)).unwrap();
    assert!(line("Environment=USER=") < line("EnvironmentFile="));
    let config = good(&[("USER", ""), ("PASSWORD", "hunter2")]);
    assert_eq!(config.credentials, Credentials::new("", "hunter2").ok());
}

#[test]
fn secrets_are_never_printed() {
    let config =
        good(&[("PASSWORD", "hunter2"), ("ETCD_USER", "root"), ("ETCD_PASSWORD", "hunter2")]);
    assert!(!format!("{config} {config:?}").contains("hunter2"));
    let ConfigErrors(mistakes) = read(&[("ETCD_PASSWORD", "hunter2")]).unwrap_err();
    assert!(!mistakes.concat().contains("hunter2"));
    for hosts in ["http://root:hunter2@a", "http://root:hunter2,@a", "http://root:x,hunter2@y@a"] {
        let ConfigErrors(mistakes) = read(&[("ETCD_HOSTS", hosts)]).unwrap_err();
        assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with("ETCD_HOSTS=@a ")));
    }
    let garbled = |name: &str| {
        use std::os::unix::ffi::OsStringExt as _;
        let value = match name {
            "ETCD_HOSTS" => b"http://root:hunter2@a\xff".to_vec(),
            _ => b"hunter2\xff".to_vec(),
        };
        let may_be_secret = name.ends_with("PASSWORD") || name == "ETCD_HOSTS";
        may_be_secret.then_some(std::ffi::OsString::from_vec(value))
    };
    let ConfigErrors(mistakes) = Reading::of(garbled, "kernel-name").config().unwrap_err();
    assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
}

#[test]
fn listen_takes_addresses_with_and_without_brackets() {
    let config = good(&[("LISTEN", "10.0.0.1, [fd00::1],::1"), ("PORT", "80")]);
    let listen: Vec<_> = config.listen.iter().map(SocketAddr::to_string).collect();
    assert_eq!(listen, ["10.0.0.1:80", "[fd00::1]:80", "[::1]:80"]);
}

#[test]
fn a_mistake_is_one_line_whatever_its_value() {
    let mistakes = read(&[("INTERFACE", "eth0\nlinkd: all is well\u{1b}[2J\u{202e}")]).unwrap_err();
    let shown = mistakes.to_string();
    assert!(shown.starts_with(r"INTERFACE=eth0\nlinkd: all is well\u{1b}[2J\u{202e} "), "{shown}");
    assert_eq!(shown.lines().count(), 1);
}

#[test]
fn names_of_the_api_are_a_list() {
    assert_eq!(good(&[]).api_hosts, [""; 0]);
    assert_eq!(good(&[("API_HOSTS", "vip.lan, h1.lan,")]).api_hosts, ["vip.lan", "h1.lan"]);
}

#[test]
fn https_brings_tls_and_needs_nothing_more_than_a_trusted_authority() {
    let config = good(&[("ETCD_HOSTS", "https://a,https://b"), ("ETCD_CACERT", "/ca.pem")]);
    let tls = config.etcd.tls.unwrap();
    assert_eq!((tls.ca, tls.identity), (Some("/ca.pem".into()), None));
    let ConfigErrors(mistakes) =
        read(&[("INTERFACE", "eth0"), ("ETCD_CACERT", "/ca.pem")]).unwrap_err();
    assert!(mistakes[0].contains("https://"));
}

#[test]
fn a_lease_lasts_whole_seconds_and_no_limit_is_no_limit() {
    let config = good(&[("KEEPALIVE_INTERVAL", "300ms"), ("MAX_NUMBER_OF_ENDPOINTS", "-1")]);
    assert_eq!(config.etcd.ttl(), Duration::from_secs(2));
    assert_eq!(config.max_ips, None);
    assert_eq!(good(&[("ARP_GRATUITOUS_COUNT", "2")]).announce, Some((Duration::from_secs(1), 2)));
}

#[test]
fn policies_are_words_and_the_line_of_the_start_tells_them() {
    let config =
        good(&[("ETCD_LOSS_POLICY", "probe"), ("ALL_FAILING_POLICY", "none"), ("STOP_POLICY", "")]);
    assert_eq!(good(&[("CONNECTIONS", "keep")]).connections, Connections::Keep);
    assert_eq!(config.loss_policy, LossPolicy::Probe);
    assert_eq!(config.all_failing_policy, AllFailingPolicy::None);
    let line = config.to_string();
    let words =
        "policies: etcd loss probe, all failing none, stop release, connections reset, hooks none";
    assert!(line.ends_with(words), "{line}");
}

#[test]
fn how_soon_a_crash_is_found_depends_on_who_is_asked() {
    let found = |detection, count| {
        let probes = [("PROBE_INTERVAL", "100ms"), ("PROBE_COUNT", count)];
        good(&[&[("CRASH_DETECTION", detection)], &probes[..]].concat()).crash_detection()
    };
    assert_eq!(found("fast", "2"), Some(Duration::from_millis(250)));
    assert_eq!(found("strict", "2"), Some(Duration::from_millis(300)));
    assert_eq!(found("strict", "30"), Some(Duration::from_millis(3100)));
    assert_eq!(found("off", "2"), None);
}

/// What Go LinK starts with.
#[test]
fn a_comma_too_many_and_zeros_are_as_for_go() {
    let config = good(&[
        ("ETCD_HOSTS", "http://a:1, ,http://b:2,"),
        ("LISTEN", "10.0.0.1,"),
        ("KEEPALIVE_RETRY", "0"),
        ("FAIL_COUNT_BEFORE_FAILOVER", "0"),
        ("KEEPALIVE_INTERVAL", "0s"),
        ("HEALTH_CHECK_INTERVAL", "0"),
        ("HEALTH_CHECK_TIMEOUT", "0ms"),
        ("ARP_GRATUITOUS_INTERVAL", "0s"),
        ("ARP_GRATUITOUS_COUNT", "0"),
    ]);
    assert_eq!(config.etcd.endpoints, ["http://a:1", "http://b:2"]);
    assert_eq!(config.listen.len(), 1);
    // The first failure is enough.
    assert_eq!((config.etcd.retries, config.checks.fall), (1, 1));
    assert_eq!(config.announce, Some((Duration::from_secs(1), 1)));
    let default = good(&[]);
    assert_eq!(config.etcd.renewal, default.etcd.renewal);
    assert_eq!(config.checks.interval, default.checks.interval);
    assert_eq!(config.checks.timeout, default.checks.timeout);
}

#[test]
fn a_list_with_nothing_in_it_is_no_list() {
    for (name, value, why) in [
        // Something was to be filled in: the default would be another etcd than the one that was meant.
        ("ETCD_HOSTS", "", "ETCD_HOSTS= names no endpoint"),
        ("ETCD_HOSTS", ", ,", "ETCD_HOSTS=, , names no endpoint"),
        ("LISTEN", ",", "LISTEN=, names no address"),
    ] {
        let ConfigErrors(mistakes) = read(&[("INTERFACE", "eth0"), (name, value)]).unwrap_err();
        assert_eq!(mistakes, [why]);
    }
}

/// `docker --env-file` and others keep quotes, and the line ends of other systems.
#[test]
fn what_readers_of_environment_files_leave_is_refused_and_seen() {
    for (name, value, shown) in [
        ("INTERFACE", "\"eth0\"", r#"INTERFACE="\"eth0\"" has quotes"#),
        ("INTERFACE", "eth0\r", r#"INTERFACE="eth0\r" has quotes"#),
        ("HOSTNAME", "'h1'", r#"HOSTNAME="'h1'" has quotes"#),
        ("PORT", "1313 ", r#"PORT="1313 " has quotes"#),
        ("USER", "admin\r", r#"USER="admin\r" has quotes"#),
        ("STATE_DIR", "/var/lib/link\r", r#"STATE_DIR="/var/lib/link\r" has quotes"#),
        ("ARP_GRATUITOUS_COUNT", "\"3\"", r#"ARP_GRATUITOUS_COUNT="\"3\"" has quotes"#),
        ("ETCD_HOSTS", "\"http://a\"", r#"ETCD_HOSTS="\"http://a\"" has quotes"#),
    ] {
        let mut all = vec![(name, value)];
        all.extend(Some(("INTERFACE", "eth0")).filter(|_| name != "INTERFACE"));
        let ConfigErrors(mistakes) = read(&all).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with(shown), "{mistakes:?}");
    }
    // They may belong to a password; a control character does not (RFC 7617, 2).
    let config = good(&[("PASSWORD", "\"hunter2\" ")]);
    assert_eq!(config.credentials, Credentials::new("", "\"hunter2\" ").ok());
    for name in ["PASSWORD", "ETCD_PASSWORD"] {
        let all = [
            ("INTERFACE", "eth0"),
            ("ETCD_USER", "root"),
            ("ETCD_PASSWORD", "x"),
            (name, "hunter2\r"),
        ];
        let all: Vec<_> = all.into_iter().rev().collect();
        let mistakes = read(&all).unwrap_err().to_string();
        assert_eq!(mistakes, format!("{name} has a line end or the like in it"));
    }
}

/// Each variable that is asked for is one that is known, and the other way round.
#[test]
fn all_variables_have_names_that_are_known() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let var = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        (name == "ARP_GRATUITOUS_INTERVAL").then(|| "1s".into())
    };
    let _ = Reading::of(var, "kernel-name");
    let mut asked = asked.into_inner();
    // The log is started before.
    asked.insert("RUST_LOG".to_owned());
    assert!(asked.iter().eq(names::NAMES.split(' ')), "{asked:?}");
}

#[test]
fn every_file_that_cannot_be_used_is_named_with_its_variable() {
    let files =
        [("ETCD_TLS_CERT", "/absent/c"), ("ETCD_TLS_KEY", "/dev/null"), ("ETCD_CACERT", "/")];
    let vars = [files.as_slice(), &[("ETCD_HOSTS", "https://a"), ("PORT", "x")]].concat();
    let var = |name: &str| {
        vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
    };
    let ConfigErrors(mistakes) = Reading::of(var, "kernel-name").with_files().config().unwrap_err();
    for (name, value) in files {
        let named = format!("{name}={value} cannot be used: ");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(&named)), "{mistakes:?}");
    }
    // The mistakes elsewhere, and INTERFACE, beside them.
    assert_eq!(mistakes.len(), 5, "{mistakes:?}");
}

//! The environment, good and bad.

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let vars = vars.to_vec();
    let var = move |name: &str| {
        vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
    };
    Config::read(var, "kernel-name")
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
        ("KEEPALIVE_RETRY", "0"),
        ("HEALTH_CHECK_INTERVAL", "-1s"),
        ("HEALTH_CHECK_TIMEOUT", "48h"),
        ("FAIL_COUNT_BEFORE_FAILOVER", "many"),
        ("ARP_GRATUITOUS_INTERVAL", "x"),
        ("ARP_GRATUITOUS_COUNT", "-3"),
        ("ARP_GRATUITOUS_RATE", "199"),
        ("MAX_NUMBER_OF_ENDPOINTS", "-2"),
        ("ALL_FAILING_POLICY", "panic"),
        ("STOP_POLICY", "run"),
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
    let ConfigErrors(mistakes) = Config::read(garbled, "kernel-name").unwrap_err();
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
    assert_eq!(config.loss_policy, LossPolicy::Probe);
    assert_eq!(config.all_failing_policy, AllFailingPolicy::None);
    let line = config.to_string();
    assert!(line.ends_with("policies: etcd loss probe, all failing none, stop release"), "{line}");
}

#[test]
fn how_soon_a_crash_is_found_depends_on_who_is_asked() {
    let found = |detection, count| {
        let probes = [("PROBE_INTERVAL", "100ms"), ("PROBE_COUNT", count)];
        good(&[&[("CRASH_DETECTION", detection)], &probes[..]].concat()).crash_detection()
    };
    assert_eq!(found("fast", "2"), Some(Duration::from_millis(250)));
    // A second between two renewals of a lease of 5 s, and how late one is at least.
    assert_eq!(found("strict", "2"), Some(Duration::from_millis(1350)));
    assert_eq!(found("strict", "30"), Some(Duration::from_millis(1700)));
    assert_eq!(found("off", "2"), None);
}

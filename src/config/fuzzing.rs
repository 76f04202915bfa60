//! What holds for any environment: a property for [`crate::fuzzing`].

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use super::names::NAMES;
use super::{Config, ConfigErrors, Reading, endpoint, unknown_names};
use crate::duration;
use crate::interface_name;

/// A password that does not come up by chance, in pieces as a list would cut it.
const SECRET: [&str; 3] = ["qZ7k", "Wv3x", "Jy9p"];
/// Stands for the host name that the kernel knows.
const KERNEL_NAME: &str = "KERNEL_NAME";

type Variables = Vec<(String, OsString)>;

/// A variable on each line, `NAME=value`, in any bytes: a configuration that is within its limits and made of
/// nothing that a reader of environment files has left, or mistakes that each name their variable; neither
/// shows a password. What is told of names that are not known is short.
pub fn environment(input: &[u8]) {
    let variables: Variables = input.split(|byte| *byte == b'\n').filter_map(variable).collect();
    match read(&variables) {
        (Ok(config), asked) => {
            check_limits(&config);
            asked.iter().for_each(|name| check_bare(name, value_of(&variables, name)));
        }
        (Err(ConfigErrors(mistakes)), asked) => {
            assert!(!mistakes.is_empty());
            let is_foreign = |c: char| !c.is_ascii_uppercase() && c != '_';
            for mistake in &mistakes {
                let name = mistake.split(is_foreign).next().unwrap_or_default();
                assert!(asked.contains(name), "{mistake} names no variable");
            }
        }
    }
    let others = variables.iter().map(with_other_password).collect();
    assert_eq!(shown(&variables), shown(&others), "it depends on a password");
    check_passwords_of_endpoints(&variables);
    check_unknown(&variables);
    for value in variables.iter().filter_map(|(_, value)| value.to_str()) {
        check_duration(value);
        check_endpoint(value);
    }
}

fn variable(line: &[u8]) -> Option<(String, OsString)> {
    let end = line.iter().position(|byte| *byte == b'=')?;
    let name = String::from_utf8_lossy(&line[..end]).into_owned();
    Some((name, OsStr::from_bytes(&line[end + 1..]).to_owned()))
}

/// What the environment says, and which variables were looked at.
fn read(variables: &Variables) -> (Result<Config, ConfigErrors>, BTreeSet<String>) {
    let asked = RefCell::new(BTreeSet::new());
    let var = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        value_of(variables, name).cloned()
    };
    let kernel_name = value_of(variables, KERNEL_NAME).cloned().unwrap_or_else(|| "h1".into());
    let read = Reading::of(var, &kernel_name.to_string_lossy()).config();
    (read, asked.into_inner())
}

fn value_of<'a>(variables: &'a Variables, wanted: &str) -> Option<&'a OsString> {
    variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

/// Nobody has put quotes, white space or line ends around a value that is used.
fn check_bare(name: &str, value: Option<&OsString>) {
    let Some(value) = value.and_then(|value| value.to_str()) else { return };
    if name.ends_with("PASSWORD") {
        assert!(!value.contains(char::is_control), "{name}={value:?}");
    } else {
        let left = |c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\'';
        assert!(!value.starts_with(left) && !value.ends_with(left), "{name}={value:?}");
    }
    assert!(name != "ETCD_HOSTS" || !value.is_empty(), "an empty list of endpoints is used");
}

/// What is told of names has those that are not known, and is short.
fn check_unknown(variables: &Variables) {
    let names = || variables.iter().map(|(name, _)| name.clone());
    let told = unknown_names(names()).unwrap_or_default();
    assert!(told.len() < 2000, "{told}");
    let known = unknown_names(names().filter(|name| NAMES.split(' ').any(|known| known == name)));
    assert_eq!(known, None);
}

/// All that is ever printed of it.
fn shown(variables: &Variables) -> String {
    match read(variables).0 {
        Ok(config) => format!("{config} {config:?}"),
        Err(mistakes) => format!("{mistakes} {mistakes:?}"),
    }
}

/// The same variable; a password is another one, if it is one at all.
fn with_other_password((name, value): &(String, OsString)) -> (String, OsString) {
    let other = match value.to_str() {
        _ if !name.ends_with("PASSWORD") => value.clone(),
        Some("") => value.clone(),
        Some(text) => format!("{text}{}", SECRET[0]).into(),
        None => OsString::from_vec([value.as_bytes(), SECRET[0].as_bytes()].concat()),
    };
    (name.clone(), other)
}

/// `http://user:password@host` is refused; the password is not shown even if it looks as if there
/// were several endpoints or hosts in it.
fn check_passwords_of_endpoints(variables: &Variables) {
    let mut variables = variables.clone();
    let Some((_, value)) = variables.iter_mut().find(|(name, _)| name == "ETCD_HOSTS") else {
        return;
    };
    let bytes = value.as_bytes();
    let Some(at) = bytes.iter().rposition(|byte| *byte == b'@') else { return };
    let secret = SECRET.join(if bytes.len() % 2 == 0 { "," } else { "@" });
    *value = OsString::from_vec([&bytes[..at], secret.as_bytes(), &bytes[at..]].concat());
    let shown = shown(&variables);
    assert!(SECRET.iter().all(|piece| !shown.contains(piece)), "{shown}");
}

fn check_limits(config: &Config) {
    assert_eq!(interface_name::check(&config.interface), Ok(()));
    assert!(!config.hostname.is_empty() && !config.hostname.contains('/'), "{}", config.hostname);
    assert!(config.listen.iter().all(|address| address.port() > 0) && !config.listen.is_empty());
    let (etcd, checks) = (&config.etcd, &config.checks);
    assert!(!etcd.endpoints.is_empty());
    for url in &etcd.endpoints {
        assert_eq!(endpoint::parse(url).as_ref(), Ok(url));
    }
    let day = Duration::from_secs(24 * 3600);
    for duration in [etcd.renewal, checks.interval, checks.timeout, config.probes.interval] {
        assert!(Duration::from_millis(10) <= duration && duration <= day, "{duration:?}");
    }
    assert!(etcd.ttl() > etcd.renewal && etcd.ttl().subsec_nanos() == 0, "{:?}", etcd.ttl());
    assert!(etcd.loss_after() >= etcd.renewal && config.crash_failover() > etcd.ttl());
    assert!(config.crash_detection().is_none_or(|after| after > config.probes.interval));
    assert!(checks.fall > 0 && config.announce.is_none_or(|(_, count)| count > 0));
}

/// A duration is the same when it is written as Rust writes it, in one unit.
fn check_duration(text: &str) {
    let Some(duration) = duration::parse(text) else { return };
    if duration <= Duration::from_secs(24 * 3600) {
        let again = duration::parse(&format!("{duration:?}"));
        let again = again.unwrap_or_else(|| panic!("{duration:?} is not read again"));
        assert!(again.abs_diff(duration) <= Duration::from_nanos(1), "{duration:?}, {again:?}");
    }
}

/// An endpoint is complete, and nothing that could pass for another part of a URL.
fn check_endpoint(text: &str) {
    let Ok(url) = endpoint::parse(text) else { return };
    assert_eq!(endpoint::parse(&url).as_ref(), Ok(&url));
    let (_, authority) = url.split_once("://").expect("a scheme");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "[]:-._".contains(c);
    assert!(
        authority.chars().all(is_plain)
            && text.contains(authority.split(':').next().unwrap_or_default()),
        "{url}"
    );
}

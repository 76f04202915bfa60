//! Finds out the facts: the agent, the machine and the members of etcd are asked beside each other, and what does
//! not answer in time is left out.

mod certificate;
mod curl;
mod dates;
mod interfaces;
mod managers;
mod members;
mod process;
mod program;
mod told;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::facts::{Certificate, Environment, Facts, Told};
use crate::ctl::agent::Agent;
use crate::ctl::failure::{Failure, Next};
use crate::ctl::server::Server;

/// Bytes of a file that the environment names.
const MAX_FILE: u64 = 1 << 20;

/// For everything.
const PATIENCE: Duration = Duration::from_millis(4500);

/// Whether an agent's address is one of this machine.
pub(super) fn is_here(server: &Server) -> bool {
    match server.host().split('%').next().unwrap_or_default().parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || interfaces::has(address),
        Err(_) => server.host() == "localhost" || own_name().is_some_and(|it| it == server.host()),
    }
}

fn own_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// All facts.
pub(super) fn facts(agent: Agent, env_file: &Path) -> Facts {
    let until = Instant::now() + PATIENCE;
    let left = || until.saturating_duration_since(Instant::now());
    let (port, server) = (agent.server.port(), agent.server.to_string());
    let agent = Arc::new(agent);
    let status = Arc::clone(&agent);
    let status = program::beside("status", move || told::status(&status));
    let told = program::beside("told", move || told::told(&agent));
    let process = process::find(port);
    let file = fs::read_to_string(env_file).map(|text| variables(&text)).unwrap_or_default();
    let running = process.as_ref().and_then(|process| process.environment.clone());
    let settings = running.clone().unwrap_or_else(|| file.clone());
    let known = running.is_some() || !file.is_empty();
    let asked = if known { members::ask(&settings, left()) } else { Vec::new() };
    let check = process::next_start(process.as_ref(), env_file, &file);
    let drops_arp = managers::drops_arp();
    let failed = Failure::new(Next::ReachAgent, format!("no answer from {server} in time"));
    let told =
        told.recv_timeout(left()).unwrap_or(Told { failure: Some(failed), ..Told::default() });
    let names = interfaces::wanted(&settings, &told.ips);
    let told = Told { server, status: status.recv_timeout(left()).ok().flatten(), ..told };
    Facts {
        unit: process::unit(process.as_ref()),
        interfaces: interfaces::look(&names),
        default_routes: interfaces::default_routes(),
        managers: managers::of(&names),
        drops_arp,
        members: asked
            .into_iter()
            .map(|(endpoint, answer)| members::member(endpoint, &answer, left()))
            .collect(),
        certificates: certificates(&settings),
        now: now(),
        is_root: nix::unistd::geteuid().is_root(),
        told,
        process,
        next_start: check,
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// What an environment file of systemd says: a variable on each line.
fn variables(text: &str) -> Environment {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| {
        let value = value.trim();
        let quoted = ['"', '\''].iter().find_map(|it| value.strip_prefix(*it)?.strip_suffix(*it));
        (name.trim().to_owned(), quoted.unwrap_or(value).to_owned())
    });
    pairs.collect::<BTreeMap<_, _>>()
}

/// The certificates that the environment names, as far as they can be read.
fn certificates(settings: &Environment) -> Vec<Certificate> {
    let of = |variable: &'static str| {
        let path = settings.get(variable).filter(|path| !path.is_empty())?.clone();
        let ends = certificate::end(&beginning(&path)?)?;
        Some(Certificate { variable, path, ends })
    };
    ["ETCD_TLS_CERT", "ETCD_CACERT", "API_TLS_CERT"].into_iter().filter_map(of).collect()
}

/// What a file begins with. Neither a pipe nor a device is one: it may have no end.
fn beginning(path: &str) -> Option<String> {
    let is_file = fs::metadata(path).is_ok_and(|it| it.is_file());
    let file = is_file.then(|| fs::File::open(path).ok()).flatten()?;
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_is_read_as_systemd_reads_it() {
        let text =
            "# INTERFACE=eth9\n ; X=1\nINTERFACE = eth0 \nPASSWORD=\"a=b c\"\n\nUSER='u'\nodd";
        let expected = [("INTERFACE", "eth0"), ("PASSWORD", "a=b c"), ("USER", "u")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables(text), BTreeMap::from(expected));
    }

    #[test]
    fn of_a_file_the_beginning_is_read_and_of_a_device_nothing() {
        assert_eq!(beginning("/dev/zero"), None);
        let path = std::env::temp_dir().join(format!("link-large-{}", uuid::Uuid::new_v4()));
        fs::write(&path, "x".repeat(3 << 20)).unwrap();
        let read = beginning(&path.display().to_string());
        fs::remove_file(&path).unwrap();
        assert_eq!(read.map(|text| text.len()), Some(1 << 20));
    }

    #[test]
    fn only_this_machine_is_here() {
        for (server, here) in [
            ("127.0.0.1", true),
            ("[::1]:7", true),
            ("localhost:1", true),
            ("192.0.2.1", false),
            ("nohost", false),
        ] {
            assert_eq!(is_here(&server.parse().unwrap()), here, "{server}");
        }
    }
}

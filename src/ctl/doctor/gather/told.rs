//! What the agent tells over its API.

use crate::ctl::agent::Agent;
use crate::ctl::doctor::facts::{Claim, Told};
use crate::wire;

/// For how long a claim is worth a finding, in seconds.
const RECENT: u64 = 3600;

/// How many IPs are asked about one by one.
const ASKED: usize = 50;

/// The cluster.
pub(super) fn status(agent: &Agent) -> Option<wire::Status> {
    agent.status().ok().map(|answer| answer.value)
}

/// What it knows by itself.
pub(super) fn told(agent: &Agent) -> Told {
    let ips = match agent.list() {
        Ok(list) => list.value.ips,
        Err(failure) => {
            return Told { failure: Some(failure), ..Told::default() };
        }
    };
    let restored = agent.metrics().map(|text| restored(&text)).unwrap_or_default();
    let claims = ips.iter().take(ASKED).filter_map(|ip| claim(agent, ip)).collect();
    Told { ips, restored, claims, ..Told::default() }
}

/// A recent claim by a machine that is no candidate.
fn claim(agent: &Agent, ip: &wire::Ip) -> Option<Claim> {
    let id = ip.id.parse().ok()?;
    let claimed = agent.show(&id).ok()?.value.ip.seen?.claimed?;
    if claimed.ago > RECENT {
        return None;
    }
    let hosts = agent.hosts(&id).ok()?.value.hosts;
    let is_candidate = hosts.iter().any(|host| {
        let known = host.hardware_address.as_deref();
        known.is_none_or(|known| known.eq_ignore_ascii_case(&claimed.hardware_address))
    });
    let hardware_address = claimed.hardware_address;
    (!is_candidate).then(|| Claim { ip: ip.ip.clone(), hardware_address, ago: claimed.ago })
}

/// How many addresses were put back, of all that `/metrics` tells.
fn restored(metrics: &str) -> u64 {
    let samples = metrics.lines().filter(|line| line.starts_with("linkd_address_restored_total"));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_were_put_back_are_counted() {
        let text =
            "# TYPE linkd_address_restored_total counter\nlinkd_address_restored_total 3\nx 4\n";
        assert_eq!((restored(text), restored("")), (3, 0));
    }
}

//! What a host has seen of an IP, in lines with a title.

use super::text::duration;
use crate::text::clean;
use crate::vip::ElectionKey;
use crate::wire;

/// The group to which an IP is to belong, and whether it does.
pub(super) fn group(ip: &wire::Ip) -> Option<[String; 2]> {
    let yet = if has_joined(ip) { "" } else { ", which it has not joined" };
    Some(["group".to_owned(), clean(ip.group.as_ref()?) + yet])
}

/// The IP belongs to a group.
pub(super) fn has_joined(ip: &wire::Ip) -> bool {
    ip.election_key.starts_with(ElectionKey::GROUP)
}

/// What is seen on the network and by the checks; these hosts offer the IP.
pub(super) fn facts(seen: &wire::Seen, hosts: &[wire::Host]) -> Vec<(&'static str, String)> {
    let host = seen.owners_host.as_ref().map(|host| {
        let since = duration(host.since);
        ("on the wire", format!("the owner's host: {} for {since}", clean(&host.network)))
    });
    let claim = seen.claimed.as_ref().map(|claim| {
        let (mac, ago) = (clean(&claim.hardware_address), duration(claim.ago));
        let its =
            |host: &&wire::Host| host.hardware_address.as_ref() == Some(&claim.hardware_address);
        let by = match hosts.iter().find(its) {
            Some(host) => format!("{} ({mac})", clean(&host.hostname)),
            None => mac,
        };
        ("claimed", format!("by {by}, {ago} ago"))
    });
    let failover = seen.last_failover.as_ref().map(|it| ("failover", took(it)));
    let facts = [host, claim, failover].into_iter().flatten();
    // An older agent does not tell of each check.
    let all = if seen.checks.is_empty() { seen.checked.as_ref() } else { None };
    let result = all.map(|checked| ("check result", found(checked)));
    let error = all.and_then(last_error);
    let each = seen.checks.iter().flat_map(|standing| {
        let error = standing.checked.as_ref().and_then(last_error);
        [Some(("check result", result_of(standing))), error].into_iter().flatten()
    });
    facts.chain(result).chain(error).chain(each).collect()
}

fn took(failover: &wire::LastFailover) -> String {
    let kind = clean(&failover.kind);
    let blur = match failover.give_or_take_us {
        0 => String::new(),
        blur => format!(" (give or take {})", milliseconds(blur)),
    };
    let (took, ago) = (milliseconds(failover.took_us), duration(failover.ago));
    format!("{kind}, took {took}{blur}, {ago} ago")
}

/// Microseconds as people read them: tenths where they matter.
fn milliseconds(micros: u64) -> String {
    match micros / 1000 {
        few if few < 10 => format!("{few}.{} ms", micros % 1000 / 100),
        many => format!("{many} ms"),
    }
}

fn result_of(standing: &wire::CheckStanding) -> String {
    let check = clean(&standing.check);
    let Some(checked) = &standing.checked else { return format!("{check}: not checked yet") };
    let not_yet = match (checked.passed, standing.up) {
        (false, Some(true)) => ", not long enough to count",
        (true, Some(false)) => ", not long enough to count as up",
        (true | false, Some(true | false) | None) => "",
    };
    format!("{check}: {}{not_yet}", found(checked))
}

fn found(checked: &wire::Checked) -> String {
    let word = if checked.passed { "passing" } else { "failing" };
    format!("{word} for {}", duration(checked.since))
}

fn last_error(checked: &wire::Checked) -> Option<(&'static str, String)> {
    let ago = checked.last_error_ago.map(|ago| format!("{} ago: ", duration(ago)));
    Some(("last error", ago.unwrap_or_default() + &clean(checked.last_error.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_is_told_as_exactly_as_it_is_known() {
        let told = |kind: &str, took_us, give_or_take_us| {
            let kind = kind.to_owned();
            took(&wire::LastFailover { kind, took_us, give_or_take_us, ago: 300 })
        };
        let crash = "crash, took 289 ms (give or take 87 ms), 5m0s ago";
        assert_eq!(told("crash", 289_400, 87_500), crash);
        assert_eq!(told("handover", 1250, 0), "handover, took 1.2 ms, 5m0s ago");
        assert_eq!(told("\u{1b}", 9999, 0), "\\u{1b}, took 9.9 ms, 5m0s ago");
    }
}

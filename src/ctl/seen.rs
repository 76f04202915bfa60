//! What a host has seen of an IP, in lines with a title.

use super::text::duration;
use crate::text::clean;
use crate::wire;

/// What is seen on the network and by the checks.
pub(super) fn facts(seen: &wire::Seen) -> Vec<(&'static str, String)> {
    let host = seen.owners_host.as_ref().map(|host| {
        let since = duration(host.since);
        ("on the wire", format!("the owner's host: {} for {since}", clean(&host.network)))
    });
    let claim = seen.claimed.as_ref().map(|claim| {
        let (mac, ago) = (clean(&claim.hardware_address), duration(claim.ago));
        ("claimed", format!("by {mac}, {ago} ago"))
    });
    let facts = [host, claim].into_iter().flatten();
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

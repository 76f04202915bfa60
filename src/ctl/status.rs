//! The cluster for people: what needs one first, then the hosts, then the IPs, in 80 columns.

use std::collections::BTreeSet;

use super::remedy;
use super::show::{plain_table, render};
use super::text::{IP, WIDTH, counted, cut, duration, wrapped};
use crate::text::clean;
use crate::wire::{ClusterCandidate, ClusterHost, ClusterIp, Finding, Status};

/// Columns of a name.
const NAME: usize = 18;

/// Columns of a version.
const VERSION: usize = 10;

/// What is shown of the cluster.
pub(super) fn page(status: &Status) -> String {
    let mut text = summary(status) + "\n";
    let mut left = status.findings.iter().peekable();
    while let Some(finding) = left.next() {
        text += &found(finding);
        // Of several things about which the same is to be done, that is said once.
        let advice = remedy::of(finding);
        if left.peek().is_none_or(|next| remedy::of(next) != advice) {
            text += &wrapped(&advice, "  -> ", "     ", WIDTH);
        }
    }
    if status.more_findings > 0 {
        text += &format!("! and {} more\n", status.more_findings);
    }
    text += "\n";
    text += &hosts(&status.hosts);
    if !status.ips.is_empty() {
        text += "\n";
        text += &ips(&status.ips, &status.hosts);
    }
    if status.ips.iter().any(|ip| ip.last_owner.is_some()) {
        text += "(ago): who had it when etcd was last heard\n";
    }
    if status.more_ips > 0 {
        text += &format!("and {} more IPs\n", status.more_ips);
    }
    text
}

/// The same without what changes by itself.
pub(super) fn timeless(status: &Status) -> Status {
    let mut status = status.clone();
    for host in &mut status.hosts {
        (host.up, host.lease_left, host.gone) = (None, None, host.gone.map(|_| 0));
        host.away = host.away.map(|_| 0);
    }
    for last in status.ips.iter_mut().filter_map(|ip| ip.last_owner.as_mut()) {
        last.ago = 0;
    }
    status.findings.iter_mut().for_each(|finding| finding.since = None);
    status
}

/// How many things need a person, in words.
pub(super) fn verdict(status: &Status) -> String {
    match status.findings.len() as u64 + status.more_findings {
        0 => "all is well".to_owned(),
        1 => "1 thing needs a person".to_owned(),
        count => format!("{count} things need a person"),
    }
}

fn summary(status: &Status) -> String {
    let (hosts, ips) = (status.hosts.len(), status.ips.len() as u64 + status.more_ips);
    let host = cut(&clean(&status.host), NAME);
    let (hosts, ips) = (counted(hosts as u64, "host"), counted(ips, "IP"));
    format!("{}, as {host} knows the cluster: {hosts}, {ips}", verdict(status))
}

fn found(finding: &Finding) -> String {
    let since = finding.since.map(|since| format!(", since {}", duration(since)));
    let text = format!("{}: {}{}", finding.about, finding.text, since.unwrap_or_default());
    wrapped(&clean(&text), "! ", "  ", WIDTH)
}

fn hosts(hosts: &[ClusterHost]) -> String {
    let mut table = plain_table();
    table.set_header(["HOST", "STATE", "VERSION", "UP", "LEASE", "OFFERS", "OWNS"]);
    for host in hosts {
        let state = match (host.alive, host.gone) {
            (Some(true), _) if host.away.is_some() => {
                format!("silent {}", host.away.map(duration).unwrap_or_default())
            }
            (Some(true), _) if host.drained => "drained".to_owned(),
            (Some(true), _) => "up".to_owned(),
            (_, Some(gone)) => format!("gone {} ago", duration(gone)),
            (Some(false), None) => "gone".to_owned(),
            (None, None) => "unknown".to_owned(),
        };
        let lease = match (host.lease_left, host.lease_ttl) {
            (Some(left), Some(ttl)) => format!("{left}s of {ttl}s"),
            _ => "-".to_owned(),
        };
        table.add_row([
            cut(&clean(&host.hostname), NAME),
            state,
            host.version.as_deref().map_or("-".to_owned(), |it| cut(&clean(it), VERSION)),
            host.up.map_or("-".to_owned(), duration),
            lease,
            host.offers.to_string(),
            host.owns.to_string(),
        ]);
    }
    render(table)
}

fn ips(ips: &[ClusterIp], hosts: &[ClusterHost]) -> String {
    let drained: BTreeSet<&str> =
        hosts.iter().filter(|host| host.drained).map(|host| host.hostname.as_str()).collect();
    let owner = |ip: &ClusterIp| {
        let owner = match (&ip.owner, &ip.last_owner) {
            (Some(owner), _) => cut(&clean(owner), NAME),
            (None, Some(last)) => {
                let ago = format!(" ({} ago)", duration(last.ago));
                cut(&clean(&last.host), NAME.saturating_sub(ago.len()).max(2)) + &ago
            }
            (None, None) => "-".to_owned(),
        };
        let group = ip.group.as_ref().map(|group| format!(" ({})", clean(group)));
        cut(&(owner + &group.unwrap_or_default()), NAME)
    };
    let longest = |cell: &dyn Fn(&ClusterIp) -> usize| ips.iter().map(cell).max().unwrap_or(0);
    let used = longest(&|ip| cut(&clean(&ip.ip), IP).chars().count())
        + longest(&|ip| owner(ip).chars().count()).max("OWNER".len());
    let room = WIDTH.saturating_sub(used + 4);
    let mut table = plain_table();
    table.set_header(["IP", "OWNER", "CANDIDATES"]);
    for ip in ips {
        let address = cut(&clean(&ip.ip), IP);
        table.add_row([address, owner(ip), candidates(&ip.candidates, &drained, room)]);
    }
    render(table)
}

/// How many of them are well, and as many names as there is room for.
fn candidates(all: &[ClusterCandidate], drained: &BTreeSet<&str>, room: usize) -> String {
    let is_well = |it: &&ClusterCandidate| it.available && it.alive != Some(false);
    let mut text = format!("{} of {}:", all.iter().filter(is_well).count(), all.len());
    for (place, candidate) in all.iter().enumerate() {
        let name = cut(&clean(&candidate.hostname), NAME);
        let word = match candidate.alive {
            Some(false) => format!(" {name}(gone)"),
            Some(true) | None if candidate.available => format!(" {name}"),
            Some(true) | None if drained.contains(&*candidate.hostname) => {
                format!(" {name}(drained)")
            }
            Some(true) | None => format!(" {name}(failing)"),
        };
        let more = format!(" +{}", all.len() - place);
        let is_last = place + 1 == all.len();
        let needed = word.chars().count() + if is_last { 0 } else { more.len() };
        if text.chars().count() + needed > room {
            return text + &more;
        }
        text += &word;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LastOwner;

    fn host(name: &str, alive: Option<bool>, gone: Option<u64>) -> ClusterHost {
        ClusterHost {
            hostname: name.to_owned(),
            alive,
            version: alive.map(|_| "v1.2.3".to_owned()),
            up: alive.map(|_| 7200),
            lease_left: alive.map(|_| 4),
            lease_ttl: alive.map(|_| 5),
            offers: 2,
            owns: 1,
            gone,
            drained: false,
            away: None,
        }
    }

    fn candidate(name: &str, alive: bool, available: bool) -> ClusterCandidate {
        ClusterCandidate { hostname: name.to_owned(), alive: Some(alive), available }
    }

    fn status() -> Status {
        let finding = Finding {
            kind: "host".to_owned(),
            about: "h3".to_owned(),
            text: "the host is gone; it offers 2 IPs".to_owned(),
            since: Some(70),
            remedy: "start its agent; if it is gone for good, remove what etcd has of it (docs/uninstall.md)"
                .to_owned(),
        };
        let candidates = vec![
            candidate("h1", true, true),
            candidate("h2", true, false),
            candidate("h3", false, false),
        ];
        let (ip, group) = ("10.0.0.2/32".to_owned(), Some("gw".to_owned()));
        let free = ClusterIp { ip, owner: None, candidates: Vec::new(), group, last_owner: None };
        let (ip, owner) = ("10.0.0.1/32".to_owned(), Some("h1".to_owned()));
        let ip = ClusterIp { ip, owner, candidates, group: None, last_owner: None };
        Status {
            host: "h1".to_owned(),
            ok: false,
            etcd: "ok".to_owned(),
            findings: vec![finding],
            more_findings: 0,
            hosts: vec![
                host("h1", Some(true), None),
                host("h2", None, None),
                host("h3", None, Some(70)),
            ],
            ips: vec![ip, free],
            more_ips: 0,
        }
    }

    #[test]
    fn what_needs_a_person_comes_first() {
        let expected = "\
1 thing needs a person, as h1 knows the cluster: 3 hosts, 2 IPs
! h3: the host is gone; it offers 2 IPs, since 1m10s
  -> start its agent; if it is gone for good, remove what etcd has of it
     (docs/uninstall.md)

HOST  STATE           VERSION  UP    LEASE     OFFERS  OWNS
h1    up              v1.2.3   2h0m  4s of 5s  2       1
h2    unknown         -        -     -         2       1
h3    gone 1m10s ago  -        -     -         2       1

IP           OWNER   CANDIDATES
10.0.0.1/32  h1      1 of 3: h1 h2(failing) h3(gone)
10.0.0.2/32  - (gw)  0 of 0:
";
        assert_eq!(page(&status()), expected);
    }

    #[test]
    fn a_candidate_that_is_drained_does_not_look_like_one_that_fails() {
        let mut status = status();
        status.hosts[1].drained = true;
        assert!(page(&status).contains("1 of 3: h1 h2(drained) h3(gone)"), "{}", page(&status));
    }

    #[test]
    fn a_host_that_does_not_answer_and_the_last_known_owner_are_told_with_their_age() {
        let mut status = status();
        status.hosts[0].away = Some(3);
        (status.ips[0].owner, status.ips[1].group) = (None, None);
        status.ips[0].last_owner = Some(LastOwner { host: "h2".to_owned(), ago: 63 });
        let text = page(&status);
        assert!(text.contains("h1    silent 3s       v1.2.3"), "{text}");
        assert!(text.contains("10.0.0.1/32  h2 (1m3s ago)  1 of 3:"), "{text}");
        assert!(text.ends_with("(ago): who had it when etcd was last heard\n"), "{text}");
        status.ips[0].last_owner = Some(LastOwner { host: "x".repeat(64), ago: 86_399_999 });
        status.ips[0].ip = "1111:2222:3333:4444:5555:6666:7777:8888/128".to_owned();
        let text = page(&status);
        assert!(
            text.contains(" xxxx… (999d23h ago)") || text.contains("… (999d23h ago)"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn nothing_is_wider_than_a_terminal_or_obeyed_by_it() {
        let mut status = status();
        let evil = "a\x1b]0;x\x07\n\u{9b}2J".repeat(9);
        status.findings[0].text = "word ".repeat(40) + &evil;
        status.findings[0].about = evil.clone();
        status.findings[0].remedy = evil.clone();
        status.host = evil.clone();
        status.hosts[0].hostname = evil.clone();
        status.hosts[0].version = Some(evil.clone());
        status.ips[0].ip = "1111:2222:3333:4444:5555:6666:7777:8888/128".to_owned();
        status.ips[0].owner = Some(evil.clone());
        status.ips[0].candidates = (0..40).map(|_| candidate(&evil, true, false)).collect();
        status.ips[0].group = Some("g".repeat(32));
        status.ips[1].candidates =
            (0..40).map(|n| candidate(&format!("h{n}"), true, true)).collect();
        let text = page(&status);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("40 of 40: +40"), "{text}");
    }

    #[test]
    fn only_what_has_changed_counts_as_a_change() {
        let (before, mut now) = (status(), status());
        (now.hosts[0].up, now.hosts[0].lease_left, now.hosts[2].gone) =
            (Some(7202), Some(3), Some(72));
        now.findings[0].since = Some(72);
        let (mut before, last) = (before, |ago| Some(LastOwner { host: "h2".to_owned(), ago }));
        (before.hosts[0].away, now.hosts[0].away) = (Some(1), Some(2));
        (before.ips[1].last_owner, now.ips[1].last_owner) = (last(1), last(2));
        assert_eq!(timeless(&before), timeless(&now));
        now.hosts[2].gone = None;
        assert_ne!(timeless(&before), timeless(&now));
    }
}

//! One IP as a table for people.
//!
//! No frames: a line is a property, so that grep, awk and head work on it. What comes from the agent is
//! cleaned before it reaches the terminal.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::seen;
use super::text::{cut, duration, wrapped};
use crate::text::clean;
use crate::wire;

/// Columns of what stands beside a title.
const VALUE: usize = 64;

/// Whether output may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Yes,
    No,
}

/// A line for each property of one IP.
pub(super) fn one(ip: &wire::Ip, hosts: Option<&[wire::Host]>, colour: Colour) -> String {
    let mut table = plain_table();
    let reason = match ip.reason.as_str() {
        "" => String::new(),
        reason => format!(": {}", clean(reason)),
    };
    let plain = clean(&ip.status);
    let state = wrap(&format!("{plain} for {}{reason}", duration(ip.since)));
    table.add_row(["ip".to_owned(), clean(&ip.ip)]);
    table
        .add_row(["status".to_owned(), state.replacen(&plain, &status(ip, usize::MAX, colour), 1)]);
    let seen_of = ip.seen.as_deref();
    table
        .add_row(["owner".to_owned(), owner(ip) + &lasting(seen_of.and_then(|it| it.owner_since))]);
    if let Some(hosts) = hosts {
        table.add_row(["offered by".to_owned(), or_dash(wrap(&names(hosts)))]);
    }
    table.add_row(["interface".to_owned(), clean(&ip.interface)]);
    let bound = yes_or_no(ip.bound) + &lasting(seen_of.and_then(|it| it.bound_since));
    table.add_row(["bound".to_owned(), bound]);
    table.add_row(["checks".to_owned(), wrap(&checks(ip))]);
    let facts = seen_of.map(|it| seen::facts(it, hosts.unwrap_or_default()));
    for (title, text) in facts.into_iter().flatten() {
        table.add_row([title.to_owned(), wrap(&text)]);
    }
    let loss = or_dash(clean(&ip.etcd_loss_policy));
    let after = seen_of.map(|it| format!(", {} ms after its last answer", it.etcd_loss_after_ms));
    table.add_row(["etcd loss".to_owned(), loss + &after.unwrap_or_default()]);
    if let Some(priority) = ip.priority {
        table.add_row(["priority".to_owned(), priority.to_string()]);
    }
    table.add_rows(seen::group(ip));
    table.add_row(["id".to_owned(), clean(&ip.id)]);
    table.add_row(["election key".to_owned(), clean(&ip.election_key)]);
    render(table)
}

fn names(hosts: &[wire::Host]) -> String {
    let priorities = hosts.iter().filter_map(|host| host.priority);
    let differ = priorities.clone().max() != priorities.min();
    let names = hosts.iter().map(|host| {
        let failing = (host.available == Some(false)).then(|| "failing".to_owned());
        let priority = host.priority.filter(|_| differ).map(|it| format!("priority {it}"));
        let notes: Vec<String> = [failing, priority].into_iter().flatten().collect();
        match notes.join(", ") {
            none if none.is_empty() => clean(&host.hostname),
            notes => format!("{} ({notes})", clean(&host.hostname)),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A text beside its title, within the columns of a terminal.
fn wrap(text: &str) -> String {
    wrapped(text, "", "", VALUE).trim_end().to_owned()
}

fn lasting(since: Option<u64>) -> String {
    since.map(|since| format!(" for {}", duration(since))).unwrap_or_default()
}

pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table
}

pub(super) fn render(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

pub(super) fn owner(ip: &wire::Ip) -> String {
    or_dash(ip.owner.as_deref().map(clean).unwrap_or_default())
}

fn checks(ip: &wire::Ip) -> String {
    let shown: Vec<String> = ip.checks.iter().map(|c| clean(&c.to_string())).collect();
    match (shown.is_empty(), ip.healthcheck_interval) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(", "),
        (false, interval) => format!("{}, every {interval} s", shown.join(", ")),
    }
}

pub(super) fn or_dash(text: String) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

pub(super) fn yes_or_no(value: bool) -> String {
    match value {
        true => "yes".to_owned(),
        false => "no".to_owned(),
    }
}

/// A colour by its number in ECMA-48, 8.3.117 (SGR). All have two digits, see [`paint`].
#[derive(Clone, Copy)]
pub(super) enum Hue {
    Green = 32,
    Red = 31,
    Plain = 39,
}

pub(super) fn status(ip: &wire::Ip, most: usize, colour: Colour) -> String {
    let hue = match ip.status.as_str() {
        "ACTIVATED" => Hue::Green,
        "FAILING" => Hue::Red,
        _ => Hue::Plain,
    };
    paint(&cut(&clean(&ip.status), most), hue, colour)
}

/// The table counts the codes as if they were visible, so that a column lines up only when all of
/// its cells, the title included, are painted with codes of one length.
pub(super) fn paint(text: &str, hue: Hue, colour: Colour) -> String {
    match colour {
        Colour::Yes => format!("\x1b[{}m{text}\x1b[0m", hue as u8),
        Colour::No => text.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::vip::Check;

    pub(in crate::ctl) fn ip(ip: &str, status: &str) -> wire::Ip {
        wire::Ip {
            id: "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427".to_owned(),
            ip: ip.to_owned(),
            interface: "eth0".to_owned(),
            status: status.to_owned(),
            checks: Vec::new(),
            healthcheck_interval: 0,
            etcd_loss_policy: "hold".to_owned(),
            priority: Some(100),
            group: None,
            plugin: "arp".to_owned(),
            election_key: ip.replace('/', "_"),
            owner: Some("host1".to_owned()),
            bound: status == "ACTIVATED",
            reason: String::new(),
            since: 192,
            defaults: Vec::new(),
            seen: None,
        }
    }

    #[test]
    fn one_ip_is_shown_with_everything_that_is_known_of_it() {
        let mut shown = ip("10.0.0.1/32", "FAILING");
        shown.checks.push(Check::tcp("::1", 80));
        shown.healthcheck_interval = 7;
        shown.reason = "connection refused".to_owned();
        shown.owner = None;
        let mut hosts = ["h1", "h2"].map(wire::Host::named);
        hosts[0].priority = Some(100);
        hosts[1].priority = Some(200);
        assert_eq!(
            one(&shown, Some(&hosts), Colour::No),
            "\
ip            10.0.0.1/32
status        FAILING for 3m12s: connection refused
owner         -
offered by    h1 (priority 100), h2 (priority 200)
interface     eth0
bound         no
checks        TCP [::1]:80, every 7 s
etcd loss     hold
priority      100
id            vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427
election key  10.0.0.1_32
"
        );
    }

    /// What a host has seen of its IP, and the result of its checks.
    fn seen() -> (wire::Ip, wire::Checked) {
        let mut shown = ip("10.0.0.1/32", "STANDBY");
        let owners_host = wire::OwnersHost { network: "answers".to_owned(), since: 60 };
        let claimed = wire::Claimed { hardware_address: "02:00:00:00:00:09".to_owned(), ago: 5 };
        let last_error = Some("check TCP 127.0.0.1:80: connection refused".to_owned());
        let checked =
            wire::Checked { passed: true, since: 9, last_error, last_error_ago: Some(70) };
        shown.seen = Some(Box::new(wire::Seen {
            owner_since: Some(61),
            bound_since: Some(3600),
            owners_host: Some(owners_host),
            claimed: Some(claimed),
            checked: Some(checked.clone()),
            checks: Vec::new(),
            last_failover: None,
            etcd_loss_after_ms: 5000,
        }));
        (shown, checked)
    }

    #[test]
    fn what_a_host_has_seen_is_shown_with_its_age() {
        let (mut shown, checked) = seen();
        let hosts =
            [wire::Host { available: Some(false), priority: Some(100), ..wire::Host::named("h1") }];
        assert_eq!(
            one(&shown, Some(&hosts), Colour::No),
            "\
ip            10.0.0.1/32
status        STANDBY for 3m12s
owner         host1 for 1m1s
offered by    h1 (failing)
interface     eth0
bound         no for 1h0m
checks        -
on the wire   the owner's host: answers for 1m0s
claimed       by 02:00:00:00:00:09, 5s ago
check result  passing for 9s
last error    1m10s ago: check TCP 127.0.0.1:80: connection refused
etcd loss     hold, 5000 ms after its last answer
priority      100
id            vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427
election key  10.0.0.1_32
"
        );
        let standing =
            |check: &str, up, checked| wire::CheckStanding { check: check.to_owned(), up, checked };
        let failing = wire::Checked { passed: false, since: 2, ..checked.clone() };
        let seen = shown.seen.as_mut().unwrap();
        seen.checks = vec![
            standing("TCP h:1", Some(true), Some(failing)),
            standing("LINK eth1", Some(false), Some(checked)),
            standing("EXEC x", None, None),
        ];
        let told = one(&shown, Some(&hosts), Colour::No);
        let (_, rest) = told.split_once("ago\ncheck result").unwrap();
        assert_eq!(
            rest.split_once("\netcd loss").unwrap().0,
            "  TCP h:1: failing for 2s, not long enough to count
last error    1m10s ago: check TCP 127.0.0.1:80: connection refused
check result  LINK eth1: passing for 9s, not long enough to count as up
last error    1m10s ago: check TCP 127.0.0.1:80: connection refused
check result  EXEC x: not checked yet"
        );
    }

    #[test]
    fn a_host_that_has_claimed_the_ip_is_named() {
        let (shown, _) = seen();
        let claimant = wire::Host {
            hardware_address: Some("02:00:00:00:00:09".to_owned()),
            ..wire::Host::named("h3")
        };
        let told = one(&shown, Some(&[claimant]), Colour::No);
        assert!(told.contains("claimed       by h3 (02:00:00:00:00:09), 5s ago\n"), "{told}");
    }
}

//! IPs as a table for people.
//!
//! No frames: a line is an IP, so that grep, awk and head work on it. The column of groups is the last one, and is there only
//! where an IP has a group: the columns before it stand where they always stand.

use super::show::{Colour, Hue, or_dash, owner, paint, plain_table, render, status, yes_or_no};
use super::text::{IP, WIDTH, cut, duration};
use crate::text::clean;
use crate::wire;

/// Columns of a state: the longest is `ACTIVATED`.
const STATUS: usize = 9;

/// Columns between two columns.
const GAP: usize = 2;

/// A line for each IP under a line of titles, in the columns of a terminal.
pub(super) fn list(ips: &[wire::Ip], colour: Colour) -> String {
    let longest = |cell: &dyn Fn(&wire::Ip) -> String| {
        ips.iter().map(|ip| cell(ip).chars().count()).max().unwrap_or(0)
    };
    let used = longest(&|ip| cut(&clean(&ip.ip), IP))
        + longest(&|ip| cut(&clean(&ip.status), STATUS)).max("STATUS".len())
        + longest(&|ip| duration(ip.since)).max("SINCE".len());
    let room = WIDTH.saturating_sub(used + "BOUND".len() + 4 * GAP).max("OWNER".len());
    // A group has what the owners leave, and half of it at least. `list --wide` has what does not fit.
    let most = room.saturating_sub(GAP + longest(&owner)).max(room.saturating_sub(GAP) / 2);
    let groups = match ips.iter().any(|ip| ip.group.is_some()) && most >= "GROUP".len() {
        true => most.min(longest(&group).max("GROUP".len())),
        false => 0,
    };
    let room = if groups == 0 { room } else { room.saturating_sub(GAP + groups) };
    let mut table = plain_table();
    let titles = ["IP", &paint("STATUS", Hue::Plain, colour), "OWNER", "BOUND", "SINCE", "GROUP"];
    let columns = if groups == 0 { 5 } else { 6 };
    table.set_header(titles.into_iter().take(columns));
    for ip in ips {
        let cells = [
            cut(&clean(&ip.ip), IP),
            status(ip, STATUS, colour),
            cut(&owner(ip), room),
            yes_or_no(ip.bound),
            duration(ip.since),
            cut(&group(ip), groups.max(1)),
        ];
        table.add_row(cells.into_iter().take(columns));
    }
    render(table)
}

/// The same with all that a list has, as wide as that is.
pub(super) fn wide_list(ips: &[wire::Ip], colour: Colour) -> String {
    let mut table = plain_table();
    let titles = [
        "IP",
        &paint("STATUS", Hue::Plain, colour),
        "OWNER",
        "BOUND",
        "INTERFACE",
        "CHECKS",
        "SINCE",
        "ID",
        "GROUP",
    ];
    let columns = if ips.iter().any(|ip| ip.group.is_some()) { 9 } else { 8 };
    table.set_header(titles.into_iter().take(columns));
    for ip in ips {
        let cells = [
            clean(&ip.ip),
            status(ip, usize::MAX, colour),
            owner(ip),
            yes_or_no(ip.bound),
            clean(&ip.interface),
            ip.checks.len().to_string(),
            duration(ip.since),
            clean(&ip.id),
            group(ip),
        ];
        table.add_row(cells.into_iter().take(columns));
    }
    render(table)
}

fn group(ip: &wire::Ip) -> String {
    or_dash(ip.group.as_deref().map(clean).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::show::one;
    use crate::ctl::show::tests::ip;
    use crate::vip::Check;

    /// The longest that is written of an address.
    const LONGEST: &str = "1111:2222:3333:4444:5555:6666:7777:8888/128";

    #[test]
    fn a_list_has_a_line_for_each_ip_and_its_columns_line_up() {
        let ips = [ip("10.0.0.1/32", "ACTIVATED"), ip("fd00::1/128", "STANDBY")];
        assert_eq!(
            wide_list(&ips, Colour::No),
            "\
IP           STATUS     OWNER  BOUND  INTERFACE  CHECKS  SINCE  ID
10.0.0.1/32  ACTIVATED  host1  yes    eth0       0       3m12s  vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427
fd00::1/128  STANDBY    host1  no     eth0       0       3m12s  vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427
"
        );
    }

    #[test]
    fn a_list_fits_a_terminal_whatever_is_in_it() {
        let mut ips = [ip(LONGEST, "ACTIVATED"), ip("10.0.0.1/32", "STANDBY")];
        assert_eq!(
            list(&ips, Colour::No),
            "\
IP                                           STATUS     OWNER  BOUND  SINCE
1111:2222:3333:4444:5555:6666:7777:8888/128  ACTIVATED  host1  yes    3m12s
10.0.0.1/32                                  STANDBY    host1  no     3m12s
"
        );
        ips[0].owner = Some("node-17.rack-4.example.org".to_owned());
        (ips[0].since, ips[1].status) = (999 * 86_400 + 23 * 3_600, "\u{1b}[2J".repeat(9));
        let shown = list(&ips, Colour::No);
        assert!(shown.contains("  node-17…  "), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.contains(LONGEST) && shown.contains("999d23h"), "{shown}");
    }

    #[test]
    fn the_group_is_the_last_column_where_an_ip_has_one() {
        let mut ips = [ip("10.0.0.1/32", "ACTIVATED"), ip("fd00::1/128", "STANDBY")];
        ips[0].group = Some("gw".to_owned());
        assert_eq!(
            list(&ips, Colour::No),
            "\
IP           STATUS     OWNER  BOUND  SINCE  GROUP
10.0.0.1/32  ACTIVATED  host1  yes    3m12s  gw
fd00::1/128  STANDBY    host1  no     3m12s  -
"
        );
        let wide = wide_list(&ips, Colour::No);
        assert!(wide.contains("ID                                        GROUP\n"), "{wide}");
        assert!(wide.contains("a427  gw\n") && wide.contains("a427  -\n"), "{wide}");
    }

    #[test]
    fn a_list_with_groups_fits_a_terminal_and_leaves_out_what_does_not_fit() {
        let long = Some("g".repeat(32));
        for (address, owner) in [
            ("10.0.0.1/32", "h1"),
            ("10.0.0.1/32", "node-17.rack-4.example.org"),
            ("1111:2222:3333:4444:5555::8888/128", "node-17.rack-4.example.org"),
        ] {
            let mut ips = [ip(address, "ACTIVATED")];
            (ips[0].group, ips[0].owner) = (long.clone(), Some(owner.to_owned()));
            let shown = list(&ips, Colour::No);
            assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
            let words: Vec<Vec<&str>> =
                shown.lines().map(|line| line.split_whitespace().collect()).collect();
            assert_eq!(words[1].len(), words[0].len(), "{shown}");
            assert!(words[0].ends_with(&["GROUP"]) && words[1][5].starts_with("gg"), "{shown}");
            assert!(words[1][2].starts_with(&owner[..2]), "{shown}");
        }
        let mut ips = [ip(LONGEST, "ACTIVATED")];
        ips[0].group = long;
        assert!(!list(&ips, Colour::No).contains("GROUP"));
        assert!(wide_list(&ips, Colour::No).contains("GROUP"));
    }

    /// The text as a terminal shows it.
    fn visible(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |shown, part| shown + part.split_once('m').unwrap().1)
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let ips = ["ACTIVATED", "STANDBY", "FAILING"].map(|status| ip("10.0.0.1/32", status));
        let coloured = list(&ips, Colour::Yes);
        assert!(coloured.contains("\x1b[32mACTIVATED\x1b[0m"));
        assert!(coloured.contains("\x1b[31mFAILING\x1b[0m"));
        assert_eq!(visible(&coloured), list(&ips, Colour::No));
        assert_eq!(visible(&wide_list(&ips, Colour::Yes)), wide_list(&ips, Colour::No));
        let coloured = one(&ips[0], None, Colour::Yes);
        assert!(coloured.contains("\x1b[32m"));
        assert_eq!(visible(&coloured), one(&ips[0], None, Colour::No));
    }

    #[test]
    fn nothing_from_the_agent_reaches_the_terminal_as_a_command() {
        let evil = "a\x1b]0;x\x07\n\u{9b}2J";
        let mut shown = ip("10.0.0.1/32", "ACTIVATED");
        shown.checks.push(Check::tcp(evil, 80));
        for field in [
            &mut shown.id,
            &mut shown.ip,
            &mut shown.interface,
            &mut shown.etcd_loss_policy,
            &mut shown.status,
            &mut shown.election_key,
            &mut shown.reason,
        ] {
            *field = evil.to_owned();
        }
        shown.owner = Some(evil.to_owned());
        let hosts =
            [wire::Host { hardware_address: Some(evil.to_owned()), ..wire::Host::named(evil) }];
        let listed = list(std::slice::from_ref(&shown), Colour::No);
        let wide = wide_list(std::slice::from_ref(&shown), Colour::No);
        let text = listed.clone() + &wide + &one(&shown, Some(&hosts), Colour::No);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert_eq!(listed.lines().count(), 2);
    }
}

//! Who manages interfaces, and the firewall.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::net::if_::if_nametoindex;

use super::{process, program};
use crate::ctl::doctor::facts::Manager;

const NFT: &str = "/usr/sbin/nft";

/// For `nft list`.
const LIST: Duration = Duration::from_secs(1);

/// The programs that manage these interfaces.
pub(super) fn of(names: &BTreeSet<String>) -> Vec<Manager> {
    let mut managers = Vec::new();
    for interface in names {
        let index = if_nametoindex(interface.as_str()).unwrap_or(0);
        let found = [networkd(index), network_manager(index), dhclient(interface)];
        let others = [dhcpcd(interface), ifupdown(interface)];
        let found = found.into_iter().chain(others).flatten();
        managers.extend(found.map(|(name, keeps, file)| Manager {
            name,
            interface: interface.clone(),
            keeps,
            file,
        }));
    }
    managers
}

/// Its name, whether it leaves foreign addresses alone, and its file.
type Found = Option<(&'static str, bool, String)>;

fn networkd(index: u32) -> Found {
    let state = fs::read_to_string(format!("/run/systemd/netif/links/{index}")).ok()?;
    let (file, more) = networkd_files(&state)?;
    let texts =
        std::iter::once(&file).chain(&more).filter_map(|path| fs::read_to_string(path).ok());
    let keeps = texts.into_iter().any(|text| keeps_configuration(&text));
    Some(("systemd-networkd", keeps, file))
}

/// The configuration of an interface and its drop-ins, if networkd manages it.
fn networkd_files(state: &str) -> Option<(String, Vec<String>)> {
    let value =
        |name: &str| state.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    if value("ADMIN_STATE") == Some("unmanaged") {
        return None;
    }
    let drop_ins = value("NETWORK_FILE_DROPINS").unwrap_or_default().trim_matches('"');
    let drop_ins = drop_ins.split_whitespace().map(str::to_owned).collect();
    Some((value("NETWORK_FILE")?.to_owned(), drop_ins))
}

fn keeps_configuration(text: &str) -> bool {
    let values = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("KeepConfiguration")?.trim().strip_prefix('='));
    let mut values = values.map(str::trim);
    values.any(|value| ["yes", "true", "1", "on", "static"].contains(&value))
}

fn network_manager(index: u32) -> Found {
    if process::named("NetworkManager").is_empty() {
        return None;
    }
    let state = fs::read_to_string(format!("/run/NetworkManager/devices/{index}")).ok()?;
    let managed = state.lines().any(|line| line.trim() == "managed=true");
    managed.then(|| ("NetworkManager", false, String::new()))
}

/// Its script flushes the interface when its own address changes.
fn dhclient(interface: &str) -> Found {
    let serves = |pid: &u32| arguments(*pid).iter().any(|argument| argument == interface);
    process::named("dhclient").iter().any(serves).then(|| ("dhclient", false, String::new()))
}

fn dhcpcd(interface: &str) -> Found {
    // Its title is `dhcpcd: eth0 [ip4]`, or that of a manager of all interfaces.
    let serves = |pid: &u32| {
        let title = arguments(*pid).join(" ");
        title.split_whitespace().any(|word| word == interface) || title.contains("[manager]")
    };
    process::named("dhcpcd").iter().any(serves).then(|| ("dhcpcd", true, String::new()))
}

fn ifupdown(interface: &str) -> Found {
    let more = fs::read_dir("/etc/network/interfaces.d").into_iter().flatten().flatten();
    let mut paths = more.map(|entry| entry.path()).chain(["/etc/network/interfaces".into()]);
    let path = paths.find(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("iface") && words.next() == Some(interface)
        })
    })?;
    Some(("ifupdown", true, path.display().to_string()))
}

fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).split('\0').map(str::to_owned).collect()
}

/// The first table of the family `arp` that drops anything, if nftables is there to be asked.
pub(super) fn drops_arp() -> Option<String> {
    // Where it is, a plain user's PATH does not lead.
    let nft = if Path::new(NFT).exists() { NFT } else { "nft" };
    let mut command = Command::new(nft);
    command.args(["list", "ruleset", "arp"]);
    let said = program::run(command, LIST).ok()?;
    dropping_table(&said.stdout)
}

fn dropping_table(rules: &str) -> Option<String> {
    let mut table = None;
    for line in rules.lines() {
        match line.strip_prefix("table arp ") {
            Some(rest) => table = rest.split_whitespace().next(),
            None if line.split([' ', '\t', ';']).any(|word| word == "drop") => {
                return table.map(str::to_owned);
            }
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networkd_manages_what_it_has_a_file_for() {
        let state =
            "ADMIN_STATE=configured\nNETWORK_FILE=/etc/a.network\nNETWORK_FILE_DROPINS=\"/b /c\"\n";
        let more = vec!["/b".to_owned(), "/c".to_owned()];
        assert_eq!(networkd_files(state), Some(("/etc/a.network".to_owned(), more)));
        assert_eq!(networkd_files("ADMIN_STATE=unmanaged\nNETWORK_FILE=/x\n"), None);
        assert_eq!(networkd_files("ADMIN_STATE=configuring\n"), None);
        assert!(keeps_configuration("[Network]\n KeepConfiguration = yes\n"));
        for text in ["", "[Network]\nKeepConfiguration=no", "#KeepConfiguration=yes"] {
            assert!(!keeps_configuration(text), "{text}");
        }
    }

    #[test]
    fn a_table_that_drops_arp_is_found() {
        let rules = "table arp first {\n\tchain in {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n\
                     table arp second {\n\tchain in {\n\t\tarp operation request drop\n\t}\n}\n";
        assert_eq!(dropping_table(rules).as_deref(), Some("second"));
        let policy = rules.replace("policy accept", "policy drop");
        assert_eq!(dropping_table(&policy).as_deref(), Some("first"));
        assert_eq!(dropping_table("table arp backdrop {\n}\n"), None);
    }
}

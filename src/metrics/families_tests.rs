//! What a scrape tells.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::metrics::{Address, Budget, CertificateExpiry, HookCounts, InterfaceCounts, VipCounts};
use crate::vip::Cidr;

/// All that a scrape can tell, of so many IPs.
fn snapshot(ips: u32) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for n in 0..ips {
        let cidr = Cidr::single(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into());
        snapshot.host.vips.push(VipCounts {
            cidr,
            state: State::Activated,
            lock_held: true,
            conflict: false,
            owner_heard: Some(true),
            checks: vec![("TCP h:1".to_owned(), false), ("EXEC a \"b\"".to_owned(), true)],
            check_failures: 7,
            transitions: [0, 1, 2, 3, 4],
        });
        let interface = "eth0".to_owned();
        snapshot.network.addresses.push(Address { cidr, interface, bound: true });
    }
    let name = "eth0".to_owned();
    snapshot.network.interfaces =
        vec![InterfaceCounts { name, usable: true, hears_others: Some(false) }];
    snapshot.network.announcements = [[1, 2, 3], [4, 5, 6]];
    let file = "/etc/link/a \"b\".pem".to_owned();
    snapshot.etcd.certificates =
        vec![CertificateExpiry { file, ends: Duration::from_secs(2_111_000_000) }];
    let dropped = 3;
    snapshot.host.hooks = vec![HookCounts { hook: "NOTIFY_URL", dropped, ..HookCounts::default() }];
    snapshot.host.lease_remaining = Some(Duration::from_secs(4));
    snapshot.budgets = vec![Budget { kind: "crash", within: Duration::from_millis(400) }];
    snapshot
}

#[test]
fn every_family_is_told_and_no_series_twice() {
    let text = text(&snapshot(2));
    let told: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(told, FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>());
    let mut series = BTreeSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            let (name, _) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(family), "{line} stands under {family}");
            assert!(series.insert(name), "{line} is told twice");
        }
    }
    for family in FAMILIES {
        assert!(series.iter().any(|it| it.starts_with(family.name)), "{}", family.name);
    }
    for line in [
        "linkd_vip_state{ip=\"10.0.0.1/32\",state=\"ACTIVATED\"} 1",
        "linkd_vip_state{ip=\"10.0.0.1/32\",state=\"STANDBY\"} 0",
        "linkd_vip_bound{ip=\"10.0.0.1/32\",interface=\"eth0\"} 1",
        "linkd_vip_transitions_total{ip=\"10.0.0.1/32\",event=\"demoted\"} 2",
        "linkd_announcements_total{family=\"ipv6\",kind=\"refresh\"} 6",
        "linkd_failover_budget_seconds{kind=\"crash\"} 0.400000",
        "linkd_lease_remaining_seconds 4.000000",
        "linkd_certificate_expiry_timestamp_seconds{file=\"/etc/link/a \\\"b\\\".pem\"} 2111000000.000000",
        "linkd_notifications_total{hook=\"NOTIFY_URL\",result=\"dropped\"} 3",
        "linkd_interface_others_heard{interface=\"eth0\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}");
    }
}

#[test]
fn a_certificate_file_with_several_roles_is_told_once_with_the_earlier_end() {
    let mut snapshot = snapshot(0);
    let of = |file: &str, seconds| CertificateExpiry {
        file: file.to_owned(),
        ends: Duration::from_secs(seconds),
    };
    snapshot.etcd.certificates = vec![of("/a.pem", 8), of("/b.pem", 7), of("/a.pem", 8)];
    snapshot.certificates = vec![of("/a.pem", 9), of("/b.pem", 6)];
    let text = text(&snapshot);
    let name = "linkd_certificate_expiry_timestamp_seconds{";
    let told: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(name)).collect();
    assert_eq!(told, ["file=\"/a.pem\"} 8.000000", "file=\"/b.pem\"} 6.000000"]);
}

#[test]
fn what_is_not_known_is_not_told() {
    let text = text(&Snapshot::default());
    for family in ["linkd_lease_remaining_seconds", "linkd_check_up", "linkd_vip_owner_heard"] {
        assert!(!text.lines().any(|line| line.starts_with(family)), "{family}: {text}");
    }
}

#[test]
fn names_are_as_prometheus_wants_them() {
    for Family { name, help, kind, labels, .. } in FAMILIES {
        assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        assert!(name.starts_with("linkd_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        for name in labels.iter().chain([name]) {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        }
        assert!(!labels.contains(&"le") && !labels.contains(&"quantile"), "{name}");
    }
}

#[test]
fn a_thousand_ips_fit_the_place_that_is_made_for_them() {
    let text = text(&snapshot(1000));
    assert!(text.len() < BYTES_PER_IP * 1008, "{}", text.len());
    assert!(text.lines().count() > 14_000);
}

#[test]
fn the_handbook_has_every_family_and_its_labels() {
    let page = include_str!("../../docs/metrics.md");
    let (_, all) = page.split_once("## All families").unwrap();
    for Family { name, labels, .. } in FAMILIES {
        let row = all.lines().find(|row| row.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is not on the page"));
        for label in *labels {
            assert!(row.contains(&format!("`{label}`")), "{name} has the label {label}");
        }
    }
}

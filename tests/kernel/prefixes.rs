//! Neighbours of a VIP in its subnet, and the same address with another prefix length, are never
//! touched.

use link::net::{Desired, Report};
use link::network::Unusable;

use super::lab::{
    Managed, address, eventually, has, ip, ip_json, manage, on_an_old_kernel, read_sysctl, run,
    sysctl, unusable,
};

/// The host's own address, whatever its prefix length, is not LinK's to move.
#[test]
fn the_same_address_with_another_prefix_length_is_never_touched() {
    for (own, vip) in [
        ("10.0.0.1/24", "10.0.0.1/32"),
        ("10.0.0.1/32", "10.0.0.1/24"),
        ("fd00::1/64 nodad", "fd00::1/128"),
        ("10.0.0.1 peer 10.0.0.2/32", "10.0.0.1/24"),
    ] {
        run(move || {
            ip(&format!("addr add {own} dev v0"));
            let before = ip_json("addr show dev v0");
            let vip = manage(vip);
            vip.expect(unusable(Unusable::NotOurs));
            vip.expect(Report::Bound(false));
            for desired in [Desired::Unbound, Desired::Bound] {
                vip.set(desired);
                vip.expect_silence();
                assert_eq!(ip_json("addr show dev v0"), before);
            }
            ip(&format!("addr del {own} dev v0").replace(" nodad", ""));
            vip.expect_usable();
            vip.expect(Report::Bound(true));
        });
    }
}

#[test]
fn an_ip_that_the_host_gets_with_another_prefix_length_stays_with_linkd() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        ip("addr add 10.0.0.1/24 dev v0");
        vip.expect_silence();
        vip.set(Desired::Unbound);
        vip.expect(Report::Bound(false));
        vip.expect(unusable(Unusable::NotOurs));
        assert!(!has("v0", "10.0.0.1/32") && has("v0", "10.0.0.1/24"));
    });
}

/// The VIP comes first, so it is the primary of its subnet, and others are its secondaries.
fn removal_of_a_primary(promote: &str) {
    sysctl("net/ipv4/conf/all/promote_secondaries", "0");
    sysctl("net/ipv4/conf/v0/promote_secondaries", promote);
    let vip = manage("10.0.0.1/24");
    vip.bind();
    ip("addr add 10.0.0.2/24 dev v0");
    ip("addr add 10.0.0.3/24 dev v0");
    vip.set(Desired::Unbound);
    vip.expect(Report::Bound(false));
    assert!(!has("v0", "10.0.0.1/24"));
    assert!(has("v0", "10.0.0.2/24"));
    assert!(has("v0", "10.0.0.3/24"));
    assert_eq!(read_sysctl("net/ipv4/conf/v0/promote_secondaries"), promote);
}

#[test]
fn neighbours_stay_when_a_primary_is_removed_and_the_kernel_promotes_no_secondaries() {
    run(|| removal_of_a_primary("0"));
}

#[test]
fn neighbours_stay_when_a_primary_is_removed_and_the_kernel_promotes_secondaries() {
    run(|| removal_of_a_primary("1"));
}

/// The VIP was there first, and makes way for the host's own address.
fn cede_the_route(happens_before: impl FnOnce(&Managed)) {
    let vip = manage("10.0.0.1/24");
    vip.bind();
    happens_before(&vip);
    ip("addr add 10.0.0.2/24 dev v0");
    let route = || ip_json("-4 route show 10.0.0.0/24")[0].clone();
    eventually("the connected route", || route()["prefsrc"] == "10.0.0.2");
    eventually("the VIP", || has("v0", "10.0.0.1/24"));
    assert_eq!(address("v0", "10.0.0.1/24").unwrap()["secondary"], true);
    vip.expect_silence();
}

#[test]
fn an_address_of_the_hosts_own_has_its_route_though_the_vip_was_there_first() {
    run(|| cede_the_route(|_| {}));
}

/// This kernel keeps marks: the VIP's is taken away. For what another agent has added nothing makes way.
#[test]
fn the_same_on_a_kernel_that_keeps_no_marks() {
    let name = "prefixes::the_same_on_a_kernel_that_keeps_no_marks";
    on_an_old_kernel(name, || {
        cede_the_route(|vip| {
            ip("addr replace 10.0.0.1/24 dev v0");
            ip("addr add 10.0.0.3/24 dev v0 noprefixroute");
            assert_eq!(address("v0", "10.0.0.3/24").unwrap()["secondary"], true);
            vip.expect_silence();
            let here = address("v0", "10.0.0.1/24").unwrap();
            assert!(here["protocol"].is_null() && here["secondary"].is_null(), "{here}");
            ip("addr del 10.0.0.3/24 dev v0");
        });
    });
}

#[test]
fn a_vip_that_is_removed_with_the_primary_of_its_subnet_comes_back() {
    run(|| {
        sysctl("net/ipv4/conf/all/promote_secondaries", "0");
        sysctl("net/ipv4/conf/v0/promote_secondaries", "0");
        ip("addr add 10.0.0.2/24 dev v0");
        let vip = manage("10.0.0.1/24");
        vip.bind();
        ip("addr del 10.0.0.2/24 dev v0");
        vip.expect(Report::Bound(false));
        vip.expect(Report::Bound(true));
        assert!(has("v0", "10.0.0.1/24"));
        vip.expect_silence();
    });
}

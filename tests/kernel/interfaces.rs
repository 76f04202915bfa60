//! Interfaces are missing, go down, vanish and come back as others.

use std::time::Duration;

use link::net::{Announce, Desired, Report};
use link::network::Unusable;

use super::capture::Capture;
use super::lab::{
    TWICE, eventually, has, ip, ip_batch, link, mac, make_pair, manage, manage_with, run, settle,
    unusable, usable,
};

#[test]
fn an_interface_that_is_missing_is_awaited() {
    run(|| {
        let vip = manage_with(Announce::default(), "10.0.0.1/32", "w0");
        vip.expect(unusable(Unusable::Missing));
        vip.expect(Report::Bound(false));
        vip.set(Desired::Bound);
        vip.expect_silence();

        ip("link add w0 type veth peer name w1");
        vip.expect(unusable(Unusable::Down));
        ip("link set w1 up");
        let capture = Capture::on("w1");
        ip("link set w0 up");
        vip.expect_usable();
        vip.expect(Report::Bound(true));
        assert!(has("w0", "10.0.0.1/32"));
        capture.arp_pair("10.0.0.1", mac("w0"));
    });
}

#[test]
fn an_interface_that_was_down_is_announced_on_in_full() {
    run(|| {
        let capture = Capture::on("v1");
        let capture_v6 = Capture::on("v1");
        let v4 = manage_with(TWICE, "10.0.0.1/32", "v0");
        let v6 = manage_with(TWICE, "fd00::1/128", "v0");
        v4.bind();
        v6.bind();
        let mac = mac("v0");
        capture.arp_burst("10.0.0.1", mac);
        capture_v6.next("fd00::1");
        capture_v6.next("fd00::1");
        ip("link set v0 down");
        v4.expect(unusable(Unusable::Down));
        v6.expect(unusable(Unusable::Down));
        v6.expect(Report::Bound(false));
        v4.expect_silence();

        ip("link set v0 up");
        v4.expect_usable();
        v6.expect_usable();
        v6.expect(Report::Bound(true));
        capture.arp_burst("10.0.0.1", mac);
        capture_v6.next("fd00::1");
        capture_v6.next("fd00::1");
    });
}

#[test]
fn an_address_on_an_interface_that_is_down_can_be_removed() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        ip("link set v0 down");
        vip.expect(unusable(Unusable::Down));
        vip.set(Desired::Unbound);
        vip.expect(Report::Bound(false));
        assert!(!has("v0", "10.0.0.1/32"));
    });
}

#[test]
fn an_interface_that_is_made_anew_with_another_index_and_address_works() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let before = (link("v0")["ifindex"].clone(), mac("v0"));
        ip("link del v0");
        vip.expect(unusable(Unusable::Missing));
        vip.expect(Report::Bound(false));
        make_pair();
        assert_ne!((link("v0")["ifindex"].clone(), mac("v0")), before);
        eventually("the address is back", || has("v0", "10.0.0.1/32"));
        let capture = Capture::on("v1");
        capture.arp_pair("10.0.0.1", mac("v0"));
    });
}

#[test]
fn a_carrier_that_comes_back_has_everything_announced_in_full() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage_with(TWICE, "10.0.0.1/32", "v0");
        vip.bind();
        capture.arp_burst("10.0.0.1", mac("v0"));
        ip("link set v1 down");
        vip.expect(unusable(Unusable::NoCarrier));
        vip.expect_silence();
        assert!(has("v0", "10.0.0.1/32"));
        ip("link set v1 up");
        vip.expect(usable("v0"));
        capture.arp_burst("10.0.0.1", mac("v0"));
        vip.expect_silence();
    });
}

#[test]
fn addresses_come_and_go_without_a_carrier_and_are_announced_when_there_is_one() {
    run(|| {
        let capture = Capture::on("v1");
        ip("link set v1 down");
        eventually("the carrier is lost", || link("v0")["operstate"] != "UP");
        let (staying, leaving) =
            (manage_with(TWICE, "10.0.0.1/32", "v0"), manage_with(TWICE, "10.0.0.2/32", "v0"));
        for vip in [&staying, &leaving] {
            vip.expect(unusable(Unusable::NoCarrier));
            vip.expect(Report::Bound(false));
            vip.set(Desired::Bound);
            vip.expect(Report::Bound(true));
        }
        leaving.set(Desired::Unbound);
        leaving.expect(Report::Bound(false));
        assert!(has("v0", "10.0.0.1/32") && !has("v0", "10.0.0.2/32"));
        // Long enough for the burst to have been spent on nobody.
        staying.address.announce();
        capture.expect_none("10.0.0.1", Duration::from_millis(300));
        ip("link set v1 up");
        capture.arp_burst("10.0.0.1", mac("v0"));
        staying.expect(usable("v0"));
        staying.expect_silence();
    });
}

#[test]
fn loopback_is_always_connected_and_a_bridge_when_one_of_its_ports_is() {
    run(|| {
        manage_with(Announce::default(), "10.0.0.1/32", "lo").expect_start(false);
        ip("link add b0 type bridge");
        ip("link set b0 up");
        let on_bridge = manage_with(Announce::default(), "10.0.0.1/32", "b0");
        on_bridge.expect_start(false);
        ip("link set v0 master b0");
        // A bridge takes the hardware address of a port.
        on_bridge.expect(Report::Interface(Ok(mac("v0"))));
        ip("link set v1 down");
        on_bridge.expect(unusable(Unusable::NoCarrier));
        ip("link set v1 up");
        on_bridge.expect(usable("b0"));
    });
}

#[test]
fn a_new_hardware_address_is_announced_in_full() {
    run(|| {
        let capture = Capture::on("v1");
        let vip = manage_with(TWICE, "10.0.0.1/32", "v0");
        vip.bind();
        capture.arp_burst("10.0.0.1", mac("v0"));
        ip("link set v0 address 02:00:00:00:00:2a");
        vip.expect(Report::Interface(Ok([0x02, 0, 0, 0, 0, 0x2a])));
        capture.arp_burst("10.0.0.1", [0x02, 0, 0, 0, 0, 0x2a]);
    });
}

#[test]
fn an_interface_is_known_by_its_name() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        ip("link set v0 down");
        vip.expect(unusable(Unusable::Down));
        ip("link set v0 name other");
        ip("link set other up");
        vip.expect(unusable(Unusable::Missing));
        vip.expect(Report::Bound(false));
        vip.expect_silence();
        assert!(!has("other", "10.0.0.1/32"), "nobody would look after it there");
        ip("link set other down");
        ip("link set other name v0");
        vip.expect(unusable(Unusable::Down));
        vip.expect_silence();
        ip("link set v0 up");
        vip.expect_usable();
        vip.expect(Report::Bound(true));
    });
}

#[test]
fn an_address_leaves_an_interface_that_has_another_name_now() {
    for order in [Desired::AsFound, Desired::Bound] {
        run(move || {
            manage("fd00::1/128").bind();
            ip("addr add 10.0.0.9/32 dev v0");
            let [vip, hosts] = ["fd00::1/128", "10.0.0.9/32"].map(manage);
            vip.set(order);
            vip.expect_start(true);
            hosts.expect(unusable(Unusable::NotOurs));
            hosts.expect(Report::Bound(false));
            ip_batch(
                "link set v0 name other\nlink add v0 type veth peer name w1\nlink set v0 up\n",
            );
            eventually("it has left", || !has("other", "fd00::1/128"));
            eventually("it follows", || has("v0", "fd00::1/128") == (order == Desired::Bound));
            settle(&hosts.client);
            assert!(has("other", "10.0.0.9/32"), "the host's own has no mark");
        });
    }
}

#[test]
fn what_another_agent_has_on_another_interface_is_left_alone() {
    run(|| {
        ip_batch("link add w0 type veth peer name w1\nlink set w1 up\nlink set w0 up\n");
        let vip = manage("10.0.0.1/32");
        vip.bind();
        eventually("the carrier", || link("w0")["operstate"] == "UP");
        let others = manage_with(Announce::default(), "10.0.0.1/32", "w0");
        others.bind();
        ip("link set v0 name other");
        eventually("it has left", || !has("other", "10.0.0.1/32"));
        vip.settle();
        others.expect_silence();
        assert!(has("w0", "10.0.0.1/32"));
    });
}

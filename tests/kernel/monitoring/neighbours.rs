//! Whether others are heard where the host that has an address is silent.

use link::net::{MonitorTiming, Report};
use link::network::Liveness;
use link::vip::Cidr;

use super::{
    BOTH, PRESENT, SILENT, TIMING, expect_nothing, monitor_present, question, run_bridged,
};
use crate::capture::Capture;
use crate::lab::{Managed, PATIENCE, cidr, ip, ip_json, mac};
use crate::neighbour::{Neighbour, ip_there};

const GONE: Report = Report::Owner(Liveness::Dead);

/// The network alone is to tell.
const ALONE: MonitorTiming = MonitorTiming { alone: true, ..TIMING };

/// The address of the router, which is of the family of the other one.
fn router(text: &str) -> Cidr {
    cidr(if text.contains(':') { "fd00::fe/128" } else { "10.0.0.254/32" })
}

/// The bridge is the router from now on, or is it no more.
fn route(verb: &str, text: &str) {
    let nodad = if verb == "add" && text.contains(':') { "nodad" } else { "" };
    ip(&format!("addr {verb} {} dev b0 {nodad}", router(text)));
}

/// This host has had to do with whoever has that hardware address, and takes him for the router.
fn know(text: &str, mac: &str) {
    ip(&format!("neigh replace {} lladdr {mac} dev v0 nud stale", router(text).addr()));
}

fn mac_of(interface: &str) -> String {
    ip_json(&format!("link show dev {interface}"))[0]["address"].as_str().unwrap().to_owned()
}

/// A host that was monitored is silent, and somebody or nobody answers.
fn silent(neighbour: &Neighbour, text: &str) -> Managed {
    let vip = monitor_present(neighbour, text, ALONE);
    neighbour.run(|| ip("link set v1 down"));
    vip.expect(SILENT);
    vip
}

#[test]
fn a_host_is_gone_that_is_silent_where_a_neighbour_answers() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            route("add", text);
            know(text, &mac_of("b0"));
            let vip = silent(&neighbour, text);
            vip.expect(GONE);
            expect_nothing(&vip);
            neighbour.run(|| ip("link set v1 up"));
            // The kernel takes an IPv6 address off an interface that goes down.
            ip_there(&neighbour, "replace", text);
            vip.expect(PRESENT);
        });
    }
}

/// What was not heard while this host was deaf says nothing: its hearing may be back since a moment ago.
#[test]
fn a_silent_host_is_asked_again_just_after_its_neighbours() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            let capture = Capture::on("b0");
            know(text, &mac_of("b0"));
            let _vip = silent(&neighbour, text);
            let router = router(text).to_string();
            let of_router = question(&router, Some(mac("b0")));
            let of_owner = question(text, None);
            for _ in 0..3 {
                capture.await_frame(&of_router);
                let (_, next) = capture.frames.recv_timeout(PATIENCE).expect("another frame");
                assert_eq!(next, of_owner);
            }
        });
    }
}

#[test]
fn nobody_is_gone_where_no_neighbour_answers_until_one_does() {
    for text in BOTH {
        run_bridged(move || {
            let neighbour = Neighbour::start();
            know(text, &mac_of("b0"));
            let vip = silent(&neighbour, text);
            expect_nothing(&vip);
            route("add", text);
            vip.expect(GONE);
            route("del", text);
            vip.expect(SILENT);
            route("add", text);
            vip.expect(GONE);
        });
    }
}

#[test]
fn nobody_is_gone_where_no_neighbour_is_known_or_nobody_else() {
    run_bridged(|| {
        let neighbour = Neighbour::start();
        route("add", "10.0.0.1/32");
        let owner = neighbour.run(|| mac_of("v1"));
        let vip = silent(&neighbour, "10.0.0.1/32");
        expect_nothing(&vip);
        know("10.0.0.1/32", &owner);
        expect_nothing(&vip);
    });
}

#[test]
fn who_is_not_to_tell_alone_asks_no_neighbour() {
    run_bridged(|| {
        let neighbour = Neighbour::start();
        route("add", "10.0.0.1/32");
        know("10.0.0.1/32", &mac_of("b0"));
        let vip = monitor_present(&neighbour, "10.0.0.1/32", TIMING);
        neighbour.run(|| ip("link set v1 down"));
        vip.expect(SILENT);
        expect_nothing(&vip);
    });
}

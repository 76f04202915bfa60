//! Addresses without LinK's mark: the host's own, and what the Go LinK has left.

use link::net::{Desired, Report};
use link::network::Unusable;

use super::lab::{
    PATIENCE, address, adopt, cidr, eventually, has, ip, ip_batch, manage, run, run_without_links,
    unusable,
};

#[test]
fn what_the_go_link_has_left_is_marked_and_then_like_any_other() {
    for (text, desired) in [
        ("10.0.0.1/32", Desired::Bound),
        ("10.0.0.1/24", Desired::Bound),
        ("fd00::1/128", Desired::Bound),
        ("10.0.0.1/32", Desired::Unbound),
        ("fd00::1/64", Desired::Unbound),
    ] {
        run(move || {
            ip(&format!("addr add {text} dev v0"));
            eventually("it is usable", || address("v0", text).unwrap()["tentative"].is_null());
            let vip = adopt(text);
            vip.expect_usable();
            vip.expect(Report::Bound(false));
            vip.expect(Report::Bound(true));
            let marked = manage(text);
            marked.expect_start(true);
            vip.set(desired);
            vip.settle();
            assert_eq!(has("v0", text), desired == Desired::Bound, "{text}");
            vip.set(Desired::Unbound);
            eventually("it is removed", || !has("v0", text));
        });
    }
}

/// Whoever manages it, and whatever is ordered.
#[test]
fn an_address_that_the_host_has_itself_is_never_removed() {
    for text in ["10.0.0.1/32", "10.0.0.1/24", "fd00::1/128", "fd00::1/64"] {
        run(move || {
            let early = manage(text);
            early.expect_start(false);
            early.set(Desired::Unbound);
            early.settle();
            ip(&format!("addr add {text} dev v0"));
            early.expect(unusable(Unusable::NotOurs));
            let late = manage(text);
            late.expect(unusable(Unusable::NotOurs));
            late.expect(Report::Bound(false));
            for vip in [&early, &late] {
                for desired in [Desired::Bound, Desired::Unbound] {
                    vip.set(desired);
                    vip.settle();
                    vip.client.remove_left_overs(vec![(cidr(text), "v0".to_owned())]);
                    vip.expect_silence();
                }
            }
            assert!(has("v0", text));
            ip(&format!("addr del {text} dev v0"));
            late.expect_usable();
            late.set(Desired::Bound);
            late.expect(Report::Bound(true));
        });
    }
}

#[test]
fn an_interface_that_comes_with_the_address_keeps_it() {
    run_without_links(|| {
        ip("link set lo up");
        let vip = manage("10.0.0.1/24");
        vip.expect(unusable(Unusable::Missing));
        vip.expect(Report::Bound(false));
        vip.set(Desired::Bound);
        ip_batch(
            "link add v0 type veth peer name v1\naddr add 10.0.0.1/24 dev v0\nlink set v0 up\nlink set v1 up\n",
        );
        eventually("it is noticed", || {
            vip.reports.recv_timeout(PATIENCE) == Ok(unusable(Unusable::NotOurs))
        });
        vip.set(Desired::Unbound);
        vip.settle();
        assert!(has("v0", "10.0.0.1/24"));
    });
}

//! What a former life of this host left behind on a kernel that keeps no marks.

use crossbeam_channel::bounded;
use link::net::{Announce, Net, agent_runs_here};
use link::policy::Connections;

use super::lab::{PATIENCE, cidr, eventually, has, ip, manage, on_an_old_kernel, run, settle};

/// Addresses without a mark on two interfaces, two of which are said to be left over.
fn remove_two_that_have_no_mark() -> Net {
    ip("link add w0 type veth peer name w1");
    for words in ["10.0.0.1/32 dev v0", "10.0.0.1/24 dev v0", "10.0.0.1/32 dev w0"] {
        ip(&format!("addr add {words}"));
    }
    for words in ["10.0.0.2/32 dev v0", "fd00::1/128 dev v0 nodad"] {
        ip(&format!("addr add {words}"));
    }
    let net = Net::start(Announce::default(), Connections::Reset).unwrap();
    let listed = [("10.0.0.1/32", "v0"), ("fd00::1/128", "v0"), ("10.0.0.2/32", "x0")];
    let listed = listed.map(|(text, interface)| (cidr(text), interface.to_owned()));
    net.client().remove_left_overs(listed.to_vec());
    net
}

/// A process that another test has begun may have the socket of a former agent still, by which others know of it.
fn former_agents_end() {
    eventually("no agent is here", || !agent_runs_here());
}

fn assert_that_the_others_stay() {
    assert!(has("v0", "10.0.0.1/24"), "another prefix length");
    assert!(has("w0", "10.0.0.1/32"), "another interface");
    assert!(has("v0", "10.0.0.2/32"), "on an interface that does not exist");
}

#[test]
fn a_kernel_that_keeps_marks_loses_no_address_without_one() {
    run(|| {
        manage("10.0.0.9/32").bind();
        former_agents_end();
        let net = remove_two_that_have_no_mark();
        eventually("the marked one is gone", || !has("v0", "10.0.0.9/32"));
        settle(&net.client());
        assert!(has("v0", "10.0.0.1/32"));
        assert!(has("v0", "fd00::1/128"));
        assert_that_the_others_stay();
    });
}

/// An agent that is told to leave everything as it is, a moment after it has started.
#[test]
fn what_is_given_up_before_the_left_overs_are_looked_for_stays() {
    run(|| {
        for owned in ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"] {
            manage(owned).bind();
        }
        former_agents_end();
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let client = net.client();
        let (release, held) = bounded::<()>(0);
        // Its first report holds the thread, so that the orders that follow come together.
        let reports = Box::new(move |_| {
            let _ = held.recv_timeout(PATIENCE);
        });
        let stays = client.manage(cidr("10.0.0.3/32"), "v0", false, reports);
        let ended = client.manage(cidr("10.0.0.1/32"), "v0", false, Box::new(|_| {}));
        client.remove_left_overs(Vec::new());
        drop(ended);
        drop(release);
        eventually("what nobody has managed is gone", || !has("v0", "10.0.0.2/32"));
        settle(&client);
        assert!(has("v0", "10.0.0.1/32"));
        drop(stays);
    });
}

#[test]
fn a_kernel_that_keeps_no_marks_loses_the_addresses_that_are_listed() {
    let name = "left_overs::a_kernel_that_keeps_no_marks_loses_the_addresses_that_are_listed";
    on_an_old_kernel(name, || {
        let net = remove_two_that_have_no_mark();
        eventually("they are gone", || !has("v0", "10.0.0.1/32") && !has("v0", "fd00::1/128"));
        settle(&net.client());
        assert_that_the_others_stay();
    });
}

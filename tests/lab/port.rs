//! The port of the API, on which no IP depends.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::*;

fn answers(host: &Host) -> bool {
    host.api().try_send("GET", "/version", None).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn an_agent_whose_port_is_taken_serves_its_ips_and_gets_the_port_when_it_is_free() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    lab[H1].terminate();
    let squatter = Squatter::start(&lab[H1]).unwrap();
    lab[H1].spawn();
    eventually("it serves its IP", || lab[H1].binds(VIP.ip()));
    lab[H1].await_warning(&["cannot listen on 127.0.0.1:1313"]);
    drop(squatter);
    eventually("its API answers", || answers(&lab[H1]));
    assert_eq!(lab[H1].warnings(&["cannot listen"]).len(), 1, "said once");
    let log = lab[H1].agent().log();
    assert_eq!(log.matches("listening on 127.0.0.1:1313 now").count(), 1);
    lab.await_owner(VIP);
}

#[test]
fn an_address_of_the_api_may_come_after_the_agent() {
    let mut lab = Lab::sharing(1, VIP);
    lab[H1].start_with(&[("LISTEN", "127.0.0.1,10.99.0.1,fd99::1")]);
    lab.await_owner(VIP);
    lab[H1].await_warning(&["10.99.0.1 is not an address of this host yet"]);
    for (address, late) in [("10.99.0.1/32", "10.99.0.1:1313"), ("fd99::1/128", "[fd99::1]:1313")] {
        lab[H1].ip(&format!("addr add {address} dev lo nodad"));
        let late: std::net::SocketAddr = late.parse().unwrap();
        eventually("it is reached there", || {
            lab[H1].namespace().run(|| TcpStream::connect(late)).is_ok()
        });
    }
}

/// Has the agent executed again some times, while clients come one after the other; none is refused.
fn reload_among_clients(host: &mut Host) {
    let done = AtomicBool::new(false);
    let namespace = host.namespace().clone();
    thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut served = 0;
            while !done.load(Ordering::Relaxed) {
                let mut stream =
                    namespace.run(|| TcpStream::connect("127.0.0.1:1313")).expect("no refusal");
                stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").unwrap();
                served += u32::from(read_response(&mut stream).unwrap().status == 200);
            }
            served
        });
        for _ in 0..5 {
            host.reload();
        }
        done.store(true, Ordering::Relaxed);
        assert!(clients.join().unwrap() > 0);
    });
}

fn sockets(host: &Host) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", host.agent().pid())).unwrap();
    let targets = folder.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn no_client_is_refused_while_an_agent_is_executed_again() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    reload_among_clients(&mut lab[H1]);
    let before = sockets(&lab[H1]);
    reload_among_clients(&mut lab[H1]);
    let after = sockets(&lab[H1]);
    // A client of the last moment may be there yet.
    assert!(after <= before + 4, "descriptors pile up: {before}, {after}");
}

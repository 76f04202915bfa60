//! What happened and why, as each host tells it afterwards.

use std::fs;
use std::time::Duration;

use link::wire::{Event, Events};

use crate::crash::{await_watched, sharing};
use crate::harness::*;

/// What a host tells of what came after that.
fn told(lab: &Lab, host: HostId, query: &str) -> Events {
    lab[host].api().get(&format!("/events{query}")).expect(200).read()
}

/// The first event from there on with these parts; what comes after it is left.
#[track_caller]
fn find<'a>(events: &mut &'a [Event], [kind, what, why]: [&str; 3]) -> &'a Event {
    let is_it = |it: &Event| it.kind == kind && it.what.contains(what) && it.why.contains(why);
    let Some(at) = events.iter().position(is_it) else {
        panic!("{kind} {what:?} {why:?} is not in {events:#?}");
    };
    let found = &events[at];
    *events = &events[at + 1..];
    found
}

#[test]
fn a_failover_a_refusal_a_crash_and_a_loss_of_etcd_are_told_in_order_and_after_a_reload() {
    let (mut lab, first) = sharing(&[]);
    let second = lab.other_than(first);
    let [first_name, second_name] = [first, second].map(|id| lab[id].name());
    lab[first].api().failover_to(VIP, &second_name).expect(204);
    assert_eq!(lab.await_owner(VIP), second);
    lab[first].api().failover(VIP).expect(409);
    await_watched(&lab, second);
    lab[second].power_off();
    let third = lab.await_owner_other_than(second, VIP);
    lab.etcd.stop();
    eventually("etcd is lost", || lab[first].agent().log().contains("etcd is lost"));
    lab.etcd.start_all();
    let is_back = |host| {
        told(&lab, host, "").events.iter().any(|it| it.kind == "etcd-back" && it.took_ms.is_some())
    };
    eventually("etcd is back", || is_back(first));

    let before = told(&lab, first, "");
    assert!(before.events.iter().all(|it| it.host == first_name && it.time.ends_with('Z')));
    // What is repeated is told once, by the last number.
    let numbers: Vec<u64> = before.events.iter().map(|it| it.seq).collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&before.last), "{before:#?}");
    let vip = VIP.to_string();
    let events = &mut before.events.as_slice();
    find(events, ["agent", "starts", ""]);
    let added = find(events, ["change", &format!("add {vip}"), ""]);
    assert_eq!((added.by.as_deref(), added.ip.as_deref()), (Some("127.0.0.1"), Some(vip.as_str())));
    find(events, ["transition", "STANDBY -> ACTIVATED (elected)", "holds the lock"]);
    let mut others = *events;
    let asked = find(&mut others, ["change", &format!("failover to {second_name}"), ""]);
    assert!(asked.took_ms.is_some() && asked.ip.as_deref() == Some(&vip), "{asked:?}");
    find(events, ["move", &format!("owner {first_name} -> {second_name}"), "passed on"]);
    let refused = find(events, ["refused", "failover", "is not the owner"]);
    assert_eq!(refused.by.as_deref(), Some("127.0.0.1"));
    let dead = format!("host {second_name} is dead");
    find(events, ["host", &dead, ""]);
    let moved = format!("owner {second_name} -> {}", lab[third].name());
    find(events, ["move", &moved, &dead]);
    let events = &mut before.events.as_slice();
    find(events, ["etcd-lost", "etcd is lost", "policy"]);
    find(events, ["etcd-back", "", ""]);

    lab[first].reload();
    let query = format!("?after={}&history={}", before.last, before.history);
    let after = told(&lab, first, &query);
    assert_eq!((&after.history, after.missed), (&before.history, false));
    assert_eq!(after.events[0].seq, before.last + 1);
    find(&mut after.events.as_slice(), ["agent", "goes on after a reload", ""]);
    assert_eq!(told(&lab, first, "").events[..before.events.len()], before.events);
    // A life that ends otherwise takes its history along, which a client is told.
    lab[first].kill();
    lab[first].restart();
    let anew = told(&lab, first, &query);
    assert!(anew.missed && anew.history != before.history && anew.events[0].seq == 1);
}

#[test]
fn a_hundred_clients_that_wait_cost_no_thread_and_hear_of_a_refusal_at_once() {
    let mut lab = Lab::new(1);
    lab.start_all();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    eventually("the address is bound", || lab[H1].api().find(VIP).is_some_and(|ip| ip.bound));
    let status = format!("/proc/{}/status", lab[H1].agent().pid());
    let threads = || {
        let status = fs::read_to_string(&status).unwrap();
        status.lines().find(|line| line.starts_with("Threads:")).unwrap().to_owned()
    };
    let (before, last) = (threads(), told(&lab, H1, "").last);
    let wait = format!("/events?after={last}&wait=30");
    std::thread::scope(|scope| {
        let ask = || lab[H1].api().get(&wait).expect(200).read::<Events>();
        let clients: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        let connected = || connections(&lab) >= 100;
        eventually("all are connected", connected);
        assert!(clients.iter().all(|client| !client.is_finished()));
        assert_eq!(threads(), before);
        lab[H1].api().post_vip(VIP).expect(409);
        let took = within(Duration::from_secs(10), "all have heard of it", || {
            clients.iter().all(std::thread::ScopedJoinHandle::is_finished)
        });
        println!("100 clients have heard of it after {took:?}");
        for client in clients {
            let events = client.join().unwrap().events;
            assert_eq!((events[0].seq, events[0].kind.as_str()), (last + 1, "refused"));
        }
    });
    assert_eq!(threads(), before);
}

/// How many clients the agent has on its host.
fn connections(lab: &Lab) -> usize {
    let port = format!(":{:04X}", 1313);
    let tcp = lab.run_on(H1, &Program::new("cat").args(["/proc/net/tcp", "/proc/net/tcp6"])).stdout;
    let tcp = String::from_utf8_lossy(&tcp).into_owned();
    let is_one = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&port)) && words.nth(1) == Some("01")
    };
    tcp.lines().filter(is_one).count()
}

//! Calls through etcd: a host asks another one what it hears on the network.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use link::call::{self, Purpose, Question};
use link::etcd::{Etcd, Event, Followed, Options, Txn};
use serde_json::{Value, json};

use crate::harness::*;
use crate::shim::PATIENCE;

/// How long a called host listens.
const WITHIN: Duration = Duration::from_millis(400);

/// What a busy agent may take for an answer that it need not listen for.
const AS_SOON: Duration = Duration::from_millis(100);

/// What calls agents, as an agent does: with the same client, and a lease of its own.
struct Caller {
    etcd: Etcd,
    lease: i64,
    heard: Receiver<Followed>,
    name: &'static str,
    number: u64,
}

impl Caller {
    /// In the place of a host.
    fn at(lab: &Lab, host: HostId, name: &'static str) -> Caller {
        let options = Options {
            endpoints: lab.etcd.endpoints().split(',').map(str::to_owned).collect(),
            tls: None,
            user: None,
            renewal: Duration::from_secs(1),
            retries: 5,
            watch_prefix: "/nothing/".to_owned(),
            own_prefixes: Vec::new(),
            followed_prefix: Some(call::PREFIX.to_owned()),
            stray: |_| false,
        };
        let etcd = lab[host].namespace().run(|| Etcd::start(options).expect("start a client"));
        let (lease_tx, leases) = unbounded();
        let events = move |event| {
            if let Event::Granted { id, .. } = event {
                let _ = lease_tx.send(id);
            }
        };
        etcd.client().keep_lease(None, Instant::now(), Box::new(events));
        let lease = leases.recv_timeout(PATIENCE).expect("a lease is granted");
        let (tx, heard) = unbounded();
        etcd.client().follow(Box::new(move |what| drop(tx.send(what))));
        Caller { etcd, lease, heard, name, number: 0 }
    }

    fn submit(&self, txn: Txn) {
        let done = |outcome: Result<_, link::etcd::Error>| drop(outcome.expect("it is stored"));
        self.etcd.client().submit_at_once(txn, PATIENCE, Box::new(done));
    }

    /// Calls a host: what it hears, and after how long that was known here.
    fn call(&mut self, host: HostId, vip: Vip) -> (String, Duration) {
        let key = call::call_key(&host.to_string(), self.name, Purpose::Detection);
        self.number += 1;
        let cidr = vip.to_string().parse().expect("an address");
        let question = Question { cidr, number: self.number, within: WITHIN };
        self.submit(call::call_txn(key.clone(), self.lease, question));
        let sent = Instant::now();
        let answer = self.next(&key, |value| {
            (value["number"] == self.number).then(|| value["hears"].as_str().map(str::to_owned))?
        });
        let took = sent.elapsed();
        self.submit(call::end_txn(key));
        // A host listens for two calls of one caller at once.
        std::thread::sleep(WITHIN * 2 / 3);
        (answer, took)
    }

    /// The first of what is written under this key from now on that is wanted.
    fn next<T>(&self, key: &str, wanted: impl Fn(Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let what = self.heard.recv_deadline(deadline).expect("what is awaited happens");
            if let Followed::Written(kv) = what
                && kv.key == key
                && let Some(found) = wanted(serde_json::from_slice(&kv.value).expect("JSON"))
            {
                return found;
            }
        }
    }

    /// How often this key was written lately.
    fn writes(&self, key: &str) -> usize {
        let writes = self.heard.try_iter().filter(|what| match what {
            Followed::Written(kv) => kv.key == key,
            Followed::All { .. } | Followed::Deleted { .. } => false,
        });
        writes.count()
    }
}

fn presence(lab: &Lab, host: HostId) -> Option<(String, i64)> {
    let entry = lab.etcd.get(&call::presence_key(&host.to_string()))?;
    Some((entry.value, entry.lease))
}

/// It is there, on the lease of the host.
fn is_present(lab: &Lab, host: HostId) -> bool {
    presence(lab, host).is_some_and(|(value, lease)| {
        let answers = serde_json::from_str(&value).is_ok_and(|it: Value| it["answers"] == true);
        answers && lease == lab.lease_of(host)
    })
}

#[test]
fn an_agent_says_at_once_what_it_hears() {
    let mut lab = Lab::builder(2).management_network().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    // So that each host knows a neighbour that it can ask.
    for host in [H1, H2] {
        let socket = lab[host].namespace().run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)));
        let sent = socket.and_then(|socket| socket.send_to(b"x", (lab.client.address(), 9)));
        sent.expect("it is on the same network");
    }
    let mut caller = Caller::at(&lab, H2, "somebody");
    let (hears, took) = caller.call(H1, VIP);
    assert_eq!(hears, "others", "after {took:?}");
    assert!(took < WITHIN, "{took:?}");
    // A standby is asked as well.
    assert_eq!(caller.call(H2, VIP).0, "others");
    assert_eq!(caller.call(H1, VIP2).0, "unknown", "it does not have that one");
    lab.isolate(H1);
    let (hears, took) = caller.call(H1, VIP);
    assert_eq!(hears, "nobody");
    assert!(took >= WITHIN && took < WITHIN * 3, "{took:?}");
    lab.heal_wire();
    eventually("it hears again", || caller.call(H1, VIP).0 == "others");
    // The answers were written where the questions were, and nothing is left of either.
    eventually("no call is left", || lab.etcd.list("/link/agents/").len() == 2);
}

#[test]
fn a_busy_agent_answers_as_soon() {
    const CLIENTS: u16 = 4;
    const IPS: u16 = 250;
    let mut lab = Lab::new(2);
    lab.start_all_with(&[("MAX_NUMBER_OF_ENDPOINTS", "-1")]);
    lab.offer_in_order(VIP);
    let mut caller = Caller::at(&lab, H2, "somebody");
    let adding = |client: u16| {
        let api = lab[H1].api();
        std::thread::spawn(move || {
            for number in 1..=IPS {
                api.add(Vip::v4(client * IPS + number + 100));
            }
        })
    };
    let adding: Vec<_> = (0..CLIENTS).map(adding).collect();
    let (mut took, mut unknown) = (Vec::new(), 0);
    while !adding.iter().all(std::thread::JoinHandle::is_finished) {
        let (hears, time) = caller.call(H1, VIP);
        took.push(time);
        // The actuator may be busy with the kernel for as long as it was to listen.
        match hears.as_str() {
            "others" => {}
            "unknown" => unknown += 1,
            other => panic!("it hears {other}"),
        }
    }
    adding.into_iter().for_each(|adding| adding.join().expect("all were added"));
    took.sort();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    let calls = took.len();
    println!("{calls} calls: median {median:?}, longest {longest:?}, {unknown} unknown");
    assert!(unknown <= calls / 10, "{unknown} of {calls} do not tell");
    assert!(calls > 10 && median < Duration::from_millis(50), "{median:?}");
    let late = took[took.len() * 19 / 20];
    assert!(late < AS_SOON, "one in twenty takes {late:?}");
}

#[test]
fn an_agent_is_present_as_long_as_its_lease_lives() {
    let mut lab = Lab::sharing(1, VIP);
    eventually("it is present", || is_present(&lab, H1));
    let lease = lab.lease_of(H1);
    let still = |lab: &Lab, what: &str| {
        eventually(what, || is_present(lab, H1));
        assert_eq!(lab.lease_of(H1), lease, "{what}: the lease is resumed");
    };
    lab[H1].reload();
    still(&lab, "after SIGHUP");
    lab[H1].kill();
    lab[H1].restart();
    still(&lab, "after SIGKILL");
    lab.etcd.restart();
    still(&lab, "after etcd was away");
    // It may be writing it again at this moment, since etcd is back.
    eventually("it says that somebody has deleted it", || {
        lab.etcd.delete("/link/agents/h1");
        !lab[H1].warnings(&["/link/agents/h1"]).is_empty()
    });
    still(&lab, "after somebody has deleted it");
    lab.etcd.put("/link/agents/h1", "rubbish");
    still(&lab, "after somebody has written something else");
    lab.etcd.revoke(lease);
    eventually("it is present with a new lease", || {
        is_present(&lab, H1) && lab.lease_of(H1) != lease
    });
    lab[H1].terminate();
    assert_eq!(lab.etcd.list("/link/agents/"), []);
}

#[test]
fn a_presence_is_written_again_when_candidacies_change_and_not_otherwise() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let caller = Caller::at(&lab, H1, "somebody");
    let key = call::presence_key("h1");
    let writes_within = |time| {
        std::thread::sleep(time);
        caller.writes(&key)
    };
    let second = Duration::from_secs(1);
    writes_within(second * 2);
    let id = lab[H1].api().add(VIP).id;
    caller.next(&key, Some);
    let begun = Instant::now();
    for number in 1..=50 {
        lab[H1].api().add(Vip::v4(number + 100));
    }
    let writes = writes_within(second * 2) as u64;
    assert!((1..=begun.elapsed().as_secs() + 1).contains(&writes), "{writes}: once a second");
    assert_eq!(writes_within(second * 3), 0);
    lab[H1].api().delete(&format!("/ips/{id}")).expect(204);
    caller.next(&key, Some);
    assert_eq!(writes_within(second * 3), 0);
}

#[test]
fn a_restart_removes_what_is_left_of_calls() {
    let mut lab = Lab::sharing(1, VIP);
    lab[H1].kill();
    let value = json!({ "ip": VIP.to_string(), "number": 7, "within_ms": 100 });
    lab.put_leased(lab.lease_of(H1), "/link/agents/h9/h1", &value.to_string());
    lab[H1].restart();
    eventually("it is removed", || lab.etcd.get("/link/agents/h9/h1").is_none());
    eventually("it is present", || is_present(&lab, H1));
}

#[test]
fn an_agent_answers_whatever_else_is_under_the_prefix() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    let mut caller = Caller::at(&lab, H2, "somebody");
    let lease = lab.lease_of(H2);
    let good = json!({ "ip": VIP.to_string(), "number": 7, "within_ms": 36_000_000 }).to_string();
    for (key, value) in [
        ("h1/a b", good.as_str()),
        ("h1/h2/h3", &good),
        ("h1/", &good),
        ("h1/h7", r#"{"ip":"10.0.0.1/32","number":-1,"within_ms":100}"#),
        ("h1/h8", "\u{1b}[2J"),
        ("h3", "{"),
    ] {
        for _ in 0..3 {
            lab.put_leased(lease, &format!("/link/agents/{key}"), value);
        }
    }
    lab.etcd.put("/link/agents/h1/h6", &good);
    lab.etcd.put_again_and_again("/link/agents/h1/h6", &good, 2000);
    for _ in 0..20 {
        assert_eq!(caller.call(H1, VIP).0, "others");
    }
    for key in ["h1/a b", "h1/h2/h3", "h1/h7", "h1/h8", "h1/h6", "h3"] {
        lab[H1].await_warning(&["skipped", &format!("/link/agents/{key}:")]);
        assert_eq!(lab[H1].warnings(&[&format!("/link/agents/{key}:")]).len(), 1, "{key}");
    }
    // One that is to be listened for hours is answered as soon.
    lab.put_leased(lease, "/link/agents/h1/h5", &good);
    eventually("it is answered", || {
        lab.etcd.get("/link/agents/h1/h5").is_some_and(|it| it.value.contains("hears"))
    });
}

//! An answer of the API is true, also when the agent cannot know at first what became of its request
//! to etcd.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// How an agent does not hear what etcd has done.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// etcd hears it, it does not hear etcd: what it asks for is done.
    Deaf,
    /// etcd stands still with the request in its hands, and does it later, or never.
    Frozen,
}

impl Silence {
    fn begin(self, lab: &Lab) {
        match self {
            Silence::Deaf => lab.cut_from_etcd(H1, Way::In),
            Silence::Frozen => lab.etcd.freeze(),
        }
    }

    fn end(self, lab: &Lab) {
        match self {
            Silence::Deaf => lab[H1].heal(),
            Silence::Frozen => lab.etcd.thaw(),
        }
        lab[H1].api().await_well();
    }
}

/// What an answer says of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Done,
    NothingChanged,
    Unknown,
}

fn said(answer: &Response) -> Said {
    match answer.status {
        200..300 => Said::Done,
        503 if answer.error().contains("unknown") => Said::Unknown,
        400..500 | 503 => Said::NothingChanged,
        _ => panic!("what does that mean? {answer:?}"),
    }
}

/// Two hosts that share the VIP; the first owns it.
fn sharing() -> Lab {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab.offer_in_order(VIP);
    lab
}

/// Sends a request to the first host while it does not hear etcd.
fn ask(lab: &Lab, silence: Silence, method: &'static str, path: &str, body: Value) -> Response {
    silence.begin(lab);
    let (api, path) = (lab[H1].api(), path.to_owned());
    let asked: JoinHandle<Response> = thread::spawn(move || {
        let body = (!body.is_null()).then(|| body.to_string());
        api.send(method, &path, body.as_deref())
    });
    // The agent answers within a bound; an answer that waits for etcd's return is as good.
    until(Duration::from_secs(3), || asked.is_finished());
    silence.end(lab);
    let answer = asked.join().expect("there is an answer");
    println!("{silence:?}, {method}: {answer:?}");
    answer
}

/// Looks whether a deletion came to what was said of it.
fn judge_deletion(lab: &Lab, answer: &Response) {
    let registered = || (lab.find_record(H1, VIP).is_some(), lab[H1].api().find(VIP).is_some());
    match said(answer) {
        // It goes on until the IP is gone.
        Said::Done | Said::Unknown => {
            eventually("it is gone", || registered() == (false, false));
            assert_eq!(lab.await_owner(VIP), H2);
        }
        Said::NothingChanged => {
            holds_for(Duration::from_secs(2), "it is there", || registered() == (true, true));
            assert_eq!(lab.await_owner(VIP), H1);
        }
    }
}

#[test]
fn a_deletion_whose_outcome_etcd_cannot_tell_is_answered_truly() {
    for silence in [Silence::Deaf, Silence::Frozen] {
        let lab = sharing();
        let path = lab[H1].api().path(VIP);
        let answer = ask(&lab, silence, "DELETE", &path, Value::Null);
        judge_deletion(&lab, &answer);
    }
}

#[test]
fn a_deletion_while_etcds_disk_stalls_is_answered_truly() {
    let mut lab = Lab::builder(2).etcd_on_a_disk().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    let (api, path) = (lab[H1].api(), lab[H1].api().path(VIP));
    let stall = lab.etcd.stall_disk();
    let asked = thread::spawn(move || api.delete(&path));
    until(Duration::from_secs(3), || asked.is_finished());
    drop(stall);
    let answer = asked.join().expect("there is an answer");
    println!("{answer:?}");
    lab[H1].api().await_well();
    judge_deletion(&lab, &answer);
    // And the next life of the agent agrees.
    lab[H1].kill();
    lab[H1].restart();
    judge_deletion(&lab, &answer);
}

#[test]
fn a_registration_whose_outcome_etcd_cannot_tell_is_answered_truly() {
    for silence in [Silence::Deaf, Silence::Frozen] {
        let mut lab = sharing();
        let answer = ask(&lab, silence, "POST", "/ips", json!({ "ip": VIP2.to_string() }));
        // What a client was told counts for the next life of the agent, too.
        lab[H1].kill();
        lab[H1].restart();
        let registered = || {
            let known = lab[H1].api().find(VIP2).is_some();
            (lab.find_record(H1, VIP2).is_some(), known, lab.bound_on(VIP2) == [H1])
        };
        match said(&answer) {
            Said::Done => eventually("it is there", || registered() == (true, true, true)),
            Said::NothingChanged => {
                eventually("it is not there", || registered() == (false, false, false))
            }
            Said::Unknown => eventually("it is there as a whole or not at all", || {
                [(true, true, true), (false, false, false)].contains(&registered())
            }),
        };
    }
}

#[test]
fn a_change_whose_outcome_etcd_cannot_tell_is_answered_truly() {
    for silence in [Silence::Deaf, Silence::Frozen] {
        let lab = sharing();
        let path = lab[H1].api().path(VIP);
        let body = json!({ "checks": [{ "type": "TCP", "host": "127.0.0.1", "port": 1313 }] });
        let answer = ask(&lab, silence, "PUT", &path, body);
        let checks = || {
            let record: Value = serde_json::from_str(&lab.record(H1, VIP).value).unwrap();
            let stored = record["checks"].as_array().map_or(0, Vec::len);
            (stored, lab[H1].api().find(VIP).map_or(0, |ip| ip.checks.len()))
        };
        match said(&answer) {
            Said::Done => eventually("it is changed", || checks() == (1, 1)),
            Said::NothingChanged => eventually("it is not changed", || checks() == (0, 0)),
            Said::Unknown => eventually("etcd and the agent agree", || checks().0 == checks().1),
        };
    }
}

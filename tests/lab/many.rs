//! Many IPs in one request, and the commands for many, against real agents and a real etcd.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// Several transactions of etcd.
const MANY: usize = 200;

/// As many as there may be in all, when each moment is tried.
const SOME: usize = 100;

fn cidrs(round: usize) -> BTreeSet<String> {
    (1..=MANY).map(|number| format!("10.1.{round}.{number}/32")).collect()
}

fn array(cidrs: &BTreeSet<String>) -> Value {
    cidrs.iter().map(|cidr| json!({ "ip": cidr, "force": true })).collect()
}

fn listed(lab: &Lab, host: HostId) -> BTreeSet<String> {
    lab[host].api().list().into_iter().map(|ip| ip.ip).collect()
}

fn recorded(lab: &Lab, host: HostId) -> usize {
    lab.records(host).len()
}

/// etcd dies at another moment of each request: what the answer says is so, and of what it leaves open
/// all comes or nothing.
#[test]
fn all_of_many_ips_are_registered_or_none_whenever_etcd_dies() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let mut expected = BTreeSet::new();
    for (round, after) in [0, 10, 20, 25, 30, 35, 40, 45, 100].into_iter().enumerate() {
        let cidrs: BTreeSet<String> = cidrs(round).into_iter().take(SOME).collect();
        let (api, body) = (lab[H1].api(), array(&cidrs));
        let asked = thread::spawn(move || api.post("/ips", &body));
        thread::sleep(Duration::from_millis(after));
        lab.etcd.stop();
        thread::sleep(Duration::from_millis(500));
        lab.etcd.restart();
        let answer = asked.join().unwrap();
        lab[H1].api().await_well();
        let before = expected.len();
        eventually("all or none are listed, and etcd has the same", || {
            let listed = listed(&lab, H1).len();
            (listed == before || listed == before + SOME) && recorded(&lab, H1) == listed
        });
        let is_registered = listed(&lab, H1).len() > before;
        if is_registered {
            expected.extend(cidrs);
        }
        assert_eq!(listed(&lab, H1), expected);
        match answer.status {
            201 => assert!(is_registered, "{answer:?}"),
            503 if answer.body.contains("unknown") => {}
            _ => assert!(!is_registered && answer.status == 503, "{answer:?}"),
        }
    }
}

#[test]
fn one_that_is_in_the_way_keeps_all_from_being_registered() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab[H2].api().create(&json!({"ip": "10.1.0.150/24"}));
    eventually("h2 is a candidate", || lab.etcd.get("/link/ips/10.1.0.150_24/h2").is_some());
    let answer = lab[H1].api().post("/ips", &array(&cidrs(0)));
    assert_eq!(answer.status, 409, "{answer:?}");
    let index = cidrs(0).iter().position(|cidr| cidr == "10.1.0.150/32").unwrap();
    assert!(answer.error().starts_with(&format!("[{index}]: host h2 offers")), "{answer:?}");
    assert_eq!((listed(&lab, H1).len(), recorded(&lab, H1)), (0, 0));
    lab[H2].api().delete(&format!("/ips/{}", lab[H2].api().list()[0].id)).expect(204);
    let shown: Vec<link::wire::Ip> =
        lab[H1].api().post("/ips", &array(&cidrs(0))).expect(201).read();
    assert_eq!((shown.len(), recorded(&lab, H1)), (MANY, MANY));
    eventually("all have an owner", || {
        lab[H1].api().list().iter().all(|ip| ip.owner.as_deref() == Some("h1") && ip.bound)
    });
}

/// A file that is gone with the test.
struct Text(PathBuf);

impl Text {
    fn new(name: &str, text: &str) -> Text {
        let path = std::env::temp_dir().join(format!("link-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Text(path)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn ctl(lab: &Lab, host: HostId, arguments: &[&str]) -> Output {
    lab.run_on(host, &Program::new(linkctl()).args(arguments.iter().copied()))
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn a_file_is_applied_once_and_the_commands_recreate_it_elsewhere() {
    let mut lab = Lab::new(2);
    lab.start_all();
    let file = Text::new(
        "apply",
        "10.0.1.1 --check tcp://127.0.0.1:1313 --interval 2 # the agent itself\n\
         10.0.1.2 --etcd-loss-policy hold\n10.0.1.3\n",
    );
    let path = file.0.to_str().unwrap();
    expect(&ctl(&lab, H1, &["apply", "--dry-run", "-f", path]), 10);
    assert!(listed(&lab, H1).is_empty());
    expect(&ctl(&lab, H1, &["apply", "-f", path]), 10);
    assert_eq!(expect(&ctl(&lab, H1, &["apply", "-f", path]), 0), "nothing to change\n");
    let owned = || lab[H1].api().list().iter().all(|ip| ip.owner.as_deref() == Some("h1"));
    eventually("all are owned", owned);
    // The same on another host, by its shell.
    let commands = expect(&ctl(&lab, H1, &["list", "--output", "commands"]), 0);
    let script = commands.replace("linkctl ", &format!("{} ", linkctl().display()));
    let shell = Program::new("bash").args(["-e", "-c", &script]);
    expect(&lab.run_on(H2, &shell), 0);
    assert_eq!(expect(&ctl(&lab, H2, &["list", "--output", "commands"]), 0), commands);
    // What the one lists, the other has.
    let list = Text::new("list", &expect(&ctl(&lab, H1, &["list", "--json"]), 0));
    let path = list.0.to_str().unwrap();
    assert_eq!(expect(&ctl(&lab, H2, &["apply", "-f", path]), 0), "nothing to change\n");
    // A held IP whose settings change is not moved, and what the file does not have goes.
    let before = lab.lock(VIP).unwrap();
    let other =
        Text::new("other", "10.0.1.1 --check tcp://127.0.0.1:1313 --interval 3\n10.0.1.3\n");
    let path = other.0.to_str().unwrap();
    let said = expect(&ctl(&lab, H1, &["apply", "-f", path]), 10);
    assert!(
        said.starts_with("~ 10.0.1.1/32: healthcheck_interval 2 -> 3\n- 10.0.1.2/32\n"),
        "{said}"
    );
    assert_eq!(lab.lock(VIP).unwrap(), before);
    assert_eq!(listed(&lab, H1).len(), 2);
    assert_eq!(lab.await_owner(VIP2), H2);
    expect(&ctl(&lab, H1, &["set", "10.0.1.1", "--check", "none"]), 0);
    assert!(lab[H1].api().find(VIP).unwrap().checks.is_empty());
    let told = expect(&ctl(&lab, H2, &["lock", "10.0.1.1"]), 0);
    assert!(told.contains("h1 holds it"), "{told}");
}

#[test]
fn what_is_added_from_a_file_has_owners_when_it_is_waited_for() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let lines: Vec<String> = cidrs(0).into_iter().collect();
    let file = Text::new("add", &lines.join("\n"));
    let path = file.0.to_str().unwrap();
    expect(&ctl(&lab, H1, &["add", "--wait", "-f", path]), 0);
    let list = lab[H1].api().list();
    assert_eq!(list.len(), MANY);
    assert!(list.iter().all(|ip| ip.owner.is_some()));
    let refused = ctl(&lab, H1, &["add", "-f", path]);
    expect(&refused, 1);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("[0]: ip 10.1.0.1/32 is already configured"), "{said}");
}

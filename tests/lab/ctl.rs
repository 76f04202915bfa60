//! linkctl against real agents.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;

use crate::harness::*;

fn ctl(lab: &Lab, host: HostId, arguments: &str) -> Output {
    ctl_with(lab, host, arguments, &[])
}

fn ctl_with(lab: &Lab, host: HostId, arguments: &str, variables: &[(&str, &str)]) -> Output {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let program = Program {
        environment: variables.collect::<BTreeMap<_, _>>(),
        ..Program::new(linkctl()).args(arguments.split_whitespace())
    };
    lab.run_on(host, &program)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// What a command prints that is expected to succeed.
#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command says that is expected to fail with this code.
#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_operator_adds_shows_moves_and_deletes_an_ip() {
    let mut lab = Lab::new(2);
    lab.start_all();
    done(&ctl(&lab, H1, "add 10.0.1.1"));
    lab.await_owner(VIP);
    let options = "--check 127.0.0.1:1313 --interval 3 --etcd-loss-policy probe";
    done(&ctl(&lab, H2, &format!("add 10.0.1.1/32 {options}")));
    eventually("the list shows it", || {
        let list = done(&ctl(&lab, H1, "list"));
        list.contains("10.0.1.1/32") && list.contains("ACTIVATED") && list.contains("h1")
    });
    lab[H2].await_status(VIP, "STANDBY");
    let shown = done(&ctl(&lab, H2, "show 10.0.1.1"));
    for part in ["10.0.1.1/32", "STANDBY", "127.0.0.1:1313", "probe", "h1", "h2"] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
    done(&ctl(&lab, H1, "failover 10.0.1.1"));
    assert_eq!(lab.await_owner(VIP), H2);
    done(&ctl(&lab, H1, "lock 10.0.1.1"));
    assert_eq!(lab.await_owner(VIP), H2);
    done(&ctl(&lab, H2, "delete 10.0.1.1"));
    assert_eq!(lab.await_owner(VIP), H1);
    let id = lab[H1].api().find(VIP).unwrap().id;
    done(&ctl(&lab, H1, &format!("delete {id}")));
    assert_eq!(lab.bound_on(VIP), []);
}

#[test]
fn scripts_get_json_and_exit_codes() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let list: Value = serde_json::from_str(&done(&ctl(&lab, H1, "list --json"))).unwrap();
    assert_eq!(list, serde_json::json!({ "ips": [] }));
    done(&ctl(&lab, H1, "add 10.0.1.1"));
    let version = done(&ctl(&lab, H1, "version"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let refused = failed(&ctl(&lab, H1, "add 10.0.1.1"), 1);
    assert!(refused.contains("10.0.1.1"), "{refused}");
    failed(&ctl(&lab, H1, "failover 10.0.1.1"), 1);
    failed(&ctl(&lab, H1, "frobnicate"), 2);
    failed(&ctl(&lab, H1, "show 10.0.1.9"), 3);
    failed(&ctl(&lab, H1, "--host 127.0.0.1:1 list"), 4);
    lab.etcd.stop();
    failed(&ctl(&lab, H1, "add 10.0.1.2"), 7);
}

#[test]
fn credentials_come_from_options_or_the_environment() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[("USER", "link"), ("PASSWORD", "sesame")]);
    failed(&ctl(&lab, H1, "list"), 6);
    failed(&ctl(&lab, H1, "--user link --password wrong list"), 6);
    done(&ctl(&lab, H1, "--user link --password sesame list"));
    let variables =
        [("LINK_HOST", "10.0.0.11:1313"), ("LINK_USER", "link"), ("LINK_PASSWORD", "sesame")];
    done(&ctl_with(&lab, H1, "list", &variables));
}

#[test]
fn it_notices_that_it_talks_to_etcd() {
    let lab = Lab::new(1);
    let complaint = failed(&ctl(&lab, H1, "--host 10.0.0.81:2379 list"), 5);
    assert!(complaint.contains("LinK") || complaint.contains("etcd"), "{complaint}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    let script = format!("set -o pipefail; {} list --json | head -c 1", linkctl().display());
    let mut program = Program::new("bash").args(["-c", &script]);
    program.environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    let output = lab.run_on(H1, &program);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

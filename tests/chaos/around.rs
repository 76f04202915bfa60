//! Tests of what is done around the agents: that it is done, and undone.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{H1, H2, Host, eventually, until};
use crate::run::plan::{Aim, Around, Fault, Kind};
use crate::run::stage::{HOSTS, Stage};
use crate::run::strike::Struck;

/// Does it, to the first host where it is done to one.
fn strike(stage: &mut Stage, kind: Around) -> Option<Struck> {
    let lasts = Duration::from_secs(5);
    let at = Duration::ZERO;
    stage.strike(Fault { kind: Kind::Around(kind), aim: Aim::Number(0), vip: 0, at, lasts })
}

/// Lets a moment pass, in which logs are read.
fn look(stage: &mut Stage) {
    stage.pass_until(Instant::now() + Duration::from_millis(50));
}

fn answers(host: &Host) -> bool {
    host.api().try_send("GET", "/version", None).is_ok_and(|answer| answer.status == 200)
}

/// How often the log of the first host says something.
fn said(stage: &mut Stage, what: &str) -> usize {
    look(stage);
    stage.lab[H1].agent().log().matches(what).count()
}

#[test]
fn what_an_agent_logs_meanwhile_is_in_its_log_when_it_is_read_again() {
    let mut stage = Stage::new("take", "strict", false);
    let struck = strike(&mut stage, Around::LogUnread).expect("it can be done");
    assert_eq!(strike(&mut stage, Around::LogUnread), None, "it is done already");
    let extra = serde_json::json!({ "ip": "10.0.77.77/32" });
    stage.lab[H1].api().create(&extra);
    assert_eq!(said(&mut stage, "10.0.77.77"), 0);
    stage.heal(&struck).unwrap();
    eventually("it is read", || said(&mut stage, "10.0.77.77") > 0);
}

#[test]
fn an_agent_has_its_port_again_when_another_program_gives_it_back() {
    let mut stage = Stage::new("take", "strict", false);
    for (kind, starts) in [(Around::PortTaken, 1), (Around::PortTakenReload, 2)] {
        let before = said(&mut stage, "LinK v");
        let struck = strike(&mut stage, kind).expect("it can be done");
        assert_eq!(strike(&mut stage, kind), None, "it is done already");
        eventually("it has started", || said(&mut stage, "LinK v") == before + starts);
        let answered = until(Duration::from_secs(2), || answers(&stage.lab[H1]));
        assert!(!answered, "{kind:?}: it has the port");
        assert!(answers(&stage.lab[H2]), "the others have theirs");
        stage.heal(&struck).unwrap();
        eventually("it answers", || answers(&stage.lab[H1]));
    }
}

#[test]
fn a_name_is_not_known_while_the_name_server_is_silent() {
    let mut stage = Stage::new("take", "strict", true);
    let known = |stage: &Stage| {
        let agent = stage.lab[H1].agent().pid().to_string();
        let asked = ["1", "nsenter", "--mount", "--net", "--target", &agent, "getent", "ahostsv4"];
        let asked = Command::new("timeout").args(asked).arg("etcd.example").output();
        asked.expect("ask for a name").status.code()
    };
    assert_eq!(known(&stage), Some(0));
    let struck = strike(&mut stage, Around::NamesSilent).expect("it can be done");
    assert_eq!(known(&stage), Some(124), "silent, not unknown");
    stage.heal(&struck).unwrap();
    assert_eq!(known(&stage), Some(0));
    for host in HOSTS {
        assert_eq!(stage.lab[host].warnings(&["is lost"]), Vec::<String>::new());
    }
}

#[test]
fn nobody_listens_at_the_endpoint_that_is_none_before_and_after() {
    let mut stage = Stage::new("take", "strict", false);
    let endpoint = (stage.lab.client.address(), 2379).into();
    let second = Duration::from_secs(1);
    let there = |stage: &Stage| {
        let namespace = stage.lab[H1].namespace();
        namespace.run(|| TcpStream::connect_timeout(&endpoint, second)).is_ok()
    };
    assert!(!there(&stage));
    for kind in [Around::EndpointRefuses, Around::EndpointNonsense] {
        let struck = strike(&mut stage, kind).expect("it can be done");
        assert_eq!(strike(&mut stage, kind), None, "it is done already");
        assert!(there(&stage));
        stage.heal(&struck).unwrap();
        assert!(!there(&stage), "{kind:?}");
    }
}

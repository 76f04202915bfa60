//! What `linkd` does when it is called with an argument, beside an agent or without one.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::*;
use crate::reload::{install, installed};

/// Runs `linkd` with arguments on the first host: its exit code, and what it says on stderr.
fn errand(lab: &Lab, arguments: &[&str], changes: &[(&str, &str)]) -> (Option<i32>, String) {
    let words = ["30".to_owned(), linkd().display().to_string()].into_iter();
    let words = words.chain(arguments.iter().map(|it| (*it).to_owned()));
    let environment = lab[H1].changed_environment(changes);
    let program = Program { environment, ..Program::new("timeout").args(words) };
    let output = lab.run_on(H1, &program);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn reload(lab: &Lab, changes: &[(&str, &str)]) -> (Option<i32>, String) {
    errand(lab, &["--reload", &lab[H1].agent().pid().to_string()], changes)
}

/// How often the agent has been executed.
fn lives(lab: &Lab) -> usize {
    lab[H1].agent().log().matches("LinK v").count()
}

#[test]
fn a_reload_that_is_waited_for_ends_when_the_agent_serves_again() {
    let lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let (pid, lock) = (lab[H1].agent().pid(), lab.lock(VIP));
    for life in 2..5 {
        assert_eq!(reload(&lab, &[]), (Some(0), String::new()));
        eventually("it has been executed", || lives(&lab) >= life);
        assert_eq!(lives(&lab), life);
        assert_eq!(lab[H1].api().try_send("GET", "/version", None).unwrap().status, 200);
    }
    assert_eq!((lab[H1].agent().pid(), lab.lock(VIP)), (pid, lock));
}

#[test]
fn a_reload_into_an_environment_that_is_wrong_does_not_reach_the_agent() {
    let lab = Lab::sharing(1, VIP);
    let (code, said) = reload(&lab, &[("PORT", "http")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("linkd: PORT=http is not a number"), "{said}");
    holds_for(Duration::from_secs(1), "it goes on", || lives(&lab) == 1);
}

#[test]
fn a_reload_that_the_agent_refuses_fails_with_what_the_program_says() {
    let (lab, place) = installed();
    install(&place, "echo 'linkd: HOSTNAME=h1 is too short' >&2; exit 2");
    let (code, said) = reload(&lab, &[]);
    assert_eq!(code, Some(1), "{said}");
    let why = format!("no reload: {}: it says: linkd: HOSTNAME=h1 is too short", place.display());
    assert!(said.contains(&why), "{said}");
    assert_eq!(lives(&lab), 1);
}

#[test]
fn what_an_agent_has_left_is_removed_unless_one_runs() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    lab[H1].ip(&format!("addr add {VIP2} dev eth0"));
    let (code, said) = errand(&lab, &["--clean"], &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("an agent runs on this host, and nothing was removed"), "{said}");
    holds_for(Duration::from_secs(1), "it is served", || lab[H1].binds(VIP.ip()));
    lab[H1].kill();
    assert!(lab[H1].binds(VIP.ip()), "nobody has removed it");
    // The environment does not matter: it may be why no agent starts.
    let (code, said) = errand(&lab, &["--clean"], &[("INTERFACE", ""), ("PORT", "x")]);
    if link::net::keeps_marks() {
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("left-over {VIP} removed from eth0")), "{said}");
        assert!(!lab[H1].binds(VIP.ip()));
    }
    assert!(lab[H1].binds(VIP2.ip()), "the host's own is left alone");
    assert_eq!(errand(&lab, &["--clean"], &[]).0, Some(0), "there is nothing to do");
}

/// An operator who takes the program off a host stops it by SIGINT: nobody comes after it.
#[test]
fn an_interrupt_hands_over_whatever_the_policy() {
    let mut lab = Lab::new(2);
    lab.start_all_with(&[("STOP_POLICY", "keep")]);
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    lab[owner].agent().signal(Signal::SIGINT);
    lab.await_owner_other_than(owner, VIP);
    eventually("it ends", || lab[owner].agent_ended().is_some_and(|it| it.success()));
    assert!(!lab[owner].binds(VIP.ip()));
}

//! SIGHUP: the program is executed again in place, as the operator has put it there, if it would start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::*;

/// Puts a program in a place, also where one is that runs.
pub(crate) fn install(place: &Path, script: &str) {
    let new = place.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, place).unwrap();
}

/// A lab whose host has the agent in a place of its own, and an IP.
pub(crate) fn installed() -> (Lab, PathBuf) {
    let mut lab = Lab::new(1);
    let place = lab.folder().join("linkd");
    fs::copy(linkd(), &place).unwrap();
    lab[H1].wrap(&["sh", "-c", &format!("exec {}", place.display())]);
    lab[H1].start();
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    (lab, place)
}

/// The file that the agent executes.
fn executed(lab: &Lab) -> PathBuf {
    fs::read_link(format!("/proc/{}/exe", lab[H1].agent().pid())).unwrap()
}

#[test]
fn a_program_that_would_not_start_is_refused_and_the_old_one_goes_on() {
    let (mut lab, place) = installed();
    let (pid, before) = (lab[H1].agent().pid(), lab.lock(VIP));
    // It runs, and wants another environment.
    let says = "echo 'linkd: HOSTNAME=h1 is too short' >&2; exit 2";
    install(&place, &format!("[ \"$1\" = --version ] && echo linkd 9.9 && exit; {says}"));
    lab[H1].agent().signal(Signal::SIGHUP);
    eventually("it is refused, with what it says", || {
        let refused =
            format!("no reload: {}: it says: linkd: HOSTNAME=h1 is too short", place.display());
        lab[H1].agent().log().contains(&refused)
    });
    holds_for(Duration::from_secs(1), "it goes on", || lab[H1].binds(VIP.ip()));
    assert_eq!(lab[H1].agent_ended(), None);
    assert_eq!((lab[H1].agent().pid(), lab.lock(VIP)), (pid, before));
    // The next one is good.
    install(&place, &format!("exec {} \"$@\"", linkd().display()));
    lab[H1].reload();
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn a_program_that_is_too_old_to_tell_is_executed_all_the_same() {
    let (mut lab, place) = installed();
    let says =
        "echo 'linkd: linkd takes no argument \"--check\"; it is configured by environment' >&2";
    let old =
        format!("[ \"$1\" = --check ] && {says} && exit 2; exec {} \"$@\"", linkd().display());
    install(&place, &old);
    lab[H1].reload();
    assert!(lab[H1].agent().log().contains("is older than `--check`"));
    assert_eq!(lab.await_owner(VIP), H1);
}

#[test]
fn a_link_that_leads_to_a_new_version_is_followed() {
    let mut lab = Lab::new(1);
    let versions = ["1", "2", "3"].map(|version| lab.folder().join(version));
    for version in &versions {
        fs::create_dir(version).unwrap();
        fs::copy(linkd(), version.join("linkd")).unwrap();
    }
    let current = lab.folder().join("current");
    let turn = |version: &Path| {
        let new = current.with_extension("new");
        symlink(version, &new).unwrap();
        fs::rename(new, &current).unwrap();
    };
    // As systemd starts it, by its path; and as a shell finds it.
    for command in [format!("exec {}/linkd", current.display()), "exec linkd".to_owned()] {
        turn(&versions[0]);
        lab[H1].wrap(&["sh", "-c", &command]);
        let path = format!("/nonexistent:{}:/usr/bin:/bin", current.display());
        lab[H1].start_with(&[("PATH", &path)]);
        for version in &versions[1..] {
            turn(version);
            lab[H1].reload();
            assert_eq!(executed(&lab), version.join("linkd"), "{command}");
        }
        lab[H1].terminate();
    }
}

/// What `STOP_POLICY=keep` leaves is for the next process, and there is none that serves it.
#[test]
fn an_agent_that_cannot_start_removes_what_was_left_to_it() {
    let mut lab = Lab::new(2);
    lab[H1].start_with(&[("STOP_POLICY", "keep")]);
    lab[H2].start();
    lab.offer_in_order(VIP);
    let wrong = [("KEEPALIVE_INTERVAL", "often")];
    // Beside an agent that serves it, nothing is left over.
    assert_eq!(crate::start::run_agent(&lab, &wrong).0, Some(2));
    holds_for(Duration::from_secs(1), "it is served", || lab[H1].binds(VIP.ip()));
    lab[H1].terminate();
    assert!(lab[H1].binds(VIP.ip()));
    lab[H1].ip(&format!("addr add {VIP2} dev eth0"));
    assert_eq!(crate::start::run_agent(&lab, &wrong).0, Some(2));
    if link::net::keeps_marks() {
        assert!(!lab[H1].binds(VIP.ip()));
    }
    assert!(lab[H1].binds(VIP2.ip()), "the host's own is left alone");
    lab.await_owner_other_than(H1, VIP);
}

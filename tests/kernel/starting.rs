//! The actuator says at once what it is not allowed to do.

use std::process::Command;

use link::net::{Announce, Net};
use link::policy::Connections;

use super::lab::run_without_links;

/// Set in the child that lacks capabilities: the error that it expects.
const EXPECTED: &str = "LINK_TEST_EXPECTED_ERROR";

/// This test runs itself again without some capabilities, which only `exec` can take from root.
fn start_without(test: &str, capabilities: &str, error: &str) {
    if let Ok(expected) = std::env::var(EXPECTED) {
        run_without_links(move || {
            let error = Net::start(Announce::default(), Connections::Reset)
                .err()
                .map(|error| error.to_string());
            assert_eq!(error, Some(expected));
        });
        return;
    }
    let output = Command::new("setpriv")
        .arg(format!("--bounding-set={capabilities}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(EXPECTED, error)
        .output()
        .expect("setpriv of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn without_the_right_to_change_addresses_it_says_so() {
    start_without(
        "starting::without_the_right_to_change_addresses_it_says_so",
        "-net_admin",
        "missing capability: CAP_NET_ADMIN",
    );
}

#[test]
fn without_the_right_to_send_frames_it_says_so() {
    start_without(
        "starting::without_the_right_to_send_frames_it_says_so",
        "-net_raw",
        "missing capability: CAP_NET_RAW",
    );
}

#[test]
fn without_either_right_it_names_both() {
    start_without(
        "starting::without_either_right_it_names_both",
        "-net_raw,-net_admin",
        "missing capability: CAP_NET_ADMIN and CAP_NET_RAW",
    );
}

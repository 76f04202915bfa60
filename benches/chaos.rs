//! Random faults on real agents, held against bounds: a long run of what `tests/chaos` runs for a
//! minute.
//!
//! `cargo bench --features lab --bench chaos [-- [--minutes N] [--seed N] [--policy POLICY]
//! [--detection WORD] [--only TEXT,…] [--soak]]`, as root. The same seed draws the same faults, and whether
//! etcd asks for passwords; with `--only`, those faults whose names contain one of the texts. The policy
//! `each` gives the IPs each policy in turn. `--soak` has that policy and 20 IPs, leaves one agent its
//! process, and tells at the end what has grown. `LINKD` names another agent than the one that cargo
//! builds. The exit code is 1 when a bound was broken or something has grown.

#![allow(clippy::print_stdout, reason = "a report on stdout is what this program is for")]

#[allow(dead_code, unused_imports, reason = "the tests use the rest of the lab")]
#[path = "../tests/lab/harness/mod.rs"]
mod harness;
#[path = "../tests/chaos/run/mod.rs"]
mod run;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use run::Settings;

fn main() -> ExitCode {
    let violations = run::run(&settings(), &mut |line| println!("{line}"));
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the arguments say; cargo adds `--bench`.
fn settings() -> Settings {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut settings = Settings::new(now.as_secs());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.unwrap_or_else(|| panic!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--bench" => {}
            "--minutes" => settings.time = Duration::from_secs(60 * number(&value())),
            "--seed" => settings.seed = number(&value()),
            "--policy" => settings.policy = value(),
            "--detection" => settings.detection = value(),
            "--only" => settings.only = value(),
            "--soak" => (settings.soak, settings.policy) = (true, "each".to_owned()),
            other => panic!("there is no argument {other}"),
        }
    }
    settings
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number"))
}

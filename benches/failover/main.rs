//! How fast an IP appears and moves, what its users notice, and what the agent costs; with
//! keepalived beside it, in the same lab and the same run, where that is installed.
//!
//! `cargo bench --features lab --bench failover [-- [--runs N] [--long] [CASE]…]`, as root; `--help`
//! names the cases. The lab is the one of the tests: hosts, etcd and a client in network namespaces
//! on one machine. `LINKD` names another agent than the one that cargo builds: `benches/run`, which
//! also installs what is missing, the static one. All cases together take about an hour and a half.
//!
//! Moments on the wire are the kernel's time stamps at the client. A gap is the longest time
//! without an answer to a ping every millisecond; `noise` below it is the longest time between two
//! probes, which a busy machine stretches. Before each fault there is a pause of random length: what
//! comes has nothing to do with the agents' timers. A mark is what the agent is to reach, at most:
//! as the median and, in brackets, in the worst of all runs.

#![allow(clippy::print_stdout, reason = "a table on stdout is what this program is for")]

mod agent;
mod appear;
mod checks;
mod contender;
mod cost;
mod crash;
mod crowd;
mod cut;
mod growth;
#[allow(dead_code, unused_imports, reason = "the tests use the rest of the lab")]
#[path = "../../tests/lab/harness/mod.rs"]
mod harness;
mod keepalived;
mod layouts;
mod linkd;
mod locks;
mod many;
mod options;
mod planned;
mod register;
mod service;
mod table;
mod watch;
mod wire;

use std::process::ExitCode;

use harness::Lab;
use options::Options;
use table::{Row, attempt};

/// A case, with the name by which it is chosen.
struct Case {
    name: &'static str,
    run: fn(&Options) -> Vec<Row>,
}

/// What is measured when nobody names a case.
const CASES: [Case; 31] = [
    Case { name: "create", run: appear::create },
    Case { name: "start", run: appear::start },
    Case { name: "lock", run: appear::lock },
    Case { name: "failover", run: planned::failover },
    Case { name: "sigterm", run: planned::sigterm },
    Case { name: "restart", run: agent::restart },
    Case { name: "killed", run: agent::killed },
    Case { name: "down", run: crash::defaults },
    Case { name: "down20", run: crash::strict20 },
    Case { name: "lease", run: crash::lease },
    Case { name: "fast", run: crash::fast },
    Case { name: "fastest", run: crash::fastest },
    Case { name: "isolated", run: cut::isolated },
    Case { name: "cut", run: cut::from_etcd },
    Case { name: "etcd", run: cut::etcd_loss },
    Case { name: "leader", run: layouts::host_dies },
    Case { name: "switch", run: layouts::cut_off },
    Case { name: "pair", run: layouts::pair },
    Case { name: "boot", run: layouts::boot },
    Case { name: "last", run: layouts::last },
    Case { name: "reboot", run: layouts::reboot },
    Case { name: "service", run: service::cut_off },
    Case { name: "deaf", run: service::deaf },
    Case { name: "orders", run: service::orders },
    Case { name: "check", run: checks::check },
    Case { name: "many", run: many::host_dies },
    Case { name: "drain", run: many::drained },
    Case { name: "load", run: register::load },
    Case { name: "idle", run: cost::idle },
    Case { name: "idle1000", run: cost::idle_with_many },
    Case { name: "size", run: cost::size },
];

/// What is measured only when it is named: a table of another kind, and what takes long, or wants a machine
/// for itself.
const EXTRA: [Case; 4] = [
    Case { name: "wire", run: wire::matrix },
    Case { name: "cost-per-ip", run: growth::cost_per_ip },
    Case { name: "crowd", run: crowd::crowd },
    Case { name: "crowd-auth", run: crowd::crowd_with_passwords },
];

fn main() -> ExitCode {
    let names: Vec<&str> = CASES.iter().chain(&EXTRA).map(|case| case.name).collect();
    let options = match Options::read(std::env::args().skip(1), &names) {
        Ok(options) => options,
        Err((code, help)) => {
            println!("{help}");
            return ExitCode::from(code);
        }
    };
    // Where there can be no lab, that is said here, and not once for each case.
    drop(Lab::builder(0).etcd_members(0).build());
    say_what_is_measured(&options);
    println!("{}", table::head());
    let chosen: Vec<&Case> = match options.chosen.as_slice() {
        [] => CASES.iter().collect(),
        chosen => CASES.iter().chain(&EXTRA).filter(|case| chosen.contains(&case.name)).collect(),
    };
    let failed = chosen.iter().filter(|case| !measure(case, &options)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a case and prints its rows.
fn measure(case: &Case, options: &Options) -> bool {
    let rows = attempt(|| (case.run)(options));
    let failed = rows.iter().any(Row::is_failure);
    rows.into_iter().for_each(|row| println!("{}", row.of_case(case.name)));
    !failed
}

fn say_what_is_measured(options: &Options) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let keepalived = options.keepalived.as_deref();
    let missing = "no keepalived, which is not installed (Debian's package: keepalived)";
    println!("agent: {}", harness::linkd().display());
    println!("beside it: {}", keepalived.unwrap_or(missing));
    println!("machine: Linux {}, {cores} cores\n", kernel.trim());
}

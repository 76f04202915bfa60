//! `linkctl doctor`: what operators forget, on the host where it runs and at its etcd.
//!
//! Facts are gathered (`gather`) from the agent's API, the kernel, the files of the machine and etcd, beside each
//! other and within seconds. What they mean is a pure function (`findings`). Nothing is changed.

mod facts;
mod findings;
mod gather;
mod page;

use std::path::Path;

use serde::Serialize;

use super::agent::Agent;
use super::failure::{Failure, Next};
use super::output::{self, Output};
use super::text::counted;
use findings::{Finding, Level};

/// The answer with `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    findings: &'a [Finding],
}

/// Looks, and tells; the exit code says how bad it is.
pub(super) fn run(agent: Agent, output: Output, env_file: &Path) -> Result<(), Failure> {
    if !gather::is_here(&agent.server) {
        let server = &agent.server;
        let message =
            format!("doctor looks at the machine on which it runs, and {server} is another one");
        return Err(Failure::new(Next::RunThere, message));
    }
    let facts = gather::facts(agent, env_file);
    let found = findings::all(&facts);
    if !facts.is_root && !output.is_json() {
        output::note("without root it cannot see all of the agent: try `sudo linkctl doctor`");
    }
    let report = serde_json::to_vec(&Report { findings: &found });
    let json = report.unwrap_or_default();
    output.answer(&[&json[..], b"\n"].concat(), |_| page::page(&facts, &found))?;
    let errors = found.iter().filter(|it| it.level == Level::Error).count();
    let warnings = found.len() - errors;
    match (errors, warnings) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::new(Next::ReadWarnings, counted(warnings as u64, "warning"))),
        _ => Err(Failure::new(Next::ReadFindings, counted(errors as u64, "error"))),
    }
}

//! `linkctl fence`.

use std::io::{self, IsTerminal, Write};

use super::agent::Agent;
use super::failure::{Failure, Next};
use super::output::Output;
use crate::text::clean;
use crate::wire;

/// Has the agent fence a host; by force only when the user has said so twice.
pub(super) fn run(
    agent: &Agent,
    output: Output,
    host: &str,
    force: bool,
    yes: bool,
) -> Result<(), Failure> {
    if force && !yes {
        confirm(host)?;
    }
    let told = |failure: Failure| failure.if_refused(Next::SwitchOff).on("fence", host);
    let answer = agent.fence(host, force).map_err(told)?;
    output.answer(&answer.json, |_| text(&answer.value))
}

fn confirm(host: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let message = "fence --force asks first, and nobody can answer";
        return Err(Failure::new(Next::SayYes, message));
    }
    let question = format!(
        "Whether {host} lives will not be asked. If it does, two hosts have its IPs for a moment.\n\
         Is {host} to be fenced? Then type its name: "
    );
    let failed = |error: io::Error| Failure::new(Next::UseTerminal, format!("ask: {error}"));
    io::stderr().write_all(question.as_bytes()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(failed)?;
    match line.trim() == host {
        true => Ok(()),
        false => Err(Failure::new(Next::NameHost, "nothing was done: that is another name")),
    }
}

fn text(fence: &wire::Fence) -> String {
    let host = clean(&fence.host);
    if fence.ips.is_empty() {
        return format!("{host} is fenced; it had no IP\n");
    }
    let moved = fence.ips.iter().filter(|ip| ip.owner.is_some()).count();
    let mut text = format!("{host} is fenced; {moved} of its {} IPs have moved\n", fence.ips.len());
    for ip in &fence.ips {
        let owner = ip.owner.as_deref().map_or_else(|| "nobody has it yet".to_owned(), clean);
        text += &format!("  {} -> {owner}\n", clean(&ip.ip));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_told_with_who_has_it_now() {
        let ip = |ip: &str, owner: Option<&str>| wire::FencedIp {
            ip: ip.to_owned(),
            owner: owner.map(str::to_owned),
        };
        let fence = |ips| wire::Fence { host: "h2".to_owned(), ips };
        assert_eq!(text(&fence(Vec::new())), "h2 is fenced; it had no IP\n");
        let ips = vec![ip("10.0.0.1/32", Some("h1")), ip("10.0.0.2/32", None)];
        let told = "h2 is fenced; 1 of its 2 IPs have moved\n  10.0.0.1/32 -> h1\n  \
                    10.0.0.2/32 -> nobody has it yet\n";
        assert_eq!(text(&fence(ips)), told);
    }
}

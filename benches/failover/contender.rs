//! A program that is measured, whichever it is.

use std::time::{Duration, Instant};

use super::harness::{HostId, Lab, VIP, eventually};
use super::keepalived::Keepalived;
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, attempt};

/// A lab of hosts that share an IP, and the program that runs on them.
pub(crate) trait Contender {
    /// Where it runs.
    fn lab(&self) -> &Lab;

    /// Has the owner hand the IP to another host; when that was ordered.
    fn hand_over(&mut self, owner: HostId) -> Instant;

    /// SIGTERM; returns when the program has ended.
    fn terminate(&mut self, host: HostId);

    /// Starts the program again, and waits until it could take the IP over.
    fn restart(&mut self, host: HostId);

    /// Takes the host out at once.
    fn power_off(&mut self, host: HostId);

    /// Powers the host on again, and waits until it could take the IP over.
    fn power_on(&mut self, host: HostId);

    /// Waits until the host does not have the IP, and could take it over.
    fn await_standby(&self, host: HostId);

    /// How long the last failover took by its own word, if it has one: the host that has the IP now is asked.
    fn says_it_took(&self, owner: HostId) -> Option<Duration>;

    /// The processes that the program consists of.
    fn processes(&self, host: HostId) -> Vec<u32>;

    /// Waits until a host alone has the IP, and the client gets an answer from it.
    fn owner(&self) -> HostId {
        let mut bound = Vec::new();
        eventually("one host alone has the IP", || {
            bound = self.lab().bound_on(VIP);
            bound.len() == 1
        });
        self.lab().await_reachable(VIP);
        bound[0]
    }
}

/// Measures the agent, and keepalived if it is there: one after the other, in labs of their own.
pub(crate) fn measured(
    options: &Options,
    agent: impl FnOnce() -> Linkd,
    keepalived: impl FnOnce() -> Keepalived,
    measure: impl Fn(&mut dyn Contender, usize) -> Vec<Row>,
) -> Vec<Row> {
    let mut rows = attempt(|| measure(&mut agent(), options.runs));
    if options.keepalived.is_some() {
        rows.extend(of_keepalived(attempt(|| measure(&mut keepalived(), options.runs))));
    }
    rows
}

/// The same rows, measured with keepalived.
pub(crate) fn of_keepalived(rows: Vec<Row>) -> impl Iterator<Item = Row> {
    rows.into_iter().map(|row| row.of("keepalived"))
}

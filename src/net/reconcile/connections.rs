//! Tells both sides of a TCP connection that its address leaves this host.
//!
//! The address gone, nothing that either side says arrives at the other any more: a client that sends
//! something hears from the new owner that there is no such connection, but one that waits, waits for
//! ever, and so does the program here. The kernel's reset has to leave while the address is there.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::Reconciler;
use super::exchange::Exchange;
use super::target::{Step, step};
use crate::net::codec::sock_diag::{self, Connection};
use crate::net::error::RouteError;
use crate::policy::Connections;
use crate::sorted::sort_by;
use crate::vip::Cidr;

/// How long addresses wait until what is connected to them is reset. It takes the kernel 4 to 20 µs for
/// each.
const LONGEST: Duration = Duration::from_millis(500);

/// So many are reset before other work may have its turn.
const AT_ONCE: usize = 64;

/// What is done about connections.
#[derive(Debug)]
pub(super) struct Resetter {
    /// `CONNECTIONS`
    policy: Connections,
    /// The log says why it does not work.
    complained: bool,
    /// When it was begun with what is under way, and how many were reset since.
    under_way: Option<(Instant, usize)>,
    /// What was connected to so many addresses at the head of the queue is reset.
    pub(super) ready: usize,
}

impl Resetter {
    pub(super) fn new(policy: Connections) -> Resetter {
        Resetter { policy, complained: false, under_way: None, ready: 0 }
    }
}

impl Reconciler {
    /// Resets what is connected to those of the next addresses in the queue that are to be removed: one
    /// walk through the kernel's table of sockets for all of them. Whether it is done; if not, other work
    /// is to have its turn.
    pub(super) fn reset_leaving(
        &mut self,
        limit: usize,
        is_interrupted: &dyn Fn() -> bool,
    ) -> bool {
        if self.resetter.ready > 0 {
            return true;
        }
        let next = self.queue.iter().take(limit);
        let leaving = next.filter_map(|cidr| {
            let target = self.targets.get(cidr)?;
            let link = self.interfaces.link(&target.interface)?;
            let step = step(target.desired, target.found?, link.is_up());
            (step == Step::Remove).then_some((link.index, *cidr))
        });
        let leaving = leaving.collect::<Vec<_>>();
        let done = self.reset_connections(&leaving, is_interrupted);
        if done {
            self.resetter.ready = limit.min(self.queue.len());
        }
        done
    }

    /// Resets what is connected to addresses that are about to be removed from these interfaces. Whatever
    /// stands in the way of that, they are removed. Whether it is done.
    pub(super) fn reset_connections(
        &mut self,
        leaving: &[(u32, Cidr)],
        is_interrupted: &dyn Fn() -> bool,
    ) -> bool {
        if leaving.is_empty() || self.resetter.policy == Connections::Keep {
            return true;
        }
        let result = self.try_to_reset(leaving, is_interrupted);
        if let Err(error) = &result {
            if !std::mem::replace(&mut self.resetter.complained, true) {
                log::warn!(
                    "TCP connections at addresses that leave are not reset, for which the kernel \
                     needs CONFIG_INET_DIAG_DESTROY: {error}"
                );
            }
        }
        let done = result.unwrap_or(true);
        if done {
            self.resetter.under_way = None;
        }
        done
    }

    fn try_to_reset(
        &mut self,
        leaving: &[(u32, Cidr)],
        is_interrupted: &dyn Fn() -> bool,
    ) -> Result<bool, RouteError> {
        let mut exchange =
            Exchange::open(SockProtocol::NetlinkSockDiag).map_err(RouteError::Socket)?;
        let mut ips: Vec<IpAddr> = leaving.iter().map(|(_, cidr)| cidr.addr()).collect();
        sort_by(&mut ips, Ord::cmp);
        let mut connections = Vec::new();
        exchange.ask(&|sequence| sock_diag::dump_connections(sequence, &ips), &mut |message| {
            let is_concerned = |it: &Connection| ips.binary_search(&it.local()).is_ok();
            connections.extend(Connection::decode(message).filter(is_concerned));
        })?;
        if !connections.is_empty() {
            // What the host has on another interface, too, goes on.
            self.know(connections[0].local())?;
            ips.retain(|ip| !self.host.has_besides(*ip, leaving));
            connections.retain(|it| ips.binary_search(&it.local()).is_ok());
        }
        let (since, before) = self.resetter.under_way.unwrap_or((Instant::now(), 0));
        if connections.is_empty() && before == 0 {
            return Ok(true);
        }
        let (done, finished) = reset(&mut exchange, &connections, since + LONGEST, is_interrupted)?;
        if !finished {
            self.resetter.under_way = Some((since, before + done));
            return Ok(false);
        }
        let at = match ips[..] {
            [ip] => ip.to_string(),
            _ => format!("{} addresses", ips.len()),
        };
        tell(before + done, connections.len() - done, &at);
        Ok(true)
    }
}

/// Resets as many as the time allows; how many, and whether it was not interrupted.
fn reset(
    exchange: &mut Exchange,
    connections: &[Connection],
    deadline: Instant,
    is_interrupted: &dyn Fn() -> bool,
) -> Result<(usize, bool), RouteError> {
    let mut done = 0;
    while let Some(connection) = connections.get(done).filter(|_| Instant::now() < deadline) {
        if done > 0 && done % AT_ONCE == 0 && is_interrupted() {
            return Ok((done, false));
        }
        match exchange.ask(&|sequence| sock_diag::reset(sequence, connection), &mut |_| {}) {
            // It has ended by itself.
            Ok(()) | Err(RouteError::Refused(Errno::ENOENT, _)) => done += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((done, true))
}

fn tell(reset: usize, left: usize, at: &str) {
    match left {
        0 => log::info!("{reset} TCP connections reset at {at}"),
        left => {
            log::warn!("{reset} TCP connections reset at {at}, {left} are not within {LONGEST:?}")
        }
    }
}

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
use crate::vip::Cidr;

/// How long addresses wait until what is connected to them is reset. It takes the kernel 4 to 20 µs for
/// each.
const LONGEST: Duration = Duration::from_millis(500);

/// What is done about connections.
#[derive(Debug)]
pub(super) struct Resetter {
    /// `CONNECTIONS`
    policy: Connections,
    /// The log says why it does not work.
    complained: bool,
}

impl Resetter {
    pub(super) fn new(policy: Connections) -> Resetter {
        Resetter { policy, complained: false }
    }
}

impl Reconciler {
    /// Resets what is connected to those of the next addresses in the queue that are to be removed: one
    /// walk through the kernel's table of sockets for all of them.
    pub(super) fn reset_leaving(&mut self, limit: usize) {
        let next = self.queue.iter().take(limit);
        let leaving = next.filter_map(|cidr| {
            let target = self.targets.get(cidr)?;
            let link = self.interfaces.link(&target.interface)?;
            let step = step(target.desired, target.found?, link.is_up());
            (step == Step::Remove).then_some((link.index, *cidr))
        });
        self.reset_connections(&leaving.collect::<Vec<_>>());
    }

    /// Resets what is connected to addresses that are about to be removed from these interfaces. Whatever
    /// stands in the way of that, they are removed.
    pub(super) fn reset_connections(&mut self, leaving: &[(u32, Cidr)]) {
        if leaving.is_empty() || self.resetter.policy == Connections::Keep {
            return;
        }
        if let Err(error) = self.try_to_reset(leaving) {
            if !std::mem::replace(&mut self.resetter.complained, true) {
                log::warn!(
                    "TCP connections at addresses that leave are not reset, for which the kernel \
                     needs CONFIG_INET_DIAG_DESTROY: {error}"
                );
            }
        }
    }

    fn try_to_reset(&mut self, leaving: &[(u32, Cidr)]) -> Result<(), RouteError> {
        let mut exchange =
            Exchange::open(SockProtocol::NetlinkSockDiag).map_err(RouteError::Socket)?;
        let mut ips: Vec<IpAddr> = leaving.iter().map(|(_, cidr)| cidr.addr()).collect();
        ips.sort_unstable();
        let mut connections = Vec::new();
        exchange.ask(&|sequence| sock_diag::dump_connections(sequence, &ips), &mut |message| {
            let is_concerned = |it: &Connection| ips.binary_search(&it.local()).is_ok();
            connections.extend(Connection::decode(message).filter(is_concerned));
        })?;
        if connections.is_empty() {
            return Ok(());
        }
        // What the host has on another interface, too, goes on.
        self.know(connections[0].local())?;
        ips.retain(|ip| !self.host.has_besides(*ip, leaving));
        connections.retain(|it| ips.binary_search(&it.local()).is_ok());
        if connections.is_empty() { Ok(()) } else { reset(&mut exchange, &connections, &ips) }
    }
}

fn reset(
    exchange: &mut Exchange,
    connections: &[Connection],
    ips: &[IpAddr],
) -> Result<(), RouteError> {
    let deadline = Instant::now() + LONGEST;
    let mut done = 0;
    while let Some(connection) = connections.get(done).filter(|_| Instant::now() < deadline) {
        match exchange.ask(&|sequence| sock_diag::reset(sequence, connection), &mut |_| {}) {
            // It has ended by itself.
            Ok(()) | Err(RouteError::Refused(Errno::ENOENT, _)) => done += 1,
            Err(error) => return Err(error),
        }
    }
    let at = match ips {
        [ip] => ip.to_string(),
        _ => format!("{} addresses", ips.len()),
    };
    match connections.len() - done {
        0 => log::info!("{done} TCP connections reset at {at}"),
        left => {
            log::warn!("{done} TCP connections reset at {at}, {left} are not within {LONGEST:?}")
        }
    }
    Ok(())
}

//! Who has an address, from moment to moment: what the kernels of all hosts tell, on one clock.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::host::{Host, HostId};
use super::monitor::AddressChange;
use super::{monitor, ping, socket};

/// Watches from its start until it is dropped.
pub(crate) struct Holders {
    at_first: BTreeSet<HostId>,
    now: BTreeSet<HostId>,
    changes: Vec<HolderChange>,
    told: Receiver<HolderChange>,
    /// Closing them ends the threads.
    stops: Vec<UnixStream>,
    threads: Vec<JoinHandle<()>>,
}

/// A host got the address, or lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HolderChange {
    /// When its kernel told so.
    pub(crate) at: Instant,
    /// Which host.
    pub(crate) host: HostId,
    /// Whether it has the address now.
    pub(crate) holds: bool,
}

impl Holders {
    /// Starts to watch the hosts; what happens after this returns is seen.
    pub(crate) fn watch(hosts: &[Host], ip: IpAddr) -> Holders {
        let (changes_tx, told) = unbounded();
        let (mut stops, mut threads) = (Vec::new(), Vec::new());
        for host in hosts {
            let (id, socket) = (host.id(), monitor::open(host.namespace()));
            let (stopped, stop) = UnixStream::pair().expect("make a pair of sockets");
            let changes_tx = changes_tx.clone();
            let thread = thread::Builder::new()
                .name(format!("lab-holder-{id}"))
                .spawn(move || listen(id, ip, &socket, &OwnedFd::from(stopped), &changes_tx))
                .expect("start a thread for a host's addresses");
            stops.push(stop);
            threads.push(thread);
        }
        // Asked after the sockets were opened: what happens in between is told too, and a change
        // that changes nothing is not counted.
        let now: BTreeSet<_> = hosts.iter().filter(|host| host.binds(ip)).map(Host::id).collect();
        let (at_first, changes) = (now.clone(), Vec::new());
        Holders { at_first, now, changes, told, stops, threads }
    }

    /// The hosts that have the address now.
    pub(crate) fn now(&mut self) -> Vec<HostId> {
        self.changes();
        self.now.iter().copied().collect()
    }

    /// All changes so far, oldest first.
    pub(crate) fn changes(&mut self) -> &[HolderChange] {
        let mut told: Vec<HolderChange> = self.told.try_iter().collect();
        told.sort_by_key(|change| change.at);
        for change in told {
            let HolderChange { host, holds, .. } = change;
            let differs = if holds { self.now.insert(host) } else { self.now.remove(&host) };
            if differs {
                self.changes.push(change);
            }
        }
        &self.changes
    }

    /// For how long two hosts or more had the address so far.
    pub(crate) fn shared_for(&mut self) -> Duration {
        self.changes();
        let mut holders = self.at_first.clone();
        let mut since = None;
        let mut shared = Duration::ZERO;
        for HolderChange { at, host, holds } in self.changes.iter().copied() {
            if holds {
                holders.insert(host)
            } else {
                holders.remove(&host)
            };
            match (since, holders.len() > 1) {
                (None, true) => since = Some(at),
                (Some(began), false) => {
                    shared += at - began;
                    since = None;
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        shared + since.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        self.stops.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The life of a thread: listens to a host until the other end of `stopped` is closed.
fn listen(
    host: HostId,
    ip: IpAddr,
    socket: &OwnedFd,
    stopped: &OwnedFd,
    changes: &Sender<HolderChange>,
) {
    // Netlink knows no time stamps: the moment at which this thread wakes has to do.
    ping::run_in_real_time();
    loop {
        let [_, stop] = socket::readable([socket, stopped], Duration::from_secs(3600));
        let at = Instant::now();
        if stop {
            return;
        }
        for change in monitor::read(socket) {
            let (address, holds) = match change {
                AddressChange::Set(address) => (address, true),
                AddressChange::Removed(address) => (address, false),
            };
            if address == ip {
                // Nobody listens any more: the watch is being dropped.
                let _ = changes.send(HolderChange { at, host, holds });
            }
        }
    }
}

//! Who binds the IPs, at every moment: what the kernels of the hosts tell by netlink.
//!
//! A thread of its own listens to all hosts, so that nothing is missed while something is done to
//! them. It also tells how late it was itself: an agent on the same machine is as late at times.

use std::collections::BTreeSet;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

use super::stage::VIPS;
use crate::harness::{AddressChange, AddressMonitor, HostId};

/// Between two looks when nothing happens.
const PAUSE: Duration = Duration::from_millis(10);

/// A change of who binds an IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) at: Instant,
    /// The number of the IP.
    pub(crate) vip: usize,
    pub(crate) host: HostId,
    pub(crate) bound: bool,
}

/// What the thread tells.
enum Sight {
    Binding(Binding),
    /// The thread itself was late by that much.
    Late(Duration),
}

/// Watches from its start until it is dropped.
pub(crate) struct Watch {
    sights: Receiver<Sight>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Who binds each IP now.
    binders: Vec<BTreeSet<HostId>>,
    /// The changes since [`Watch::begin`].
    pub(crate) changes: Vec<Binding>,
    /// The longest time since then that the thread was late by.
    pub(crate) late: Duration,
}

impl Watch {
    /// Starts to watch hosts that have no IP yet.
    pub(crate) fn start(monitors: [(HostId, AddressMonitor); 3]) -> Watch {
        let (sight_tx, sights) = unbounded();
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("lab-watch".to_owned())
            .spawn(move || listen(monitors, &sight_tx, &stopped))
            .expect("start the watch thread");
        Watch {
            sights,
            stop: Some(stop),
            thread: Some(thread),
            binders: vec![BTreeSet::new(); VIPS.len()],
            changes: Vec::new(),
            late: Duration::ZERO,
        }
    }

    /// Takes note of what has happened.
    pub(crate) fn look(&mut self) {
        for sight in self.sights.try_iter() {
            match sight {
                Sight::Late(by) => self.late = self.late.max(by),
                Sight::Binding(binding) => {
                    let binders = &mut self.binders[binding.vip];
                    let changed = if binding.bound {
                        binders.insert(binding.host)
                    } else {
                        binders.remove(&binding.host)
                    };
                    self.changes.extend(changed.then_some(binding));
                }
            }
        }
    }

    /// Forgets the changes so far; gives who binds each IP now.
    pub(crate) fn begin(&mut self) -> Vec<BTreeSet<HostId>> {
        self.look();
        self.changes.clear();
        self.late = Duration::ZERO;
        self.binders.clone()
    }

    /// The changes of one IP since [`Watch::begin`].
    pub(crate) fn changes_of(&self, vip: usize) -> Vec<Binding> {
        self.changes.iter().filter(|change| change.vip == vip).copied().collect()
    }

    /// Who binds an IP now.
    pub(crate) fn binders(&mut self, vip: usize) -> &BTreeSet<HostId> {
        self.look();
        &self.binders[vip]
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's life.
fn listen(monitors: [(HostId, AddressMonitor); 3], sights: &Sender<Sight>, stopped: &Receiver<()>) {
    let hosts = monitors.each_ref().map(|(host, _)| *host);
    let mut monitors = monitors.map(|(_, monitor)| monitor);
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        let asleep = Instant::now();
        AddressMonitor::wait(&monitors, PAUSE);
        let at = Instant::now();
        let late = (at - asleep).saturating_sub(PAUSE);
        let changes = hosts.iter().zip(&mut monitors).flat_map(|(host, monitor)| {
            let changes = monitor.take().into_iter();
            changes.filter_map(|change| binding(at, *host, change))
        });
        let sights_now = changes.map(Sight::Binding).chain([Sight::Late(late)]);
        // Whoever watched is gone: the thread is being stopped.
        sights_now.for_each(|sight| drop(sights.send(sight)));
    }
}

fn binding(at: Instant, host: HostId, change: AddressChange) -> Option<Binding> {
    let (ip, bound) = match change {
        AddressChange::Set(ip) => (ip, true),
        AddressChange::Removed(ip) => (ip, false),
    };
    let vip = VIPS.iter().position(|vip| vip.ip() == ip)?;
    Some(Binding { at, vip, host, bound })
}

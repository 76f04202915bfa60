//! Networks that fail in one direction, or for one host: who has the IP then, who answers the
//! client, and after how long. A table of its own; nothing is judged.

use std::fmt;
use std::time::{Duration, Instant};

use super::harness::{HostId, Lab, VIP, Way};
use super::linkd::start_agents;
use super::options::Options;
use super::table::Row;
use super::watch::{Watch, pause};

/// How long each fault lasts: longer than the lease, and than it takes to count etcd as lost.
const FAULT: Duration = Duration::from_secs(8);

/// How long after the healing is listened to.
const CONVALESCENCE: Duration = Duration::from_secs(3);

/// One of two hosts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Owner,
    Standby,
}

/// What fails.
#[derive(Clone, Copy)]
struct Fault {
    /// Frames from this host to the other are lost.
    wire: Option<End>,
    /// What this host sends to etcd, or receives from it, is lost.
    etcd: Option<(End, Way)>,
}

/// What was seen; the hosts are called what they were before the fault.
struct Seen {
    /// How long after the fault the standby got the IP, if it did.
    taken: Option<Duration>,
    /// Which kernels had the IP in the end, and how long after the fault that was so: an owner that
    /// hears of the other may let go of it, and take it again when it cannot reach etcd.
    bound: (Vec<End>, Duration),
    lock: Option<End>,
    /// Who answered the client in the end.
    client: Option<End>,
    /// Which host had the IP after the healing, and how long after it.
    healed: (End, Duration),
    /// The client's longest one, from before the fault to long after it.
    gap: Duration,
}

/// Each fault once: what happens is not a matter of milliseconds.
pub(crate) fn matrix(_: &Options) -> Vec<Row> {
    let mut lab = Lab::new(2);
    start_agents(&mut lab, &[]);
    lab.offer(VIP);
    let happens = |fault: Fault| Row::note(&fault.to_string(), fault.happens(&lab).to_string());
    faults().into_iter().map(happens).collect()
}

/// The wire alone, etcd alone, and both together.
fn faults() -> Vec<Fault> {
    let wires = [None, Some(End::Owner), Some(End::Standby)];
    let mut etcds = vec![None];
    for end in [End::Owner, End::Standby] {
        etcds.extend([Way::In, Way::Out].map(|way| Some((end, way))));
    }
    let pairs = wires.iter().flat_map(|wire| etcds.iter().map(|etcd| (*wire, *etcd)));
    // The first pair is no fault at all.
    pairs.skip(1).map(|(wire, etcd)| Fault { wire, etcd }).collect()
}

impl Fault {
    /// Lets it happen and pass.
    fn happens(self, lab: &Lab) -> Seen {
        let owner = lab.await_owner(VIP);
        let standby = lab.other_than(owner);
        lab[standby].await_status(VIP, "STANDBY");
        lab.await_reachable(VIP);
        let end = |host: HostId| if host == owner { End::Owner } else { End::Standby };
        let mut watch = Watch::start(lab);
        let began = Instant::now();
        self.begin(lab, owner, standby);
        pause(FAULT);
        let mut holders: Vec<End> = watch.holders.now().into_iter().map(end).collect();
        holders.sort_unstable();
        let bound = (holders, watch.settled_after(began));
        let taken = watch.taken_after(began, standby);
        let (lock, client) = (holder(lab).map(end), answering(lab).map(end));
        let healed = Instant::now();
        lab.heal_wire();
        [owner, standby].iter().for_each(|host| lab[*host].heal());
        let heir = watch.await_one();
        pause(CONVALESCENCE);
        let healed = (end(heir), watch.settled_after(healed));
        Seen { taken, bound, lock, client, healed, gap: watch.end().longest_gap }
    }

    fn begin(self, lab: &Lab, owner: HostId, standby: HostId) {
        let host = |end: End| if end == End::Owner { owner } else { standby };
        if let Some(from) = self.wire.map(host) {
            lab.block_wire(from, lab.other_than(from));
        }
        if let Some((end, way)) = self.etcd {
            lab.cut_from_etcd(host(end), way);
        }
    }
}

/// The host that has the lock.
fn holder(lab: &Lab) -> Option<HostId> {
    let holder = lab.lock(VIP)?.holder;
    lab.ids().into_iter().find(|id| id.to_string() == holder)
}

/// The host whose card answers the client.
fn answering(lab: &Lab) -> Option<HostId> {
    if !lab.client.reaches(VIP.ip()) {
        return None;
    }
    let card = lab.client.neighbour(VIP.ip())?;
    lab.ids().into_iter().find(|id| lab[*id].mac().to_string() == card)
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            End::Owner => "owner",
            End::Standby => "standby",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = self.wire.map(|from| match from {
            End::Owner => "owner to standby".to_owned(),
            End::Standby => "standby to owner".to_owned(),
        });
        let etcd = self.etcd.map(|(end, way)| match way {
            Way::In => format!("etcd to {end}"),
            Way::Out => format!("{end} to etcd"),
            Way::Both => format!("{end} and etcd"),
        });
        let lost: Vec<String> = wire.into_iter().chain(etcd).collect();
        write!(f, "lost: {}", lost.join(", "))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |end: Option<End>| end.map_or_else(|| "nobody".to_owned(), |end| end.to_string());
        let holders: Vec<String> = self.bound.0.iter().map(End::to_string).collect();
        let seconds = |time: Duration| time.as_secs_f64();
        let taken = self.taken.map(|time| format!("{:.1} s", seconds(time)));
        write!(
            f,
            "taken after {:>5}; bound on {:<13} after {:4.1} s; lock {:<7}; client {:<7}; \
             healed: {:<7} alone after {:5.2} s; gap {:6.1} ms",
            taken.unwrap_or_else(|| "never".to_owned()),
            holders.join("+"),
            seconds(self.bound.1),
            name(self.lock),
            name(self.client),
            self.healed.0,
            seconds(self.healed.1),
            seconds(self.gap) * 1e3,
        )
    }
}

//! etcd on one network, the IP on another, which fails alone.

use std::time::{Duration, Instant};

use serde_json::json;

use super::contender::{Contender, measured};
use super::cut::is_cut_off;
use super::harness::{H1, HostId, Lab, VIP, Way, eventually, until};
use super::keepalived::Keepalived;
use super::layouts::gains_since;
use super::linkd::Linkd;
use super::options::Options;
use super::table::{Row, attempt};
use super::watch::{Watch, pause};

/// For what may follow, or not.
const AFTERMATH: Duration = Duration::from_secs(5);

/// Long enough for three hosts to boot.
const BOOT: Duration = Duration::from_secs(10);

/// Three hosts and their gateway, with etcd on a network of its own.
fn three_hosts() -> Linkd {
    Linkd::start(Lab::builder(3).management_network().gateway().build(), &[], &json!([]))
}

pub(crate) fn cut_off(options: &Options) -> Vec<Row> {
    let keepalived = || Keepalived::advertising("1");
    let mut rows = measured(options, three_hosts, keepalived, |contender, runs| {
        let what = "owner off the IP's network, not etcd's";
        is_cut_off(contender, runs, what, [600.0, 100.0], |_, _| ())
    });
    rows.extend(attempt(|| nothing_moves(options.runs)));
    rows
}

/// What is no reason to move anything.
fn nothing_moves(runs: usize) -> Vec<Row> {
    let linkd = three_hosts();
    let lab = linkd.lab();
    let owner = lab.await_calm(VIP);
    let standby = lab.other_than(owner);
    let moves = |host: HostId, way: Way| {
        let mut watch = Watch::start(lab);
        let cut = Instant::now();
        lab.isolate_one_way(host, way);
        pause(AFTERMATH);
        lab.heal_wire();
        pause(AFTERMATH);
        gains_since(&mut watch, cut)
    };
    let row = |what: &str, host: HostId, way: Way| {
        let moves = (0..runs).map(|_| moves(host, way));
        Row::new(&format!("{what}: moves"), "1", moves).marks(0.0, 0.0)
    };
    vec![
        row("standby off the IP's network", standby, Way::Both),
        row("owner not heard there, though it hears", owner, Way::Out),
    ]
}

/// A host that hears nobody, and becomes the owner or not.
pub(crate) fn deaf(options: &Options) -> Vec<Row> {
    let mut rows = attempt(|| {
        let mut linkd = three_hosts();
        let boots = (0..options.runs).map(|_| boots_deaf(linkd.lab_mut()));
        let what = "a host boots with others and hears nobody: it is the owner";
        vec![Row::new(what, "1", boots).marks(0.0, 0.0)]
    });
    rows.extend(attempt(|| {
        let mut linkd = three_hosts();
        let inherits = (0..options.runs).map(|_| inherits_deaf(&mut linkd));
        let what = "owner's host dies, a standby hears nobody: it gets the IP";
        vec![Row::new(what, "1", inherits).marks(0.0, 0.0)]
    }));
    rows
}

/// 1 if such a host owns the IP in the end, or 0.
fn boots_deaf(lab: &mut Lab) -> f64 {
    lab.ids().into_iter().for_each(|id| lab.power_off(id));
    eventually("nobody has the lock", || lab.lock(VIP).is_none());
    lab.isolate(H1);
    for id in lab.ids() {
        lab.power_on(id);
        lab[id].spawn();
    }
    let other_owns = || lab.owner(VIP).is_some_and(|owner| owner != H1);
    let other = until(BOOT, other_owns);
    lab.heal_wire();
    lab.await_calm(VIP);
    f64::from(!other)
}

/// 1 if such a host has had the IP at any time, or 0.
fn inherits_deaf(linkd: &mut Linkd) -> f64 {
    let owner = linkd.lab().await_calm(VIP);
    let deaf = linkd.lab().other_than(owner);
    linkd.lab().isolate(deaf);
    let mut watch = Watch::start(linkd.lab());
    let died = Instant::now();
    linkd.power_off(owner);
    watch.await_heir(owner);
    pause(AFTERMATH);
    let inherits = watch.taken_after(died, deaf).is_some();
    linkd.lab().heal_wire();
    linkd.power_on(owner);
    f64::from(inherits)
}

/// What has an IP leave a host.
#[derive(Clone, Copy)]
enum Order {
    Failover,
    Terminate,
    Delete,
}

/// An owner that hears nobody is told to give the IP up, at the moment at which it begins to be deaf.
pub(crate) fn orders(options: &Options) -> Vec<Row> {
    let orders =
        [("failover", Order::Failover), ("SIGTERM", Order::Terminate), ("DELETE", Order::Delete)];
    let of_order = |(name, order): (&str, Order)| {
        let mut linkd = three_hosts();
        let (mut served, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..options.runs {
            let former = linkd.lab().await_calm(VIP);
            let mut watch = Watch::start(linkd.lab());
            linkd.lab().isolate(former);
            let ordered = Instant::now();
            order.give(&mut linkd, former);
            pause(AFTERMATH);
            served.push(watch.settled_after(ordered));
            kept.push(f64::from(watch.holders.now().contains(&former)));
            linkd.lab().heal_wire();
            order.undo(&mut linkd, former);
        }
        let what = format!("owner hears nobody, {name}: another alone has it after");
        let kept = Row::new("  it has the IP again, or still", "1", kept);
        vec![Row::milliseconds(&what, served).marks(50.0, 50.0), kept.marks(0.0, 0.0)]
    };
    orders.into_iter().flat_map(|order| attempt(|| of_order(order))).collect()
}

impl Order {
    fn give(self, linkd: &mut Linkd, host: HostId) {
        let api = linkd.lab()[host].api();
        match self {
            Order::Failover => drop(api.failover(VIP)),
            Order::Terminate => linkd.terminate(host),
            Order::Delete => drop(api.delete(&api.path(VIP)).expect(204)),
        }
    }

    /// Has the host stand by again.
    fn undo(self, linkd: &mut Linkd, host: HostId) {
        match self {
            Order::Failover => {}
            Order::Terminate => linkd.restart(host),
            Order::Delete => drop(linkd.lab()[host].api().add(VIP)),
        }
    }
}

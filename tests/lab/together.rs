//! Several addresses with one lock, as an election has them: all of them are on a host, or none is.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use link::checks::{CheckDefaults, Timing};
use link::election::{Election, Member, Notice, Params};
use link::etcd::{self, Etcd, Event, Options};
use link::lock::Lease;
use link::net::{Announce, Net};
use link::policy::{AllFailingPolicy, Connections, LossPolicy};
use link::vip::{Check, ElectionKey};

use crate::harness::*;

/// The port of the service behind an address, on each host's loopback.
const PORT: u16 = 8080;

/// How often one is made.
const HURRY: Duration = Duration::from_millis(100);

/// No longer than that does any of them not answer during a planned move; it is milliseconds.
const AT_ONCE: Duration = Duration::from_millis(50);

/// An election on a host, with what it needs of an agent.
struct Candidate {
    host: HostId,
    // Dropped in this order: the election uses the others.
    election: Election,
    _net: Net,
    _etcd: Etcd,
    notices: Receiver<Notice>,
}

impl Candidate {
    /// Offers these addresses, each on an interface and perhaps with a check, under one lock.
    fn start(lab: &Lab, host: HostId, places: &[(Vip, &str, Option<Check>)]) -> Candidate {
        let options = Options {
            endpoints: lab.etcd.endpoints().split(',').map(str::to_owned).collect(),
            tls: None,
            user: None,
            renewal: Duration::from_secs(1),
            retries: 5,
            watch_prefix: link::lock::PREFIX.to_owned(),
            own_prefixes: Vec::new(),
            followed_prefix: None,
            stray: |_| false,
        };
        let timing = Timing { interval: HURRY, timeout: HURRY, commands: None };
        let member = |(vip, interface, check): &(Vip, &str, Option<Check>)| Member {
            cidr: vip.to_string().parse().expect("an address"),
            interface: (*interface).to_owned(),
            adopts: false,
            checks: check.iter().cloned().collect(),
            timing: timing.clone(),
        };
        let members = places.iter().map(member).collect();
        let key = ElectionKey::Group("gw".parse().expect("a name"), 1);
        lab[host].namespace().run(|| {
            let etcd = Etcd::start(options).expect("start a client");
            let net = Net::start(Announce::default(), Connections::Reset).expect("open sockets");
            let defaults =
                CheckDefaults { interval: HURRY, timeout: HURRY, fall: 2, rise: 1, commands: None };
            let params = Params {
                key,
                members,
                host: lab[host].name(),
                company: false,
                defaults,
                loss: LossPolicy::Take,
                priority: 100,
                all_failing: AllFailingPolicy::KeepLast,
                etcd: etcd.client(),
                net: net.client(),
            };
            let (notices_tx, notices) = unbounded();
            let tell = move |notice| drop(notices_tx.send(notice));
            let election = Election::start(params, Box::new(tell)).expect("start a thread");
            election.lease(Lease::Held(lease_of(&etcd)));
            Candidate { host, election, _net: net, _etcd: etcd, notices }
        })
    }

    /// Hands the addresses over. The other host may have to become a candidate again first.
    #[track_caller]
    fn hand_over(&self) {
        self.election.failover(None);
        let deadline = Instant::now() + crate::shim::PATIENCE;
        loop {
            match self.notices.recv_deadline(deadline).expect("a failover ends") {
                Notice::HandedOver(Ok(_)) => return,
                Notice::HandedOver(Err(_)) => self.election.failover(None),
                Notice::Status(_)
                | Notice::Owner(_)
                | Notice::AlsoMissed(_)
                | Notice::Acknowledged
                | Notice::Refused(_)
                | Notice::Served
                | Notice::Happened(_)
                | Notice::Left { .. } => {}
            }
        }
    }
}

/// The lease of a client, which keeps it from now on.
fn lease_of(etcd: &etcd::Etcd) -> i64 {
    crate::shim::await_event(&crate::shim::keep_lease(etcd), |event| match event {
        Event::Granted { id, .. } | Event::Held { id, .. } => Some(id),
        Event::Lost { .. }
        | Event::Paused(_)
        | Event::KeyChanged { .. }
        | Event::WatchOpened { .. } => None,
    })
}

/// The hosts that have all of these addresses, and those that have some of them only.
fn holders(lab: &Lab, vips: &[Vip]) -> (Vec<HostId>, Vec<HostId>) {
    let count = |id: &HostId| vips.iter().filter(|vip| lab[*id].binds(vip.ip())).count();
    let all = lab.ids().into_iter().filter(|id| count(id) == vips.len()).collect();
    let some = lab.ids().into_iter().filter(|id| (1..vips.len()).contains(&count(id))).collect();
    (all, some)
}

/// The host that has all of these addresses, while no other has any.
#[track_caller]
fn await_holder(lab: &Lab, vips: &[Vip], except: Option<HostId>) -> HostId {
    let mut holder = None;
    eventually(&format!("one host has {vips:?}, and not {except:?}"), || {
        let (all, some) = holders(lab, vips);
        holder = all.first().copied().filter(|id| all.len() == 1 && Some(*id) != except);
        holder.is_some() && some.is_empty()
    });
    holder.expect("it was awaited")
}

/// One on each host.
fn candidates(lab: &Lab, places: &[(Vip, &str, Option<Check>)]) -> Vec<Candidate> {
    lab.ids().into_iter().map(|id| Candidate::start(lab, id, places)).collect()
}

#[test]
fn a_carrier_that_one_address_needs_takes_all_of_them_to_another_host() {
    let lab = Lab::builder(2).management_network().build();
    let (inside, outside) = (VIP, VIP2);
    let places = [(inside, "eth1", None), (outside, "eth0", None)];
    let _hosts = candidates(&lab, &places);
    let first = await_holder(&lab, &[inside, outside], None);
    // Only the interface of one of them, and not of the one for which hosts are compared.
    lab.set_carrier(first, false);
    let second = await_holder(&lab, &[inside, outside], Some(first));
    lab.set_carrier(first, true);
    holds_for(Duration::from_secs(3), "nothing comes back", || {
        holders(&lab, &[inside, outside]) == (vec![second], Vec::new())
    });
}

#[test]
fn a_service_that_fails_behind_one_address_takes_all_of_them_to_another_host() {
    let lab = Lab::new(2);
    let places = [(VIP, "eth0", None), (VIP6, "eth0", Some(Check::tcp("127.0.0.1", PORT)))];
    let services = lab.ids().into_iter().map(|id| Some(lab[id].listen(PORT)));
    let mut services: Vec<_> = services.collect();
    let hosts = candidates(&lab, &places);
    let first = await_holder(&lab, &[VIP, VIP6], None);
    let place = hosts.iter().position(|it| it.host == first).expect("it is one of them");
    services[place] = None;
    let second = await_holder(&lab, &[VIP, VIP6], Some(first));
    assert_ne!(first, second);
}

#[test]
fn twenty_planned_moves_never_separate_ipv4_and_ipv6() {
    let lab = Lab::new(2);
    let places = [(VIP, "eth0", None), (VIP6, "eth0", None)];
    let hosts = candidates(&lab, &places);
    let mut owner = await_holder(&lab, &[VIP, VIP6], None);
    lab.await_reachable(VIP);
    lab.await_reachable(VIP6);
    let pings = [VIP, VIP6].map(|vip| (vip, lab.client.ping(vip.ip())));
    for round in 0..20 {
        let from = hosts.iter().find(|it| it.host == owner).expect("it is one of them");
        from.hand_over();
        // Make before break: when the one says that it is done, the other has them all.
        let (all, _) = holders(&lab, &[VIP, VIP6]);
        assert!(all.iter().any(|id| *id != owner), "round {round}: {all:?}, was {owner}");
        owner = await_holder(&lab, &[VIP, VIP6], Some(owner));
    }
    for (vip, report) in pings.map(|(vip, ping)| (vip, ping.stop())) {
        assert!(report.longest_gap < AT_ONCE, "{vip}: {report:?}");
    }
}

//! A plan of what goes wrong, and when.

use crate::cluster::Service;
use crate::fault::Fault;
use crate::memory_etcd::Millis;
use crate::random::Random;
use crate::setup::{GATEWAY, Group, HOSTS, HostId, IPS, IpId, Wish};
use crate::users::Want;

/// Faults with their times, in order.
pub(crate) type Plan = Vec<(Millis, Fault)>;

/// A random plan: bursts of faults with quiet times in between, in which everything must heal.
pub(crate) fn plan(random: &mut Random, bursts: u64) -> Plan {
    let mut plan = Plan::new();
    let mut at = 15_000;
    for _ in 0..bursts {
        if random.one_in(2) {
            at = story(random, &mut plan, at);
        }
        for _ in 0..random.between(1, 6) {
            let fault = fault(random);
            plan.push((at, fault));
            // Who uses the API does not wait until all is well.
            if random.one_in(3) {
                let host = fault.victims().pop().unwrap_or(random.index(HOSTS));
                let ip = random.index(IPS);
                let asked = asks(random, host, ip);
                plan.push((at + random.between(0, 1_500), asked));
            }
            at += random.between(0, 4_000);
        }
        at += random.between(1_000, 60_000);
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
}

/// What goes wrong together, and seldom does by chance; when it is over.
fn story(random: &mut Random, plan: &mut Plan, begin: Millis) -> Millis {
    let (host, ip) = (random.index(HOSTS), random.index(IPS));
    // What is to be alone begins when all is well, and ends before the next.
    let (calm, lasts) = (begin + 30_000, random.between(8_000, 20_000));
    match random.between(0, 14) {
        0 => old_image(random, plan, begin, host, ip),
        1 => unheard_answer(random, plan, begin, host, ip),
        2 => unheard_owner(random, plan, begin, host, ip),
        3 => lonely_owner(random, plan, begin, host, ip),
        4 => {
            plan.push((calm, Fault::AllSick { ip, lasts }));
            calm + lasts
        }
        5 => {
            plan.push((calm, Fault::Twin { host, lasts }));
            calm + lasts
        }
        6 => beside_go(random, plan, begin, host, ip),
        7 => {
            plan.push((calm, Fault::Restart { host, after: random.between(100, 1_500) }));
            calm + lasts
        }
        8 => leader_dies(random, plan, calm, host),
        9 => leaderless_split(random, plan, calm, host),
        10 => deaf_standby(random, plan, calm, host),
        11 => deaf_boot(random, plan, begin, host),
        12 => nothing(random, plan, calm, host),
        13 => fenced(random, plan, calm, host),
        _ => {
            plan.push((begin, Fault::Stuck { host, ip, lasts: lasts * 3 }));
            let ask =
                |other| (begin + 1_000, Fault::Asks { host: other, ip, want: Want::Failover });
            plan.extend((0..HOSTS).filter(|other| *other != host).map(ask));
            begin + lasts * 3
        }
    }
}

/// A host dies with the member of etcd on it, which led.
fn leader_dies(random: &mut Random, plan: &mut Plan, begin: Millis, host: HostId) -> Millis {
    let lasts = random.between(4_000, 20_000);
    plan.push((begin, Fault::PowerOff { host, lasts }));
    plan.push((begin, Fault::Leaderless { lasts: random.between(1_000, 3_000) }));
    begin + lasts
}

/// A host, or its side of the network, is cut off while etcd has no leader.
fn leaderless_split(random: &mut Random, plan: &mut Plan, begin: Millis, host: HostId) -> Millis {
    let lasts = random.between(500, 6_000);
    let (out, in_) = directions(random);
    let group = if random.one_in(2) { Group(1 << host) } else { Group::random(random) };
    plan.push((begin, Fault::Split { group, out, in_, lasts }));
    let at = begin + random.between(0, 300);
    plan.push((at, Fault::Leaderless { lasts: random.between(500, 3_000) }));
    begin + lasts
}

/// A standby hears nobody, and then the owner dies.
fn deaf_standby(random: &mut Random, plan: &mut Plan, begin: Millis, host: HostId) -> Millis {
    let lasts = random.between(8_000, 20_000);
    let (out, in_) = (random.one_in(2), true);
    plan.push((begin, Fault::Split { group: Group(1 << host), out, in_, lasts }));
    let other = (host + 1 + random.index(HOSTS - 1)) % HOSTS;
    plan.push((begin + 3_000, Fault::PowerOff { host: other, lasts }));
    begin + 3_000 + lasts
}

/// A host that hears nobody boots while the others are away for a moment.
fn deaf_boot(random: &mut Random, plan: &mut Plan, begin: Millis, host: HostId) -> Millis {
    let lasts = random.between(20_000, 40_000);
    plan.push((begin, Fault::PowerOff { host, lasts: 2_000 }));
    plan.push((begin, Fault::Isolated { host, out: true, in_: true, lasts }));
    for other in (0..HOSTS).filter(|other| *other != host) {
        let at = begin + random.between(500, 2_500);
        plan.push((at, Fault::Restart { host: other, after: random.between(100, 8_000) }));
    }
    begin + lasts
}

/// The network, an agent and a supervisor stand still for a moment, which moves nothing.
fn nothing(random: &mut Random, plan: &mut Plan, begin: Millis, host: HostId) -> Millis {
    let mut at = begin;
    for _ in 0..random.between(2, 5) {
        plan.push(match random.between(0, 2) {
            0 => (at, Fault::Pause { lasts: random.between(100, 200) }),
            1 => (at, Fault::Freeze { host, lasts: random.between(100, 300) }),
            _ => (at, Fault::Busy { host, lasts: random.between(100, 800) }),
        });
        at += random.between(1_200, 4_000);
    }
    at
}

/// A host dies, and somebody who knows it tells another; or it is told of a host that lives.
fn fenced(random: &mut Random, plan: &mut Plan, begin: Millis, host: HostId) -> Millis {
    let lasts = random.between(1_000, 20_000);
    if !random.one_in(3) {
        plan.push((begin, Fault::PowerOff { host, lasts }));
    }
    let other = (host + 1 + random.index(HOSTS - 1)) % HOSTS;
    let want = Want::Fence { target: host, force: random.one_in(6) };
    let at = begin + random.between(100, 2_000);
    plan.push((at, Fault::Asks { host: other, ip: 0, want }));
    begin + lasts
}

/// One direction or the other, or both.
fn directions(random: &mut Random) -> (bool, bool) {
    match random.between(0, 3) {
        0 => (true, false),
        1 => (false, true),
        _ => (true, true),
    }
}

/// A Go LinK serves an IP beside one host, which hands it over and stops, and is stopped itself.
fn beside_go(
    random: &mut Random,
    plan: &mut Plan,
    begin: Millis,
    host: HostId,
    ip: IpId,
) -> Millis {
    for other in (0..HOSTS).filter(|other| *other != host) {
        plan.push((begin, Fault::Asks { host: other, ip, want: Want::Delete }));
    }
    let calm = begin + 32_000;
    let lasts = random.between(20_000, 60_000);
    plan.push((calm, Fault::GoLink { ip, lasts }));
    let ask = calm + random.between(1_000, lasts);
    plan.push((ask, Fault::Asks { host, ip, want: Want::Failover }));
    let stop = calm + random.between(1_000, lasts);
    plan.push((stop, Fault::Stop { host, after: random.between(1_000, 20_000) }));
    for other in (0..HOSTS).filter(|other| *other != host) {
        let want = Want::Create(Wish::random(random));
        plan.push((calm + lasts, Fault::Asks { host: other, ip, want }));
    }
    calm + lasts
}

/// Somebody writes the lock of an IP that one host alone serves, and deletes it at once.
fn lonely_owner(
    random: &mut Random,
    plan: &mut Plan,
    begin: Millis,
    host: HostId,
    ip: IpId,
) -> Millis {
    let mut at = begin;
    for other in (0..HOSTS).filter(|other| *other != host) {
        plan.push((at, Fault::Asks { host: other, ip, want: Want::Delete }));
        at += random.between(100, 2_000);
    }
    let written = at + random.between(5_000, 10_000);
    plan.push((written, Fault::WriteLock { ip, lasts: random.between(1, 25) }));
    let restored = written + random.between(35_000, 50_000);
    for other in (0..HOSTS).filter(|other| *other != host) {
        let want = Want::Create(Wish::random(random));
        plan.push((restored, Fault::Asks { host: other, ip, want }));
    }
    restored
}

/// etcd carries a deletion out, the answer is lost, and the agent is killed when the user was told.
fn unheard_answer(
    random: &mut Random,
    plan: &mut Plan,
    begin: Millis,
    host: HostId,
    ip: IpId,
) -> Millis {
    let asked = begin + random.between(1, 500);
    let killed = asked + random.between(2_000, 6_000);
    let lasts = killed - begin + random.between(1, 1_000);
    plan.push((begin, Fault::Cut { host, to_etcd: false, from_etcd: true, lasts }));
    plan.push((asked, Fault::Asks { host, ip, want: Want::Delete }));
    plan.push((killed, Fault::Restart { host, after: random.between(300, 3_000) }));
    begin + lasts
}

/// An IP is handed over to a host that is not heard and hands it on, of which the first does not hear.
fn unheard_owner(
    random: &mut Random,
    plan: &mut Plan,
    begin: Millis,
    host: HostId,
    ip: IpId,
) -> Millis {
    let lasts = random.between(500, 5_000);
    let to = (host + 1 + random.index(HOSTS - 1)) % HOSTS;
    plan.push((begin, Fault::Isolated { host, out: true, in_: false, lasts }));
    plan.push((begin, Fault::DeadWatch { host: to }));
    let asked = Fault::Asks { host: to, ip, want: Want::Failover };
    let at = begin + random.between(1, lasts);
    plan.push((at, asked));
    let on = Fault::Asks { host, ip, want: Want::Failover };
    plan.push((at + random.between(100, 450), on));
    begin + lasts
}

/// An IP is registered anew, and the host boots from an image of before, while there is no etcd.
fn old_image(
    random: &mut Random,
    plan: &mut Plan,
    begin: Millis,
    host: HostId,
    ip: IpId,
) -> Millis {
    let created = begin + random.between(1_000, 5_000);
    let killed = created + random.between(1_000, 5_000);
    let after = random.between(1_000, 5_000);
    plan.push((begin, Fault::Asks { host, ip, want: Want::Delete }));
    let wish = Wish::random(random);
    plan.push((created, Fault::Asks { host, ip, want: Want::Create(wish) }));
    plan.push((killed, Fault::OldCopy { host, after }));
    plan.push((killed + 1, Fault::EtcdDown { lasts: after + random.between(3_000, 15_000) }));
    killed + after
}

fn lasts(random: &mut Random) -> Millis {
    match random.between(0, 2) {
        0 => random.between(10, 500),
        1 => random.between(500, 4_000),
        _ => random.between(4_000, 20_000),
    }
}

fn fault(random: &mut Random) -> Fault {
    let (host, ip, lasts) = (random.index(HOSTS), random.index(IPS), lasts(random));
    match random.between(0, 9) {
        0 | 1 => of_etcd(random, lasts),
        2 => of_connection(random, host, lasts),
        3 => by_hand(random, host, ip, lasts),
        4 => of_network(random, host, ip, lasts),
        5 | 6 => of_agent(random, host, ip, lasts),
        7 => match random.between(0, 2) {
            0 => Fault::AllSick { ip, lasts: lasts * 2 },
            _ => Fault::Sick { host, ip, lasts },
        },
        _ => asks(random, host, ip),
    }
}

fn of_etcd(random: &mut Random, lasts: Millis) -> Fault {
    match random.between(0, 12) {
        0 | 1 => Fault::EtcdDown { lasts },
        2 => Fault::EtcdDown { lasts: lasts * 2 },
        3 => Fault::LeaderChange,
        4 => Fault::Restore { back: random.index(8) },
        5 => Fault::Wiped { another: random.one_in(2) },
        6 => Fault::MassRevoke,
        7 => Fault::Refuses { service: Service::NoSpace, lasts },
        8 => Fault::Refuses { service: Service::ReadOnly, lasts },
        9 => Fault::Refuses { service: Service::Corrupt, lasts },
        _ => Fault::Leaderless { lasts: random.between(300, 3_500) },
    }
}

fn of_connection(random: &mut Random, host: HostId, lasts: Millis) -> Fault {
    match random.between(0, 9) {
        0 => Fault::Cut { host, to_etcd: true, from_etcd: false, lasts },
        1 => Fault::Cut { host, to_etcd: false, from_etcd: true, lasts },
        2 | 3 => Fault::Cut { host, to_etcd: true, from_etcd: true, lasts },
        4 => Fault::Slow { host, lasts },
        5 => Fault::DeadWatch { host },
        6 => Fault::LostDeletion { host },
        7 => Fault::OldEvents { host },
        8 => Fault::LateWatch { host, lasts },
        _ if random.one_in(2) => {
            let reads = if random.one_in(2) { 1 } else { 2 };
            Fault::StaleReads { host, reads, lasts: lasts.min(5_000) }
        }
        _ => Fault::Zombie { host, lasts },
    }
}

fn by_hand(random: &mut Random, host: HostId, ip: IpId, lasts: Millis) -> Fault {
    match random.between(0, 5) {
        0 | 1 => Fault::DeleteLock { ip },
        2 => Fault::Revoke { host },
        3 => Fault::DeleteRecord { host, ip },
        4 => Fault::GarbleRecord { host, ip },
        _ if random.one_in(2) => Fault::WriteLock { ip, lasts: random.between(1, 25) },
        _ => Fault::WriteLock { ip, lasts: lasts.min(5_000) },
    }
}

fn of_network(random: &mut Random, host: HostId, ip: IpId, lasts: Millis) -> Fault {
    match random.between(0, 9) {
        0 => Fault::Isolated { host, out: true, in_: false, lasts },
        1 => Fault::Isolated { host, out: false, in_: true, lasts },
        2 => Fault::Isolated { host, out: true, in_: true, lasts },
        3 => Fault::Unplugged { host, lasts },
        4 => Fault::Stuck { host, ip, lasts: lasts * 3 },
        5 => {
            let to = (host + 1 + random.index(HOSTS - 1)) % HOSTS;
            Fault::Parted { from: host, to, lasts }
        }
        6 if random.one_in(2) => Fault::Parted { from: GATEWAY, to: host, lasts },
        6 => Fault::Pause { lasts: random.between(50, 200) },
        _ => {
            let (out, in_) = directions(random);
            let alone = random.one_in(3);
            let group = if alone { Group(1 << host) } else { Group::random(random) };
            Fault::Split { group, out, in_, lasts }
        }
    }
}

fn of_agent(random: &mut Random, host: HostId, ip: IpId, lasts: Millis) -> Fault {
    match random.between(0, 11) {
        0 | 1 => Fault::Restart { host, after: lasts },
        2 => Fault::Restart { host, after: lasts.min(1_500) },
        3 => Fault::Reload { host },
        4 => Fault::PowerOff { host, lasts },
        5 => Fault::Freeze { host, lasts },
        6 => Fault::Stop { host, after: lasts },
        7 => Fault::OldCopy { host, after: lasts },
        8 => Fault::LostCopy { host, after: lasts },
        9 => Fault::Suspend { host, lasts },
        10 => Fault::Busy { host, lasts: random.between(100, 900) },
        _ => Fault::KilledAtDelete { host, ip, after: random.between(0, 40) },
    }
}

fn asks(random: &mut Random, host: HostId, ip: IpId) -> Fault {
    let want = match random.between(0, 11) {
        0 => Want::CreateBoth(Wish::random(random)),
        1 | 2 => Want::Create(Wish::random(random)),
        3 | 4 => Want::Delete,
        5 if random.one_in(2) => Want::Priority(Wish::random(random).priority),
        5 => Want::Loss(Wish::random(random).loss),
        6 => Want::Lock,
        7 => Want::Drained(true),
        8 if random.one_in(2) => Want::Grouped(random.one_in(2)),
        8 => Want::Drained(false),
        9 => Want::Fence { target: random.index(HOSTS), force: random.one_in(4) },
        _ => Want::Failover,
    };
    Fault::Asks { host, ip, want }
}

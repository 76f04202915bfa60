//! As many IPs as a host may have by default.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::contender::{Contender, of_keepalived};
use super::harness::{Capture, H1, Mac, Payload, Pinger, Vip, eventually};
use super::keepalived::Keepalived;
use super::linkd::{Linkd, MANY};
use super::locks::LockWatch;
use super::options::Options;
use super::table::{Row, attempt, gaps};
use super::watch::random_phase;

/// The owner of all IPs dies; each run has a lab of its own, because the heirs may be several.
pub(crate) fn host_dies(options: &Options) -> Vec<Row> {
    let mut rows = attempt(|| with_agents(options.runs));
    if options.keepalived.is_some() {
        rows.extend(of_keepalived(attempt(|| with_keepalived(options.runs))));
    }
    rows
}

fn with_agents(runs: usize) -> Vec<Row> {
    let (mut deaths, mut told) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let mut linkd = Linkd::sharing_many();
        random_phase();
        let watch = LockWatch::start(linkd.lab());
        let death = Death::of_first_host(&mut linkd);
        told.push(death.first.saturating_duration_since(watch.first_change()));
        deaths.push(death);
    }
    let mut rows = rows(&deaths);
    rows.push(Row::milliseconds("  first change of a lock in etcd to the first", told));
    rows
}

fn with_keepalived(runs: usize) -> Vec<Row> {
    let once = |_| {
        let mut keepalived = Keepalived::sharing_many();
        random_phase();
        Death::of_first_host(&mut keepalived)
    };
    rows(&(0..runs).map(once).collect::<Vec<_>>())
}

/// Of the many, those that a client pings.
const PINGED: [u16; 3] = [1, MANY / 2, MANY];

/// The owner of all IPs is drained; each run has a lab of its own.
pub(crate) fn drained(options: &Options) -> Vec<Row> {
    let (mut moved, mut pings) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let linkd = Linkd::sharing_many();
        let lab = linkd.lab();
        random_phase();
        let pingers = PINGED.map(|number| lab.client.ping(Vip::v4(number).ip()));
        random_phase();
        let ordered = Instant::now();
        lab[H1].api().send("POST", "/drain", None).expect(200);
        eventually("the host has no IP any more", || {
            let left = lab[H1].addresses();
            (1..=MANY).all(|number| !left.contains(&Vip::v4(number).ip()))
        });
        moved.push(ordered.elapsed());
        random_phase();
        pings.extend(pingers.map(Pinger::stop));
    }
    let [gap, lost, noise] = gaps("owner of 1000 IPs is drained, of three IPs", &pings);
    let moved = Row::milliseconds("  order to the last address that is gone", moved);
    vec![gap, lost.marks(0.0, 0.0), noise, moved.mark(1000.0)]
}

/// The end of the owner of all IPs, and what followed.
struct Death {
    at: Instant,
    /// The first announcement of the IP that was announced first, and last, by another host.
    first: Instant,
    last: Instant,
}

impl Death {
    fn of_first_host(contender: &mut dyn Contender) -> Death {
        let dead = contender.lab()[H1].mac();
        let mut capture = contender.lab().client.capture();
        let at = Instant::now();
        contender.power_off(H1);
        let mut announced = BTreeMap::new();
        eventually("all IPs are announced by other hosts", || {
            announced = first_announcements(&mut capture, dead);
            announced.len() == usize::from(MANY)
        });
        let moments = || announced.values().copied();
        let (first, last) = (moments().min(), moments().max());
        Death { at, first: first.unwrap_or(at), last: last.unwrap_or(at) }
    }
}

fn rows(deaths: &[Death]) -> Vec<Row> {
    let spread = deaths.iter().map(|death| death.last - death.first);
    let all = deaths.iter().map(|death| death.last - death.at);
    vec![
        Row::milliseconds("owner of 1000 IPs dies: first to last announcement", spread).mark(180.0),
        Row::seconds("  death to the last announcement", all),
    ]
}

/// When each IP was first announced by another card than the dead one.
fn first_announcements(capture: &mut Capture, dead: Mac) -> BTreeMap<Ipv4Addr, Instant> {
    let mut first = BTreeMap::new();
    for frame in capture.frames().iter().filter(|frame| frame.source != dead) {
        match &frame.payload {
            Payload::Arp(arp) if arp.sender == arp.target => {
                first.entry(arp.sender).or_insert(frame.at);
            }
            Payload::Arp(_) | Payload::Advertisement(_) => {}
        }
    }
    first
}

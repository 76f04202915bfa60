//! Whether others are heard where a host is silent: if nobody is, it may be this host that is deaf.
//!
//! Pure: time comes in as an argument. As long as a host is silent, a few neighbours are asked, each
//! alone, for an address that it has, once a second. One answer is enough: questions leave this host
//! then, and answers arrive. A host that asks everybody for the address of the silent one at that moment
//! misses it as well: that is as good as an answer.
//!
//! What was not heard while this host was deaf says nothing, and the hearing may come back at any
//! moment. So the silent host is asked again together with its neighbours: only after its time to
//! answer does the answer of another tell something of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::monitored::MonitorTiming;
use crate::net::codec::ethernet::Mac;
use crate::net::codec::heard::{Heard, Kind};
use crate::vip::Cidr;

/// How many neighbours are asked: some may be dead for the same reason.
pub(super) const NEIGHBOURS: usize = 3;

/// Between two times that they are asked.
const GAP: Duration = Duration::from_secs(1);

/// How long an answer is waited for at least: a neighbour may have other things to do.
const PATIENCE: Duration = Duration::from_millis(20);

/// The hosts that are silent, each known by an address that it had.
#[derive(Debug, Default)]
pub(super) struct ReferenceProbes {
    silent: BTreeMap<Cidr, ReferenceProbe>,
}

/// How far the search for others has come.
#[derive(Debug)]
struct ReferenceProbe {
    owner: Mac,
    timing: MonitorTiming,
    /// When to ask next; while an answer is awaited, when to wait no more.
    due: Instant,
    /// While an answer is awaited.
    asked: Option<Asked>,
    answered: bool,
    /// Others are heard, as was told.
    told: bool,
}

/// What was asked.
#[derive(Debug)]
struct Asked {
    /// The index of the interface.
    index: u32,
    /// The addresses for which neighbours were asked.
    ips: Vec<IpAddr>,
    /// Until when the silent host may answer.
    settled: Instant,
}

impl ReferenceProbes {
    /// A host falls silent that is monitored so: its neighbours are to be asked, if they are not
    /// already.
    pub(super) fn begin(&mut self, cidr: Cidr, owner: Mac, timing: MonitorTiming, now: Instant) {
        let (asked, answered, told) = (None, false, false);
        let probe = ReferenceProbe { owner, timing, due: now, asked, answered, told };
        self.silent.entry(cidr).or_insert(probe);
    }

    /// It is heard again, or nobody wants to know any more.
    pub(super) fn end(&mut self, cidr: Cidr) {
        self.silent.remove(&cidr);
    }

    /// Goes on with these hosts alone: the others have turned out not to be silent.
    pub(super) fn keep(&mut self, is_doubted: impl Fn(Cidr) -> bool) {
        self.silent.retain(|cidr, _| is_doubted(*cidr));
    }

    /// What was heard until now does not count: the neighbours are asked anew in a while.
    pub(super) fn postpone(&mut self, cidr: Cidr, now: Instant) {
        if let Some(probe) = self.silent.get_mut(&cidr) {
            probe.rest(now);
        }
    }

    /// The same for all of them.
    pub(super) fn postpone_all(&mut self, now: Instant) {
        self.silent.values_mut().for_each(|probe| probe.rest(now));
    }

    /// The silent hosts whose neighbours are to be asked now, with their hardware addresses.
    pub(super) fn due(&self, now: Instant) -> Vec<(Cidr, Mac)> {
        let due = self.silent.iter().filter(|(_, at)| at.asked.is_none() && at.due <= now);
        due.map(|(cidr, probe)| (*cidr, probe.owner)).collect()
    }

    /// Neighbours were asked for these addresses, on the interface with this index, and then the silent
    /// host.
    pub(super) fn asked(&mut self, cidr: Cidr, index: u32, ips: Vec<IpAddr>, now: Instant) {
        if let Some(probe) = self.silent.get_mut(&cidr) {
            probe.asked = Some(Asked { index, ips, settled: now + probe.timing.patience() });
            probe.due = now + probe.timing.interval.max(PATIENCE);
        }
    }

    /// Takes note of what another host has said on the interface with this index.
    pub(super) fn heard(&mut self, index: u32, heard: &Heard) {
        for (cidr, probe) in &mut self.silent {
            probe.answered |= probe.is_answered_by(cidr.addr(), index, heard);
        }
    }

    /// What is new of those that are silent by now: whether others are heard. All that has come until
    /// `now` must have been heard.
    pub(super) fn take_news(
        &mut self,
        now: Instant,
        is_silent: impl Fn(Cidr) -> bool,
    ) -> Vec<(Cidr, bool)> {
        let mut news = Vec::new();
        for (cidr, probe) in self.silent.iter_mut().filter(|(cidr, _)| is_silent(**cidr)) {
            if probe.asked.is_none() || now < probe.next_due() {
                continue;
            }
            let answered = probe.answered;
            probe.rest(now);
            if std::mem::replace(&mut probe.told, answered) != answered {
                news.push((*cidr, answered));
            }
        }
        news
    }

    /// When there is something to do next, if nothing is heard until then.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.silent.values().map(ReferenceProbe::next_due).min()
    }
}

impl ReferenceProbe {
    fn next_due(&self) -> Instant {
        self.asked.as_ref().filter(|_| self.answered).map_or(self.due, |asked| asked.settled)
    }

    fn rest(&mut self, now: Instant) {
        self.due = now + GAP;
        self.asked = None;
        self.answered = false;
    }

    /// What the silent host says itself does not count, nor what is said in its name: it is dead by
    /// what is not heard of it.
    fn is_answered_by(&self, silent: IpAddr, index: u32, heard: &Heard) -> bool {
        let Some(asked) = self.asked.as_ref().filter(|asked| asked.index == index) else {
            return false;
        };
        let told = match heard.kind {
            Kind::Claim => asked.ips.contains(&heard.ip),
            Kind::Probe => heard.ip == silent,
        };
        told && heard.mac != self.owner && heard.source != self.owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Mac = [2, 0, 0, 0, 0, 1];
    const ROUTER: Mac = [2, 0, 0, 0, 0, 2];
    const INTERVAL: Duration = Duration::from_millis(100);
    const TIMING: MonitorTiming = every(INTERVAL);
    /// The time that the silent host has to answer.
    const ANSWER: Duration = Duration::from_millis(50);

    const fn every(interval: Duration) -> MonitorTiming {
        MonitorTiming { interval, doubt: interval, count: 3, alone: true }
    }

    fn vip() -> Cidr {
        "10.0.0.1/32".parse().unwrap()
    }

    fn router() -> IpAddr {
        [10, 0, 0, 254].into()
    }

    fn says(kind: Kind, ip: IpAddr, mac: Mac) -> Heard {
        Heard { ip, kind, mac, source: mac }
    }

    fn take(reference_probes: &mut ReferenceProbes, now: Instant) -> Vec<(Cidr, bool)> {
        reference_probes.take_news(now, |_| true)
    }

    /// A host has fallen silent, and the router was asked on interface 3.
    fn asked(now: Instant) -> ReferenceProbes {
        let mut reference_probes = ReferenceProbes::default();
        reference_probes.begin(vip(), OWNER, TIMING, now);
        assert_eq!(reference_probes.next_due(), Some(now));
        assert_eq!(reference_probes.due(now), [(vip(), OWNER)]);
        reference_probes.asked(vip(), 3, vec![router()], now);
        assert_eq!(reference_probes.due(now + INTERVAL), []);
        reference_probes
    }

    #[test]
    fn a_neighbour_that_answers_shows_that_this_host_is_not_deaf() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        assert_eq!(take(&mut reference_probes, now), []);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        assert_eq!(take(&mut reference_probes, now + ANSWER), [(vip(), true)]);
        assert_eq!(reference_probes.next_due(), Some(now + ANSWER + GAP), "it is asked again");
    }

    #[test]
    fn the_silent_host_has_its_time_to_answer_though_another_has_answered() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        assert_eq!(take(&mut reference_probes, now), []);
        assert_eq!(reference_probes.next_due(), Some(now + ANSWER));
        reference_probes.end(vip());
        assert_eq!(take(&mut reference_probes, now + ANSWER), []);
    }

    #[test]
    fn nothing_is_told_of_a_host_before_it_is_silent() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        assert_eq!(reference_probes.take_news(now + ANSWER, |_| false), []);
        assert_eq!(take(&mut reference_probes, now + ANSWER), [(vip(), true)]);
        reference_probes.keep(|_| false);
        assert_eq!(reference_probes.next_due(), None);
    }

    #[test]
    fn a_host_that_falls_silent_is_not_begun_with_again() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.begin(vip(), OWNER, TIMING, now);
        assert_eq!(reference_probes.due(now + INTERVAL), []);
    }

    #[test]
    fn who_asks_everybody_for_the_silent_host_misses_it_as_well() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.heard(3, &says(Kind::Probe, vip().addr(), ROUTER));
        assert_eq!(take(&mut reference_probes, now + ANSWER), [(vip(), true)]);
    }

    #[test]
    fn what_somebody_says_of_something_else_or_elsewhere_is_no_answer() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        let other = IpAddr::from([10, 0, 0, 9]);
        reference_probes.heard(4, &says(Kind::Claim, router(), ROUTER));
        reference_probes.heard(3, &says(Kind::Claim, other, ROUTER));
        reference_probes.heard(3, &says(Kind::Probe, other, ROUTER));
        reference_probes.heard(3, &says(Kind::Claim, router(), OWNER));
        reference_probes.heard(3, &Heard { source: OWNER, ..says(Kind::Claim, router(), ROUTER) });
        assert_eq!(take(&mut reference_probes, now + INTERVAL), []);
    }

    #[test]
    fn what_was_said_before_anybody_was_asked_is_no_answer() {
        let now = Instant::now();
        let mut reference_probes = ReferenceProbes::default();
        reference_probes.begin(vip(), OWNER, TIMING, now);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        reference_probes.heard(3, &says(Kind::Probe, vip().addr(), ROUTER));
        assert_eq!(take(&mut reference_probes, now), []);
    }

    #[test]
    fn nobody_is_waited_for_longer_than_an_interval_and_all_are_asked_every_second() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        assert_eq!(reference_probes.next_due(), Some(now + INTERVAL));
        assert_eq!(take(&mut reference_probes, now + INTERVAL), []);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        let again = now + INTERVAL + GAP;
        assert_eq!(take(&mut reference_probes, again), [], "that was too late");
        assert_eq!(reference_probes.due(again), [(vip(), OWNER)]);
        reference_probes.asked(vip(), 3, vec![router()], again);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        assert_eq!(take(&mut reference_probes, again + ANSWER), [(vip(), true)]);
    }

    #[test]
    fn others_that_fall_silent_too_are_told_and_told_once() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
        take(&mut reference_probes, now + ANSWER);
        let mut news = Vec::new();
        for second in 1..5 {
            let now = now + GAP * second * 2;
            reference_probes.asked(vip(), 3, vec![router()], now);
            news.push(take(&mut reference_probes, now + INTERVAL));
        }
        assert_eq!(news, [vec![(vip(), false)], vec![], vec![], vec![]]);
    }

    #[test]
    fn an_answer_that_may_be_worth_nothing_is_waited_for_anew() {
        let postpones: [fn(&mut ReferenceProbes, Instant); 2] =
            [|all, now| all.postpone(vip(), now), |all, now| all.postpone_all(now)];
        for postpone in postpones {
            let now = Instant::now();
            let mut reference_probes = asked(now);
            reference_probes.heard(3, &says(Kind::Claim, router(), ROUTER));
            postpone(&mut reference_probes, now);
            assert_eq!(take(&mut reference_probes, now), []);
            assert_eq!(reference_probes.next_due(), Some(now + GAP));
        }
    }

    #[test]
    fn nothing_is_due_when_nobody_is_silent() {
        let now = Instant::now();
        let mut reference_probes = asked(now);
        reference_probes.end(vip());
        reference_probes.asked(vip(), 3, vec![router()], now);
        assert_eq!((reference_probes.next_due(), reference_probes.due(now)), (None, Vec::new()));
    }

    #[test]
    fn at_the_shortest_interval_a_neighbour_has_twenty_milliseconds() {
        let now = Instant::now();
        let mut reference_probes = ReferenceProbes::default();
        reference_probes.begin(vip(), OWNER, every(Duration::from_millis(10)), now);
        reference_probes.asked(vip(), 3, vec![router()], now);
        assert_eq!(reference_probes.next_due(), Some(now + PATIENCE));
    }
}

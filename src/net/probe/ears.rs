//! Listens whether anybody else is there.
//!
//! Owns what is known of each interface, and those who want to know it now; lives on the actuator's
//! thread. Nothing here blocks. What comes in is heard by the listener, for which `open` tells on which
//! interfaces it is to let everything through.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::asker::{Asker, ProbeSource, Reference};
use super::hearing::Hearings;
use super::reference_probes::NEIGHBOURS;
use crate::net::bucket::Bucket;
use crate::net::codec::ethernet;
use crate::network::{Heard, Hearing, Mac};
use crate::vip::Cidr;

/// Answers to other hosts that want to hear somebody, per second and at once: more than a hundred of them
/// need, which ask once a second.
const SIGNS: (u32, u32) = (200, 50);

/// Hears whether others are heard, and whether the address was there when the actuator began to listen; called
/// on the actuator's thread, must not block.
pub type Listened = Box<dyn FnOnce(Heard) + Send>;

/// Somebody wants to know who is heard on the interface of an address.
pub(crate) struct Listen {
    /// The address, if it is managed.
    pub(crate) cidr: Cidr,
    /// When it was asked.
    pub(crate) since: Instant,
    /// What was heard so long before counts as well.
    pub(crate) recent: Duration,
    /// How long it may take.
    pub(crate) within: Duration,
    /// Who asks.
    pub(crate) reply: Listened,
}

/// Whom one can ask on an interface.
#[derive(Debug)]
pub(crate) struct Askable {
    /// From where.
    pub(crate) source: ProbeSource,
    /// The neighbours; the ones to be preferred come first.
    pub(crate) neighbours: Vec<Reference>,
    /// An address that another host may have.
    pub(crate) elsewhere: Option<Ipv4Addr>,
}

/// The ears.
#[derive(Debug)]
pub(crate) struct Ears {
    asker: Asker,
    hearings: Hearings,
    signs: Bucket,
    /// Those who have asked since the last time that something was heard.
    new: Vec<Listen>,
    /// Those who wait, each with the index of the interface, and whether their address is there.
    waiting: Vec<(u32, bool, Listen)>,
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listen").field(&self.cidr).field(&self.within).finish()
    }
}

impl Listen {
    /// Changes of many addresses are interrupted for it.
    pub(crate) fn is_urgent(&self) -> bool {
        self.recent.is_zero()
    }

    fn until(&self) -> Instant {
        self.since + self.within
    }
}

impl Ears {
    /// Listens nowhere yet.
    pub(crate) fn new(asker: Asker) -> Ears {
        let (hearings, signs) = (Hearings::default(), Bucket::new(SIGNS.0, SIGNS.1));
        Ears { asker, hearings, signs, new: Vec::new(), waiting: Vec::new() }
    }

    /// Listens on these interfaces, and on no others.
    pub(crate) fn attend(&mut self, indexes: &[u32], now: Instant) {
        self.hearings.attend(indexes, now);
        self.answer(|at, _| (!indexes.contains(&at)).then_some(Hearing::Unknown));
    }

    /// Starts afresh on an interface: its neighbours may be others.
    pub(crate) fn restart(&mut self, index: u32, now: Instant) {
        self.hearings.restart(index, now);
        self.answer(|at, _| (at == index).then_some(Hearing::Unknown));
    }

    /// This process stood still: what was heard before is old.
    pub(crate) fn restart_all(&mut self, now: Instant) {
        self.hearings.restart_all(now);
        self.answer(|_, _| Some(Hearing::Unknown));
    }

    /// Others are asked at once on an interface where a host is doubted: it may be this one that is deaf.
    pub(crate) fn check(&mut self, index: u32) {
        self.hearings.listen(index, Instant::now());
    }

    /// Somebody asks who is heard: see [`Ears::listen_anew`].
    pub(crate) fn listen(&mut self, listen: Listen) {
        self.new.push(listen);
    }

    /// Whether somebody has asked who is heard, for whom nothing was done yet.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.new.is_empty()
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes note of who has sent a frame, unless that is this host itself.
    pub(crate) fn heard(
        &mut self,
        index: u32,
        mac: Mac,
        now: Instant,
        is_own: impl FnOnce(Mac) -> bool,
    ) {
        let Some(known) = self.hearings.is_known(index, mac) else { return };
        if !known && (ethernet::is_for_many(&mac) || is_own(mac)) {
            return;
        }
        self.hearings.heard(index, mac, now);
        self.answer(|at, _| (at == index).then_some(Hearing::Others));
    }

    /// Goes on where the time is over. All that has come until `now` must have been heard.
    pub(crate) fn go_on(&mut self, now: Instant) {
        self.hearings.go_on(now);
        self.answer(|_, listen| (listen.until() <= now).then_some(Hearing::Nobody));
    }

    fn answer(&mut self, answer: impl Fn(u32, &Listen) -> Option<Hearing>) {
        let mut at = 0;
        while let Some((index, _, listen)) = self.waiting.get(at) {
            match answer(*index, listen) {
                None => at += 1,
                Some(hearing) => {
                    let (_, has_address, listen) = self.waiting.swap_remove(at);
                    (listen.reply)(Heard { hearing, has_address });
                }
            }
        }
    }

    /// Begins to listen for those who have asked since the last time: all that came before that must have
    /// been heard. `look` tells the interface of an address, and whether the address is there.
    pub(crate) fn listen_anew(&mut self, look: impl Fn(Cidr) -> (Option<ProbeSource>, bool)) {
        let now = Instant::now();
        for listen in std::mem::take(&mut self.new) {
            let (source, has_address) = look(listen.cidr);
            let index = source.map(|source| source.index);
            let from = listen.since.checked_sub(listen.recent).unwrap_or(listen.since);
            let was_heard =
                |index| !listen.recent.is_zero() && self.hearings.was_heard(index, from);
            if index.is_some_and(was_heard) {
                (listen.reply)(Heard { hearing: Hearing::Others, has_address });
                continue;
            }
            let index = index.filter(|index| self.hearings.listen(*index, now));
            // Whoever comes to it so late has not listened, and cannot say that nobody is there.
            match index.filter(|_| now <= listen.since + listen.within / 2) {
                Some(index) => self.waiting.push((index, has_address, listen)),
                None => (listen.reply)(Hearing::Unknown.into()),
            }
        }
    }

    /// Asks where it is due. `look` tells whom one can ask on an interface.
    pub(crate) fn ask_due(&mut self, mut look: impl FnMut(u32) -> Option<Askable>) {
        let now = Instant::now();
        for (index, times) in self.hearings.due(now) {
            let anybody = look(index).is_some_and(|askable| self.ask(askable, times));
            self.hearings.asked(index, anybody, Instant::now());
        }
    }

    /// Asks a few neighbours, each alone, and if they do not answer everybody as well; whether a question
    /// has left.
    fn ask(&mut self, askable: Askable, times: u32) -> bool {
        let Askable { source, neighbours, elsewhere } = askable;
        let first = neighbours.iter().take(NEIGHBOURS);
        let asked = first.filter(|it| self.asker.ask_neighbour(it, source)).count();
        let everybody = elsewhere.filter(|_| times > 0 || asked == 0);
        let all_asked = everybody.is_some_and(|ip| self.asker.ask_for_a_sign(ip, source, None));
        asked > 0 || all_asked
    }

    /// Answers another host that wants to hear somebody. Of two hosts that do not have what they ask for,
    /// neither would hear the other's kernel.
    pub(crate) fn give_a_sign(&mut self, cidr: Cidr, source: ProbeSource, whom: Mac) {
        if let IpAddr::V4(ip) = cidr.addr() {
            if self.signs.take(1, Instant::now()).is_ok() {
                self.asker.ask_for_a_sign(ip, source, Some(whom));
            }
        }
    }

    /// The interfaces on which every frame about addresses is to be let through.
    pub(crate) fn open(&self) -> impl Iterator<Item = u32> {
        self.hearings.open()
    }

    /// What is new of the interfaces, by their indexes.
    pub(crate) fn take_news(&mut self) -> Vec<(u32, Hearing)> {
        self.hearings.take_news()
    }

    /// When there is something to do next, if nothing is heard until then.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|(_, _, listen)| listen.until());
        waiting.chain(self.hearings.next_due()).min()
    }
}

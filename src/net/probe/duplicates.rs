//! Looks for a machine that has an address already: before the address is shared, or to announce it for
//! an owner that does not do so itself.
//!
//! Owns the schedule of these questions; lives on the actuator's thread. Nothing here blocks. As RFC
//! 5227, 2.1.1, and RFC 4862, 5.4, but in a tenth of a second instead of some: a client waits for the
//! answer, and a conflict that comes later is found as well.

use std::fmt;
use std::time::{Duration, Instant};

use super::asker::{Asker, ProbeSource};
use crate::net::bucket::Bucket;
use crate::net::codec::heard::{Heard, Kind};
use crate::network::Mac;
use crate::vip::Cidr;

/// How often it is asked: a frame may be lost.
const QUESTIONS: u32 = 2;

/// How long an answer is waited for, from when the question left.
const GAP: Duration = Duration::from_millis(50);

/// Questions per second and at once: a thousand addresses are looked for in a second, by 1 Mbit/s.
const RATE: (u32, u32) = (2000, 50);

/// The frames of an announcement of IPv4. What would leave in this part of a second may leave at once.
const FRAMES: u32 = 2;
const AT_ONCE: u32 = 100;

/// Hears of the machine that has the address, if one has; called on the actuator's thread, must not
/// block.
pub type Found = Box<dyn FnOnce(Option<Mac>) + Send>;

/// The addresses that are looked for.
#[derive(Debug)]
pub(crate) struct Duplicates {
    asker: Asker,
    searches: Searches,
}

/// How far the searches have come.
#[derive(Debug)]
struct Searches {
    looked_for: Vec<LookedFor>,
    questions: Bucket,
    /// To be announced for the machine that was heard.
    found: Vec<(Cidr, Heard, ProbeSource)>,
    announcements: Bucket,
}

struct LookedFor {
    cidr: Cidr,
    asked: u32,
    due: Instant,
    then: Then,
}

/// What is done when the machine is found, or none is.
enum Then {
    Tell(Found),
    Announce,
}

impl fmt::Debug for LookedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LookedFor").field(&self.cidr).field(&self.asked).finish()
    }
}

impl Duplicates {
    /// Looks for nothing yet. What is announced for others are so many frames per second at most.
    pub(crate) fn new(asker: Asker, rate: u32) -> Duplicates {
        Duplicates { asker, searches: Searches::new(rate) }
    }

    /// Looks for an address that is managed.
    pub(crate) fn look_for(&mut self, cidr: Cidr, found: Found, now: Instant) {
        self.searches.begin(cidr, Then::Tell(found), now);
    }

    /// Announces an address that is managed for the machine that answers for it, if one does.
    pub(crate) fn announce_owner(&mut self, cidr: Cidr, now: Instant) {
        self.searches.begin(cidr, Then::Announce, now);
    }

    /// Takes note of what another host says.
    pub(crate) fn heard(&mut self, cidr: Cidr, heard: &Heard, source: Option<ProbeSource>) {
        if heard.kind == Kind::Claim {
            let found = Some((heard, source));
            // What was said before anything was asked may be what is wrong.
            self.searches.end(found, |it| it.cidr == cidr && it.asked > 0);
        }
    }

    /// Asks and announces what is due, and gives up what nobody has answered. All that has come until now must have
    /// been heard. Without a `source`, nobody can be heard.
    pub(crate) fn ask_due(&mut self, source: impl Fn(Cidr) -> Option<ProbeSource>) {
        self.searches.give_up(Instant::now());
        while let Some(cidr) = self.searches.pop(Instant::now()) {
            source(cidr).map(|source| self.asker.ask(cidr, source, None));
        }
        while let Some((cidr, owner, source)) = self.searches.pop_found(Instant::now()) {
            self.asker.announce_for(cidr, &owner, source);
        }
    }

    /// When there is something to do next, if nothing is heard until then.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.searches.next_due(now)
    }
}

impl Searches {
    fn new(rate: u32) -> Searches {
        Searches {
            looked_for: Vec::new(),
            questions: Bucket::new(RATE.0, RATE.1),
            found: Vec::new(),
            announcements: Bucket::new(rate, rate / AT_ONCE),
        }
    }

    fn begin(&mut self, cidr: Cidr, then: Then, now: Instant) {
        self.looked_for.push(LookedFor { cidr, asked: 0, due: now, then });
    }

    /// The address about which to ask now, if one is due and the limit allows it. It counts as asked.
    fn pop(&mut self, now: Instant) -> Option<Cidr> {
        let is_due = |it: &&mut LookedFor| it.asked < QUESTIONS && it.due <= now;
        let it = self.looked_for.iter_mut().find(is_due)?;
        self.questions.take(1, now).ok()?;
        it.asked += 1;
        it.due = now + GAP;
        Some(it.cidr)
    }

    /// What to announce now, if the limit allows it.
    fn pop_found(&mut self, now: Instant) -> Option<(Cidr, Heard, ProbeSource)> {
        if self.found.is_empty() || self.announcements.take(FRAMES, now).is_err() {
            return None;
        }
        self.found.pop()
    }

    /// Gives up what nobody has answered.
    fn give_up(&mut self, now: Instant) {
        self.end(None, |it| it.due <= now && it.asked == QUESTIONS);
    }

    /// Ends what is over; with the machine that was found, and from where it was asked.
    fn end(
        &mut self,
        found: Option<(&Heard, Option<ProbeSource>)>,
        is_over: impl Fn(&LookedFor) -> bool,
    ) {
        while let Some(index) = self.looked_for.iter().position(&is_over) {
            let LookedFor { cidr, then, .. } = self.looked_for.swap_remove(index);
            match (then, found) {
                (Then::Tell(tell), _) => tell(found.map(|(heard, _)| heard.mac)),
                (Then::Announce, Some((heard, Some(source)))) => {
                    self.found.push((cidr, *heard, source));
                }
                (Then::Announce, _) => {}
            }
        }
    }

    fn next_due(&self, now: Instant) -> Option<Instant> {
        let may_ask = self.questions.ready_at(1, now);
        let due = |it: &LookedFor| if it.asked < QUESTIONS { it.due.max(may_ask) } else { it.due };
        let may_announce = self.announcements.ready_at(FRAMES, now);
        let announcement = (!self.found.is_empty()).then_some(may_announce);
        self.looked_for.iter().map(due).chain(announcement).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::codec::arp;

    const MANY: u16 = 600;

    fn cidr(n: u16) -> Cidr {
        let [high, low] = n.to_be_bytes();
        Cidr::single([10, 1, high, low].into())
    }

    #[test]
    fn many_are_asked_about_as_fast_as_is_allowed_and_each_is_waited_for_after_its_own_question() {
        let start = Instant::now();
        let (mut searches, mut now) = (Searches::new(10_000), start);
        for n in 0..MANY {
            searches.begin(cidr(n), Then::Announce, now);
        }
        let mut asked = Vec::new();
        loop {
            searches.give_up(now);
            asked.extend(std::iter::from_fn(|| searches.pop(now)).map(|cidr| (now, cidr)));
            let Some(due) = searches.next_due(now) else { break };
            assert!(due > now, "it would not sleep");
            now = due;
        }
        for n in 0..MANY {
            let times: Vec<_> = asked.iter().filter(|(_, it)| *it == cidr(n)).collect();
            assert!(times.len() == 2 && times[1].0 >= times[0].0 + GAP, "{times:?}");
        }
        // Fifty at once, and the rest at two thousand a second.
        assert!(asked[49].0 == start && asked[50].0 > start);
        let took = asked[asked.len() - 1].0 - start;
        let least = Duration::from_micros(500 * (2 * u64::from(MANY) - 50));
        assert!((least..least + 2 * GAP).contains(&took), "{took:?}");
    }

    #[test]
    fn what_is_announced_for_others_is_no_flood_either() {
        let start = Instant::now();
        let (mut searches, mut now) = (Searches::new(1000), start);
        let source = ProbeSource { index: 1, mac: Some([2; 6]) };
        let [claim, _] = arp::announcement([10, 1, 0, 0].into(), [3; 6]);
        let heard = Heard::from_frame(&claim).unwrap();
        for n in 0..40 {
            searches.begin(cidr(n), Then::Announce, now);
            searches.pop(now);
            searches.end(Some((&heard, Some(source))), |it| it.cidr == cidr(n));
        }
        let mut left = Vec::new();
        loop {
            left.extend(std::iter::from_fn(|| searches.pop_found(now)).map(|_| now));
            let Some(due) = searches.next_due(now) else { break };
            now = due;
        }
        // Ten frames at once, and a thousand a second.
        assert!(left.len() == 40 && left[4] == start && left[5] > start);
        assert_eq!(left[39] - start, Duration::from_millis(70));
    }
}

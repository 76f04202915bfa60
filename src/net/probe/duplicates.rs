//! Looks for a machine that has an address already: before the address is shared, or to announce it for
//! an owner that does not do so itself.
//!
//! Owns the schedule of these questions; lives on the actuator's thread. Nothing here blocks. As RFC
//! 5227, 2.1.1, and RFC 4862, 5.4, but in a tenth of a second instead of some: a client waits for the
//! answer, and a conflict that comes later is found as well.

use std::fmt;
use std::time::{Duration, Instant};

use super::asker::{Asker, ProbeSource};
use crate::net::codec::heard::{Heard, Kind};
use crate::network::Mac;
use crate::vip::Cidr;

/// How often it is asked: a frame may be lost.
const QUESTIONS: u32 = 2;

/// How long an answer is waited for.
const GAP: Duration = Duration::from_millis(50);

/// Hears of the machine that has the address, if one has; called on the actuator's thread, must not
/// block.
pub type Found = Box<dyn FnOnce(Option<Mac>) + Send>;

/// The addresses that are looked for.
#[derive(Debug)]
pub(crate) struct Duplicates {
    asker: Asker,
    looked_for: Vec<LookedFor>,
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
    /// Looks for nothing yet.
    pub(crate) fn new(asker: Asker) -> Duplicates {
        Duplicates { asker, looked_for: Vec::new() }
    }

    /// Looks for an address that is managed.
    pub(crate) fn look_for(&mut self, cidr: Cidr, found: Found, now: Instant) {
        self.looked_for.push(LookedFor { cidr, asked: 0, due: now, then: Then::Tell(found) });
    }

    /// Announces an address that is managed for the machine that answers for it, if one does.
    pub(crate) fn announce_owner(&mut self, cidr: Cidr, now: Instant) {
        self.looked_for.push(LookedFor { cidr, asked: 0, due: now, then: Then::Announce });
    }

    /// Takes note of what another host says.
    pub(crate) fn heard(&mut self, cidr: Cidr, heard: &Heard, source: Option<ProbeSource>) {
        if heard.kind == Kind::Claim {
            let found = Some((heard.mac, source));
            // What was said before anything was asked may be what is wrong.
            self.end(found, |it| it.cidr == cidr && it.asked > 0);
        }
    }

    /// Asks what is due, and gives up what nobody has answered. All that has come until now must have
    /// been heard. Without a `source`, nobody can be heard.
    pub(crate) fn ask_due(&mut self, source: impl Fn(Cidr) -> Option<ProbeSource>) {
        let now = Instant::now();
        self.end(None, |it| it.due <= now && it.asked == QUESTIONS);
        for it in self.looked_for.iter_mut().filter(|it| it.due <= now) {
            it.asked += 1;
            it.due = now + GAP;
            if let Some(source) = source(it.cidr) {
                self.asker.ask(it.cidr, source, None);
            }
        }
    }

    /// Ends what is over; with the machine that was found, and from where it was asked.
    fn end(
        &mut self,
        found: Option<(Mac, Option<ProbeSource>)>,
        is_over: impl Fn(&LookedFor) -> bool,
    ) {
        while let Some(index) = self.looked_for.iter().position(&is_over) {
            let LookedFor { cidr, then, .. } = self.looked_for.swap_remove(index);
            match (then, found) {
                (Then::Tell(tell), _) => tell(found.map(|(mac, _)| mac)),
                (Then::Announce, Some((mac, Some(source)))) => {
                    self.asker.announce_for(cidr, mac, source);
                }
                (Then::Announce, _) => {}
            }
        }
    }

    /// When there is something to do next, if nothing is heard until then.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.looked_for.iter().map(|it| it.due).min()
    }
}

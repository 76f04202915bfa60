//! What hooks were told of an IP.

use std::time::{Duration, Instant};

use crate::fsm::{self, State};
use crate::hooks::{Event, Standing};

/// For so long after an IP was handed over the host that had it before says that it has let go: that is no conflict.
const HANDOVER: Duration = Duration::from_secs(2);

/// What hooks were told of an IP.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Last.
    pub(super) last: Option<(State, Event, Instant)>,
    /// That this host has the IP, as soon as the kernel has its address.
    pub(super) due: Option<Box<Standing>>,
}

impl Told {
    pub(super) fn says_that_it_is_here(&self) -> bool {
        self.last.is_some_and(|(state, ..)| state == State::Activated)
    }

    pub(super) fn was_handed_over(&self, now: Instant) -> bool {
        let elected = Event::Changed(fsm::Event::Elected);
        self.last.is_some_and(|(_, event, at)| {
            event == elected && now.saturating_duration_since(at) < HANDOVER
        })
    }
}

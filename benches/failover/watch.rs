//! What is seen of the IP while something happens to its owner: by the client, on the wire, and by
//! the kernels of the hosts.

use std::time::{Duration, Instant, SystemTime};

use super::harness::{
    Capture, Holders, HostId, Lab, Mac, PingReport, Pinger, VIP, eventually, until,
};

/// How long the client goes on when all seems to be over: what comes back to haunt it counts.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Watches from its start until it is ended.
pub(crate) struct Watch {
    /// Which kernels have the address.
    pub(crate) holders: Holders,
    /// What the client hears.
    pub(crate) capture: Capture,
    pinger: Pinger,
}

impl Watch {
    /// Starts to watch the IP, at a moment that has nothing to do with the agents' timers.
    pub(crate) fn start(lab: &Lab) -> Watch {
        random_phase();
        let (holders, capture) = (lab.watch_holders(VIP), lab.client.capture());
        let pinger = lab.client.ping(VIP.ip());
        // Its first answers: a fault may follow at once.
        pause(Duration::from_millis(50));
        Watch { holders, capture, pinger }
    }

    /// Waits until a host alone has the IP, and another than before.
    #[track_caller]
    pub(crate) fn await_heir(&mut self, former: HostId) -> HostId {
        eventually(
            "another host alone has the IP",
            || matches!(self.holders.now().as_slice(), [heir] if *heir != former),
        );
        self.holders.now()[0]
    }

    /// Waits until a host alone has the IP.
    #[track_caller]
    pub(crate) fn await_one(&mut self) -> HostId {
        eventually("one host alone has the IP", || self.holders.now().len() == 1);
        self.holders.now()[0]
    }

    /// How long after that moment a host got or lost the IP for the last time; zero if none did.
    pub(crate) fn settled_after(&mut self, moment: Instant) -> Duration {
        let last = self.holders.changes().last();
        last.map_or(Duration::ZERO, |change| change.at.saturating_duration_since(moment))
    }

    /// How long after that moment a host got the IP for the first time, if it did.
    pub(crate) fn taken_after(&mut self, moment: Instant, by: HostId) -> Option<Duration> {
        let taken = self.holders.changes().iter().find(|change| change.holds && change.host == by);
        taken.map(|change| change.at.saturating_duration_since(moment))
    }

    /// Waits for the first announcement by another host than the one with this card.
    #[track_caller]
    pub(crate) fn await_announcement(&mut self, former: Mac) -> Instant {
        let frame = self.capture.wait_for("the new owner's announcement", |frame| {
            frame.announces(VIP.ip()) && frame.source != former
        });
        frame.at
    }

    /// The same, if it comes within that time.
    pub(crate) fn find_announcement(&mut self, former: Mac, patience: Duration) -> Option<Instant> {
        let mut found = None;
        until(patience, || {
            let mut frames = self.capture.frames().iter();
            let heard = frames.find(|frame| frame.announces(VIP.ip()) && frame.source != former);
            found = heard.map(|frame| frame.at);
            found.is_some()
        });
        found
    }

    /// Ends: what the client saw, from the start on.
    pub(crate) fn end(self) -> PingReport {
        pause(AFTERMATH);
        self.pinger.stop()
    }

    /// Ends: what the client saw from that moment on.
    pub(crate) fn end_since(self, moment: Instant) -> PingReport {
        pause(AFTERMATH);
        self.pinger.probes().report_since(moment)
    }
}

/// Waits for a moment that has nothing to do with the agents' timers.
pub(crate) fn random_phase() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let moment = Duration::from_micros(u64::from(now.subsec_nanos() / 7 % 1_000_000));
    pause(Duration::from_secs(1) + moment);
}

/// Lets time pass in which something is observed.
pub(crate) fn pause(duration: Duration) {
    until(duration, || false);
}

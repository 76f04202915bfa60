//! What must not move an IP: hosts that live, on a machine that is busy, and a network that loses frames.
//!
//! It is a target of its own so that it has the machine to itself, which it keeps busy. It takes less
//! than two minutes; `LINK_FALSE_MOVES_MINUTES=30` lets it go on for longer.

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "the scenarios use the rest of the lab")]
#[path = "../lab/harness/mod.rs"]
mod harness;

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::thread;
    use std::time::{Duration, Instant};

    use crate::harness::*;

    /// How long it lasts unless it is told otherwise.
    const TIME: Duration = Duration::from_secs(90);

    /// Lost of a hundred frames.
    const LOSS: u8 = 2;

    /// For how long an agent stands still.
    const AGENT_PAUSE: Duration = Duration::from_millis(300);

    /// For how long a host hears and says nothing.
    const WIRE_PAUSE: Duration = Duration::from_millis(200);

    /// What happens to a host, one after the other.
    #[derive(Clone, Copy)]
    enum Trouble {
        AgentPaused,
        WirePaused,
        LeaderMoved,
        MemberRestarted,
    }

    const TROUBLES: [Trouble; 4] =
        [Trouble::AgentPaused, Trouble::WirePaused, Trouble::LeaderMoved, Trouble::MemberRestarted];

    impl fmt::Display for Trouble {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Trouble::AgentPaused => "its agent was paused",
                Trouble::WirePaused => "its network was paused",
                Trouble::LeaderMoved => "its member of etcd became the leader",
                Trouble::MemberRestarted => "its member of etcd was restarted",
            })
        }
    }

    impl Trouble {
        fn happen(self, lab: &mut Lab, host: HostId) {
            match self {
                Trouble::AgentPaused => {
                    lab[host].agent().freeze();
                    pause(AGENT_PAUSE);
                    lab[host].agent().thaw();
                }
                Trouble::WirePaused => lab.pause_wire(host, WIRE_PAUSE),
                Trouble::LeaderMoved => lab.lead_on(host),
                Trouble::MemberRestarted => {
                    let member = lab.member_on(host).expect("each host has one");
                    lab.etcd.stop_member(member);
                    lab.etcd.start_member(member);
                    lab.etcd.await_ready();
                }
            }
        }
    }

    /// Lets time pass in which something is observed.
    fn pause(duration: Duration) {
        until(duration, || false);
    }

    fn time() -> Duration {
        let minutes = std::env::var("LINK_FALSE_MOVES_MINUTES").ok();
        let minutes = minutes.map(|text| text.parse().expect("a number of minutes"));
        minutes.map_or(TIME, |minutes: u64| Duration::from_secs(60 * minutes))
    }

    /// A process for each core that never waits for anything, until it is dropped.
    fn keep_busy(lab: &Lab) -> Vec<Process> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let loops = Program::new("sh").args(["-c", "while :; do :; done"]);
        let log = lab.folder().join("busy.log");
        (0..cores).map(|_| Process::start(lab.client.namespace(), &loops, &log)).collect()
    }

    #[test]
    fn an_ip_stays_where_it_is_as_long_as_its_host_lives() {
        let mut lab = Lab::builder(3).etcd_on_hosts(3).gateway().build();
        lab.start_all();
        lab.offer(VIP);
        let owner = lab.await_calm(VIP);
        let lock = lab.lock(VIP);
        let mut holders = lab.watch_holders(VIP);
        let busy = keep_busy(&lab);
        lab.lose_frames(LOSS);
        let ends = Instant::now() + time();
        let hosts = lab.ids();
        let mut rounds = 0;
        while Instant::now() < ends {
            // The owner has as much trouble as the two others together.
            let host = if rounds % 2 == 0 { owner } else { hosts[rounds / 2 % hosts.len()] };
            let trouble = TROUBLES[rounds / 2 % TROUBLES.len()];
            trouble.happen(&mut lab, host);
            // Of another length each time: the agents' timers have another phase.
            pause(Duration::from_millis(1500 + 137 * (rounds as u64 % 11)));
            let changes = holders.changes();
            assert!(changes.is_empty(), "{host}: {trouble}, {rounds}: {changes:?}");
            rounds += 1;
        }
        assert_eq!((lab.lock(VIP), lab.bound_on(VIP)), (lock, vec![owner]));
        println!("{rounds} times nothing has moved");
        drop(busy);
    }
}

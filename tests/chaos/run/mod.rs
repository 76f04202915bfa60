//! The chaos run: round after round of random faults on real agents, each held against its bounds.
//!
//! A round is one fault or two, each healed after a while, then calm until all is well. All the time
//! the kernels tell who binds the IPs, and a client pings them every millisecond: that is held
//! against [`bounds`]. In the calm, what the APIs, etcd, the kernels and the client's neighbour table
//! say has to agree ([`well`]).

pub(crate) mod audit;
pub(crate) mod bounds;
pub(crate) mod calls;
mod noise;
mod outcome;
pub(crate) mod plan;
#[path = "../../sim/random.rs"]
mod random;
mod registered;
pub(crate) mod round;
pub(crate) mod stage;
mod strike;
mod table;
pub(crate) mod watch;
mod well;

use std::time::{Duration, Instant};

use plan::Kind;
use random::Random;
use round::Round;
use stage::{HOSTS, Stage};
use table::Table;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// How long new rounds begin.
    pub(crate) time: Duration,
    /// `ETCD_LOSS_POLICY` of the agents.
    pub(crate) policy: String,
    /// `CRASH_DETECTION` of the agents.
    pub(crate) detection: String,
    /// Only faults in whose names this text is.
    pub(crate) only: String,
}

impl Settings {
    /// Ten minutes of everything, with the policies that agents have by default.
    pub(crate) fn new(seed: u64) -> Settings {
        let time = Duration::from_secs(600);
        let (policy, detection) = ("take".to_owned(), "strict".to_owned());
        Settings { seed, time, policy, detection, only: String::new() }
    }
}

/// Runs until the time is over; every round and every violation is told as it comes. Gives the
/// number of violations.
pub(crate) fn run(settings: &Settings, tell: &mut dyn FnMut(&str)) -> usize {
    let Settings { seed, policy, detection, only, .. } = settings;
    let kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| kind.to_string().contains(only)).collect();
    assert!(!kinds.is_empty(), "there is no fault {only:?}");
    tell(&format!("seed {seed}, ETCD_LOSS_POLICY {policy}, CRASH_DETECTION {detection}"));
    let until = Instant::now() + settings.time;
    let mut random = Random::new(*seed);
    let mut table = Table::default();
    let mut stage = None;
    while Instant::now() < until {
        let here = stage.get_or_insert_with(|| Stage::new(policy, detection));
        here.seed = random.between(0, u64::from(u32::MAX));
        let faults = plan::round(&mut random, HOSTS.len(), &kinds);
        let outcome = Round::begin(here).play(&faults);
        table.add(&outcome);
        tell(&format!("#{} {outcome}", table.rounds()));
        if !outcome.violations.is_empty() {
            tell(&outcome.story);
        }
        if !outcome.is_well {
            tell("the next round begins in a new lab");
            stage = None;
        }
    }
    tell(&table.to_string());
    table.violations()
}

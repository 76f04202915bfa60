//! The chaos run: round after round of random faults on real agents, each held against its bounds.
//!
//! A round is one fault or two, each healed after a while, then calm until all is well. All the time
//! the kernels tell who binds the IPs, and a client pings them every millisecond: that is held
//! against [`bounds`]. In the calm, what the APIs, etcd, the kernels and the client's neighbour table
//! say has to agree ([`well`]).

pub(crate) mod audit;
pub(crate) mod bounds;
pub(crate) mod calls;
pub(crate) mod growth;
mod noise;
mod outcome;
pub(crate) mod plan;
#[path = "../../sim/random.rs"]
pub(crate) mod random;
mod registered;
pub(crate) mod round;
pub(crate) mod scrapes;
pub(crate) mod stage;
pub(crate) mod strike;
pub(crate) mod surroundings;
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
    /// `ETCD_LOSS_POLICY` of the agents, or `each`: the IPs have each of them in turn.
    pub(crate) policy: String,
    /// `CRASH_DETECTION` of the agents.
    pub(crate) detection: String,
    /// Only faults in whose names one of these texts is; they are separated by commas.
    pub(crate) only: String,
    /// Whether 20 IPs are shared, and what grows is looked at.
    pub(crate) soak: bool,
}

impl Settings {
    /// Ten minutes of everything, with the policies that agents have by default.
    pub(crate) fn new(seed: u64) -> Settings {
        let time = Duration::from_secs(600);
        let (policy, detection) = ("take".to_owned(), "strict".to_owned());
        Settings { seed, time, policy, detection, only: String::new(), soak: false }
    }
}

/// Runs until the time is over; every round and every violation is told as it comes. Gives the
/// number of violations.
pub(crate) fn run(settings: &Settings, tell: &mut dyn FnMut(&str)) -> usize {
    let Settings { seed, policy, detection, only, .. } = settings;
    let wanted = |kind: &Kind| only.split(',').any(|text| kind.to_string().contains(text));
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(wanted).collect();
    assert!(!kinds.is_empty(), "there is no fault {only:?}");
    let mut random = Random::new(*seed);
    let passwords = random.one_in(2);
    tell(&format!("seed {seed}, ETCD_LOSS_POLICY {policy}, CRASH_DETECTION {detection}"));
    tell(if passwords {
        "etcd asks for passwords that take it long to check"
    } else {
        "no passwords"
    });
    let until = Instant::now() + settings.time;
    let mut table = Table::default();
    let mut lab = None;
    let mut grown = 0;
    let begin = || {
        let mut stage = Stage::new(policy, detection, passwords);
        let growth = settings.soak.then(|| stage.soak());
        (stage, growth)
    };
    while Instant::now() < until {
        let (here, growth) = lab.get_or_insert_with(begin);
        here.seed = random.between(0, u64::from(u32::MAX));
        let faults = plan::round(&mut random, HOSTS.len(), &kinds);
        let outcome = Round::begin(here).play(&faults);
        table.add(&outcome);
        tell(&format!("#{} {outcome}", table.rounds()));
        if !outcome.violations.is_empty() {
            tell(&outcome.story);
        }
        if !outcome.is_well {
            grown += growth.as_ref().map_or(0, |growth| growth.judge(tell));
            tell("the next round begins in a new lab");
            lab = None;
        } else if let Some(growth) = growth {
            growth.look(here);
        }
    }
    grown += lab.and_then(|(_, growth)| growth).map_or(0, |growth| growth.judge(tell));
    tell(&table.to_string());
    assert!(table.compared_enough(), "nobody was scraped");
    table.violations() + grown
}

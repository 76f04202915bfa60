//! Tests of the soak: what grows is found, and the agent whose growth is watched is left alone.

use std::time::Duration;

use crate::harness::H1;
use crate::run::growth::{Sample, violations};
use crate::run::plan::{Aim, Fault, Kind, OnAgent};
use crate::run::stage::Stage;

/// Two hours of an agent with which nothing is wrong, a look a minute.
fn flat() -> Vec<Sample> {
    let sample = |minute: u64| Sample {
        at: Duration::from_secs(60 * minute),
        resident: 4_000_000 + minute % 3 * 100_000,
        descriptors: 20 + minute % 2,
        threads: 30 + minute % 3,
        lines: 100 * minute,
        revisions: 40 * minute,
    };
    (1..=120).map(sample).collect()
}

#[test]
fn what_stays_as_it_is_is_no_growth() {
    assert_eq!(violations(&flat()), Vec::<String>::new());
    assert_eq!(violations(&[]), Vec::<String>::new());
    assert_eq!(violations(&flat()[..1]), Vec::<String>::new());
}

#[test]
fn what_grows_is_named() {
    let grown = |grow: fn(u64, &mut Sample)| {
        let mut samples = flat();
        samples.iter_mut().zip(1..).for_each(|(sample, minute)| grow(minute, sample));
        violations(&samples)
    };
    let found = |what: &str, grow| {
        let found = grown(grow);
        assert!(found.len() == 1 && found[0].starts_with(what), "{what}: {found:?}");
    };
    found("resident memory", |minute, sample| sample.resident += minute * 15_000);
    found("descriptors", |minute, sample| sample.descriptors += minute / 6);
    found("threads", |minute, sample| sample.threads += minute / 6);
    found("lines of the log", |minute, sample| sample.lines += minute * minute * 5);
    found("revisions of etcd", |minute, sample| sample.revisions += minute * minute * 2);
    // What an agent needs at first is no growth.
    let less_at_first = |minute, sample: &mut Sample| sample.resident -= 3_000_000 / minute;
    assert_eq!(grown(less_at_first), [""; 0]);
}

#[test]
fn in_a_soak_twenty_ips_are_well_and_one_agent_is_never_ended() {
    let mut stage = Stage::new("each", "strict", false);
    let mut growth = stage.soak();
    let pings = stage.ping();
    let well = crate::harness::eventually("all is well", || stage.owners().is_ok());
    println!("well after {well:?}");
    let shown = stage.lab[H1].api().get("/ips").json();
    let of = |policy: &str| shown["ips"].to_string().matches(&format!(":\"{policy}\"")).count();
    assert_eq!([of("take"), of("probe"), of("hold")], [7, 7, 6], "{shown}");
    let strike = |stage: &mut Stage, kind, number| {
        let (at, lasts) = (Duration::ZERO, Duration::from_secs(1));
        let fault = Fault { kind: Kind::Agent(kind), aim: Aim::Number(number), vip: 0, at, lasts };
        let struck = stage.strike(fault);
        struck.iter().for_each(|struck| stage.heal(struck).expect("it heals"));
        struck.is_some()
    };
    for kind in [OnAgent::Kill, OnAgent::KillBriefly, OnAgent::Terminate, OnAgent::Reload] {
        assert!(!strike(&mut stage, kind, 2), "{kind:?}");
    }
    assert!(strike(&mut stage, OnAgent::FreezeBriefly, 2));
    assert!(strike(&mut stage, OnAgent::Kill, 0));
    growth.look(&stage);
    assert!(growth.to_string().contains("the agent of h3"), "{growth}");
    drop(pings);
}

//! Tests of the judge: what the chaos run takes for granted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{H1, H2, HostId, PingReport, VIP, VIP2, VIP6, until};
use crate::run::audit::{Seen, Times};
use crate::run::bounds::Bound;
use crate::run::calls::{Answer, Call, EXTRAS, Fact};
use crate::run::plan::{Aim, Fault, Kind, OnHost};
use crate::run::round::Round;
use crate::run::scrapes::{Scraped, Scrapes, told};
use crate::run::stage::{HOSTS, Stage};
use crate::run::watch::Binding;

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What is seen of an IP that H1 has at first, from changes with their times. After 500 ms all
/// is healed, after 1000 ms the round is over.
fn seen(changes: &[(u64, HostId, bool)]) -> Seen {
    let begun = Instant::now();
    let at = |ms| begun + milliseconds(ms);
    let binding =
        |&(ms, host, bound): &(u64, HostId, bool)| Binding { at: at(ms), vip: 0, host, bound };
    let changes: Vec<Binding> = changes.iter().map(binding).collect();
    let times = Times { begun, healed: at(500), ended: at(1000) };
    let ping = PingReport {
        sent: 0,
        lost: 0,
        longest_gap: Duration::ZERO,
        gap_began: None,
        longest_stall: Duration::ZERO,
    };
    Seen::new(&BTreeSet::from([H1]), &changes, times, &ping, (H1, Some(H1)))
}

#[test]
fn a_calm_round_has_nothing_to_tell() {
    let calm = seen(&[]);
    assert_eq!((calm.nobody, calm.rivals, calm.peace, calm.moves), Default::default());
}

#[test]
fn a_crash_is_a_time_without_anybody_and_a_move() {
    let crash = seen(&[(100, H1, false), (400, H2, true)]);
    assert_eq!((crash.nobody, crash.moves), (milliseconds(300), 1));
    assert_eq!((crash.rivals, crash.peace), Default::default());
    let forever = seen(&[(100, H1, false)]);
    assert_eq!((forever.nobody, forever.moves), (milliseconds(900), 0));
}

#[test]
fn two_owners_count_until_all_is_healed_and_after_that() {
    let rivals = seen(&[(200, H2, true), (800, H1, false)]);
    assert_eq!((rivals.rivals, rivals.peace), (milliseconds(300), milliseconds(300)));
    assert_eq!((rivals.nobody, rivals.moves), (Duration::ZERO, 1));
    let brief = seen(&[(100, H2, true), (150, H2, false), (300, H2, true), (310, H2, false)]);
    assert_eq!((brief.rivals, brief.peace, brief.moves), (milliseconds(50), Duration::ZERO, 0));
}

#[test]
fn a_fault_that_nobody_has_declared_would_be_a_violation() {
    let mut stage = Stage::new("take", "strict", false);
    let kind = Kind::Host(OnHost::PowerOff);
    let lasts = Duration::from_secs(5);
    let fault = Fault { kind, aim: Aim::Owner, vip: 0, at: Duration::ZERO, lasts };
    let outcome = Round::begin(&mut stage).play(&[fault]);
    assert_eq!(outcome.violations, Vec::<String>::new(), "{}", outcome.story);
    let (seen, _) = &outcome.seen[0];
    // Without an allowance for the machine: what it takes for the kernel to take the address off a host and to put it
    // on another counts here, too.
    let violations = seen.violations(&Bound::of(0, &[]), Duration::ZERO).join("\n");
    for what in ["nobody binds it", "the client gets no answer", "it has moved from h1"] {
        assert!(violations.contains(what), "{violations}");
    }
    assert!(outcome.story.contains("h1 binds no more 10.0.1.1/32"), "{}", outcome.story);
}

fn answer(status: u16, text: &str) -> Answer {
    Some((status, text.to_owned()))
}

#[test]
fn an_answer_says_what_is_registered_from_then_on() {
    let registered = Fact::Registered("hold");
    for (before, call, answer, after) in [
        (Fact::Absent, Call::Register("hold"), answer(201, ""), registered),
        (registered, Call::Register("take"), answer(409, ""), registered),
        (registered, Call::Change("take"), answer(200, ""), Fact::Registered("take")),
        (registered, Call::Delete, answer(204, ""), Fact::Absent),
        (registered, Call::Delete, answer(503, "nothing was changed"), registered),
        (registered, Call::Delete, answer(503, "the outcome is unknown"), Fact::Unknown),
        (registered, Call::Delete, None, Fact::Unknown),
        (Fact::Unknown, Call::Delete, answer(404, ""), Fact::Absent),
        (Fact::Unknown, Call::Register("hold"), answer(409, ""), Fact::Unknown),
        (Fact::Unknown, Call::Register("hold"), answer(201, ""), registered),
    ] {
        assert_eq!(before.after(call, &answer), Ok(after), "{before:?}, {call:?}, {answer:?}");
    }
}

#[test]
fn an_answer_that_contradicts_what_was_said_before_is_a_lie() {
    let registered = Fact::Registered("hold");
    for (before, call, answer) in [
        (registered, Call::Register("hold"), answer(201, "")),
        (Fact::Absent, Call::Register("hold"), answer(409, "")),
        (registered, Call::Delete, answer(404, "")),
        (registered, Call::Change("take"), answer(404, "")),
        (registered, Call::Delete, answer(500, "")),
    ] {
        assert!(before.after(call, &answer).is_err(), "{before:?}, {call:?}, {answer:?}");
    }
}

#[test]
fn what_is_registered_is_held_against_what_was_said() {
    let mut stage = Stage::new("take", "strict", false);
    // The client knows whom it talks to.
    let pings = stage.ping();
    let expect = |stage: &mut Stage, wrong: Option<&str>| {
        let mut last = Ok(Vec::new());
        let seen = until(Duration::from_secs(20), || {
            last = stage.owners();
            match (&last, wrong) {
                (Ok(_), None) => true,
                (Err(why), Some(wrong)) => why.contains(wrong),
                (Ok(_), Some(_)) | (Err(_), None) => false,
            }
        });
        assert!(seen, "{last:?}");
    };
    expect(&mut stage, None);
    let vip = EXTRAS[0];
    stage.ledger.facts.insert((H1, 0), Fact::Registered("take"));
    expect(&mut stage, Some(&format!("h1 has said of {vip}")));
    stage.lab[H1].api().create(&json!({ "ip": vip.to_string(), "etcd_loss_policy": "take" }));
    expect(&mut stage, None);
    stage.lab[H2].api().create(&json!({ "ip": vip.to_string(), "etcd_loss_policy": "hold" }));
    expect(&mut stage, Some(&format!("h2 has said of {vip}")));
    stage.ledger.facts.insert((H2, 0), Fact::Unknown);
    expect(&mut stage, None);
    drop(pings);
}

#[test]
fn what_a_scrape_says_of_an_ip_is_read_and_nothing_of_others() {
    let scrape = format!(
        "linkd_vip_bound{{ip=\"{VIP}\",interface=\"eth0\"}} 1\n\
         linkd_vip_bound{{ip=\"{VIP6}\",interface=\"eth0\"}} 0\n\
         linkd_vip_bound{{ip=\"{VIP2}\",interface=\"eth1\"}} 1\n"
    );
    let told = |vip| told(&scrape, vip);
    assert_eq!((told(VIP), told(VIP6), told(VIP2)), (Some(true), Some(false), None));
}

#[test]
fn an_agent_and_a_kernel_that_do_not_say_the_same_are_found() {
    let stage = Stage::new("take", "strict", false);
    let owner = stage.lab.await_owner(VIP);
    // Who has not heard what the kernels have told until now, and cannot see, believes that they have nothing.
    let host = |host| {
        let (api, monitor) = (stage.lab[host].api(), stage.lab[host].monitor_addresses());
        Scraped { host, api, monitor, look: Box::new(|_| false) }
    };
    let late = Scrapes::start(HOSTS.map(host));
    let differs = format!("{owner} tells true of {VIP}, and its kernel false");
    let mut found = Vec::new();
    until(Duration::from_secs(10), || {
        stage.serve();
        found.extend(late.take().1);
        found.contains(&differs)
    });
    assert!(found.contains(&differs), "{found:?}");
    // Who has heard all of it finds nothing.
    let mut compared = 0;
    until(Duration::from_secs(10), || {
        stage.serve();
        let (more, differences) = stage.scrapes.take();
        assert_eq!(differences, [""; 0]);
        compared += more;
        compared > 20
    });
    assert!(compared > 20, "{compared}");
}

//! What keys and values say, and what follows from them.

use std::time::Instant;

use super::*;
use crate::etcd::Followed;
use crate::failure_detector::CallNews;

const CALL: &str = r#"{"ip":"10.0.0.1/32","number":7,"within_ms":100}"#;

fn kv(key: &str, value: &str) -> Kv {
    let key = format!("{PREFIX}{key}");
    Kv { key, value: value.as_bytes().to_vec(), lease: 9, mod_revision: 5 }
}

/// What host h1 makes of that, one after the other and all at one moment.
fn heard(what: impl IntoIterator<Item = Followed>) -> Vec<Step> {
    let (mut exchange, now) = (Exchange::new("h1"), Instant::now());
    what.into_iter().flat_map(|what| exchange.hear(what, now)).collect()
}

fn written(key: &str, value: &str) -> Followed {
    Followed::Written(kv(key, value))
}

fn deleted(key: &str) -> Followed {
    Followed::Deleted { key: format!("{PREFIX}{key}"), revision: 6 }
}

fn agent(host: &str, lease: i64, revision: i64) -> Step {
    Step::Agent(host.to_owned(), lease, revision)
}

fn news(number: u64, news: CallNews) -> Step {
    Step::News("h2".to_owned(), Purpose::Detection, number, news)
}

/// The value that a transaction writes.
fn value(txn: &Txn) -> String {
    let Op::Put { value, .. } = &txn.then[0] else { panic!("it writes: {txn:?}") };
    String::from_utf8(value.clone()).unwrap()
}

#[test]
fn a_call_is_answered_in_its_own_key_and_on_the_lease_of_the_caller() {
    let (cidr, within) = ("10.0.0.1".parse().unwrap(), Duration::from_millis(100));
    let question = Question { cidr, number: 7, within };
    let asked = call_txn(call_key("h1", "h2", Purpose::Detection), 9, question);
    let put = |value: &str| {
        let (key, value) = ("/link/agents/h1/h2".to_owned(), value.as_bytes().to_vec());
        vec![Op::Put { key, value, lease: 9 }]
    };
    assert_eq!(asked, Txn::unconditional(put(CALL)));
    let steps = heard([written("h1/h2", CALL)]);
    let [Step::Answer(call)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(call.question, question);
    for (hearing, word) in
        [(Hearing::Others, "others"), (Hearing::Nobody, "nobody"), (Hearing::Unknown, "unknown")]
    {
        let has = hearing == Hearing::Others;
        let heard_there = Heard { hearing, has_address: has };
        let txn = call.answer_txn(heard_there);
        let text = format!(r#"{{"ip":"10.0.0.1/32","number":7,"hears":"{word}","has":{has}}}"#);
        assert_eq!(txn.then, put(&text));
        assert_eq!(txn.when, [Compare::ModRevision("/link/agents/h1/h2".to_owned(), 5)]);
        // The caller reads it, and the host that has written it does nothing.
        assert_eq!(heard([written("h2/h1", &text)]), [news(7, CallNews::Answered(heard_there))]);
        assert_eq!(heard([written("h1/h2", &text)]), []);
    }
}

#[test]
fn an_own_call_is_told_when_it_comes_back_and_when_it_is_lost() {
    let (back, lost) = (news(7, CallNews::CameBack), news(7, CallNews::Failed));
    let call = || written("h2/h1", CALL);
    assert_eq!(heard([call(), deleted("h2/h1"), deleted("h2/h1")]), [back.clone(), lost.clone()]);
    let nothing = Followed::All { kvs: Vec::new(), revision: 9 };
    assert_eq!(heard([call(), nothing]), [back.clone(), lost]);
    let still = Followed::All { kvs: vec![kv("h2/h1", CALL)], revision: 9 };
    assert_eq!(heard([call(), still]), [back.clone(), back]);
}

#[test]
fn a_call_for_a_fence_is_another_one_than_that_of_the_detection() {
    let key = call_key("h2", "h1", Purpose::Fence);
    assert_eq!(key, "/link/agents/h2/.fence:h1");
    let both = || [written("h2/h1", CALL), written("h2/.fence:h1", &CALL.replace('7', "8"))];
    let fence = |number, news| Step::News("h2".to_owned(), Purpose::Fence, number, news);
    let back = [news(7, CallNews::CameBack), fence(8, CallNews::CameBack)];
    assert_eq!(heard(both()), back);
    let then = both().into_iter().chain([deleted("h2/.fence:h1"), deleted("h2/h1")]);
    let lost = [fence(8, CallNews::Failed), news(7, CallNews::Failed)];
    assert_eq!(heard(then), [back, lost].concat());
    // The host that is called, of whatever version, takes it for the call of another one.
    let steps = heard([written("h1/.fence:h2", CALL)]);
    assert!(matches!(steps.as_slice(), [Step::Answer(_)]), "{steps:?}");
    assert_eq!(heard([written("h2/.fence:h3", CALL)]), []);
}

#[test]
fn hosts_whose_agents_answer_are_told_until_they_are_gone() {
    let present = value(&presence_txn("h2", 9, 60, true));
    let version = crate::VERSION;
    assert_eq!(
        present,
        format!(r#"{{"answers":true,"version":"{version}","started":60,"drained":true}}"#)
    );
    let all = |kvs| Followed::All { kvs, revision: 8 };
    let here = || written("h2", &present);
    assert_eq!(heard([here(), here()]), [agent("h2", 9, 5), agent("h2", 9, 5)]);
    assert_eq!(heard([here(), deleted("h2")]), [agent("h2", 9, 5), agent("h2", 0, 6)]);
    assert_eq!(
        heard([here(), all(vec![kv("h3", &present)])]),
        [agent("h2", 9, 5), agent("h2", 0, 8), agent("h3", 9, 5)]
    );
    let silent = written("h2", r#"{"answers":false}"#);
    assert_eq!(heard([here(), silent]), [agent("h2", 9, 5), agent("h2", 0, 5)]);
    assert_eq!(heard([deleted("h2"), deleted("h2/h3")]), []);
}

#[test]
fn what_concerns_other_hosts_is_not_looked_at() {
    assert_eq!(heard([written("h2/h3", CALL), written("h2/h3", "rubbish")]), []);
}

#[test]
fn what_cannot_be_understood_is_named_once_and_skipped() {
    for (key, value, why) in [
        ("h1/h2", "rubbish", "expected"),
        ("h1/h2", "[]", "number is missing"),
        ("h1/h2", r#"{"number":7,"within_ms":100}"#, "ip: "),
        ("h1/h2", r#"{"ip":"10.0.0.1/32","within_ms":100}"#, "number is missing"),
        ("h1/h2", r#"{"ip":"10.0.0.1/32","number":7}"#, "within_ms is missing"),
        ("h1/h2", r#"{"ip":"10.0.0.256","number":7,"within_ms":1}"#, "ip: "),
        ("h1/h2", r#"{"ip":"10.0.0.1","number":-7,"within_ms":1}"#, "number is missing, or"),
        ("h1/h2", r#"{"answers":true}"#, "no call"),
        ("h1/a b", CALL, "names no host"),
        ("h1/h2/h3", CALL, "names no host"),
        ("h1/", CALL, "names no host"),
        ("h2", CALL, "answers is missing"),
        ("h2", r#"{"answers":"yes"}"#, "number is missing"),
        ("", r#"{"answers":true}"#, "names no host"),
        ("h2/h1", r#"{"answers":true}"#, "no call"),
    ] {
        let steps = heard([written(key, value), written(key, value)]);
        let [Step::Bad(text)] = steps.as_slice() else { panic!("{key} {value}: {steps:?}") };
        assert!(text.contains(key) && text.contains(why), "{key} {value}: {text}");
    }
    let steps = heard([Followed::Written(Kv { lease: 0, ..kv("h1/h2", CALL) })]);
    assert!(
        matches!(steps.as_slice(), [Step::Bad(text)] if text.contains("no lease")),
        "{steps:?}"
    );
}

#[test]
fn an_agent_that_says_rubbish_does_not_answer_calls() {
    let present = value(&presence_txn("h2", 9, 60, true));
    let steps = heard([written("h2", &present), written("h2", "rubbish")]);
    assert_eq!(steps[..2], [agent("h2", 9, 5), agent("h2", 0, 5)]);
}

#[test]
fn a_host_listens_for_as_long_as_is_sensible() {
    for (within, listens) in [("0", 10), ("36000000", 2000), ("18446744073709551615", 2000)] {
        let value = CALL.replace("100", within);
        let steps = heard([written("h1/h2", &value)]);
        let [Step::Answer(call)] = steps.as_slice() else { panic!("{steps:?}") };
        assert_eq!(call.question.within, Duration::from_millis(listens));
    }
}

#[test]
fn a_flood_of_calls_is_not_answered_and_the_next_call_is() {
    let (mut exchange, mut now) = (Exchange::new("h1"), Instant::now());
    let answered = |exchange: &mut Exchange, caller: &str, now| {
        let steps = exchange.hear(written(&format!("h1/{caller}"), CALL), now);
        steps.iter().filter(|step| matches!(step, Step::Answer(_))).count()
    };
    let of_one: usize = (0..1000).map(|_| answered(&mut exchange, "h2", now)).sum();
    assert_eq!(of_one, 2);
    let of_many: usize = (0..1000).map(|n| answered(&mut exchange, &format!("c{n}"), now)).sum();
    assert!((20..100).contains(&of_many), "{of_many}");
    assert_eq!(answered(&mut exchange, "h3", now), 0);
    now += Duration::from_millis(100);
    assert_eq!(answered(&mut exchange, "h3", now), 1);
}

#[test]
fn a_presence_tells_of_the_agent_what_its_version_tells() {
    let read = |key: &str, value: &str| presence(&kv(key, value));
    let told = |version: Option<&str>, started, drained| {
        let (host, version) = ("h2".to_owned(), version.map(str::to_owned));
        Some(Ok(Presence { host, lease: 9, version, started, drained }))
    };
    let written = value(&presence_txn("h2", 9, 60, true));
    assert_eq!(read("h2", &written), told(Some(crate::VERSION), Some(60), true));
    assert_eq!(read("h2", r#"{"answers":true}"#), told(None, None, false));
    let odd = format!(r#"{{"answers":true,"version":"{}","started":-1}}"#, "v".repeat(99));
    assert_eq!(read("h2", &odd), told(Some(&"v".repeat(32)), None, false));
    assert_eq!(read("h2/h1", CALL), None, "a call");
    for (key, value) in [("h2", "rubbish"), ("h2", "{}"), ("a b", r#"{"answers":true}"#)] {
        assert!(matches!(read(key, value), Some(Err(_))), "{key} {value}");
    }
}

//! What happened on this host, and why: the last thousand events, each with a number.
//!
//! Pure: who records an event says what time it is. Numbers begin with 1, and a history
//! has an id: who has read up to a number asks for what came after it, and is told when it has missed
//! something, because it was too late, or because a new history has begun.
//!
//! What happens again and again within seconds is one event: the last one, which says how often. Else a fact that is
//! repeated for many IPs would drive everything else out. What changes who has an IP, and what a client asks for, is each
//! an event of its own.

mod happening;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use self::happening::{Happening, Kind};
use crate::wire;

/// How many events are kept.
pub const KEPT: usize = 1000;

/// For how long after an event the same is counted with it.
const AGAIN: Duration = Duration::from_secs(10);

/// Characters of a text that are kept.
const LONGEST: usize = 400;

/// The events of this host.
#[derive(Clone, Debug)]
pub struct History {
    id: String,
    host: String,
    /// The number of the newest event, 0 before the first.
    last: u64,
    events: VecDeque<wire::Event>,
    /// When the newest events were, of those that may be counted, oldest first.
    newest: Vec<(u64, Instant)>,
    /// The newest number that is kept no more, of those that were not counted with a newer one.
    left_out: u64,
    /// Since when etcd is lost, if it is.
    lost: Option<Instant>,
}

/// Up to where a client has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// The history that it has read, if it says so.
    pub history: Option<String>,
    /// The number of the last event that it knows; it wants all that are kept if it names none.
    pub seq: Option<u64>,
}

impl History {
    /// An empty history of this host, with an id that no other history has.
    pub fn new(id: String, host: String) -> History {
        let (events, newest) = (VecDeque::new(), Vec::new());
        History { id, host, last: 0, events, newest, left_out: 0, lost: None }
    }

    /// The history that an earlier life of the agent has left ([`History::to_bytes`]); none if that cannot
    /// be read, or its numbers are wrong.
    pub fn restored(bytes: &[u8], host: String) -> Option<History> {
        let wire::Events { history, last, events, .. } = serde_json::from_slice(bytes).ok()?;
        let numbers = || events.iter().map(|event| event.seq);
        let in_order = numbers().zip(numbers().skip(1)).all(|(one, next)| one < next);
        let ends = numbers().next() != Some(0) && numbers().next_back().unwrap_or(last) == last;
        let left_out = numbers().next().map_or(last, |first| first.saturating_sub(1));
        (in_order && ends && events.len() <= KEPT && !history.is_empty()).then(|| History {
            id: history,
            last,
            left_out,
            events: events.into(),
            ..History::new(String::new(), host)
        })
    }

    /// Whether nothing was recorded yet.
    pub fn is_new(&self) -> bool {
        self.last == 0
    }

    /// The host of which it tells.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of the newest event, 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The number of the newest event of this kind that concerns this IP, or else of the newest event.
    pub fn newest_of(&self, kind: Kind, ip: &str) -> u64 {
        let kind = kind.to_string();
        let mut newest_first = self.events.iter().rev();
        let found = newest_first.find(|it| it.kind == kind && it.ip.as_deref() == Some(ip));
        found.map_or(self.last, |event| event.seq)
    }

    /// The whole history, for the next life of the agent.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.after(&After::default())).unwrap_or_default()
    }

    /// Adds an event, which happened at this time (RFC 3339).
    pub fn record(&mut self, happening: &Happening, time: String, now: Instant) {
        let took = happening.took.or_else(|| self.loss(happening.kind, now));
        self.last += 1;
        let times = self.take_same(happening, now);
        if self.events.len() >= KEPT {
            let oldest = self.events.pop_front();
            self.left_out = oldest.map_or(self.left_out, |event| event.seq);
        }
        if is_counted(happening) {
            self.newest.push((self.last, now));
        }
        self.events.push_back(wire::Event {
            seq: self.last,
            times,
            time,
            host: self.host.clone(),
            ip: happening.ip.map(|ip| ip.to_string()),
            kind: happening.kind.to_string(),
            what: shortened(&happening.what),
            why: shortened(&happening.why),
            took_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            by: happening.by.as_deref().map(shortened),
        });
    }

    /// Takes the same event out, if it was a moment ago; how often it has happened with this one.
    fn take_same(&mut self, happening: &Happening, now: Instant) -> Option<u64> {
        let oldest = self.events.front().map_or(0, |event| event.seq);
        let counts = |at| now.saturating_duration_since(at) <= AGAIN;
        self.newest.retain(|(seq, at)| *seq >= oldest && counts(*at));
        if !is_counted(happening) {
            return None;
        }
        let (kind, ip) = (happening.kind.to_string(), happening.ip.map(|ip| ip.to_string()));
        let (what, why) = (shortened(&happening.what), shortened(&happening.why));
        let newest = &self.newest;
        let same = |event: &wire::Event| {
            event.kind == kind
                && event.ip == ip
                && event.what == what
                && event.why == why
                && newest.iter().any(|(seq, _)| *seq == event.seq)
        };
        let before = self.events.iter().find(|event| same(event))?;
        let (seq, times) = (before.seq, before.times.unwrap_or(1));
        self.newest.retain(|(other, _)| *other != seq);
        self.events.retain(|event| event.seq != seq);
        Some(times + 1)
    }

    /// How long etcd was lost, when it is back.
    fn loss(&mut self, kind: Kind, now: Instant) -> Option<Duration> {
        match kind {
            Kind::EtcdLost => {
                self.lost.get_or_insert(now);
                None
            }
            Kind::EtcdBack => Some(now.saturating_duration_since(self.lost.take()?)),
            Kind::Agent
            | Kind::Transition
            | Kind::Move
            | Kind::Conflict
            | Kind::Host
            | Kind::Refused
            | Kind::Change
            | Kind::Trouble => None,
        }
    }

    /// What came after that, oldest first.
    pub fn after(&self, after: &After) -> wire::Events {
        let is_other = after.history.as_ref().is_some_and(|id| *id != self.id)
            || after.seq.is_some_and(|seq| seq > self.last);
        let read = after.seq.filter(|_| !is_other).unwrap_or(0);
        let missed = is_other || after.seq.is_some_and(|seq| seq < self.left_out);
        let skipped = self.events.partition_point(|event| event.seq <= read);
        let events = self.events.iter().skip(skipped).cloned().collect();
        wire::Events { history: self.id.clone(), last: self.last, missed, events }
    }
}

/// Whether what is repeated is counted: a fact, not a change of what is, and nobody's request.
fn is_counted(happening: &Happening) -> bool {
    matches!(happening.kind, Kind::Conflict | Kind::Host | Kind::Refused | Kind::Trouble)
        && happening.by.is_none()
        && happening.took.is_none()
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history_of(count: u64) -> History {
        let mut history = History::new("a".to_owned(), "h1".to_owned());
        for number in 1..=count {
            let now = Instant::now();
            history.record(&Kind::Agent.of(number.to_string()), "t".to_owned(), now);
        }
        history
    }

    fn ask(history: &History, id: Option<&str>, seq: Option<u64>) -> (bool, Vec<u64>) {
        let after = After { history: id.map(str::to_owned), seq };
        let found = history.after(&after);
        (found.missed, found.events.iter().map(|event| event.seq).collect())
    }

    #[test]
    fn a_client_gets_what_came_after_what_it_knows() {
        let history = history_of(3);
        assert_eq!(ask(&history, None, None), (false, vec![1, 2, 3]));
        assert_eq!(ask(&history, None, Some(0)), (false, vec![1, 2, 3]));
        assert_eq!(ask(&history, Some("a"), Some(2)), (false, vec![3]));
        assert_eq!(ask(&history, Some("a"), Some(3)), (false, vec![]));
        assert_eq!(history.after(&After::default()).last, 3);
        assert_eq!(ask(&history_of(0), Some("a"), Some(0)), (false, vec![]));
    }

    #[test]
    fn a_client_of_another_history_or_one_that_is_late_is_told_that_it_has_missed_something() {
        let history = history_of(3);
        for (id, seq) in [(None, Some(4)), (Some("b"), Some(2)), (Some("b"), Some(u64::MAX))] {
            assert_eq!(ask(&history, id, seq), (true, vec![1, 2, 3]), "{id:?} {seq:?}");
        }
        let long = history_of(KEPT as u64 + 10);
        let (missed, kept) = ask(&long, Some("a"), Some(9));
        assert!(missed && kept.len() == KEPT && kept[0] == 11);
        assert!(!ask(&long, Some("a"), Some(10)).0, "11 is there");
        assert_eq!(ask(&long, Some("a"), Some(1009)), (false, vec![1010]));
    }

    #[test]
    fn the_next_life_goes_on_where_this_one_has_ended() {
        let mut history = history_of(KEPT as u64 + 1);
        let restored = |bytes: &[u8]| History::restored(bytes, "h1".to_owned());
        let mut next = restored(&history.to_bytes()).unwrap();
        assert_eq!(next.after(&After::default()), history.after(&After::default()));
        for history in [&mut history, &mut next] {
            history.record(&Kind::Agent.of("on"), "t".to_owned(), Instant::now());
        }
        let after = After { history: Some("a".to_owned()), seq: Some(1001) };
        assert_eq!(next.after(&after), history.after(&after));
        assert_eq!(next.after(&after).events[0].seq, 1002);
        assert_eq!(restored(&history_of(0).to_bytes()).unwrap().last, 0);
    }

    #[test]
    fn what_is_no_history_is_not_restored() {
        let text = String::from_utf8(history_of(3).to_bytes()).unwrap();
        for wrong in [
            String::new(),
            "{}".to_owned(),
            text.replace("\"seq\":2", "\"seq\":7"),
            text.replace("\"seq\":1", "\"seq\":0"),
            text.replace("\"last\":3", "\"last\":2"),
            text.replace("\"last\":3", "\"last\":4"),
            text.replace("\"history\":\"a\"", "\"history\":\"\""),
        ] {
            assert!(History::restored(wrong.as_bytes(), String::new()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_json_of_an_event_leaves_out_what_is_not_known() {
        let mut history = History::new("a".to_owned(), "h1".to_owned());
        let now = Instant::now();
        history.record(&Kind::EtcdLost.of("etcd is lost").because("silent"), "t1".to_owned(), now);
        let cidr = "10.0.0.1/32".parse().unwrap();
        let back = now + Duration::from_millis(1500);
        history.record(&Kind::EtcdBack.of("etcd is back"), "t2".to_owned(), back);
        let change = Happening { by: Some("::1".to_owned()), ..Kind::Change.of("delete").to(cidr) };
        history.record(&change, "t3".to_owned(), back);
        let expected = concat!(
            r#"{"history":"a","last":3,"missed":false,"events":["#,
            r#"{"seq":1,"time":"t1","host":"h1","kind":"etcd-lost","what":"etcd is lost","why":"silent"},"#,
            r#"{"seq":2,"time":"t2","host":"h1","kind":"etcd-back","what":"etcd is back","why":"","took_ms":1500},"#,
            r#"{"seq":3,"time":"t3","host":"h1","ip":"10.0.0.1/32","kind":"change","what":"delete","why":"","by":"::1"}]}"#,
        );
        assert_eq!(String::from_utf8(history.to_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_repeated_within_seconds_is_counted_and_drives_nothing_else_out() {
        let (mut history, mut now) = (history_of(2), Instant::now());
        let ips: Vec<_> = (1..=50).map(|n| format!("10.0.0.{n}/32").parse().unwrap()).collect();
        for _ in 0..40 {
            for ip in &ips {
                let same = Kind::Conflict.of("this host has the IP").because("elected").to(*ip);
                history.record(&same, now.elapsed().as_nanos().to_string(), now);
            }
            now += Duration::from_secs(1);
        }
        let found = history.after(&After::default());
        assert_eq!((found.events.len(), found.last, found.missed), (52, 2002, false));
        assert_eq!((found.events[1].times, found.events[2].times), (None, Some(40)));
        let numbers: Vec<u64> = found.events.iter().map(|event| event.seq).collect();
        assert_eq!((numbers[1], numbers[2], numbers[51]), (2, 1953, 2002), "each is the last one");
        assert_eq!(ask(&history, Some("a"), Some(1990)).1.len(), 12);
        assert!(!ask(&history, Some("a"), Some(5)).0, "what was counted is not missed");
        let mut next = History::restored(&history.to_bytes(), "h1".to_owned()).unwrap();
        assert_eq!(next.after(&After::default()), found);
        // Another life, another reason, another IP, or a while later.
        let same = Kind::Conflict.of("this host has the IP").because("elected").to(ips[0]);
        next.record(&same, "t".to_owned(), now);
        assert_eq!(next.events.len(), 53);
        for other in
            [same.clone().because("x"), Kind::Trouble.of("x").to(ips[1]), Kind::Host.of("x")]
        {
            next.record(&other, "t".to_owned(), now);
        }
        next.record(&same, "t".to_owned(), now + AGAIN + Duration::from_secs(1));
        assert_eq!((next.events.len(), next.events.back().unwrap().times), (57, None));
        // Each is told that changes who has an IP, or that somebody has asked for.
        let asked = Happening { by: Some("::1".to_owned()), ..Kind::Refused.of("failover") };
        for told in [Kind::Move.of("h1 -> h2"), Kind::Transition.of("x"), asked] {
            let before = next.events.len();
            (0..2).for_each(|_| next.record(&told, "t".to_owned(), now));
            assert_eq!(next.events.len(), before + 2, "{told:?}");
        }
    }

    #[test]
    fn the_newest_event_of_an_ip_is_found_by_its_kind() {
        let mut history = history_of(1);
        let ips = ["10.0.0.1/32", "10.0.0.2/32"].map(|ip| ip.parse().unwrap());
        for (kind, ip) in [(Kind::Transition, 0), (Kind::Transition, 1), (Kind::Move, 0)] {
            history.record(&kind.of("x").to(ips[ip]), "t".to_owned(), Instant::now());
        }
        assert_eq!(history.newest_of(Kind::Transition, "10.0.0.1/32"), 2);
        assert_eq!(history.newest_of(Kind::Transition, "10.0.0.2/32"), 3);
        assert_eq!(history.newest_of(Kind::Conflict, "10.0.0.2/32"), history.last());
    }

    #[test]
    fn long_texts_are_cut_and_a_line_of_the_log_tells_the_same() {
        let mut history = history_of(0);
        let long = "é".repeat(LONGEST + 1);
        let happening = Kind::Conflict.of(long.clone()).because(long);
        history.record(&happening, "t".to_owned(), Instant::now());
        let event = history.events[0].clone();
        assert_eq!([event.what, event.why].map(|it| it.chars().count()), [LONGEST; 2]);
        let happening = Kind::Move.of("h1 -> h2").to("10.0.0.1/24".parse().unwrap());
        assert_eq!(happening.to_string(), "10.0.0.1/24: h1 -> h2");
        assert_eq!(happening.because("x").to_string(), "10.0.0.1/24: h1 -> h2: x");
    }
}

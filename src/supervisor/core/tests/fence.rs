//! A host that is fenced by order.

use super::*;
use crate::call::{Purpose, Question};
use crate::failure_detector::CallNews;
use crate::network::{Heard, Hearing};
use crate::store::{Footprint, Owned};
use crate::wire;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const SEEN: Duration = Duration::from_millis(3);

/// What etcd has of host h2: its agent answers calls, and it owns 10.0.0.1.
fn of_h2() -> Footprint {
    let owned = Owned { cidr: record(1, 0).cidr, hardware_address: Some(MAC), others: true };
    Footprint {
        hosts: ["h1", "h2"].map(str::to_owned).into(),
        leases: [20, 21].into(),
        presence: Some(60),
        written: 50,
        owned: vec![owned],
    }
}

fn news(number: u64, news: CallNews) -> Event {
    Event::Call("h2".to_owned(), Purpose::Fence, number, news)
}

fn answered(number: u64) -> Event {
    news(number, CallNews::Answered(Heard { hearing: Hearing::Others, has_address: true }))
}

impl Story {
    /// A standby of the IP that h2 owns.
    fn standby() -> Story {
        let mut story = Story::running(&[record(1, 5)]);
        let status = Status { interface_usable: true, ..Status::starting() };
        story.notice(story.slot(1), Notice::Status(Arc::new(status)));
        story.done.clear();
        story
    }

    fn order(&mut self, host: &str, force: bool) -> Token {
        self.command(Command::Fence { host: host.to_owned(), force })
    }

    #[track_caller]
    fn footprint(&mut self, found: Footprint) {
        let request = Request::Footprint("h2".to_owned());
        self.expect_ask(&request);
        self.answer(request, store::Answer::Footprint(Box::new(found)));
    }

    /// The order, when it is asked whether h2 lives.
    fn asking(&mut self) -> Token {
        let token = self.order("h2", false);
        self.footprint(of_h2());
        self.expect(&Action::LookFor(token, record(1, 0).cidr));
        token
    }

    #[track_caller]
    fn expect_call(&mut self, number: u64) {
        let question =
            Question { cidr: record(1, 0).cidr, number, within: Duration::from_millis(10) };
        let (host, purpose) = ("h2".to_owned(), Purpose::Fence);
        self.expect(&Action::Call { host, purpose, lease: LEASE, question });
    }

    /// h2 answers neither of two questions.
    fn silence(&mut self, token: Token) {
        for number in [token.0 * 2, token.0 * 2 + 1] {
            self.expect_call(number);
            self.now += SEEN;
            self.feed(news(number, CallNews::CameBack));
            let patience = Duration::from_millis(100) + SEEN * 4;
            self.expect(&Action::Arm(Timer::Fence(token), patience));
            self.feed(Event::Timer(Timer::Fence(token)));
        }
        self.feed(Event::Answers(token, record(1, 0).cidr, None));
    }

    /// Nothing is taken from it, and it is not asked any more.
    #[track_caller]
    fn expect_refused(&mut self, token: Token, part: &str) {
        let refusal = self.reply(token).expect_err("it is refused");
        assert!(refusal.to_string().contains(part), "{refusal:?}");
        let takes = |it: &Action| matches!(it, Action::Fence(..));
        assert!(!self.did(takes) && self.core.clients.fences.len() == 0);
    }

    #[track_caller]
    fn expect_fenced(&mut self, token: Token, owner: Option<&str>) {
        let ip = wire::FencedIp { ip: "10.0.0.1/32".to_owned(), owner: owner.map(str::to_owned) };
        let fence = wire::Fence { host: "h2".to_owned(), ips: vec![ip] };
        assert_eq!(self.reply(token), Ok(Answer::Fence(fence)));
    }

    fn locks(&mut self, owner: &str, lease: i64) {
        let locks = [(record(1, 0).cidr, (owner.to_owned(), lease))];
        self.answer(Request::Locks, store::Answer::Locks(locks.into()));
    }
}

#[test]
fn the_leases_of_a_host_that_answers_nowhere_are_taken_and_it_is_told_who_has_its_ips() {
    let mut story = Story::standby();
    let token = story.asking();
    story.silence(token);
    assert!(!story.did(|it| matches!(it, Action::Fence(..))));
    story.footprint(of_h2());
    for lease in [20, 21] {
        story.expect(&Action::Fence(token, lease));
        assert_eq!(story.warnings(), [""; 0]);
        story.feed(Event::Fenced(token, lease, Ok(())));
    }
    story.expect_warning("host h2 is fenced by order; it had 1 IPs");
    for (owner, lease) in [("h2", 20), ("h3", 30)] {
        story.timer(Timer::Fence(token));
        story.expect_ask(&Request::Locks);
        assert!(!story.replied(token));
        story.locks(owner, lease);
    }
    story.expect_fenced(token, Some("h3"));
    story.expect(&Action::EndCall("h2".to_owned(), Purpose::Fence));
}

#[test]
fn a_host_that_answers_is_not_fenced_on_the_network_or_in_etcd() {
    let mut story = Story::standby();
    let token = story.asking();
    story.feed(Event::Answers(token, record(1, 0).cidr, Some(MAC)));
    story.expect_refused(token, "02:00:00:00:00:02 answers for 10.0.0.1/32 on the network");
    story.expect(&Action::EndCall("h2".to_owned(), Purpose::Fence));

    for late in [false, true] {
        let token = story.asking();
        story.feed(Event::Answers(token, record(1, 0).cidr, None));
        story.expect_call(token.0 * 2);
        if late {
            story.feed(news(token.0 * 2, CallNews::CameBack));
            story.feed(Event::Timer(Timer::Fence(token)));
            story.expect_call(token.0 * 2 + 1);
        }
        story.feed(answered(token.0 * 2));
        story.expect_refused(token, "h2 lives: its agent answers in etcd");
    }
    // What comes later is nobody's.
    story.feed(answered(7));
    story.feed(Event::Answers(token, record(1, 0).cidr, None));
    assert_eq!(story.take_ask(|_| true), None);
}

#[test]
fn another_machine_that_has_taken_the_address_is_not_the_host() {
    let mut story = Story::standby();
    let token = story.asking();
    story.feed(Event::Answers(token, record(1, 0).cidr, Some([2, 0, 0, 0, 0, 3])));
    assert!(!story.replied(token));
    // Whose address that is is not known.
    let mut unknown = of_h2();
    unknown.owned[0].hardware_address = None;
    let mut story = Story::standby();
    let token = story.order("h2", false);
    story.footprint(unknown);
    story.feed(Event::Answers(token, record(1, 0).cidr, Some([2, 0, 0, 0, 0, 3])));
    story.expect_refused(token, "02:00:00:00:00:03 answers");
}

#[test]
fn a_host_that_is_back_meanwhile_is_left_alone_and_its_new_lease_in_any_case() {
    let back = |presence, written| Footprint { presence, written, ..of_h2() };
    for found in [back(Some(99), 50), back(Some(60), 99), back(None, 99)] {
        let mut story = Story::standby();
        let token = story.asking();
        story.silence(token);
        story.footprint(found);
        story.expect_refused(token, "h2 is back");
    }
    let mut story = Story::standby();
    let token = story.asking();
    story.silence(token);
    story.footprint(Footprint { leases: [21, 22].into(), presence: None, ..of_h2() });
    story.expect(&Action::Fence(token, 21));
    assert!(!story.did(|it| matches!(it, Action::Fence(..))));
}

#[test]
fn by_force_nobody_is_asked() {
    let mut story = Story::standby();
    let token = story.order("h2", true);
    story.footprint(of_h2());
    let asks = |it: &Action| matches!(it, Action::Call { .. } | Action::LookFor(..));
    assert!(!story.did(asks));
    story.feed(Event::Fenced(token, 20, Ok(())));
    story.feed(Event::Fenced(token, 21, Ok(())));
    story.expect_warning("by force");
    story.feed(Event::Timer(Timer::Fence(token)));
    story.locks("h1", LEASE);
    story.expect_fenced(token, Some("h1"));
}

#[test]
fn what_cannot_be_fenced_is_refused_with_the_reason() {
    let mut story = Story::standby();
    let own = story.order("h1", true);
    story.expect_refused(own, "h1 is this host");

    let stranger = story.order("h2", true);
    story.footprint(Footprint { hosts: ["h1", "h3"].map(str::to_owned).into(), ..of_h2() });
    story.expect_refused(stranger, "\"h2\" is no host of this cluster: there are h1, h3");

    let first = story.order("h2", false);
    let second = story.order("h2", true);
    let refusal = story.reply(second).expect_err("one at a time");
    assert!(refusal.to_string().contains("is being fenced already"), "{refusal:?}");
    // Nobody can be asked.
    let mut elsewhere = Footprint { presence: None, ..of_h2() };
    elsewhere.owned[0].cidr = record(9, 0).cidr;
    story.footprint(elsewhere);
    story.expect_refused(first, "cannot be told from here");
}

#[test]
fn without_etcd_nothing_is_done_and_the_answer_says_so() {
    let mut story = Story::standby();
    let token = story.order("h2", false);
    story.fail(Request::Footprint("h2".to_owned()), not_sent());
    story.expect_refused(token, "nothing was done: etcd");

    let token = story.asking();
    story.feed(Event::Timer(Timer::Fence(token)));
    story.expect_refused(token, "etcd does not show the question");
    let token = story.asking();
    story.feed(news(token.0 * 2, CallNews::Failed));
    story.expect_refused(token, "has not kept the question");

    let token = story.order("h2", true);
    story.footprint(of_h2());
    story.feed(Event::Fenced(token, 20, Err(unknown())));
    assert!(matches!(story.reply(token), Err(Refusal::OutcomeUnknown(_))));

    story.feed(Event::EtcdLost { why: "silent".to_owned(), revision: 120 });
    let token = story.order("h2", false);
    assert!(matches!(story.reply(token), Err(Refusal::Unavailable(_))));
}

#[test]
fn a_refusal_of_what_a_fence_reads_is_no_loss_of_etcd() {
    let mut story = Story::standby();
    let token = story.order("h2", false);
    story.fail(Request::Footprint("h2".to_owned()), refused());
    story.expect_refused(token, "permission denied");
    assert_eq!(story.problems(), [""; 0]);
}

#[test]
fn who_has_the_ips_is_waited_for_a_while_only_and_not_where_nobody_else_can() {
    let mut story = Story::standby();
    let token = story.order("h2", true);
    story.footprint(Footprint { leases: [20].into(), ..of_h2() });
    story.feed(Event::Fenced(token, 20, Ok(())));
    for _ in 0..100 {
        assert!(!story.replied(token));
        story.feed(Event::Timer(Timer::Fence(token)));
        story.locks("h2", 20);
    }
    story.expect_fenced(token, None);

    let mut alone = Footprint { leases: [20].into(), ..of_h2() };
    alone.owned[0].others = false;
    let token = story.order("h2", true);
    story.footprint(alone);
    story.feed(Event::Fenced(token, 20, Ok(())));
    story.feed(Event::Timer(Timer::Fence(token)));
    story.fail(Request::Locks, unknown());
    story.expect_fenced(token, None);
}

#[test]
fn a_question_to_a_host_that_is_to_be_fenced_is_no_left_over() {
    let mut story = Story::standby();
    story.asking();
    assert!(story.core.is_call_for_fence("/link/agents/h2/.fence:h1"));
    assert!(!story.core.is_left_of_calls("/link/agents/h2/.fence:h1"));
    assert!(story.core.is_left_of_calls("/link/agents/h3/.fence:h1"));
}

#[test]
fn where_one_way_to_ask_a_host_is_missing_the_other_tells_whether_it_lives() {
    let calls = |it: &Action| matches!(it, Action::Call { .. });
    // This host offers none of its IPs.
    let mut story = Story::standby();
    let token = story.order("h2", false);
    let mut elsewhere = of_h2();
    elsewhere.owned[0].cidr = record(9, 0).cidr;
    story.footprint(elsewhere);
    assert!(story.did(calls));
    story.feed(answered(token.0 * 2));
    story.expect_refused(token, "h2 lives: its agent answers in etcd");
    // Its agent answers no calls.
    let mut story = Story::standby();
    let token = story.order("h2", false);
    let mute = Footprint { presence: None, ..of_h2() };
    story.footprint(mute.clone());
    assert!(!story.did(calls));
    story.feed(Event::Answers(token, record(1, 0).cidr, None));
    story.footprint(mute);
    story.expect(&Action::Fence(token, 20));
}

#[test]
fn an_ip_for_which_no_answer_would_be_heard_says_nothing_of_its_host() {
    // The interface is down, or this host has the address itself.
    let own = Status { interface_usable: true, bound: true, ..Status::starting() };
    for status in [Status::starting(), own] {
        let mut story = Story::running(&[record(1, 5)]);
        story.notice(story.slot(1), Notice::Status(Arc::new(status)));
        let token = story.order("h2", false);
        story.footprint(Footprint { presence: None, ..of_h2() });
        story.expect_refused(token, "cannot be told from here");
    }
}

#[test]
fn a_question_that_etcd_does_not_show_is_not_taken_for_the_one_before() {
    let mut story = Story::standby();
    let token = story.asking();
    story.feed(Event::Answers(token, record(1, 0).cidr, None));
    story.feed(news(token.0 * 2, CallNews::CameBack));
    story.feed(Event::Timer(Timer::Fence(token)));
    story.expect_call(token.0 * 2 + 1);
    // It tells of the first once more.
    story.feed(news(token.0 * 2, CallNews::CameBack));
    story.feed(Event::Timer(Timer::Fence(token)));
    story.expect_refused(token, "etcd does not show the question");
}

#[test]
fn to_whoever_names_no_host_of_the_cluster_twenty_are_named_and_that_there_are_others() {
    for (count, end) in [(20, "a19"), (21, "a19 and others")] {
        let mut story = Story::standby();
        let token = story.order("h2", false);
        let hosts = (0..count).map(|number| format!("a{number:02}")).collect();
        story.footprint(Footprint { hosts, ..of_h2() });
        let refusal = story.reply(token).expect_err("it is no host").to_string();
        assert!(refusal.ends_with(end), "{refusal}");
    }
}

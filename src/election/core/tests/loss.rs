//! What happens without etcd, by policy.

use super::*;
use crate::election::core::reason::WithoutEtcd;

const ANSWERED: Input = Input::Probed(ProbeResult::Answered { wins_tie_break: true });
const SILENT: Input = Input::Probed(ProbeResult::Silent);

fn fault() -> Action {
    transition(State::Standby, State::Activated, Event::Fault)
}

fn starting(loss: LossPolicy) -> Story {
    Story::with(false, loss, AllFailingPolicy::KeepLast).start()
}

fn lost() -> Input {
    Input::Lease(Lease::Lost)
}

fn held() -> Input {
    Input::Lease(Lease::Held(LEASE))
}

#[test]
fn by_probe_a_standby_takes_the_ip_only_when_nobody_answers() {
    let mut story = starting(LossPolicy::Probe).lose();
    assert_eq!(story.feed(lost()), [Action::Probe(true)]);
    assert_eq!(story.feed(ANSWERED), []);
    assert_eq!(story.core().reason(), Reason::EtcdLost(WithoutEtcd::OtherAnswers));
    assert_eq!(story.feed(SILENT), [fault(), Action::Bind]);
    // It goes on asking: the network may have been in two parts.
    assert_eq!(story.feed(Input::Probed(ProbeResult::Answered { wins_tie_break: false })), []);
    assert_eq!(story.feed(ANSWERED), [demoted(), Action::Unbind]);
    // Who does not have it lets others go first.
    assert_eq!(story.feed(held()), [Action::Probe(false)]);
}

/// By `take`, with a usable interface, and nothing was heard of etcd.
fn unheard() -> Story {
    let mut story = Story::with(false, LossPolicy::Take, AllFailingPolicy::KeepLast);
    assert_eq!(story.feed(Input::Interface(Ok(MAC))), []);
    story
}

#[test]
fn an_etcd_of_which_nothing_was_heard_may_be_a_mistake_so_that_the_network_is_asked_first() {
    let mut story = unheard();
    assert_eq!(story.feed(lost()), [Action::Probe(true)]);
    assert_eq!(story.feed(ANSWERED), []);
    assert_eq!(story.core().reason(), Reason::EtcdLost(WithoutEtcd::OtherAnswers));
    assert_eq!(story.feed(SILENT), [fault(), Action::Bind]);
}

#[test]
fn an_election_that_begins_while_an_etcd_is_lost_that_others_have_heard_takes_the_ip() {
    let mut story = unheard();
    story.feed(Input::EtcdHeard(7));
    assert_eq!(story.feed(lost()), [fault(), Action::Bind]);
}

#[test]
fn what_the_network_says_counts_only_while_it_is_asked() {
    let mut story = Story::standby();
    assert_eq!(story.feed(SILENT), []);
    let mut story = starting(LossPolicy::Probe).lose();
    story.feed(lost());
    assert_eq!(story.feed(held()), [Action::Probe(false)]);
    assert_eq!(story.feed(SILENT), []);
}

#[test]
fn by_probe_and_by_hold_an_owner_keeps_the_ip() {
    let mut by_hold = starting(LossPolicy::Hold).win();
    assert_eq!(by_hold.feed(lost()), []);
    for mut story in [by_hold, owner_among(&[])] {
        assert_eq!(story.core().state(), State::Activated);
        assert!(story.feed(held()).contains(&acquire()));
        assert!(story.answer(Some(("h1", LEASE))).contains(&Action::Announce));
    }
}

#[test]
fn by_hold_a_standby_stays_one() {
    let mut story = starting(LossPolicy::Hold).lose();
    assert_eq!(story.feed(lost()), []);
    assert_eq!(story.core().reason(), Reason::EtcdLost(WithoutEtcd::LeftWhereItIs));
    assert_eq!(story.core().state(), State::Standby);
}

#[test]
fn by_hold_a_host_that_boots_keeps_what_it_finds() {
    let mut story = Story::with(false, LossPolicy::Hold, AllFailingPolicy::KeepLast);
    story.feed(Input::Interface(Ok(MAC)));
    story.feed(Input::Bound(true));
    assert_eq!(story.feed(lost()), [fault(), Action::Bind]);
}

#[test]
fn of_two_hosts_that_find_the_address_the_first_keeps_it() {
    for (wins_tie_break, expected) in
        [(false, vec![fault(), Action::Bind]), (true, vec![Action::Unbind])]
    {
        let mut story = Story::with(false, LossPolicy::Probe, AllFailingPolicy::KeepLast);
        story.feed(Input::Interface(Ok(MAC)));
        story.feed(Input::Bound(true));
        assert_eq!(story.feed(lost()), [Action::Probe(true)]);
        assert_eq!(story.feed(Input::Probed(ProbeResult::Answered { wins_tie_break })), expected);
    }
}

#[test]
fn of_two_that_took_it_at_the_same_moment_the_second_yields() {
    let mut story = starting(LossPolicy::Probe).lose();
    story.feed(lost());
    story.feed(SILENT);
    story.feed(Input::Bound(true));
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: false }), []);
    let actions = story.feed(Input::Claimed { from: MAC, wins_tie_break: true });
    // Who has claimed it may be gone before it is asked.
    let asks_anew = [demoted(), Action::Unbind, Action::Probe(false), Action::Probe(true)];
    assert_eq!(actions, asks_anew);
}

#[test]
fn by_take_every_host_has_it_and_claims_are_no_news() {
    let mut story = Story::standby();
    assert_eq!(story.feed(lost()), [fault(), Action::Bind]);
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: true }), []);
}

#[test]
fn who_has_the_ip_goes_first_when_etcd_is_back() {
    let mut story = starting(LossPolicy::Hold).lose();
    story.feed(lost());
    assert_eq!(story.feed(held()), []);
    let back = story.now;
    assert_eq!(story.see(None), [], "also when the lock is seen to be free");
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(story.now - back, Timer::Courtesy.duration());
}

#[test]
fn another_policy_takes_effect_at_once() {
    let mut story = starting(LossPolicy::Hold).lose();
    story.feed(lost());
    assert_eq!(story.feed(Input::LossPolicy(LossPolicy::Probe)), [Action::Probe(true)]);
    let take = story.feed(Input::LossPolicy(LossPolicy::Take));
    assert_eq!(take, [fault(), Action::Bind, Action::Probe(false)]);
    assert_eq!(story.feed(Input::LossPolicy(LossPolicy::Hold)), []);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn a_failing_host_without_etcd_keeps_the_address_until_another_has_it() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    assert_eq!(story.feed(lost()), [Action::Probe(true)]);
    assert_eq!(story.feed(SILENT), []);
    assert_eq!(story.feed(ANSWERED), [Action::Unbind, Action::Probe(false)]);
    assert_eq!(story.core().state(), State::Failing);
}

#[test]
fn by_probe_a_failing_host_that_recovers_with_the_ip_has_it() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    story.feed(Input::LossPolicy(LossPolicy::Probe));
    story.feed(lost());
    story.feed(SILENT);
    assert!(story.core().has_address());
    let well = transition(State::Failing, State::Standby, Event::HealthCheckSuccess);
    assert_eq!(story.feed(Input::Checked(true)), [well, fault()]);
    assert!(story.core().is_ordered());
}

/// An owner by `probe` that has read who the candidates are.
fn owner_that_knows(others: &[Candidate]) -> Story {
    let mut story = starting(LossPolicy::Probe);
    let reads = Action::Ask(Request::ReadCandidates { lease: LEASE });
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind, reads]);
    story.feed(Input::Bound(true));
    assert_eq!(story.find(Some(("h1", LEASE)), others), []);
    story
}

/// The same, and then it has lost etcd.
fn owner_among(others: &[Candidate]) -> Story {
    let mut story = owner_that_knows(others);
    assert_eq!(story.feed(lost()), [Action::Probe(true)]);
    story
}

fn claim(from: Mac, wins_tie_break: bool) -> Input {
    Input::Claimed { from, wins_tie_break }
}

#[test]
fn by_probe_an_owner_lets_go_for_candidates_only() {
    let lets_go = [demoted(), Action::Unbind, Action::Probe(false), Action::Probe(true)];
    let known = Candidate { hardware_address: Some(OTHER_MAC), ..h2() };
    let mut story = owner_among(&[known]);
    for _ in 0..3 {
        assert_eq!(story.feed(claim(MAC, true)), []);
        assert_eq!(story.feed(ANSWERED), [], "whoever answers says so in as many words, too");
    }
    assert_eq!(story.feed(claim(OTHER_MAC, false)), []);
    assert_eq!(story.feed(claim(OTHER_MAC, true)), lets_go);
    // One that is alone knows no candidate at all.
    assert_eq!(owner_among(&[]).feed(claim(MAC, true)), []);
    // A Go LinK and an older agent do not tell their hardware address.
    let silent = Candidate { hardware_address: None, ..h2() };
    assert_eq!(owner_among(&[silent]).feed(claim(MAC, true)), lets_go);
}

#[test]
fn by_probe_an_owner_reads_the_candidates_again_when_others_may_have_come() {
    let mut story = starting(LossPolicy::Probe);
    story.answer(Some(("h1", LEASE)));
    story.feed(Input::Bound(true));
    story.find(Some(("h1", LEASE)), &[]);
    let reads = [Action::Ask(Request::ReadCandidates { lease: LEASE })];
    assert_eq!(story.feed(Input::CandidatesOutdated), reads);
    story.find(Some(("h1", LEASE)), &[]);
    story.feed(lost());
    assert_eq!(story.feed(Input::CandidatesOutdated), []);
    assert_eq!(story.feed(claim(MAC, true)), [], "what it knew holds while etcd is lost");
    let mut story = starting(LossPolicy::Take);
    assert_eq!(story.answer(Some(("h1", LEASE))), [elected(), Action::Bind]);
    assert_eq!(story.feed(Input::CandidatesOutdated), []);
}

/// An etcd that ends slowly renews the lease while it answers nothing more.
#[test]
fn by_probe_an_owner_that_could_not_read_the_candidates_again_goes_by_those_it_knew() {
    let known = [Candidate { hardware_address: Some(OTHER_MAC), ..h2() }];
    for outdated in [Input::CandidatesOutdated, Input::Lease(Lease::Held(LEASE + 1))] {
        let mut story = owner_that_knows(&known);
        assert_ne!(story.feed(outdated), [], "etcd is asked");
        story.unanswered();
        assert_eq!(story.feed(lost()), [Action::Probe(true)]);
        assert_eq!(story.feed(claim(MAC, true)), [], "a stranger");
        assert!(story.feed(claim(OTHER_MAC, true)).contains(&demoted()));
    }
}

#[test]
fn a_lock_that_comes_free_while_no_lease_is_held_is_a_fault_too() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.see(Some(("h2", 9))), [Action::Probe(true)]);
    let lets_go = [demoted(), Action::Unbind, Action::AnnounceOwner, Action::Probe(false)];
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: true }), lets_go);
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.see(None), [fault, Action::Bind]);
}

#[test]
fn an_owner_of_whom_nothing_is_heard_any_more_is_not_believed_in_for_ever() {
    let mut story = Story::standby();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.see(Some(("h2", 9))), [Action::Probe(true)]);
    let lets_go = [demoted(), Action::Unbind, Action::AnnounceOwner, Action::Probe(false)];
    assert_eq!(story.feed(Input::Claimed { from: MAC, wins_tie_break: true }), lets_go);
    let heard = story.now;
    let fault = transition(State::Standby, State::Activated, Event::Fault);
    assert_eq!(story.wait(), [fault, Action::Bind]);
    assert_eq!(story.now - heard, Timer::AssumeOwner.duration());
    story.feed(Input::Bound(true));
    assert_eq!(story.driver.deadline(), None);
}

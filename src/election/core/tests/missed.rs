//! An owner that is silent while etcd is silent, too.

use super::*;

const H3: Mac = [2, 0, 0, 0, 0, 3];
const H4: Mac = [2, 0, 0, 0, 0, 4];
const BEFORE: Mac = [2, 0, 0, 0, 0, 0];

fn candidate(host: &str, mac: Mac) -> Candidate {
    Candidate { hardware_address: Some(mac), ..other(host, i64::from(mac[5]), true) }
}

fn missed(by: &[Mac]) -> Missed {
    Missed { lease: 9, by: by.to_vec(), neighbours: true, turn: 0, agents: Vec::new() }
}

/// A standby of h2, which knows of these others.
fn standby_with(loss: LossPolicy, others: &[Candidate]) -> Story {
    let mut story = Story::with(false, loss, AllFailingPolicy::KeepLast).start();
    let others = [&[h2()], others].concat();
    assert_eq!(story.find(Some(("h2", 9)), &others), [Action::Unbind]);
    story
}

/// One of three candidates.
fn of_three() -> Story {
    standby_with(LossPolicy::Hold, &[candidate("h3", H3)])
}

fn fault() -> Action {
    transition(State::Standby, State::Activated, Event::Fault)
}

fn takes(story: &mut Story, missed: Missed) -> bool {
    let actions = story.feed(Input::OwnerMissed(missed));
    actions.starts_with(&[fault(), Action::Bind])
}

fn take_over(story: &Story) -> Action {
    Action::Ask(Request::TakeOver { lease: LEASE, written: story.written })
}

#[test]
fn a_majority_that_misses_the_owner_takes_the_ip_at_once_and_the_lock_when_etcd_answers() {
    let mut story = of_three();
    let actions = story.feed(Input::OwnerMissed(missed(&[H3])));
    assert_eq!(actions, [fault(), Action::Bind, take_over(&story)]);
    story.feed(Input::Bound(true));
    // etcd does not answer for a while.
    assert_eq!(story.unanswered(), []);
    assert_eq!(story.wait(), [acquire()]);
    assert_eq!(story.core().state(), State::Activated);
    let again = take_over(&story);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [again]);
    story.written += 1;
    assert!(story.answer(Some(("h1", LEASE))).contains(&Action::Announce));
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn a_minority_takes_nothing() {
    // One of two, one of three, two of four; of five, three are needed.
    let all = [candidate("h3", H3), candidate("h4", H4), other("h5", 5, true)];
    for (others, by, takes_it) in [
        (&all[..0], &[][..], false),
        (&all[..1], &[][..], false),
        (&all[..2], &[H3][..], false),
        (&all[..2], &[H3, H4][..], true),
        (&all[..3], &[H3][..], false),
        (&all[..3], &[H3, H4][..], true),
        // Whoever that is, it is no candidate.
        (&all[..1], &[H4][..], false),
        // It is the owner itself, or has no hardware address.
        (&all[2..], &[OTHER_MAC][..], false),
    ] {
        let mut story = standby_with(LossPolicy::Hold, others);
        assert_eq!(takes(&mut story, missed(by)), takes_it, "{others:?} {by:?}");
    }
}

#[test]
fn hosts_that_may_be_candidates_by_now_count_and_miss_nobody() {
    let agents = |host: &str, at| vec![(host.to_owned(), at)];
    for (host, newer, takes_it) in
        [("h4", 1, false), ("h4", 0, true), ("h3", 1, true), ("h2", 1, true), ("h1", 1, true)]
    {
        let mut story = of_three();
        let agents = agents(host, story.revision + newer);
        let missed = Missed { agents, ..missed(&[H3]) };
        assert_eq!(takes(&mut story, missed), takes_it, "{host} {newer}");
    }
}

#[test]
fn the_lowest_hardware_address_goes_first_and_the_others_after_it() {
    let mut story = standby_with(LossPolicy::Hold, &[candidate("h0", BEFORE)]);
    let by = |turn| Missed { turn, ..missed(&[BEFORE]) };
    assert!(!takes(&mut story, by(0)));
    assert!(takes(&mut story, by(1)));
}

#[test]
fn of_two_candidates_one_takes_it_where_the_policy_takes_it_anyhow() {
    let missed = missed(&[]);
    for (loss, takes_it) in
        [(LossPolicy::Take, true), (LossPolicy::Probe, true), (LossPolicy::Hold, false)]
    {
        let mut story = standby_with(loss, &[]);
        assert_eq!(takes(&mut story, missed.clone()), takes_it, "{loss:?}");
        let mut story = standby_with(loss, &[]);
        let deaf = Missed { neighbours: false, ..missed.clone() };
        assert!(!takes(&mut story, deaf), "{loss:?}: it may be this host that is deaf");
    }
}

#[test]
fn an_etcd_that_may_refuse_is_asked_when_no_majority_comes_of_it() {
    let mut story = of_three();
    assert_eq!(story.feed(Input::OwnerMissed(Missed { turn: 9, ..missed(&[]) })), []);
    let read = Action::Ask(Request::ReadLock { lease: LEASE });
    assert_eq!(story.feed(Input::OwnerMissed(Missed { turn: 10, ..missed(&[]) })), [read]);
}

#[test]
fn what_is_said_of_another_owner_or_to_a_host_that_cannot_serve_moves_nothing() {
    let mut story = of_three();
    assert!(!takes(&mut story, Missed { lease: 8, ..missed(&[H3]) }));
    let mut story = of_three();
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    story.wait();
    assert!(!takes(&mut story, missed(&[H3])));
    let mut story = Story::owner();
    assert_eq!(story.feed(Input::OwnerMissed(missed(&[H3]))), []);
}

#[test]
fn it_lets_go_when_another_host_has_the_lock_or_the_owner_has_it_anew() {
    for holder in [("h3", 3), ("h2", 10)] {
        let mut story = of_three();
        story.feed(Input::OwnerMissed(missed(&[H3])));
        story.feed(Input::Bound(true));
        story.written += 1;
        let actions = story.find(Some(holder), &[h2()]);
        assert_eq!(actions[..2], [demoted(), Action::Unbind], "{holder:?}");
        assert!(story.unbound().contains(&story.yields()));
    }
}

#[test]
fn a_lock_that_another_standby_has_acknowledged_meanwhile_is_taken_all_the_same() {
    let mut story = of_three();
    story.feed(Input::OwnerMissed(missed(&[H3])));
    story.feed(Input::Bound(true));
    story.written += 1;
    let again = take_over(&story);
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [again]);
    assert_eq!(story.core().state(), State::Activated);
}

#[test]
fn the_rules_for_the_loss_of_etcd_hold_when_it_is_lost_for_good() {
    let mut story = of_three();
    story.feed(Input::OwnerMissed(missed(&[H3])));
    story.feed(Input::Bound(true));
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.core().state(), State::Activated);
    story.feed(Input::Lease(Lease::Held(LEASE)));
    let back = Candidate { written: story.revision + 1, ..h2() };
    story.written = story.revision + 1;
    assert!(story.find(Some(("h2", 9)), &[back]).contains(&demoted()));
}

#[test]
fn who_leaves_takes_nothing_from_an_owner_that_is_missed() {
    let mut story = of_three();
    story.feed(Input::Leave);
    assert!(!takes(&mut story, missed(&[H3])));
    assert_eq!(story.core().state(), State::Standby);
}

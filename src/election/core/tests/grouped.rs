//! An IP that belongs to a group: its lock says so, and has no lease.

use super::*;

const GROUP: Option<(&str, i64)> = Some(("group:gw", 0));

#[test]
fn a_lock_that_names_a_group_is_not_taken_and_nobody_holds_it() {
    let mut story = Story::started();
    assert_eq!(story.find(GROUP, &[h2()]), [Action::Unbind]);
    assert_eq!((story.core().state(), story.core().owner()), (State::Standby, None));
    assert_eq!(story.core().group().map(|it| it.to_string()), Some("gw".to_owned()));
    assert_eq!(story.core().reason().to_string(), "it belongs to group gw");
    assert_eq!(story.core().troubles(), []);
    assert_eq!(story.core().awaited(), None);
    assert_eq!(story.feed(Input::CandidatesOutdated), []);
    assert_eq!(story.driver.deadline(), None, "nothing is waited for");
    // It leaves the group, and is free.
    assert_eq!(story.see(None), [acquire()]);
}

#[test]
fn an_owner_whose_ip_joins_a_group_keeps_the_address_for_the_election_of_the_group() {
    let mut story = Story::owner();
    assert_eq!(story.see(GROUP), [Action::Probe(true)]);
    assert_eq!(story.see(GROUP), []);
    assert_eq!(story.feed(Input::Probed(ProbeResult::Silent)), []);
    assert!(story.core().is_ordered());
    assert_eq!(story.core().state(), State::Activated);
    assert_eq!(story.core().owner(), None);
    assert_eq!(story.feed(Input::Failover(None)).len(), 1, "it has nothing to hand over");
    assert!(story.core().is_ordered());
    // It has left the group again, in this host's hands.
    assert_eq!(story.see(Some(("h1", LEASE))), [Action::Probe(false)]);
    assert_eq!(story.core().owner(), Some("h1"));
}

#[test]
fn an_owner_that_has_missed_how_its_ip_joined_a_group_lets_go() {
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    assert_eq!(story.find(GROUP, &[h2()]), [demoted(), Action::Unbind]);
    // The owner of the group does not watch this lock, and is announced by this host.
    assert_eq!(story.unbound(), [Action::AnnounceOwner]);
    assert_eq!(story.unbound(), []);
}

#[test]
fn without_etcd_an_ip_of_a_group_is_left_to_the_hosts_of_the_group() {
    for loss in [LossPolicy::Take, LossPolicy::Probe, LossPolicy::Hold] {
        let mut story = Story::with(false, loss, AllFailingPolicy::KeepLast).start();
        story.find(GROUP, &[h2()]);
        for lease in [Lease::Lost, Lease::Held(LEASE), Lease::Lost] {
            let actions = story.feed(Input::Lease(lease));
            assert!(!actions.contains(&Action::Bind), "{loss}: {actions:?}");
            let actions = story.feed(Input::Probed(ProbeResult::Silent));
            assert!(!actions.contains(&Action::Bind), "{loss}: {actions:?}");
            assert_eq!(story.core().state(), State::Standby, "{loss}");
        }
    }
}

#[test]
fn an_owner_that_loses_etcd_as_its_ip_joins_a_group_has_it_still() {
    let mut story = Story::owner();
    story.see(GROUP);
    story.feed(Input::Lease(Lease::Lost));
    assert!(story.core().is_ordered());
}

#[test]
fn an_owner_whose_ip_joins_the_group_of_another_host_keeps_the_address_until_that_is_heard() {
    // A cluster that was restored, say: the lock is as it was before this host owned the IP.
    let mut story = Story::owner();
    story.see(GROUP);
    assert!(story.core().is_ordered());
    let claim = Input::Claimed { from: OTHER_MAC, wins_tie_break: false };
    let leaves = [demoted(), Action::Unbind, Action::Probe(false)];
    assert_eq!(story.feed(claim), leaves);
    // What has claimed it while this host stood still answers when it is asked.
    let mut story = Story::owner();
    story.see(GROUP);
    let answer = Input::Probed(ProbeResult::Answered { wins_tie_break: false });
    assert_eq!(story.feed(answer), leaves);
}

//! What a core knows, and tells.

use super::*;

#[test]
fn an_etcd_in_which_nothing_was_written_since_tells_what_it_told_before() {
    let mut story = Story::owner();
    story.feed(Input::Lease(Lease::Lost));
    assert_eq!(story.feed(Input::Lease(Lease::Held(LEASE))), [acquire()]);
    story.revision -= 1;
    assert!(story.answer(Some(("h1", LEASE))).contains(&Action::Announce));
    assert_eq!(story.core().owner(), Some("h1"));
}

#[test]
fn a_failing_host_without_the_address_looks_at_nothing_after_a_pause() {
    let mut story = Story::failing(AllFailingPolicy::KeepLast);
    story.find(Some(("h2", 9)), &[other("h2", 9, false)]);
    story.feed(Input::Bound(false));
    story.answer(Some(("h2", 9)));
    assert_eq!(story.feed(Input::Paused), []);
}

#[test]
fn a_standby_keeps_what_it_knows_of_the_candidates_while_it_reads_them_anew() {
    let mut story = Story::started();
    assert_eq!(story.find(Some(("h2", 9)), &[h2()]), [Action::Unbind]);
    assert!(story.core().is_next());
    assert_eq!(story.feed(Input::CandidatesOutdated), [read_candidates()]);
    assert!(story.core().asks_at_leisure());
    assert!(story.core().is_next());
}

#[test]
fn a_core_tells_what_it_knows() {
    let mut story = Story::owner();
    assert_eq!(story.core().awaited(), None);
    assert!(story.core().interface_is_usable());
    story.feed(Input::Interface(Err(Unusable::NoCarrier)));
    assert!(!story.core().interface_is_usable());
    let mut story = Story::new(true);
    story.feed(Input::Checked(true));
    assert!(story.core().checks_pass());
    story.feed(refused());
    assert!(!story.core().checks_pass());
}

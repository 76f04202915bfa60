use super::*;

const LEASE: i64 = 9;

fn id(number: u8) -> VipId {
    format!("vip-00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
}

fn ttl(left: i64) -> Option<TimeToLive> {
    Some(TimeToLive { left, granted: 5 })
}

/// A witness whose owner has just fallen silent.
fn silent(now: Instant) -> Witness {
    let mut witness = Witness::default();
    let watch = Step::Watch(id(1), true);
    assert_eq!(witness.awaits(&id(1), true, Some(("h2", LEASE))), [watch]);
    assert_eq!(witness.heard(&id(1), Liveness::Alive, now), []);
    assert_eq!(witness.heard(&id(1), Liveness::Suspect, now), [Step::AskLease(LEASE)]);
    witness
}

fn dead(ips: &[u8]) -> Step {
    dead_because(ips, NOT_RENEWED)
}

fn dead_because(ips: &[u8], because: &'static str) -> Step {
    let ips = ips.iter().map(|number| id(*number)).collect();
    Step::Dead { host: "h2".to_owned(), lease: LEASE, ips, because }
}

/// The next life of the owner, or the next time that it owns its IP, and it is silent where others
/// are heard; whether it is declared dead.
fn gone_again(witness: &mut Witness, lease: i64, now: Instant) -> bool {
    witness.awaits(&id(1), true, Some(("h2", lease)));
    witness.heard(&id(1), Liveness::Alive, now);
    let steps = witness.heard(&id(1), Liveness::Dead, now);
    // This host has its IP now.
    witness.awaits(&id(1), true, None);
    steps.iter().any(|step| matches!(step, Step::Dead { .. }))
}

#[test]
fn a_host_is_dead_when_the_network_and_etcd_do_not_hear_of_it() {
    let now = Instant::now();
    let mut witness = silent(now);
    assert_eq!(witness.told(LEASE, ttl(4), now), []);
    assert_eq!(witness.deadline(), Some(now + ASK));
    assert_eq!(witness.wake(now + ASK), [Step::AskLease(LEASE)]);
    assert_eq!(witness.deadline(), None, "one question at a time");
    assert_eq!(witness.told(LEASE, ttl(3), now + ASK), []);
    let due = now + ASK + LATE;
    assert_eq!(witness.deadline(), Some(due));
    assert_eq!(witness.wake(due), [Step::AskLease(LEASE)]);
    assert_eq!(witness.told(LEASE, ttl(3), due), [dead(&[1])]);
}

#[test]
fn a_renewal_that_comes_a_little_late_saves_it() {
    let now = Instant::now();
    let mut witness = silent(now);
    witness.told(LEASE, ttl(3), now);
    assert_eq!(witness.told(LEASE, ttl(4), now + LATE), []);
    assert_eq!(witness.told(LEASE, ttl(3), now + LATE * 2), [], "that is another one");
}

#[test]
fn an_answer_from_the_network_saves_it() {
    let now = Instant::now();
    let mut witness = silent(now);
    witness.told(LEASE, ttl(3), now);
    assert_eq!(witness.heard(&id(1), Liveness::Alive, now), []);
    assert_eq!(witness.told(LEASE, ttl(0), now + LATE), []);
    assert_eq!(witness.deadline(), None);
}

#[test]
fn without_an_answer_from_etcd_nothing_moves() {
    let now = Instant::now();
    let mut witness = silent(now);
    witness.told(LEASE, ttl(3), now);
    assert_eq!(witness.told(LEASE, None, now + LATE), []);
    assert_eq!(witness.told(LEASE, ttl(2), now + LATE * 2), [], "it counts from the beginning");
}

#[test]
fn a_host_that_is_silent_and_alive_is_told_once_and_asked_for_slowly() {
    let now = Instant::now();
    let mut witness = silent(now);
    let later = now + Duration::from_secs(5);
    let told = witness.told(LEASE, ttl(4), later);
    let alive = "host h2 is not heard on the network, but renews its lease";
    assert_eq!(told, [Step::Tell(alive.to_owned())]);
    assert_eq!(witness.deadline(), Some(later + ASK_SLOWLY));
    assert_eq!(witness.told(LEASE, ttl(4), later), []);
    let back = Step::Tell("host h2 is heard on the network again".to_owned());
    assert_eq!(witness.heard(&id(1), Liveness::Alive, later), [back]);
}

#[test]
fn a_host_that_is_silent_where_others_are_heard_is_dead_without_a_word_of_etcd() {
    let now = Instant::now();
    let mut witness = silent(now);
    let gone = dead_because(&[1], OTHERS_ARE_HEARD);
    assert_eq!(witness.heard(&id(1), Liveness::Dead, now), [gone]);
    assert_eq!(witness.told(LEASE, ttl(4), now), [], "that was said a moment ago");
}

#[test]
fn a_dead_host_whose_locks_were_not_taken_is_declared_dead_again_a_second_later() {
    let now = Instant::now();
    let mut witness = silent(now);
    let gone = dead_because(&[1], OTHERS_ARE_HEARD);
    witness.heard(&id(1), Liveness::Dead, now);
    let due = now + ASK_SLOWLY;
    assert_eq!(witness.deadline(), Some(due));
    assert_eq!(witness.wake(due), [Step::AskLease(LEASE)]);
    assert_eq!(witness.told(LEASE, None, due), [gone]);
}

#[test]
fn when_nobody_is_heard_any_more_both_witnesses_are_needed_again() {
    let now = Instant::now();
    let mut witness = silent(now);
    witness.heard(&id(1), Liveness::Dead, now);
    assert_eq!(witness.heard(&id(1), Liveness::Suspect, now), []);
    let due = now + ASK_SLOWLY;
    assert_eq!(witness.told(LEASE, ttl(4), due), []);
    assert_eq!(witness.told(LEASE, ttl(3), due), []);
    assert_eq!(witness.told(LEASE, ttl(3), due + LATE), [dead(&[1])]);
}

#[test]
fn who_has_really_died_is_found_dead_as_soon_the_next_time() {
    let start = Instant::now();
    let mut witness = Witness::default();
    for life in 0..20 {
        let now = start + Duration::from_millis(500) * life;
        assert!(gone_again(&mut witness, LEASE + i64::from(life), now), "life {life}");
    }
}

#[test]
fn who_was_declared_dead_and_lives_is_so_again_only_after_a_while_that_grows() {
    let start = Instant::now();
    let mut witness = Witness::default();
    let mut declared = Vec::new();
    for second in 0..5_000 {
        let now = start + Duration::from_secs(second);
        if gone_again(&mut witness, LEASE, now) {
            declared.push(second);
            assert_eq!(witness.yielded(&id(1), now).len(), 1, "it is told");
            assert_eq!(witness.yielded(&id(1), now), [], "once");
        }
    }
    assert_eq!(declared, [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630, 4230, 4830]);
}

#[test]
fn who_has_lived_in_peace_for_an_hour_begins_with_the_shortest_while() {
    let start = Instant::now();
    let mut witness = Witness::default();
    let mut now = start;
    for pause in [Duration::from_secs(11), FORGIVEN + Duration::from_secs(21), ASK_SLOWLY * 11] {
        assert!(gone_again(&mut witness, LEASE, now));
        witness.yielded(&id(1), now);
        now += pause;
    }
    assert!(gone_again(&mut witness, LEASE, now));
}

#[test]
fn while_it_is_held_down_it_is_not_declared_dead_and_at_the_end_of_that_it_is() {
    let now = Instant::now();
    let mut witness = Witness::default();
    assert!(gone_again(&mut witness, LEASE, now));
    witness.yielded(&id(1), now);
    witness.awaits(&id(1), true, Some(("h2", LEASE)));
    witness.heard(&id(1), Liveness::Alive, now);
    assert_eq!(witness.heard(&id(1), Liveness::Dead, now), []);
    let end = now + HOLD_DOWN.0;
    assert_eq!(witness.told(LEASE, ttl(4), end - ASK), []);
    assert_eq!(witness.told(LEASE, ttl(4), end), [dead_because(&[1], OTHERS_ARE_HEARD)]);
}

#[test]
fn what_was_taken_before_it_was_declared_dead_again_can_be_yielded_yet() {
    let now = Instant::now();
    let mut witness = silent(now);
    witness.awaits(&id(2), true, Some(("h2", LEASE)));
    witness.heard(&id(1), Liveness::Dead, now);
    // The first is taken, the second is not: it is watched through that one from now on.
    witness.awaits(&id(1), true, None);
    witness.heard(&id(2), Liveness::Alive, now);
    let gone = dead_because(&[2], OTHERS_ARE_HEARD);
    assert_eq!(witness.heard(&id(2), Liveness::Dead, now + ASK_SLOWLY), [gone]);
    assert_eq!(witness.yielded(&id(1), now + ASK_SLOWLY).len(), 1);
}

#[test]
fn it_is_the_last_who_lost_the_ip_that_yields() {
    let now = Instant::now();
    let mut witness = Witness::default();
    assert_eq!(witness.yielded(&id(1), now), [], "nobody was declared dead");
    for (host, after) in [("h2", 0), ("h3", 1)] {
        let now = now + Duration::from_secs(after);
        witness.awaits(&id(1), true, Some((host, LEASE)));
        witness.heard(&id(1), Liveness::Alive, now);
        witness.heard(&id(1), Liveness::Dead, now);
        witness.awaits(&id(1), true, None);
    }
    assert_eq!(witness.yielded(&id(2), now), [], "that is another IP");
    let lives = "host h3 was declared dead and lives: it is not declared dead again for 10s";
    assert_eq!(witness.yielded(&id(1), now), [Step::Tell(lives.to_owned())]);
}

#[test]
fn each_host_is_watched_through_one_of_its_ips() {
    let now = Instant::now();
    let mut witness = silent(now);
    assert_eq!(witness.awaits(&id(2), true, Some(("h2", LEASE))), []);
    witness.told(LEASE, ttl(3), now);
    assert_eq!(witness.told(LEASE, ttl(3), now + LATE), [dead(&[1, 2])]);
    // The one through which it was watched is owned by somebody else now.
    let other = [Step::Watch(id(1), false), Step::Watch(id(2), true), Step::Watch(id(1), true)];
    assert_eq!(witness.awaits(&id(1), true, Some(("h3", 11))), other);
    assert_eq!(witness.awaits(&id(2), true, None), [Step::Watch(id(2), false)]);
    assert_eq!(witness.heard(&id(2), Liveness::Suspect, now), []);
}

#[test]
fn a_host_is_watched_through_an_ip_of_ipv4_if_it_has_one() {
    let mut witness = Witness::default();
    let owner = Some(("h2", LEASE));
    assert_eq!(witness.awaits(&id(1), false, owner), [Step::Watch(id(1), true)]);
    let change = [Step::Watch(id(1), false), Step::Watch(id(3), true)];
    assert_eq!(witness.awaits(&id(3), true, owner), change);
    assert_eq!(witness.awaits(&id(2), true, owner), [], "one is as good as another");
    let change = [Step::Watch(id(3), false), Step::Watch(id(2), true)];
    assert_eq!(witness.awaits(&id(3), true, None), change);
    let change = [Step::Watch(id(2), false), Step::Watch(id(1), true)];
    assert_eq!(witness.awaits(&id(2), true, None), change);
    assert_eq!(witness.awaits(&id(1), false, None), [Step::Watch(id(1), false)]);
}

#[test]
fn a_lease_is_late_when_more_than_a_fifth_is_over() {
    // As granted: 5 s renewed every second, 3 s every half, 15 s every three.
    for (left, granted, late) in [
        (4, 5, false),
        (3, 5, true),
        (2, 3, false),
        (1, 3, true),
        (1, 2, false),
        (0, 2, true),
        (12, 15, false),
        (11, 15, true),
        (-1, 0, false),
    ] {
        assert_eq!(is_late(left, granted), late, "{left} of {granted}");
    }
}

#[test]
fn what_is_told_of_the_owner_before_does_not_count_against_the_new_one() {
    let now = Instant::now();
    let mut witness = Witness::default();
    witness.awaits(&id(1), true, Some(("h2", LEASE)));
    witness.heard(&id(1), Liveness::Alive, now);
    // h3 has found h2 dead, and has the lock, before this host is told of h2.
    let watches_anew = [Step::Watch(id(1), false), Step::Watch(id(1), true)];
    assert_eq!(witness.awaits(&id(1), true, Some(("h3", 11))), watches_anew);
    for late in [Liveness::Suspect, Liveness::Dead] {
        assert_eq!(witness.heard(&id(1), late, now), []);
    }
    assert_eq!(witness.heard(&id(1), Liveness::Alive, now), []);
    assert_eq!(witness.heard(&id(1), Liveness::Suspect, now), [Step::AskLease(11)]);
}

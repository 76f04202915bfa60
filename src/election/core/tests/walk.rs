//! A random walk that feeds every input, in whatever order.

use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        let index = usize::try_from(self.below(all.len() as u64)).expect("a small index");
        all[index].clone()
    }
}

fn holder(random: &mut Random, revision: i64) -> Option<Holder> {
    let groups = Some(("group:gw", 0));
    let hosts = [Some(("h1", LEASE)), Some(("h1", 3)), Some(("h2", 9)), Some(("h9", 0))];
    let holders = [&[None, groups][..], &hosts].concat();
    random.of(&holders).map(|(host, lease)| Holder {
        host: host.to_owned(),
        lease,
        written: revision - i64::try_from(random.below(3)).expect("small"),
    })
}

fn view(random: &mut Random, story: &mut Story) -> LockView {
    story.revision += 1;
    let gap = random.of(&[Gap::None, Gap::None, Gap::Reconnected, Gap::Restored]);
    let revision = story.revision - i64::try_from(random.below(4)).expect("small");
    LockView { holder: holder(random, revision), revision, gap }
}

fn answer(random: &mut Random, story: &mut Story) -> LockAnswer {
    let lock = LockView { gap: Gap::None, ..view(random, story) };
    let hosts = [h2(), other("h3", 0, true), other("h2", 9, false), other("h4", 12, true)];
    let count = usize::try_from(random.below(5)).expect("small");
    let others = random.of(&[None, Some(hosts[..count].to_vec())]);
    let revision = lock.revision;
    let own = random.of(&[None, Some(Advertised::Written(revision)), Some(Advertised::Changed(3))]);
    LockAnswer { lock, succeeded: random.below(2) == 0, others, own }
}

/// Any input that the core can get now.
fn input(random: &mut Random, story: &mut Story) -> Input {
    let wins_tie_break = random.below(2) == 0;
    let armed: Vec<_> = Timer::ALL.into_iter().filter(|it| story.core().is_armed(*it)).collect();
    match random.below(28) {
        0 => Input::Lease(random.of(&[Lease::Lost, Lease::Held(LEASE), Lease::Held(8)])),
        1 => Input::Lease(Lease::Held(LEASE)),
        2 => Input::EtcdHeard(story.revision),
        3 => Input::Lock(view(random, story)),
        4..=7 if story.core().etcd.pending.is_some() => Input::Answered(answer(random, story)),
        8 if story.core().etcd.pending.is_some() => Input::Unanswered,
        9 => Input::Interface(random.of(&[Ok(MAC), Ok(OTHER_MAC), Err(Unusable::Down)])),
        10 => Input::Bound(random.below(2) == 0),
        11 => Input::Probed(ProbeResult::Answered { wins_tie_break }),
        12 => Input::Probed(ProbeResult::Silent),
        13 => Input::Claimed { from: random.of(&[MAC, OTHER_MAC]), wins_tie_break },
        14 => Input::OwnerDead(random.of(&[9, LEASE])),
        15 => random.of(&[
            Input::OwnerHeardAgain,
            Input::Paused,
            Input::LockNow,
            Input::Drained(true),
            Input::Drained(false),
        ]),
        16 => Input::Checked(false),
        17 => Input::Checked(true),
        18 => Input::ChecksReplaced(random.below(2) == 0),
        19 => {
            Input::LossPolicy(random.of(&[LossPolicy::Take, LossPolicy::Probe, LossPolicy::Hold]))
        }
        20 => Input::Failover(random.of(&[None, Some("h2".to_owned()), Some("h3".to_owned())])),
        21 if random.below(20) == 0 => Input::Leave,
        22 => Input::Hearing(random.of(&[Hearing::Unknown, Hearing::Others, Hearing::Nobody])),
        23 => Input::OwnerMissed(Missed {
            lease: random.of(&[9, LEASE]),
            by: random.of(&[vec![], vec![OTHER_MAC]]),
            neighbours: wins_tie_break,
            turn: 3,
            agents: vec![("h5".to_owned(), story.revision - 2)],
        }),
        24 => Input::OwnerLives(random.of(&[9, LEASE])),
        25 => Input::Neighbours(random.of(&[Hearing::Unknown, Hearing::Others, Hearing::Nobody])),
        _ if armed.is_empty() => Input::Checked(true),
        _ => Input::Timer(random.of(&armed)),
    }
}

/// What has to hold after every input.
fn look(core: &Core, actions: &[Action], asked: &mut bool, ordered: &mut Option<bool>) {
    let mut wanted = *ordered;
    for action in actions {
        match action {
            Action::Ask(_) => {
                assert!(!*asked, "two requests are under way: {actions:?}");
                *asked = true;
            }
            Action::Bind | Action::Unbind => {
                let bind = *action == Action::Bind;
                assert_ne!(wanted, Some(bind), "ordered again: {actions:?}");
                wanted = Some(bind);
            }
            Action::Announce
            | Action::AnnounceOwner
            | Action::Probe(_)
            | Action::Restart(_)
            | Action::Transition { .. }
            | Action::HandedOver(_)
            | Action::AskNeighbours
            | Action::Left => {}
        }
    }
    assert_eq!(wanted == Some(true), core.is_ordered(), "{actions:?}");
    *ordered = wanted;
    let others = matches!(core.ownership(), Ownership::Other | Ownership::Grouped);
    let owner_is_other = others && core.lease != Lease::Lost;
    match core.state() {
        State::Activated => {
            assert!(core.is_ordered());
            assert!(!owner_is_other || !core.lets_go(), "an owner though another holds the lock");
        }
        State::Standby => {
            // A host that has recovered keeps what it has until it knows whose it is, or until the host
            // to which it has given the lock is heard.
            assert!(!core.is_ordered() || !owner_is_other || !core.lets_go(), "a left-over");
            assert!(core.ownership() != Ownership::Mine || core.has_left(), "it has the lock");
            assert!(!owner_is_other || wanted == Some(false) || !core.lets_go(), "it lets go");
        }
        State::Failing => {
            assert!(core.health.verdict() != Verdict::Healthy || core.has_left());
            assert!(!owner_is_other || wanted == Some(false) || !core.lets_go(), "it lets go");
        }
    }
    assert!(!core.has_left() || wanted != Some(true), "it has left");
    assert!(core.lease == Lease::Lost || core.probe_is_for_owner(), "nobody has to be asked");
}

impl Core {
    fn probe_is_for_owner(&self) -> bool {
        let asks = self.owner_wait.waits() || self.asks_before_it_comes_back();
        self.wire.probe == Probe::Off || asks || self.ownership() == Ownership::Joined
    }
}

#[test]
fn a_random_walk_through_every_input_keeps_the_address_where_the_state_says() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..20_000 {
        let loss = random.of(&[LossPolicy::Take, LossPolicy::Probe, LossPolicy::Hold]);
        let all_failing = random.of(&[AllFailingPolicy::KeepLast, AllFailingPolicy::None]);
        let mut story = Story::with(random.below(2) == 0, loss, all_failing);
        let (mut asked, mut ordered) = (false, None);
        for _ in 0..80 {
            let input = input(&mut random, &mut story);
            asked &= !matches!(input, Input::Answered(_) | Input::Unanswered);
            let actions = story.feed(input);
            look(story.core(), &actions, &mut asked, &mut ordered);
        }
    }
}

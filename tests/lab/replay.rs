//! The model accepts what real agents have done, and refuses it at the step at which it is altered: else it would
//! accept anything.

use link::election::core::{Core, CoreConfig, Timer};
use link::election::message::{Action, Input};
use link::election::trace::{Line, Step, fingerprint};
use link::policy::LossPolicy;
use link::wire::Events;

use crate::harness::replay::lock::Change;
use crate::harness::replay::{Accepted, Replay};
use crate::harness::*;

/// What was recorded.
#[derive(Clone)]
struct Recorded {
    traces: Vec<(String, Vec<Line>)>,
    history: Vec<Change>,
}

/// Two hosts share an IP, which moves by order and when its owner stops.
fn recorded() -> Recorded {
    let mut lab = Lab::sharing(2, VIP);
    let first = lab.await_calm(VIP);
    lab[first].api().failover(VIP).expect(204);
    let second = lab.await_owner_other_than(first, VIP);
    lab.await_calm(VIP);
    lab[second].terminate();
    assert_eq!(lab.await_owner(VIP), first);
    lab[first].kill();
    let traces = lab.ids().into_iter().map(|id| (lab[id].name(), lines(&lab, id)));
    let traces = traces.collect();
    let history = lab.etcd.history().expect("etcd tells its history");
    Recorded { traces, history }
}

fn lines(lab: &Lab, host: HostId) -> Vec<Line> {
    let text = std::fs::read_to_string(lab[host].trace()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Recorded {
    fn judge(&self) -> Result<Accepted, String> {
        let mut replay = Replay::default();
        for (host, lines) in &self.traces {
            lines.iter().try_for_each(|line| replay.take(host, line))?;
        }
        replay.judge_locks(&self.history)?;
        Ok(replay.accepted())
    }

    /// All steps, by the number of their host and of their line, from 0.
    fn steps(&self) -> Vec<(usize, usize, &Step)> {
        let hosts = self.traces.iter().enumerate();
        let lines = hosts.flat_map(|(host, (_, lines))| {
            lines.iter().enumerate().map(move |(line, it)| (host, line, it))
        });
        let steps = lines.filter_map(|(host, line, it)| match it {
            Line::Step(step) => Some((host, line, step)),
            Line::Begin(_) => None,
        });
        steps.collect()
    }

    /// Whether the election is another after a step.
    fn changes(&self, host: usize, line: usize, step: &Step) -> bool {
        let before = match &self.traces[host].1[line - 1] {
            Line::Step(before) => before.core,
            Line::Begin(begin) => fingerprint(&Core::new(begin.config.clone())),
        };
        before != step.core
    }

    /// Alters a line; the model has to refuse just that one.
    fn expect_refused(&self, host: usize, line: usize, alter: impl FnOnce(&mut Step)) {
        let mut altered = self.clone();
        let (name, lines) = &mut altered.traces[host];
        let place = format!("line {} of {name}, ", line + 1);
        let Line::Step(step) = &mut lines[line] else { panic!("{place} is no step") };
        alter(step);
        let step = format!("{step:?}");
        let refused = altered.judge().expect_err(&step);
        assert!(refused.starts_with(&place), "not {place}{step}, but: {refused}");
    }
}

#[test]
fn a_trace_is_accepted_and_each_alteration_of_a_step_is_refused_there() {
    let recorded = recorded();
    let accepted = recorded.judge().unwrap_or_else(|refused| panic!("{refused}"));
    let steps = recorded.steps();
    assert_eq!((accepted.elections, accepted.steps), (2, steps.len()));
    assert!(accepted.writes >= 4 && accepted.views > 10, "{accepted:?}");
    let (mut actions, mut woken) = (0, 0);
    for (host, line, step) in steps {
        recorded.expect_refused(host, line, |step| step.actions.push(Action::Announce));
        recorded.expect_refused(host, line, |step| step.core ^= 1);
        recorded.expect_refused(host, line, |step| step.at -= 60_000_000_000);
        for number in 0..step.actions.len() {
            recorded.expect_refused(host, line, |step| drop(step.actions.remove(number)));
            actions += 1;
        }
        match &step.input {
            None if step.actions.is_empty() => {}
            None => {
                recorded.expect_refused(host, line, |step| step.input = Some(Input::Paused));
                woken += 1;
            }
            Some(Input::Bound(_)) if recorded.changes(host, line, step) => {
                recorded.expect_refused(host, line, |step| {
                    let Some(Input::Bound(bound)) = &mut step.input else { panic!("{step:?}") };
                    *bound = !*bound;
                });
            }
            Some(_) => {
                let timer = Some(Input::Timer(Timer::Retry));
                recorded.expect_refused(host, line, |step| step.input = timer);
            }
        }
    }
    assert!(actions > 20 && woken > 0, "{actions} actions, {woken} timers");
    leave_out_and_repeat(&recorded);
    begin_otherwise(&recorded);
    rewrite_history(&recorded);
}

/// What is left out or done twice is missed at that step, or as soon as it makes a difference.
fn leave_out_and_repeat(recorded: &Recorded) {
    let (mut left_out, mut twice) = (0, 0);
    for (host, line, step) in recorded.steps() {
        let is_last = recorded.traces[host].1.len() == line + 1;
        let mut altered = recorded.clone();
        altered.traces[host].1.remove(line);
        match altered.judge() {
            Err(refused) => {
                let place = format!("line {} of {}, ", line + 1, recorded.traces[host].0);
                assert!(refused.starts_with(&place), "not {place}but: {refused}");
                left_out += 1;
            }
            // What comes next may say the same and more.
            Ok(_) => assert!(is_last || step.actions.is_empty(), "{step:?} is not missed"),
        }
        let asks = step.actions.iter().any(|action| matches!(action, Action::Ask(_)));
        if matches!(step.input, Some(Input::Answered(_))) && !asks {
            let mut altered = recorded.clone();
            altered.traces[host].1.insert(line, Line::Step(step.clone()));
            let refused = altered.judge().expect_err("an answer that comes twice");
            assert!(refused.contains("not under way"), "{refused}");
            twice += 1;
        }
    }
    assert!(left_out > 20 && twice > 3, "{left_out} left out, {twice} twice");
}

/// Another election than the one that was told at its beginning.
fn begin_otherwise(recorded: &Recorded) {
    let refuses = |alter: fn(&mut CoreConfig)| {
        let mut altered = recorded.clone();
        let Line::Begin(begin) = &mut altered.traces[0].1[0] else { panic!("it begins") };
        alter(&mut begin.config);
        altered.judge().expect_err("another beginning");
    };
    refuses(|config| config.loss = LossPolicy::Hold);
    refuses(|config| config.company = !config.company);
    refuses(|config| config.checked = !config.checked);
    refuses(|config| config.preference.priority -= 1);
    refuses(|config| config.host = "h9".to_owned());
}

/// A history in which something of the lock is not as the agents have asked for, or were told.
fn rewrite_history(recorded: &Recorded) {
    let lock = lock_key(VIP);
    let of_lock = |change: &Change| change.key == lock;
    let writes: Vec<usize> =
        (0..recorded.history.len()).filter(|at| of_lock(&recorded.history[*at])).collect();
    for at in writes {
        let refuses = |alter: &dyn Fn(&mut Vec<Change>)| {
            let mut altered = recorded.clone();
            alter(&mut altered.history);
            let refused = altered.judge().expect_err("another history");
            assert!(refused.contains(&lock), "{refused}");
        };
        refuses(&|history| drop(history.remove(at)));
        refuses(&|history| {
            // Whoever has it or not: the host that did not ask takes it.
            let owner = history[at].put.take();
            let other = history.iter().rev().filter(|it| it.key == lock);
            let mut others =
                other.filter_map(|it| it.put.clone()).filter(|it| Some(it) != owner.as_ref());
            history[at].put = others.next().or(Some(("h2".to_owned(), 1)));
        });
        refuses(&|history| history[at].revision += 1_000_000);
    }
}

#[test]
fn the_transitions_of_a_host_s_events_are_those_of_its_trace() {
    let mut lab = Lab::sharing(2, VIP);
    let first = lab.await_calm(VIP);
    lab[first].api().failover(VIP).expect(204);
    let second = lab.await_owner_other_than(first, VIP);
    lab.await_calm(VIP);
    lab[second].power_off();
    lab.await_owner_other_than(second, VIP);
    lab[first].await_status(VIP, "ACTIVATED");
    let events: Events = lab[first].api().get("/events").expect(200).read();
    let told = events.events.into_iter().filter(|it| it.kind == "transition").map(|it| it.what);
    let told: Vec<String> = told.collect();
    let actions = lines(&lab, first).into_iter().flat_map(|line| match line {
        Line::Step(step) => step.actions,
        Line::Begin(_) => Vec::new(),
    });
    let done = actions.filter_map(|action| {
        let Action::Transition { from, to, event } = action else { return None };
        Some(format!("{from} -> {to} ({event})"))
    });
    assert_eq!(told, done.collect::<Vec<_>>());
    assert!(told.len() >= 3, "{told:?}");
}

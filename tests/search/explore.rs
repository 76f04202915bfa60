//! Through all worlds that can come about: breadth first, so that the first failure has a shortest story; or depth
//! first, so that few worlds wait for their turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::found::Found;
use crate::step::{Fault, Step};
use crate::world::World;

/// What is searched.
#[derive(Clone)]
pub(crate) struct Search {
    /// The faults that may happen: one of the first list, then one of the second, and so on.
    pub(crate) faults: Vec<Vec<Fault>>,
    /// How often a message may take as long as a timer of up to a second.
    pub(crate) delays: u8,
    /// More worlds than these are too many.
    pub(crate) limit: usize,
    /// Orders that make no difference are left out; see [`crate::reduce`].
    pub(crate) reduces: bool,
    /// Depth first.
    pub(crate) deep: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Size {
    pub(crate) worlds: usize,
    pub(crate) steps: usize,
    pub(crate) ends: usize,
    pub(crate) took: Duration,
    /// The limit was reached.
    pub(crate) cut_off: bool,
    /// One of [`SAMPLE`] fingerprints.
    pub(crate) sample: Vec<u128>,
    /// The worlds in which nothing is on its way: how many, and the sum of their fingerprints.
    pub(crate) calm: (usize, u128),
}

/// Of so many fingerprints one is kept, to count worlds that several searches find.
pub(crate) const SAMPLE: u128 = 256;

/// A world that must not be, and how it came about.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: String,
    pub(crate) story: Vec<Step>,
}

impl Search {
    /// Looks at everything that can come of a world.
    pub(crate) fn run(&self, from: &World) -> Result<Size, Failure> {
        let begun = Instant::now();
        let mut first = from.clone();
        first.state.faults_left = u8::try_from(self.faults.len()).expect("a few faults");
        first.state.delays_left = self.delays;
        first.punctual = self.delays == 0;
        let mut found = Found::new(first.state.fingerprint(self.gap()));
        let mut queue = VecDeque::from([(0, first)]);
        let mut size = Size::default();
        while let Some((id, world)) = self.next(&mut queue) {
            for (step, mut next) in self.look(id, &world, &mut found)? {
                size.steps += 1;
                let (next_id, new) = found.visit(next.state.fingerprint(self.gap()), id, step);
                let delayed = next.state.delays_left < world.state.delays_left;
                if !matches!(step, Step::Fault(_) | Step::Heal(_)) && !delayed {
                    found.follows(id, next_id);
                }
                if new {
                    next.done = Vec::new();
                    queue.push_back((next_id, next));
                }
            }
            if found.len() > self.limit {
                size.cut_off = true;
                break;
            }
        }
        if !size.cut_off {
            found.judge_loops()?;
        }
        size.worlds = found.len();
        size.ends = found.ends();
        size.sample = found.sample(SAMPLE);
        size.calm = found.calm;
        size.took = begun.elapsed();
        Ok(size)
    }

    fn next(&self, queue: &mut VecDeque<(u32, World)>) -> Option<(u32, World)> {
        if self.deep { queue.pop_back() } else { queue.pop_front() }
    }

    /// Where revisions are given twice, their distance counts.
    fn gap(&self) -> i64 {
        let restored = self.faults.iter().flatten().any(|fault| *fault == Fault::EtcdRestored);
        if restored { 3 } else { 1 }
    }

    /// The faults that may be next.
    fn faults(&self, world: &World) -> &[Fault] {
        let left = usize::from(world.state.faults_left);
        self.faults.get(self.faults.len() - left).map_or(&[], Vec::as_slice)
    }

    /// Judges a world, and tells what follows from it.
    fn look(
        &self,
        id: u32,
        world: &World,
        found: &mut Found,
    ) -> Result<Vec<(Step, World)>, Failure> {
        let enabled = world.enabled();
        let fail = |found: &Found, why| Failure { why, story: found.story(id) };
        world.judge_always().map_err(|why| fail(found, why))?;
        if enabled.is_calm() {
            world.judge_calm().map_err(|why| fail(found, why))?;
        }
        let mut steps = enabled.next().to_vec();
        if steps.is_empty() {
            world.judge_end().map_err(|why| fail(found, why))?;
        }
        if steps.is_empty() || world.goes_on_trying() {
            found.is_good_end(id);
        }
        if enabled.messages.is_empty() {
            found.is_calm(id);
        }
        let mut first = None;
        if self.reduces {
            first = world.first_of_all(&enabled.messages);
        }
        if let Some(first) = first.take_if(|_| world.state.faults_left == 0) {
            return Ok(vec![(first.step, first.next)]);
        }
        let heals = world.endings();
        // The end of a fault is a long time to come, compared with a message.
        let (heals, early) = match enabled.messages.is_empty() {
            true => (heals.collect(), Vec::new()),
            false => (Vec::new(), heals.collect()),
        };
        steps.extend(heals);
        steps.extend(enabled.late.iter().copied());
        let later = |fault| first.as_ref().is_some_and(|first| first.goes_before(fault));
        let faults = self.faults(world).iter();
        let faults = faults.filter(|fault| world.is_possible(**fault) && !later(**fault));
        steps.extend(faults.map(|fault| Step::Fault(*fault)));
        let mut all: Vec<_> = steps.into_iter().map(|step| (step, world.after(step))).collect();
        if world.state.delays_left > 0 {
            all.extend(enabled.overtaking().iter().chain(&early).map(|step| {
                let mut next = world.after(*step);
                next.state.delays_left -= 1;
                // A new owner that is not heard in time counts as dead.
                next.state.gaps_are_allowed = true;
                (*step, next)
            }));
        }
        match all.iter().find_map(|(step, next)| Some((*step, next.wrong.clone()?))) {
            Some((step, why)) => {
                let mut story = found.story(id);
                story.push(step);
                Err(Failure { why, story })
            }
            None => Ok(all),
        }
    }
}

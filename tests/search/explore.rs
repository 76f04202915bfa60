//! Breadth first through all worlds that can come about, so that the first failure has a shortest story.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::canon;
use crate::step::{Fault, Step};
use crate::world::World;

/// What is searched.
pub(crate) struct Search {
    /// The faults that may happen.
    pub(crate) faults: Vec<Fault>,
    /// How many of them, one after the other.
    pub(crate) depth: u8,
    /// How often a message may take as long as a timer of up to a second.
    pub(crate) delays: u8,
    /// More worlds than these are too many.
    pub(crate) limit: usize,
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
}

/// A world that must not be, and how it came about.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: String,
    pub(crate) story: Vec<Step>,
}

/// The worlds that were found.
struct Found {
    ids: HashMap<u128, u32>,
    /// From which world each came, by which step.
    parents: Vec<(u32, Step)>,
    /// What follows from what without a new fault.
    edges: Vec<(u32, u32)>,
    good_ends: Vec<u32>,
}

impl Search {
    /// Looks at everything that can come of a world.
    pub(crate) fn run(&self, from: &World) -> Result<Size, Failure> {
        let begun = Instant::now();
        let mut first = from.clone();
        first.state.faults_left = self.depth;
        first.state.delays_left = self.delays;
        first.punctual = self.delays == 0;
        let mut found = Found::new(canon::hash(&first.state, self.gap()));
        let mut queue = VecDeque::from([(0, first)]);
        let mut size = Size::default();
        while let Some((id, world)) = queue.pop_front() {
            for (step, next) in self.look(id, &world, &mut found)? {
                size.steps += 1;
                let (next_id, new) = found.visit(canon::hash(&next.state, self.gap()), id, step);
                let delayed = next.state.delays_left < world.state.delays_left;
                if !matches!(step, Step::Fault(_) | Step::Heal(_)) && !delayed {
                    found.edges.push((id, next_id));
                }
                if new {
                    queue.push_back((next_id, next));
                }
            }
            if found.parents.len() > self.limit {
                size.cut_off = true;
                break;
            }
        }
        if !size.cut_off {
            found.judge_loops()?;
        }
        size.worlds = found.parents.len();
        size.ends = found.good_ends.len();
        size.took = begun.elapsed();
        Ok(size)
    }

    /// Where revisions are given twice, their distance counts.
    fn gap(&self) -> i64 {
        if self.faults.contains(&Fault::EtcdRestored) { 3 } else { 1 }
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
            found.good_ends.push(id);
        }
        let heals = world.state.lasting.iter().map(|fault| Step::Heal(*fault));
        // The end of a fault is a long time to come, compared with a message.
        let (heals, early) = match enabled.messages.is_empty() {
            true => (heals.collect(), Vec::new()),
            false => (Vec::new(), heals.collect()),
        };
        steps.extend(heals);
        steps.extend(enabled.late.iter().copied());
        let faults = self.faults.iter().filter(|fault| world.is_possible(**fault));
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

impl Found {
    fn new(first: u128) -> Found {
        Found {
            ids: HashMap::from([(first, 0)]),
            // The first came from nowhere.
            parents: vec![(0, Step::Arrives(0))],
            edges: Vec::new(),
            good_ends: Vec::new(),
        }
    }

    /// The number of a world, and whether it is new.
    fn visit(&mut self, hash: u128, parent: u32, step: Step) -> (u32, bool) {
        let number = u32::try_from(self.parents.len()).expect("fewer than 2^32 worlds");
        let id = *self.ids.entry(hash).or_insert(number);
        if id == number {
            self.parents.push((parent, step));
        }
        (id, id == number)
    }

    fn story(&self, mut id: u32) -> Vec<Step> {
        let mut story = Vec::new();
        while id != 0 {
            let (parent, step) = self.parents[id as usize];
            story.push(step);
            id = parent;
        }
        story.reverse();
        story
    }

    /// From each world a good end can be reached without a further fault, and without the end of one.
    fn judge_loops(&self) -> Result<(), Failure> {
        let mut back = vec![Vec::new(); self.parents.len()];
        for (from, to) in &self.edges {
            back[*to as usize].push(*from);
        }
        let mut reached = vec![false; self.parents.len()];
        let mut todo = self.good_ends.clone();
        while let Some(id) = todo.pop() {
            if !std::mem::replace(&mut reached[id as usize], true) {
                todo.extend(&back[id as usize]);
            }
        }
        match reached.iter().position(|reached| !reached) {
            Some(id) => {
                let id = u32::try_from(id).expect("it is a number of a world");
                let why = "from here no good end can be reached".to_owned();
                Err(Failure { why, story: self.story(id) })
            }
            None => Ok(()),
        }
    }
}

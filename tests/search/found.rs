//! The worlds that a search has found: of each its fingerprint, and from where it came by which step. That is 30
//! bytes each, and 8 for each step between them.

use std::collections::HashMap;

use crate::explore::Failure;
use crate::step::Step;

/// No world has this number.
const NONE: u32 = u32::MAX;

pub(crate) struct Found {
    fingerprints: Vec<u128>,
    /// From which world each came, and the number of the step.
    parents: Vec<(u32, u16)>,
    /// The numbers of worlds, each at a place that follows from its fingerprint, or at the next one that was free.
    places: Vec<u32>,
    steps: Steps,
    /// What follows from what without a new fault.
    edges: Vec<(u32, u32)>,
    good_ends: Vec<u32>,
    /// The worlds in which nothing is on its way: how many, and the sum of their fingerprints.
    pub(crate) calm: (usize, u128),
}

/// A number for each step.
#[derive(Default)]
struct Steps {
    numbers: HashMap<Step, u16>,
    all: Vec<Step>,
}

impl Steps {
    fn number(&mut self, step: Step) -> u16 {
        *self.numbers.entry(step).or_insert_with(|| {
            self.all.push(step);
            u16::try_from(self.all.len() - 1).expect("some hundred steps")
        })
    }
}

impl Found {
    pub(crate) fn new(first: u128) -> Found {
        let mut found = Found {
            fingerprints: Vec::new(),
            parents: Vec::new(),
            places: vec![NONE; 1 << 12],
            steps: Steps::default(),
            edges: Vec::new(),
            good_ends: Vec::new(),
            calm: (0, 0),
        };
        // The first came from nowhere.
        found.visit(first, 0, Step::Arrives(0));
        found
    }

    pub(crate) fn len(&self) -> usize {
        self.fingerprints.len()
    }

    pub(crate) fn ends(&self) -> usize {
        self.good_ends.len()
    }

    /// The number of a world, and whether it is new.
    pub(crate) fn visit(&mut self, fingerprint: u128, parent: u32, step: Step) -> (u32, bool) {
        if self.len() * 3 > self.places.len() * 2 {
            self.make_room();
        }
        let place = self.place(fingerprint);
        let known = self.places[place];
        if known != NONE {
            return (known, false);
        }
        let id = u32::try_from(self.len()).expect("fewer than 2^32 worlds");
        self.places[place] = id;
        self.fingerprints.push(fingerprint);
        self.parents.push((parent, self.steps.number(step)));
        (id, true)
    }

    /// Where a world is, or would be.
    fn place(&self, fingerprint: u128) -> usize {
        let last = self.places.len() - 1;
        let mut place = usize::try_from(fingerprint & last as u128).expect("it is a place");
        loop {
            let id = self.places[place];
            if id == NONE || self.fingerprints[id as usize] == fingerprint {
                return place;
            }
            place = (place + 1) & last;
        }
    }

    fn make_room(&mut self) {
        self.places = vec![NONE; self.places.len() * 2];
        for id in 0..self.len() {
            let place = self.place(self.fingerprints[id]);
            self.places[place] = u32::try_from(id).expect("it is a number of a world");
        }
    }

    pub(crate) fn follows(&mut self, from: u32, to: u32) {
        self.edges.push((from, to));
    }

    pub(crate) fn is_good_end(&mut self, id: u32) {
        self.good_ends.push(id);
    }

    pub(crate) fn is_calm(&mut self, id: u32) {
        let (count, sum) = self.calm;
        self.calm = (count + 1, sum.wrapping_add(self.fingerprints[id as usize]));
    }

    /// Some of the fingerprints: one of so many.
    pub(crate) fn sample(&self, of: u128) -> Vec<u128> {
        let chosen = |it: &&u128| **it >> 64 & (of - 1) == 0;
        self.fingerprints.iter().filter(chosen).copied().collect()
    }

    pub(crate) fn story(&self, mut id: u32) -> Vec<Step> {
        let mut story = Vec::new();
        while id != 0 {
            let (parent, step) = self.parents[id as usize];
            story.push(self.steps.all[usize::from(step)]);
            id = parent;
        }
        story.reverse();
        story
    }

    /// From each world a good end can be reached without a further fault, and without the end of one.
    pub(crate) fn judge_loops(&self) -> Result<(), Failure> {
        // Those from which a world follows stand together, from one number of the list up to the next.
        let mut first = vec![0_u32; self.len() + 1];
        for (_, to) in &self.edges {
            first[*to as usize] += 1;
        }
        let mut sum = 0;
        for first in &mut first {
            sum += *first;
            *first = sum;
        }
        let mut back = vec![0; self.edges.len()];
        for (from, to) in &self.edges {
            first[*to as usize] -= 1;
            back[first[*to as usize] as usize] = *from;
        }
        let mut reached = vec![false; self.len()];
        let mut todo = self.good_ends.clone();
        while let Some(id) = todo.pop() {
            let id = id as usize;
            if !std::mem::replace(&mut reached[id], true) {
                todo.extend(&back[first[id] as usize..first[id + 1] as usize]);
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

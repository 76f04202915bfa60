//! What a hook has still to be told, in order.
//!
//! Pure. The order of what is told of one IP is never changed. When there is no room for more, the oldest goes of
//! which the IP has a newer state that waits, and that one tells how many were missed: so the last state of each IP
//! is always delivered in the end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::notification::Notification;
use crate::vip::Cidr;

/// So many may wait of which newer ones exist.
pub(super) const ROOM: usize = 1000;

/// So many may wait at all. It is more than any host has IPs: what is beyond it comes of IPs that are added and
/// deleted while the hook does not answer.
pub(super) const MOST: usize = 20_000;

/// Something that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) notification: Arc<Notification>,
    /// So many of the same IP before it are not delivered any more.
    pub(super) missed: u64,
}

/// What came of an attempt to deliver something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Delivered,
    /// It was done, and has failed; it is not repeated.
    Failed(String),
    /// The receiver was not there. It is tried again before anything else.
    NotThere(String),
    /// The receiver wants none of this one. It is tried again after the others, and not at all if there is a newer
    /// one of the same IP.
    Refused(String),
}

/// What waits to be delivered.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Item>,
    /// How many of each IP wait.
    of_ip: HashMap<Cidr, usize>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds something new. How many had to go for it.
    pub(super) fn push(&mut self, notification: Notification) -> u64 {
        *self.of_ip.entry(notification.standing.cidr).or_default() += 1;
        self.waiting.push_back(Item { notification: Arc::new(notification), missed: 0 });
        if self.waiting.len() <= ROOM {
            return 0;
        }
        let superseded = self.waiting.len() - self.of_ip.len();
        let place = if superseded > 0 {
            let has_newer = |item: &Item| self.of_ip.get(&cidr(item)).is_some_and(|it| *it > 1);
            self.waiting.iter().position(has_newer)
        } else {
            (self.waiting.len() > MOST).then_some(0)
        };
        let gone = place.and_then(|place| self.take(place));
        gone.map_or(0, |gone| self.is_missed(&gone))
    }

    /// The next one to be delivered; what comes of it is told by [`Queue::settle`].
    pub(super) fn pop(&mut self) -> Option<Item> {
        self.take(0)
    }

    /// What came of one that was taken. How many are not delivered any more because of that.
    pub(super) fn settle(&mut self, item: Item, outcome: &Outcome) -> u64 {
        match outcome {
            Outcome::Delivered | Outcome::Failed(_) => 0,
            Outcome::Refused(_) if self.of_ip.contains_key(&cidr(&item)) => self.is_missed(&item),
            Outcome::Refused(_) => {
                *self.of_ip.entry(cidr(&item)).or_default() += 1;
                self.waiting.push_back(item);
                0
            }
            Outcome::NotThere(_) => {
                *self.of_ip.entry(cidr(&item)).or_default() += 1;
                self.waiting.push_front(item);
                0
            }
        }
    }

    fn take(&mut self, place: usize) -> Option<Item> {
        let item = self.waiting.remove(place)?;
        if let Some(count) = self.of_ip.get_mut(&cidr(&item)) {
            *count -= 1;
            if *count == 0 {
                self.of_ip.remove(&cidr(&item));
            }
        }
        Some(item)
    }

    /// The next one of the same IP tells that this one was not delivered.
    fn is_missed(&mut self, gone: &Item) -> u64 {
        let next = self.waiting.iter_mut().find(|item| cidr(item) == cidr(gone));
        if let Some(next) = next {
            next.missed += gone.missed + 1;
        }
        1
    }
}

fn cidr(item: &Item) -> Cidr {
    item.notification.standing.cidr
}

#[cfg(test)]
mod tests {
    use super::super::notification::tests::notification;
    use super::*;

    fn push(queue: &mut Queue, ip: usize, sequence: u64) -> u64 {
        queue.push(notification(&format!("10.0.{}.{}", ip / 250, ip % 250 + 1), sequence))
    }

    /// What is delivered: the numbers, and how many were missed before.
    fn rest(queue: &mut Queue) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| queue.pop())
            .map(|item| (item.notification.sequence, item.missed))
            .collect()
    }

    #[test]
    fn what_waits_is_delivered_in_order() {
        let mut queue = Queue::default();
        for (ip, sequence) in [(1, 1), (2, 2), (1, 3)] {
            assert_eq!(push(&mut queue, ip, sequence), 0);
        }
        assert_eq!(rest(&mut queue), [(1, 0), (2, 0), (3, 0)]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn without_room_the_oldest_goes_that_has_a_newer_one_and_that_one_tells() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 1);
        push(&mut queue, 2, 2);
        let dropped: u64 = (3..=1500).map(|sequence| push(&mut queue, 2, sequence)).sum();
        assert_eq!((dropped, queue.len()), (500, ROOM));
        let rest = rest(&mut queue);
        assert_eq!(rest[..2], [(1, 0), (502, 500)], "the only one of its IP stays");
        let last = rest.last().unwrap();
        assert_eq!(*last, (1500, 0));
        assert!(rest.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_last_state_of_each_ip_stays_however_many_ips_there_are() {
        let mut queue = Queue::default();
        let ips = 2 * ROOM;
        let dropped: u64 = (0..3 * ips)
            .map(|number| push(&mut queue, number % ips, u64::try_from(number).unwrap()))
            .sum();
        let rest = rest(&mut queue);
        assert_eq!(usize::try_from(dropped).unwrap() + rest.len(), 3 * ips);
        let missed: u64 = rest.iter().map(|(_, missed)| missed).sum();
        assert_eq!(missed, dropped, "each that is missing is told");
        let last: Vec<u64> = rest.iter().rev().take(ips).rev().map(|it| it.0).collect();
        let expected = (2 * ips..3 * ips).map(|number| u64::try_from(number).unwrap());
        assert!(last.into_iter().eq(expected));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut queue = Queue::default();
        let dropped: u64 = (0..MOST + 10).map(|ip| push(&mut queue, ip, 1)).sum();
        assert_eq!((dropped, queue.len()), (10, MOST));
    }

    #[test]
    fn who_is_not_there_gets_the_same_again_and_who_refuses_gets_the_others_first() {
        let mut queue = Queue::default();
        for (ip, sequence) in [(1, 1), (1, 2), (2, 3)] {
            push(&mut queue, ip, sequence);
        }
        let first = queue.pop().unwrap();
        assert_eq!(queue.settle(first, &Outcome::NotThere(String::new())), 0);
        let first = queue.pop().unwrap();
        assert_eq!(first.notification.sequence, 1);
        let refused = Outcome::Refused(String::new());
        assert_eq!(queue.settle(first, &refused), 1, "there is a newer one");
        let second = queue.pop().unwrap();
        assert_eq!((second.notification.sequence, second.missed), (2, 1));
        assert_eq!(queue.settle(second, &refused), 0);
        assert_eq!(rest(&mut queue), [(3, 0), (2, 1)]);
        let mut queue = Queue::default();
        push(&mut queue, 1, 1);
        let only = queue.pop().unwrap();
        assert_eq!(queue.settle(only, &Outcome::Failed(String::new())), 0);
        assert_eq!(queue.len(), 0);
    }
}

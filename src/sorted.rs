//! Sorting, and collecting into sets and maps, in little code.
//!
//! The standard library has 3 KB of code for each type that is sorted; a set or map that is collected is sorted
//! first. Here there is one sort, of numbers, for all types. Where that would be too slow, nothing is sorted.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Sorts; what is equal stays in order.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut places = places(items.len(), &|a, b| compare(&items[a], &items[b]));
    for at in 0..items.len() {
        while places[at] != at {
            let place = places[at];
            items.swap(at, place);
            places.swap(at, place);
        }
    }
}

/// Where each of so many belongs.
fn places(number: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..number).collect();
    order.sort_by(|a, b| compare(*a, *b));
    let mut places = vec![0; number];
    for (place, at) in order.into_iter().enumerate() {
        places[at] = place;
    }
    places
}

/// A set of these.
pub(crate) fn set_of<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}

/// A map of these; of those with the same key the last.
pub(crate) fn map_of<K: Ord, V>(items: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(items);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_sorted_and_what_is_equal_stays_in_order() {
        // Every arrangement of up to six, with and without equals.
        for length in 0..=6_u32 {
            for number in 0..3_u32.pow(length) {
                let digit = |at: u32| (number / 3_u32.pow(at) % 3, at);
                let mut sorted: Vec<(u32, u32)> = (0..length).map(digit).collect();
                sort_by(&mut sorted, |a, b| a.0.cmp(&b.0));
                let mut expected: Vec<(u32, u32)> = (0..length).map(digit).collect();
                expected.sort();
                assert_eq!(sorted, expected);
            }
        }
    }

    #[test]
    fn many_are_sorted() {
        let mut sorted: Vec<u32> =
            (0..10_000_u32).map(|at| at.wrapping_mul(2_654_435_761)).collect();
        let mut expected = sorted.clone();
        expected.sort_unstable();
        sort_by(&mut sorted, Ord::cmp);
        assert_eq!(sorted, expected);
    }

    #[test]
    fn of_equal_keys_a_map_has_the_last() {
        assert_eq!(map_of([(2, 'a'), (1, 'b'), (2, 'c')]), BTreeMap::from([(1, 'b'), (2, 'c')]));
    }
}

//! A map of few entries: a list in the order of the keys.
//!
//! The standard library has 3 KB of code for each type of map from which something is removed. To look through a
//! list takes as long as through a tree, as long as it has few entries.

use std::borrow::Borrow;

/// A map of some dozens of entries at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Few<K, V> {
        Few(Vec::new())
    }
}

impl<K: Ord, V> Few<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where a key is, or where it belongs.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &mut self.0[place].1)
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Takes an entry in; in place of the one with this key, if there is one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (key, value)),
        }
    }

    /// The value of a key, which is made if there is none.
    pub(crate) fn get_or_insert(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = self.place(&key).unwrap_or_else(|place| {
            self.0.insert(place, (key, make()));
            place
        });
        &mut self.0[place].1
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| self.0.remove(place).1)
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keeps(key, value));
    }

    /// The entries, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.0.into_iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_does_as_a_map_does() {
        // What is done is taken from the digits of a number.
        for seed in 0..1_000_u64 {
            let (mut few, mut map) = (Few::default(), BTreeMap::new());
            let mut digits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for turn in 0..20 {
                let (key, what) = (digits % 5, digits / 5 % 4);
                digits = (digits / 20) ^ (digits << 40);
                match what {
                    0 | 1 => {
                        few.insert(key, turn);
                        map.insert(key, turn);
                    }
                    2 => assert_eq!(few.remove(&key), map.remove(&key)),
                    _ => {
                        few.retain(|known, value| (*known + *value) % 3 != 0);
                        map.retain(|known, value| (*known + *value) % 3 != 0);
                    }
                }
                assert_eq!(few.get(&key), map.get(&key));
                assert_eq!(few.contains_key(&key), map.contains_key(&key));
                assert!(few.iter().eq(map.iter()) && few.len() == map.len());
            }
            assert!(few.keys().eq(map.keys()) && few.values().eq(map.values()));
            assert!(few.into_values().eq(map.into_values()));
        }
    }
}

//! Who hears of which key.

use std::cell::RefCell;
use std::collections::HashMap;

use super::txn::Kv;
use super::{Gap, KeySink, KeyState};

/// The subscriptions of each key, by their tokens.
#[derive(Default)]
pub(super) struct Subscriptions(RefCell<HashMap<String, Vec<(u64, KeySink)>>>);

impl Subscriptions {
    pub(super) fn add(&self, key: String, token: u64, sink: KeySink) {
        let mut all = self.0.borrow_mut();
        let sinks = all.entry(key).or_default();
        // Most are alone, and there may be thousands.
        sinks.reserve_exact(1);
        sinks.push((token, sink));
    }

    /// Ends this subscription, and no other one of the same key.
    pub(super) fn remove(&self, key: &str, token: u64) {
        let mut all = self.0.borrow_mut();
        if let Some(sinks) = all.get_mut(key) {
            sinks.retain(|(other, _)| *other != token);
            if sinks.is_empty() {
                all.remove(key);
            }
        }
    }

    pub(super) fn tell(&self, key: &str, state: &KeyState) {
        let all = self.0.borrow();
        all.get(key).into_iter().flatten().for_each(|(_, sink)| sink(state.clone()));
    }

    /// Tells of every key, also of one that has not changed: a subscriber may have had its own reasons
    /// not to trust any longer what it heard before.
    pub(super) fn tell_all(&self, kvs: &[Kv], revision: i64, gap: Gap) {
        let found: HashMap<&str, &Kv> = kvs.iter().map(|kv| (kv.key.as_str(), kv)).collect();
        for (key, sinks) in self.0.borrow().iter() {
            let kv = found.get(key.as_str()).copied();
            sinks.iter().for_each(|(_, sink)| sink(KeyState { kv: kv.cloned(), revision, gap }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(revision: i64) -> Kv {
        let (key, value) = ("/locks/a".to_owned(), b"h2".to_vec());
        Kv { key, value, lease: 9, mod_revision: revision }
    }

    /// A sink, and what comes out of it.
    fn sink() -> (KeySink, crossbeam_channel::Receiver<KeyState>) {
        let (tx, rx) = crossbeam_channel::unbounded();
        (Box::new(move |state| drop(tx.send(state))), rx)
    }

    #[test]
    fn every_read_tells_of_every_key_changed_or_not() {
        let subscriptions = Subscriptions::default();
        let (sink, heard) = sink();
        subscriptions.add("/locks/a".to_owned(), 1, sink);
        for revision in [4, 5] {
            subscriptions.tell_all(&[kv(3)], revision, Gap::None);
            let state = KeyState { kv: Some(kv(3)), revision, gap: Gap::None };
            assert_eq!(heard.try_recv(), Ok(state));
        }
        subscriptions.tell_all(&[], 6, Gap::Reconnected);
        assert_eq!(heard.try_recv(), Ok(KeyState { kv: None, revision: 6, gap: Gap::Reconnected }));
    }

    #[test]
    fn the_end_of_a_subscription_ends_no_other_one_of_the_same_key() {
        let subscriptions = Subscriptions::default();
        let ((old, from_old), (new, from_new)) = (sink(), sink());
        subscriptions.add("/locks/a".to_owned(), 1, old);
        subscriptions.add("/locks/a".to_owned(), 2, new);
        let state = KeyState { kv: Some(kv(3)), revision: 3, gap: Gap::None };
        subscriptions.tell("/locks/a", &state);
        assert_eq!(
            (from_old.try_recv(), from_new.try_recv()),
            (Ok(state.clone()), Ok(state.clone()))
        );
        subscriptions.remove("/locks/a", 1);
        subscriptions.tell("/locks/a", &state);
        assert_eq!(from_new.try_recv(), Ok(state));
        assert!(from_old.try_recv().is_err());
        subscriptions.remove("/locks/a", 2);
        assert!(subscriptions.0.borrow().is_empty());
    }
}

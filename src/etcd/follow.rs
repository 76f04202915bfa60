//! Who hears of everything under the followed prefix.

use std::cell::RefCell;

use super::txn::Kv;

/// What happens under the followed prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// All keys were read: what is not among them does not exist.
    All {
        /// The keys with their values.
        kvs: Vec<Kv>,
        /// The revision at which it was so.
        revision: i64,
    },
    /// A key was written.
    Written(Kv),
    /// A key was deleted, or its lease has ended.
    Deleted {
        /// The key.
        key: String,
        /// The revision at which that was.
        revision: i64,
    },
}

/// Hears of all that happens under the followed prefix, in order; called on the runtime's thread, must not
/// block.
pub type FollowSink = Box<dyn FnMut(Followed) + Send>;

/// Where that goes. Lives on the runtime's thread.
#[derive(Default)]
pub(super) struct Follower(RefCell<State>);

#[derive(Default)]
struct State {
    sink: Option<FollowSink>,
    /// The last read before there was a sink, and what came after it.
    before: Vec<Followed>,
}

impl Follower {
    pub(super) fn go_to(&self, mut sink: FollowSink) {
        let mut state = self.0.borrow_mut();
        std::mem::take(&mut state.before).into_iter().for_each(&mut sink);
        state.sink = Some(sink);
    }

    pub(super) fn tell(&self, what: Followed) {
        let State { sink, before } = &mut *self.0.borrow_mut();
        if let Some(sink) = sink {
            return sink(what);
        }
        if matches!(what, Followed::All { .. }) {
            before.clear();
        }
        before.push(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_hears_of_the_last_read_before_it_and_of_all_after_that() {
        let follower = Follower::default();
        let all = |revision| Followed::All { kvs: Vec::new(), revision };
        let deleted = |revision| Followed::Deleted { key: "/agents/a".to_owned(), revision };
        [all(3), deleted(4), all(5), deleted(6)].into_iter().for_each(|it| follower.tell(it));
        let (tx, heard) = crossbeam_channel::unbounded();
        follower.go_to(Box::new(move |what| drop(tx.send(what))));
        follower.tell(deleted(7));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [all(5), deleted(6), deleted(7)]);
    }
}

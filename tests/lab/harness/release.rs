//! Which etcd runs, where a test asks for another than the machine's.

use std::path::{Path, PathBuf};

use super::etcd::Etcd;

/// An etcd of a suite of Debian, as `tests/run` has fetched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    suite: &'static str,
    /// What its version begins with.
    version: &'static str,
}

/// Debian 12's, without the updates since: 3.4.
pub(crate) const ETCD_3_4: Release = Release { suite: "bookworm", version: "3.4." };
/// Debian 13's: 3.5.
pub(crate) const ETCD_3_5: Release = Release { suite: "trixie", version: "3.5." };

impl Release {
    /// Where it is; panics with what to do if it is not there.
    #[track_caller]
    pub(super) fn program(self) -> PathBuf {
        let suite = self.suite;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/etcd").join(suite);
        let program = program.join("etcd");
        let missing = program.display();
        assert!(program.is_file(), "etcd of {suite} is not at {missing}: tests/run fetches it");
        program
    }
}

impl Etcd {
    /// Stops one member in order, and starts it with the data that it has as one of another release; the first
    /// is 0. Returns when the cluster answers.
    pub(crate) fn upgrade_member(&mut self, member: usize, release: Release) {
        self.stop_member(member);
        self.members[member].set_release(release);
        self.start_all();
    }

    /// How many members are of that release, by what they say themselves.
    pub(crate) fn members_of(&self, release: Release) -> usize {
        let status = self.status().unwrap_or_default();
        status.iter().filter(|status| status.version.starts_with(release.version)).count()
    }
}

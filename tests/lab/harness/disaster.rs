//! What can happen to all that etcd has: saved and brought back, lost, or another cluster's.

use std::path::Path;

use super::disk::Stall;
use super::etcd::Etcd;
use super::member::Member;

impl Etcd {
    /// Writes all that etcd has to a file.
    pub(crate) fn save(&self, file: &Path) {
        let member = self.members[0].url();
        let saved = self.ask(member, &["snapshot", "save", &file.display().to_string()]);
        assert!(saved.is_ok(), "etcd is not saved: {saved:?}");
    }

    /// Stops all members and starts them with what is in a file that [`Etcd::save`] has written.
    pub(crate) fn restore(&mut self, file: &Path) {
        self.stop();
        self.bring_back(file);
        self.start_all();
    }

    /// Has all members, which must not run, start with what is in such a file.
    pub(crate) fn bring_back(&self, file: &Path) {
        self.becomes_another();
        for member in &self.members {
            member.clear();
            let flags = member.restore_flags();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let file = file.display().to_string();
            self.ctl(&[&["snapshot", "restore", &file], flags.as_slice()].concat());
        }
    }

    /// Has etcd's disk stall, in a lab that was built with one.
    pub(crate) fn stall_disk(&self) -> Stall {
        self.disk.as_ref().expect("etcd's data is on a disk of its own").stall()
    }

    /// Stops all members and starts them with nothing.
    pub(crate) fn wipe(&mut self) {
        self.stop();
        self.forget();
        self.start_all();
    }

    /// Has all members, which must not run, start with nothing: without users, too.
    pub(crate) fn forget(&mut self) {
        self.becomes_another();
        self.members.iter().for_each(Member::clear);
        self.password = false;
    }

    /// Stops all members and starts others in their place: another cluster, and an older one by its
    /// revision.
    pub(crate) fn replace(&mut self) {
        let revision = self.revision();
        self.members.iter_mut().for_each(|member| member.join("another"));
        self.wipe();
        let missing = usize::try_from(revision).expect("revisions are positive");
        self.put_again_and_again("/other/noise", "x", missing + 100);
    }
}

//! etcd's users and passwords, and who may do what.

use etcd_client::ConnectOptions;

use super::etcd::Etcd;

/// The user of the agents when etcd asks for passwords: may do no more than LinK needs.
pub(super) const USER: &str = "link";
/// Its password.
pub(crate) const PASSWORD: &str = "correct-horse";
/// The administrator, for the lab itself.
pub(super) const ROOT: &str = "root:battery-staple";

impl Etcd {
    /// Makes the users, if they are not there, and turns authentication on, if it is off.
    pub(crate) fn demand_passwords(&mut self) {
        if self.password {
            return;
        }
        if self.try_ctl(&["user", "get", USER]).is_err() {
            self.add_users();
        }
        self.ctl(&["auth", "enable"]);
        self.password = true;
    }

    fn add_users(&self) {
        let link = format!("{USER}:{PASSWORD}");
        for order in [
            vec!["user", "add", ROOT],
            vec!["user", "grant-role", "root", "root"],
            vec!["role", "add", USER],
            vec!["role", "grant-permission", "--prefix=true", USER, "readwrite", "/link/"],
            vec!["user", "add", &link],
            vec!["user", "grant-role", USER, USER],
        ] {
            self.ctl(&order);
        }
    }

    /// Turns authentication off.
    pub(crate) fn demand_no_passwords(&mut self) {
        self.ctl(&["auth", "disable"]);
        self.password = false;
    }

    /// Gives the agents' user another password.
    pub(crate) fn change_password(&self, password: &str) {
        // etcdctl asks for it on a terminal.
        let (name, secret) = ROOT.split_once(':').expect("a name and a password");
        let options = ConnectOptions::new().with_user(name, secret);
        self.call(options, async |mut etcd| {
            etcd.user_change_password(USER, password).await.map(|_| ())
        });
    }

    /// Adds a user whom nobody needs: etcd then refuses all tokens that are older than that.
    pub(crate) fn add_user(&self, name: &str) {
        self.ctl(&["user", "add", &format!("{name}:{PASSWORD}")]);
    }

    /// Lets the agents `read` or `readwrite` the keys that begin like this.
    pub(crate) fn permit(&self, what: &str, prefix: &str) {
        self.ctl(&["role", "grant-permission", "--prefix=true", USER, what, prefix]);
    }

    /// Takes back what was permitted for exactly this prefix.
    pub(crate) fn forbid(&self, prefix: &str) {
        self.ctl(&["role", "revoke-permission", "--prefix=true", USER, prefix]);
    }
}

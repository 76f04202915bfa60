//! The member on this host, where the cluster has one: what dies with it dies with this host anyway. The member of
//! another host that is used in its place, because it was started later than the agent or was restarted, takes
//! etcd from this host when that other host dies, and just then etcd is needed.
//!
//! So the agent goes back to it: as soon as it has answered what only a member answers that has a leader and has
//! caught up ([`super::returns`] says when it is asked).

use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;

use log::info;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::look::look;
use super::pool::{Pool, SURVEY};

impl Pool {
    /// Goes back to the member on this host, in a moment, if another one is used and that one works again.
    pub(super) fn look_homeward(self: &Rc<Self>) {
        if self.members() == 1 || !self.home.is_due(Instant::now()) || self.home.looks() {
            return;
        }
        let Some(home) = self.member_here() else { return };
        self.home.set_looking(true);
        let pool = self.clone();
        spawn_local(async move {
            let answered = timeout(SURVEY, pool.ask_member(home)).await;
            if matches!(answered, Ok(Ok(()))) && !pool.is_current(home) {
                info!(
                    "etcd: {} answers, on this host: it is used again",
                    pool.members[home].endpoint
                );
                pool.home.returns(Instant::now());
                pool.use_member(home);
            }
            pool.home.set_looking(false);
        });
    }

    /// The first member on this host, unless the one in use is there, too.
    fn member_here(&self) -> Option<usize> {
        let here =
            |member: &usize| self.members[*member].name.known().iter().any(|it| is_here(it.ip()));
        if here(&self.current()) { None } else { (0..self.members()).find(here) }
    }

    /// Asks a member for what it can only answer with a leader.
    async fn ask_member(&self, member: usize) -> Result<(), Error> {
        let client = self.open(member, self.identity().await?).await?;
        look(self, &client, self.revision()).await.map(drop)
    }
}

/// Whether an address is one of this host: then the kernel sends from it what is sent to it. Nothing is sent.
fn is_here(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Any port but 0 will do.
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_here_if_the_kernel_sends_from_it() {
        for (address, here) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false)] {
            assert_eq!(is_here(address.parse().unwrap()), here, "{address}");
        }
    }
}

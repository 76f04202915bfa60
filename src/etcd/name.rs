//! The addresses of a member that is configured by name.
//!
//! The system's resolver knows no deadline: with a silent name server it takes many seconds. So one
//! question at a time is asked for each name, on a thread of the runtime's, and as long as it is not
//! answered the addresses of before are used.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::watch;
use tokio::task::{spawn_blocking, spawn_local};
use tonic::codegen::http::Uri;

use super::error::Error;
use crate::tcp;

/// Where a member is. Lives on the runtime's thread.
pub(super) struct Name {
    name: tcp::Name,
    /// What the resolver has found last.
    known: RefCell<Vec<SocketAddr>>,
    asking: Cell<bool>,
    /// Why it has not found anything.
    answer: watch::Sender<Option<Error>>,
}

impl Name {
    /// The name, or the address, in a URL.
    pub(super) fn of(url: &str) -> Rc<Name> {
        let uri: Uri = url.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port =
            uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let (name, known) = (tcp::Name::new(host, port), RefCell::default());
        Rc::new(Name { name, known, asking: Cell::new(false), answer: watch::Sender::new(None) })
    }

    /// What the member's certificate has to say, unless that is an address.
    pub(super) fn domain(&self) -> Option<&str> {
        self.name.address().is_none().then_some(self.name.host())
    }

    /// The addresses that are known; waits for the resolver if there is none. It is asked in any case,
    /// for the next time.
    pub(super) async fn addresses(self: &Rc<Self>) -> Result<Vec<SocketAddr>, Error> {
        if let Some(address) = self.name.address() {
            return Ok(vec![address]);
        }
        let mut answer = self.answer.subscribe();
        self.ask();
        if self.known.borrow().is_empty() {
            let _ = answer.changed().await;
        }
        match answer.borrow().clone().filter(|_| self.known.borrow().is_empty()) {
            Some(error) => Err(error),
            None => Ok(self.known.borrow().clone()),
        }
    }

    /// The addresses that are known, without a question.
    pub(super) fn known(&self) -> Vec<SocketAddr> {
        self.name.address().map_or_else(|| self.known.borrow().clone(), |address| vec![address])
    }

    fn ask(self: &Rc<Self>) {
        if self.asking.replace(true) {
            return;
        }
        let this = self.clone();
        spawn_local(async move {
            let name = this.name.clone();
            let resolving = spawn_blocking(move || name.look_up());
            let answer = resolving.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            this.asking.set(false);
            let found = answer.map_err(|error| Error::not_sent(error.to_string()));
            this.answer.send_replace(found.map(|found| drop(this.known.replace(found))).err());
        });
    }
}

//! One check, with what is known of its target.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::addresses::Addresses;
use super::exec::Exec;
use super::http;
use super::web::Web;
use crate::net;
use crate::vip::{Check, Cidr, Statuses, Target};

/// Tries the target of one check.
pub(super) struct Trial {
    check: Check,
    way: Way,
}

/// How it is tried.
enum Way {
    Tcp(Addresses),
    Link(String),
    Http(Box<Web>, Statuses),
    Exec(Exec),
}

impl Trial {
    /// A check of this IP. Commands are in the folder, if the operator has named one.
    pub(super) fn new(check: Check, cidr: Cidr, folder: Option<Arc<Path>>) -> Trial {
        let way = match &check.target {
            Target::Tcp { host, port } => Way::Tcp(Addresses::of(host, *port)),
            Target::Link { interface } => Way::Link(interface.clone()),
            Target::Http { url, status, trust } => {
                let web = Box::new(Web::new(url.clone(), trust.clone()));
                Way::Http(web, status.unwrap_or(Statuses::success()))
            }
            Target::Exec { command, args } => {
                let mut exec = Exec::new(folder, command.clone());
                exec.args.clone_from(args);
                exec.env = vec![("LINK_IP", cidr.to_string())];
                Way::Exec(exec)
            }
        };
        Trial { check, way }
    }

    pub(super) fn check(&self) -> &Check {
        &self.check
    }

    /// Makes the check once. The error says what has failed, or what this process lacks ([`crate::tcp::lack`]).
    pub(super) fn make(&mut self, until: Instant) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(addresses) => addresses.connect(until).map(drop),
            Way::Link(interface) => net::carrier(interface),
            Way::Http(web, wanted) => {
                let request = http::get(web.url());
                let status = web.ask(request.as_bytes(), until)?;
                if wanted.contains(status) {
                    return Ok(());
                }
                Err(io::Error::other(format!("the answer has the status {status}, not {wanted}")))
            }
            Way::Exec(exec) => exec.run(until),
        }
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;

//! A server that is asked over HTTP, with or without TLS: a connection for each question.

use std::io;
use std::time::Instant;

use super::addresses::Addresses;
use super::http::{self, Timed};
use super::tls::Tls;
use crate::vip::{Trust, Url};

/// A server, with what is known of it.
pub(crate) struct Web {
    url: Url,
    addresses: Addresses,
    tls: Option<Tls>,
}

impl Web {
    /// The server of this URL, which shows by its certificate that it is that one, if the URL says so.
    pub(crate) fn new(url: Url, trust: Trust) -> Web {
        let addresses = Addresses::of(url.host(), url.port());
        let tls = url.is_secure().then(|| Tls::new(trust, url.host()));
        Web { url, addresses, tls }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The status with which it answers a request. Nothing else of the answer is read.
    ///
    /// # Errors
    ///
    /// Why there is none in time, or what this process lacks ([`crate::tcp::lack`]).
    pub(crate) fn ask(&mut self, request: &[u8], until: Instant) -> io::Result<u16> {
        let mut stream = Timed::new(self.addresses.connect(until)?, until);
        match &mut self.tls {
            None => http::status(&mut stream, request),
            Some(tls) => http::status(&mut tls.begin(stream)?, request),
        }
    }
}

//! What the connections with TLS have in common: files in PEM, when certificates end, and the API's side of a session.
//!
//! rustls does TLS itself; what is here reads files for it, and moves bytes between it and a socket that must
//! not block.

mod client;
mod expiry;
mod pem;
mod server;
mod session;

pub(crate) use self::client::carry;
pub(crate) use self::pem::{
    CERTIFICATE, Fingerprint, KEY, expiry_of, fingerprint, named_pem, read_pem,
};
pub use self::server::ServerFiles;
pub(crate) use self::server::{Acceptor, Loaded};
pub(crate) use self::session::{Progress, Session, is_client_hello};

/// Where the authorities that a system trusts are, on Debian, Fedora and Alpine.
pub(crate) const SYSTEM_CA: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

//! What `linkctl` and the part of `linkd` that carries bytes over TLS for it say to each other.
//!
//! A TLS library would make `linkctl` twice as large, and `linkd` has one. So `linkctl` connects, and runs
//! `linkd --tls-client NAME [FILE]` with the connection as its standard input, and a socket as its standard
//! output: what is written to that until its end goes to the server, and what the server says comes back.
//! `NAME` is what the certificate has to be valid for, `FILE` has the authorities that are trusted. When
//! that fails, a line on standard error says why, and the exit code which kind it was.

/// The option of `linkd`.
pub(crate) const OPTION: &str = "--tls-client";

/// What the API says to a client that does not speak TLS where it has to.
pub(crate) const SPEAKS_TLS: &str = "the API speaks TLS here: ask by https://";

/// Why nothing, or not all, was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server does not speak TLS.
    Plain = 20,
    /// The certificate of the server is valid for other names.
    Name = 21,
    /// The certificate of the server is not trusted, or not valid now.
    Certificate = 22,
    /// The file with the authorities cannot be used.
    Authorities = 23,
    /// The session broke, or was refused.
    Broken = 24,
}

impl Fault {
    const ALL: [Fault; 5] =
        [Fault::Plain, Fault::Name, Fault::Certificate, Fault::Authorities, Fault::Broken];

    /// The fault with this exit code.
    pub(crate) fn of(code: i32) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| i32::from(fault.code()) == code)
    }

    /// The exit code that says so.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

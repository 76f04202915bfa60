//! Which agent is meant, and who asks: what the command line says, else the environment, else the file
//! of hosts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Next};
use super::hosts::{self, DEFAULT, Named};
use super::server::Server;
use crate::secret::Credentials;
use crate::text::clean;

/// What the command line says of it.
#[derive(Debug, Default)]
pub(super) struct Access {
    pub(super) host: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) cacert: Option<PathBuf>,
}

impl Access {
    /// The agent, and the credentials for it.
    pub(super) fn find(
        self,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(Server, Option<Credentials>), Failure> {
        let (source, mend) = match self.host {
            Some(_) => ("--host", Next::ReadHelp),
            None => ("LINK_HOST", Next::MendVariable),
        };
        let host = self.host.map_or_else(|| variable(&env, "LINK_HOST"), given)?;
        let mut hosts = hosts::read(&env)?;
        let named = hosts.remove(host.as_deref().unwrap_or(DEFAULT));
        let Named { server, user, password, password_file } = match (named, host) {
            (Some(named), _) => named,
            (None, None) => Named::default(),
            (None, Some(host)) => {
                let refused = |why| Failure::new(mend, told(source, &host, why));
                let server = host.parse().map_err(refused)?;
                Named { server, ..Named::default() }
            }
        };
        let server = match self.cacert {
            Some(file) => {
                server.trusting(file).map_err(|why| Failure::usage(format!("--cacert {why}")))?
            }
            None => match variable(&env, "LINK_CACERT")? {
                Some(file) if server.trust().is_some() => {
                    server.trusting(file.into()).map_err(|why| {
                        Failure::new(Next::MendVariable, format!("LINK_CACERT {why}"))
                    })?
                }
                Some(_) | None => server,
            },
        };
        let user = self.user.map_or_else(|| variable(&env, "LINK_USER"), given)?.or(user);
        let said = Password { text: self.password, file: self.password_file };
        let password = match said.read("--password", "--password-file", Next::ReadHelp)? {
            Some(password) => Some(password),
            None => {
                let file = variable(&env, "LINK_PASSWORD_FILE")?.map(PathBuf::from);
                let said = Password { text: variable(&env, "LINK_PASSWORD")?, file };
                let read = said.read("LINK_PASSWORD", "LINK_PASSWORD_FILE", Next::MendVariable)?;
                let of_host = Password { text: password, file: password_file };
                read.map_or_else(
                    || of_host.read("password", "password-file", Next::MendHosts),
                    given,
                )?
            }
        };
        let credentials = match (user, password) {
            (None, None) => None,
            (user, password) => {
                Some(Credentials::new(user.unwrap_or_default(), password.unwrap_or_default()))
            }
        };
        Ok((server, credentials.transpose().map_err(bad_user)?))
    }
}

/// A password, or where it stands.
struct Password {
    text: Option<String>,
    file: Option<PathBuf>,
}

impl Password {
    fn read(self, text: &str, file: &str, mend: Next) -> Result<Option<String>, Failure> {
        match (self.text, self.file) {
            (Some(_), Some(_)) => {
                Err(Failure::new(mend, format!("{text} and {file} are both given")))
            }
            (Some(password), None) => Ok(Some(password)),
            (None, Some(path)) => of_file(&path, file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn of_file(path: &Path, source: &str) -> Result<String, Failure> {
    let refused =
        |why: String| Failure::new(Next::MendPassword, told(source, &path.to_string_lossy(), &why));
    hosts::password(path).map_err(refused)
}

fn bad_user(why: &str) -> Failure {
    Failure::usage(format!("the user {why}"))
}

/// A value from the command line is taken as it is, even when it is empty.
fn given(value: String) -> Result<Option<String>, Failure> {
    Ok(Some(value))
}

/// A variable of the environment; set to nothing is the same as not set.
fn variable(env: impl Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<String>, Failure> {
    match env(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(Err(_)) => Err(Failure::new(Next::MendVariable, format!("{name} is not UTF-8"))),
    }
}

/// `why` may repeat a part of the value.
pub(super) fn refuse(what: &str, value: &str, why: &str) -> Failure {
    Failure::usage(told(what, value, why))
}

fn told(what: &str, value: &str, why: &str) -> String {
    format!("{what} \"{}\": {}", clean(value), clean(why))
}

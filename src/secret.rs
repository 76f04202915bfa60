//! A text that does not print itself, and the credentials that are made of one.

use std::fmt;

/// A password; `Debug` shows that there is one and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one who has to send or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Who may use the API: a user and a password for HTTP basic authentication (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: Secret,
}

impl Credentials {
    /// # Errors
    ///
    /// A colon in the user: it would end the user (RFC 7617, 2).
    pub fn new(
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Credentials, &'static str> {
        let user = user.into();
        if user.contains(':') {
            return Err("must not contain a colon (RFC 7617)");
        }
        Ok(Credentials { user, password: Secret::new(password) })
    }

    /// The user's name, possibly empty.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// User and password with a colon between them, as they are encoded and sent.
    pub fn pair(&self) -> String {
        format!("{}:{}", self.user, self.password.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_a_pair_with_one_colon_that_counts() {
        let credentials = Credentials::new("admin", "hun:ter2").unwrap();
        assert_eq!((credentials.user(), credentials.pair().as_str()), ("admin", "admin:hun:ter2"));
        assert!(!format!("{credentials:?}").contains("hun"));
        assert!(Credentials::new("a:b", "").is_err());
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<secret>");
    }
}

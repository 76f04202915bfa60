//! HTTP basic authentication (RFC 7617).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Credentials;

/// Whether the value of an `Authorization` field carries these credentials.
///
/// The time this takes depends on what was sent, not on what would have been right.
pub(crate) fn admits(credentials: &Credentials, authorization: Option<&str>) -> bool {
    authorization
        .and_then(token)
        .and_then(|token| STANDARD.decode(token).ok())
        .is_some_and(|sent| equal(&sent, credentials.pair().as_bytes()))
}

fn equal(sent: &[u8], expected: &[u8]) -> bool {
    let same_length = Choice::from(u8::from(sent.len() == expected.len()));
    // The colon is always there, so the cycle never ends before the bytes that were sent.
    let same = sent
        .iter()
        .zip(expected.iter().cycle())
        .fold(same_length, |same, (sent, expected)| same & sent.ct_eq(expected));
    same.into()
}

/// What follows the scheme, which is compared without regard to case (RFC 9110, 11.1).
fn token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::new("admin", "s3:cret").unwrap()
    }

    fn admit(scheme: &str, pair: &str) -> bool {
        admits(&credentials(), Some(&format!("{scheme} {}", STANDARD.encode(pair))))
    }

    #[test]
    fn the_right_pair_is_admitted_whatever_the_case_of_the_scheme() {
        assert!(admit("Basic", "admin:s3:cret"));
        assert!(admit("bAsIc", "admin:s3:cret"));
        assert!(admit("Basic  ", "admin:s3:cret"));
    }

    #[test]
    fn everything_else_is_not() {
        for pair in [
            "",
            ":",
            "admin",
            "admin:",
            "admin:s3:cre",
            "admin:s3:cret ",
            "admin:s3:creT",
            "Admin:s3:cret",
            ":s3:cret",
            "admin:s3:cretadmin:s3:cret",
        ] {
            assert!(!admit("Basic", pair), "{pair}");
        }
        assert!(!admit("Bearer", "admin:s3:cret"));
        let values =
            ["", "Basic", "Basic ", "Basic !", "YWRtaW46czM6Y3JldA==", "Basic YWRtaW46czM6Y3JldA"];
        for value in values {
            assert!(!admits(&credentials(), Some(value)), "{value}");
        }
        assert!(!admits(&credentials(), None));
    }
}

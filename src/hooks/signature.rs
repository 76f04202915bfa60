//! How a request shows that it comes from who knows the secret: as the Go LinK's.

use std::fmt::Write;

use ring::hmac;

use crate::secret::Secret;

/// HMAC-SHA256 (RFC 2104) of the time stamp, a dot and the body, in hexadecimal digits.
pub(super) fn signature(secret: &Secret, timestamp: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{timestamp}.").as_bytes());
    context.update(body.as_bytes());
    let tag = context.sign();
    let mut text = String::with_capacity(2 * tag.as_ref().len());
    for byte in tag.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `printf '%s' TEXT | openssl dgst -sha256 -hmac SECRET`.
    #[test]
    fn it_is_what_openssl_makes_of_time_stamp_dot_and_body() {
        for (secret, timestamp, body, expected) in [
            (
                "shared-secret",
                1_764_435_720,
                r#"{"status":"ACTIVATED"}"#,
                "ddc6688b748209f683a83fb67f873d8b79cc5748132b4ceb4848a24405d77f92",
            ),
            ("k", 0, "", "6b4a4b8b3c40f1e8f53a3d36682e5f99f7ad2ac1df1c93dfe336f329167641e7"),
            (LONG, 1, "ä\n", "93f22eff18f3bd6a96034445727c394b36b08d54a80510b139dfbcbb15869de5"),
        ] {
            assert_eq!(signature(&Secret::new(secret), timestamp, body), expected);
        }
    }

    /// Longer than a block, so that it is hashed first (RFC 2104, 2).
    const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789";
}

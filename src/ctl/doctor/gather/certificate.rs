//! When a certificate ends: the one field of it that is read (RFC 5280, 4.1), without a library for all.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::dates;

/// The tags of DER that matter here.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Of the first certificate in a PEM file, in seconds since 1970.
pub(super) fn end(pem: &str) -> Option<i64> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let base64: String = body.split_whitespace().collect();
    not_after(&BASE64_STANDARD.decode(base64).ok()?)
}

fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = expect(der, &[SEQUENCE])?;
    let (mut rest, _) = expect(certificate, &[SEQUENCE])?;
    if let Some((_, after)) = expect(rest, &[VERSION]) {
        rest = after;
    }
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, rest) = expect(rest, &[tag])?;
    }
    let (validity, _) = expect(rest, &[SEQUENCE])?;
    let times = [UTC_TIME, GENERALIZED_TIME];
    let (_, after) = expect(validity, &times)?;
    let (end, _) = expect(after, &times)?;
    dates::asn1(std::str::from_utf8(end).ok()?)
}

/// The content of the value at the beginning, if it has one of these tags, and what follows it.
fn expect<'a>(der: &'a [u8], tags: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    tags.contains(tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl x509 -enddate` tells of the file.
    const END: &str = "Jan  3 10:42:30 2028 GMT";

    #[test]
    fn the_end_of_a_certificate_is_found() {
        let pem = include_str!("certificate_test.pem");
        assert_eq!(end(pem), dates::openssl(END));
        assert_eq!(end(&format!("text before\n{pem}{pem}")), dates::openssl(END));
        for length in 0..pem.len() {
            let _ = end(&pem[..length]);
        }
        assert_eq!(end(""), None);
        let der = [SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, 0, 0];
        assert_eq!(not_after(&der), None);
    }
}

//! When the certificates in a file end, for monitoring.
//!
//! Pure. Only that one field of X.509 is read (RFC 5280, 4.1.2.5); what a connection does with a certificate
//! is left to rustls. What cannot be read has no end: it is no mistake of its own.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The types of ASN.1 that stand in the way (X.690, 8).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first of the certificates in a PEM file ends, since 1970 (UTC).
pub(crate) fn first_end(pem: &[u8]) -> Option<Duration> {
    let text = String::from_utf8_lossy(pem);
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let ends = blocks.filter_map(|block| {
        let base64: String = block.split('-').next()?.split_whitespace().collect();
        not_after(&STANDARD.decode(base64).ok()?)
    });
    ends.min()
}

/// When a certificate ends, since 1970 (UTC).
fn not_after(der: &[u8]) -> Option<Duration> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    // The serial number, the algorithm of the signature, the issuer.
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _, end) = any(validity)?;
    let (kind, end, _) = any(end)?;
    time(kind, std::str::from_utf8(end).ok()?)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(kind: u8, text: &str) -> Option<Duration> {
    let text = match kind {
        // Years from 50 on are of the last century (RFC 5280, 4.1.2.5.1).
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part =
        |range| text.get(range).filter(|part: &&str| part.bytes().all(|b| b.is_ascii_digit()));
    let time = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(8..10)?,
        part(10..12)?,
        part(12..14)?
    );
    let time = humantime::parse_rfc3339(&time).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

/// What an element of this type holds, and what comes after it.
fn element(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (kind, held, rest) = any(der)?;
    (kind == wanted).then_some((held, rest))
}

/// The type of the first element, what it holds, and what comes after it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length follow; a certificate has less than 16 MiB.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (held, rest) = rest.split_at_checked(length)?;
    Some((kind, held, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by openssl: until 2036, in UTCTime.
    const UNTIL_2036: &str = "\
-----BEGIN CERTIFICATE-----
MIIBbDCCAROgAwIBAgIUKr/pnqaelKhozSKpawqG5EpCXngwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYTAeFw0yNjExMjkxNDQwMjlaFw0zNjExMjYxNDQwMjlaMAwx
CjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASHXN834Hjuh8YB
sAVQnB9Q6g4AzTMWgmIELZDc1Pv7uQR1O4HIP54t3Xfu9zHsE2m9o3nT+4vmhdih
Gn2qr3tqo1MwUTAdBgNVHQ4EFgQU8NC07h1qMjG9Zmw8xssFEWZ2W5AwHwYDVR0j
BBgwFoAU8NC07h1qMjG9Zmw8xssFEWZ2W5AwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNHADBEAiAxQ3FQFynQPsDBhKnubAgG7qK6L1sjwUa1iYjWcbseqAIg
HEY2QGQ4ICyX+JK3ZA/qf4UQoFVopEeghgpT5nBbsgQ=
-----END CERTIFICATE-----";
    /// Until 2081, in GeneralizedTime.
    const UNTIL_2081: &str = "\
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUMNyLWc9YUWt7ozKF37BWDRbHgiMwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYjAgFw0yNjExMjkxNDQwMjlaGA8yMDgxMDkwMTE0NDAyOVow
DDEKMAgGA1UEAwwBYjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABK0Lt6wNjp1S
4v5dzy5WKKwvwvvDvpkYH0v3w8x+Ryb4myrvCDpyQU/Il8M6I+OeY1Gb20opA6vl
KVSoJOXzMbqjUzBRMB0GA1UdDgQWBBTlq+oPTuaP3yeGMhFEyB0YpOrZizAfBgNV
HSMEGDAWgBTlq+oPTuaP3yeGMhFEyB0YpOrZizAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIECAx6hdF+SL7XOiyBIAGgkhVY+vIfj/J+7tBkit2L2o
AiEA+rfvOtou3vjOzQd00GsB7O65iukuJ8ymGPB/jOUUemo=
-----END CERTIFICATE-----";

    #[test]
    fn the_first_certificate_to_end_tells() {
        let (early, late) =
            (Duration::from_secs(2_111_323_229), Duration::from_secs(3_523_963_229));
        assert_eq!(first_end(UNTIL_2036.as_bytes()), Some(early));
        assert_eq!(first_end(UNTIL_2081.as_bytes()), Some(late));
        let both = format!("a comment\n{UNTIL_2081}\n{UNTIL_2036}").replace('\n', "\r\n");
        assert_eq!(first_end(both.as_bytes()), Some(early));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"]
        {
            assert_eq!(first_end(pem.as_bytes()), None, "{pem}");
        }
        assert_eq!(time(GENERALIZED_TIME, "20361301000000Z"), None, "no month");
        assert_eq!(time(UTC_TIME, "9"), None);
        assert_eq!(time(UTC_TIME, "６6"), None);
        assert_eq!(time(UTC_TIME, "500101000000Z"), None, "before 1970");
        assert_eq!(time(UTC_TIME, "700101000010Z"), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_certificate_that_is_cut_or_changed_anywhere_ends_no_process() {
        let text: String = UNTIL_2036.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(text).unwrap();
        assert!(not_after(&der).is_some());
        for at in 0..der.len() {
            not_after(&der[..at]);
            for byte in [0, 0x30, 0x7f, 0x80, 0x81, 0x84, 0xff] {
                let mut changed = der.clone();
                changed[at] = byte;
                not_after(&changed);
            }
        }
    }
}

//! Files in PEM (RFC 7468): what is in them, and whether they have changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::expiry::first_end;
use crate::metrics::CertificateExpiry;

/// How the first lines of what is in the files end (RFC 7468).
pub(crate) const CERTIFICATE: &str = "CERTIFICATE-----";
pub(crate) const KEY: &str = "PRIVATE KEY-----";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY-----";

/// What tells one version of files from another: the modification time and length of each.
pub(crate) type Fingerprint = Vec<Option<(SystemTime, u64)>>;

/// The version of these files, as they are now.
pub(crate) fn fingerprint<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Fingerprint {
    let stat = |path: &PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    paths.map(stat).collect()
}

/// When the first certificate in a file with these contents ends, if there is one.
pub(crate) fn expiry_of(path: &Path, pem: &[u8]) -> Option<CertificateExpiry> {
    let file = path.display().to_string();
    first_end(pem).map(|ends| CertificateExpiry { file, ends })
}

/// Reads a file that has something with this label in it. The error names the file.
pub(crate) fn named_pem(path: &Path, label: &str) -> Result<Vec<u8>, String> {
    read_pem(path, label).map_err(|why| format!("{}: {why}", path.display()))
}

/// Reads a file that has something with this label in it.
pub(crate) fn read_pem(path: &Path, label: &str) -> Result<Vec<u8>, String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&pem);
    let has = |text: &str, label: &str| {
        text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label))
    };
    if !has(&text, label) {
        let what = label.trim_end_matches('-').to_ascii_lowercase();
        return Err(format!("there is no {what} in it, in PEM"));
    }
    // PKCS #8 (RFC 5958) says it in the label, the older forms in a header (RFC 1421, 4.6.1.1).
    if label == KEY && (has(&text, ENCRYPTED) || text.contains("Proc-Type: 4,ENCRYPTED")) {
        return Err("the key is encrypted".to_owned());
    }
    drop(text);
    Ok(pem)
}

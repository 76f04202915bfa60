//! The TLS identity: PEM files that are read again when they change.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use etcd_client::{Certificate, Identity, TlsOptions};
use tonic::transport::Endpoint;

use super::error::Error;

/// Where the PEM files of a TLS connection are. All are optional: without a CA the connection is
/// refused (no system roots are compiled in), without a certificate the client is anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The client's certificate, with its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authority that signed the members' certificates.
    pub ca: Option<PathBuf>,
}

/// How a certificate begins (RFC 7468, section 5).
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What tells one version of the files from another: the modification time and length of each.
pub(super) type Fingerprint = Vec<Option<(SystemTime, u64)>>;

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        identity.chain(&self.ca)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let stat = |path: &PathBuf| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        self.paths().map(stat).collect()
    }

    /// Reads the files. The error names the file that cannot be read, or says why no connection can be
    /// made with what is in them: half a file must not take the place of a good one.
    pub(super) fn load(&self) -> Result<TlsOptions, String> {
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let mut options = TlsOptions::new();
        if let Some((cert, key)) = &self.identity {
            options = options.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        if let Some(ca) = &self.ca {
            let pem = read(ca)?;
            // An authority that is not there is no mistake for TLS: it trusts nobody then.
            if !pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
                return Err(format!("{}: there is no certificate in it", ca.display()));
            }
            options = options.ca_certificate(Certificate::from_pem(pem));
        }
        let made = Endpoint::from_static("https://etcd").tls_config(options.clone());
        made.map_err(|error| Error::from(etcd_client::Error::from(error)).to_string())?;
        Ok(options)
    }
}

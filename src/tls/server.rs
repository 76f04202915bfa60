//! The certificate with which the API shows who it is, and its key.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{Error, InconsistentKeys, ServerConfig};

use super::pem::{CERTIFICATE, Fingerprint, KEY, expiry_of, fingerprint, named_pem, read_pem};
use super::session::Session;
use crate::metrics::CertificateExpiry;

/// Where the certificate of the API and its key are, in PEM. Certificates of authorities in between may
/// follow the first one in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, not encrypted.
    pub key: PathBuf,
}

/// What makes sessions with clients.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

/// What was read of the files.
pub(crate) struct Loaded {
    pub(crate) acceptor: Acceptor,
    /// When the first certificate in the file ends.
    pub(crate) expiry: Option<CertificateExpiry>,
}

impl ServerFiles {
    /// What is wrong with the files, under the names of the settings: of the certificate and of its key.
    /// Nothing if a server can show itself with them.
    pub fn mistakes(&self, settings: [&str; 2]) -> Vec<String> {
        let files = [(&self.certificate, CERTIFICATE), (&self.key, KEY)];
        let mut mistakes = Vec::new();
        for (setting, (path, label)) in settings.iter().zip(files) {
            if let Err(why) = read_pem(path, label) {
                mistakes.push(format!("{setting}={} cannot be used: {why}", path.display()));
            }
        }
        if mistakes.is_empty() {
            let why = self.load().err();
            mistakes.extend(why.map(|why| format!("{}: {why}", settings.join(", "))));
        }
        mistakes
    }

    /// The version of the files, as they are now.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint([&self.certificate, &self.key].into_iter())
    }

    /// Reads the files. The error names the one that cannot be used.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let pem = named_pem(&self.certificate, CERTIFICATE)?;
        let key_pem = named_pem(&self.key, KEY)?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| format!("{certificate}: {error}"))?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem);
        let private = private.map_err(|error| format!("{key}: {error}"))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            // TLS 1.2 and 1.3: there is nothing older in the library.
            .with_safe_default_protocol_versions()
            .map(|config| config.with_no_client_auth().with_single_cert(chain, private));
        let mismatch = Error::InconsistentKeys(InconsistentKeys::KeyMismatch);
        let mut config = config.and_then(|made| made).map_err(|error| match error == mismatch {
            true => format!("{key} is not the key of the certificate in {certificate}"),
            false => format!("{certificate}, {key}: {error}"),
        })?;
        // Nothing is kept of a client that has gone: a handshake is cheap, and clients are few.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let expiry = expiry_of(&self.certificate, &pem);
        Ok(Loaded { acceptor: Acceptor(Arc::new(config)), expiry })
    }
}

impl Acceptor {
    /// Begins a session with a client that has not sent anything yet.
    pub(crate) fn begin(&self) -> Option<Session> {
        Session::new(Arc::clone(&self.0)).ok()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<certificate and key>")
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

//! The TLS identity: PEM files that are read again when they change.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use etcd_client::{Certificate, Identity, TlsOptions};
use tokio::task::spawn_blocking;
use tonic::transport::Endpoint;

use super::error::Error;
use crate::metrics::CertificateExpiry;
use crate::tls::{CERTIFICATE, Fingerprint, KEY, expiry_of, fingerprint, named_pem, read_pem};

/// Where the PEM files of a TLS connection are. All are optional: without a CA the connection is
/// refused (no system roots are compiled in), without a certificate the client is anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The client's certificate, with its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authority that signed the members' certificates.
    pub ca: Option<PathBuf>,
}

/// The identity with which connections are made: one that works stays until a newer one does. Files are
/// read on other threads than the runtime's, which must not wait for a disk.
pub(super) struct TlsIdentity {
    files: TlsFiles,
    in_use: RefCell<Option<Version>>,
}

/// An identity with the version of the files that it was read from.
pub(super) struct Version {
    fingerprint: Fingerprint,
    pub(super) options: TlsOptions,
    expiries: Vec<CertificateExpiry>,
}

impl TlsIdentity {
    pub(super) fn new(files: TlsFiles) -> TlsIdentity {
        TlsIdentity { files, in_use: RefCell::default() }
    }

    /// The identity in use; the first one is read from the files.
    pub(super) async fn options(&self) -> Result<TlsOptions, Error> {
        if let Some(version) = &*self.in_use.borrow() {
            return Ok(version.options.clone());
        }
        let read = self.read(None).await;
        let version = read.unwrap_or_else(|| Err(Error::refused("the runtime ends")))?;
        let options = version.options.clone();
        self.adopt(version);
        Ok(options)
    }

    /// When the certificates in use end.
    pub(super) fn expiries(&self) -> Vec<CertificateExpiry> {
        let in_use = self.in_use.borrow();
        in_use.as_ref().map(|version| version.expiries.clone()).unwrap_or_default()
    }

    pub(super) fn adopt(&self, version: Version) {
        self.in_use.replace(Some(version));
    }

    /// What the files say now, if they are others than those in use.
    pub(super) async fn newer(&self) -> Option<Result<Version, Error>> {
        let known = self.in_use.borrow().as_ref()?.fingerprint.clone();
        self.read(Some(known)).await
    }

    /// Reads the files unless they are the known ones.
    async fn read(&self, known: Option<Fingerprint>) -> Option<Result<Version, Error>> {
        let files = self.files.clone();
        let reading = spawn_blocking(move || {
            let fingerprint = files.fingerprint();
            let changed = known.as_ref() != Some(&fingerprint);
            let version = |(options, expiries)| Version { fingerprint, options, expiries };
            changed.then(|| files.load().map(version).map_err(Error::refused))
        });
        reading.await.ok().flatten()
    }
}

impl TlsFiles {
    /// The certificate, its key and the authority, each with the label of what is in it.
    fn labelled(&self) -> [Option<(&PathBuf, &'static str)>; 3] {
        let identity = self.identity.as_ref();
        [
            identity.map(|(cert, _)| (cert, CERTIFICATE)),
            identity.map(|(_, key)| (key, KEY)),
            self.ca.as_ref().map(|ca| (ca, CERTIFICATE)),
        ]
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.labelled().into_iter().flatten().map(|(path, _)| path)
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint(self.paths())
    }

    /// What is wrong with the files, under the names of the settings: of the certificate, its key and the
    /// authority. Nothing if connections can be made with them.
    pub fn mistakes(&self, settings: [&str; 3]) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (setting, file) in settings.iter().zip(self.labelled()) {
            let Some((path, label)) = file else { continue };
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

    /// Reads the files; with when the certificates in them end. The error names the file that cannot be used: half a
    /// file must not take the place of a good one.
    fn load(&self) -> Result<(TlsOptions, Vec<CertificateExpiry>), String> {
        let (mut options, mut expiries) = (TlsOptions::new(), Vec::new());
        let mut note = |path: &Path, pem: &[u8]| {
            expiries.extend(expiry_of(path, pem));
        };
        if let Some((path, key)) = &self.identity {
            let (cert, key) = (named_pem(path, CERTIFICATE)?, named_pem(key, KEY)?);
            note(path, &cert);
            options = options.identity(Identity::from_pem(cert, key));
        }
        if let Some(path) = &self.ca {
            // An authority that is not there is no mistake for TLS: it trusts nobody then.
            let ca = named_pem(path, CERTIFICATE)?;
            note(path, &ca);
            options = options.ca_certificate(Certificate::from_pem(ca));
        }
        let made = Endpoint::from_static("https://etcd").tls_config(options.clone());
        let all = || {
            let paths: Vec<_> = self.paths().map(|path| path.display().to_string()).collect();
            paths.join(", ")
        };
        made.map_err(|error| {
            format!("{}: {}", all(), Error::from(etcd_client::Error::from(error)))
        })?;
        Ok((options, expiries))
    }
}

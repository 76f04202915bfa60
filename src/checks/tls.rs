//! TLS for checks of `https://` (RFC 8446), by the library that the connections to etcd use.
//!
//! What is trusted is read again when its file has changed. A certificate that cannot be verified fails the check,
//! unless the check says that it is not to be verified.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use super::http::Timed;
use crate::tls::SYSTEM_CA;
use crate::vip::Trust;

/// Bytes of the longest file with certificates that is read.
const LONGEST: u64 = 4 << 20;

/// What tells one version of a file from another.
type Version = (SystemTime, u64);

/// How the servers of one check are known.
pub(super) struct Tls {
    trust: Trust,
    server: Option<ServerName<'static>>,
    /// What was read last, with the version of its file.
    known: Option<(Option<Version>, Arc<ClientConfig>)>,
}

impl Tls {
    pub(super) fn new(trust: Trust, host: &str) -> Tls {
        Tls { trust, server: ServerName::try_from(host.to_owned()).ok(), known: None }
    }

    /// Begins a session; what can go wrong with it, goes wrong with the first bytes.
    pub(super) fn begin(
        &mut self,
        stream: Timed,
    ) -> io::Result<StreamOwned<ClientConnection, Timed>> {
        let server = self.server.clone();
        let server = server.ok_or_else(|| io::Error::other("the host is no name for TLS"))?;
        let client = ClientConnection::new(self.config()?, server).map_err(io::Error::other)?;
        Ok(StreamOwned::new(client, stream))
    }

    fn config(&mut self) -> io::Result<Arc<ClientConfig>> {
        let path = match &self.trust {
            Trust::System => Some(system()?),
            Trust::File(path) => Some(PathBuf::from(path)),
            Trust::Anybody => None,
        };
        let file = path.as_deref().map(open).transpose()?;
        let version = file.as_ref().map(|(_, version)| *version);
        if let Some((known, config)) = &self.known
            && *known == version
        {
            return Ok(Arc::clone(config));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match (file, path) {
            (Some((file, _)), Some(path)) => {
                let roots = Arc::new(authorities(file, &path)?);
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
                verifier.build().map_err(io::Error::other)?
            }
            _ => Arc::new(Anybody(Arc::clone(&provider))),
        };
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let config = config.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = config.with_no_client_auth();
        config.resumption = Resumption::disabled();
        let config = Arc::new(config);
        self.known = Some((version, Arc::clone(&config)));
        Ok(config)
    }
}

fn system() -> io::Result<PathBuf> {
    let found = SYSTEM_CA.iter().map(PathBuf::from).find(|path| path.exists());
    let why = "this host has no authorities that it trusts (ca-certificates)";
    found.ok_or_else(|| io::Error::other(why))
}

/// A regular file, whatever else may stand under that name.
fn open(path: &Path) -> io::Result<(File, Version)> {
    let read = || {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return Err(io::Error::other("is no regular file of at most 4 MiB"));
        }
        Ok((file, (metadata.modified()?, metadata.len())))
    };
    read().map_err(|error| of_file(path, error))
}

fn authorities(file: File, path: &Path) -> io::Result<RootCertStore> {
    let mut pem = Vec::new();
    file.take(LONGEST).read_to_end(&mut pem).map_err(|error| of_file(path, error))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(of_file(path, io::Error::other("has no certificate in it")));
    }
    Ok(roots)
}

/// What this process lacks is told as such; everything else with the name of the file.
fn of_file(path: &Path, error: io::Error) -> io::Error {
    if crate::tcp::lack(&error).is_some() {
        return error;
    }
    let said = [
        (ErrorKind::NotFound, "is not there"),
        (ErrorKind::PermissionDenied, "cannot be read by the user of this agent"),
    ];
    let why = said.into_iter().find(|(kind, _)| *kind == error.kind());
    let why = why.map_or_else(|| error.to_string(), |(_, why)| why.to_owned());
    io::Error::other(format!("{} {why}", path.display()))
}

/// Whoever answers is believed. That the handshake is one, is still looked at.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _server: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;

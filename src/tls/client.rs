//! A client of the API with TLS, for `linkctl`: see [`crate::carrier`].

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, StreamOwned};

use super::SYSTEM_CA;
use super::pem::{CERTIFICATE, named_pem};
use crate::carrier::Fault;

/// Why nothing was carried, in words.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Carries a request and its answer between standard output, a socket, and the server on standard input.
///
/// # Errors
///
/// See [`Fault`].
pub(crate) fn carry(name: &str, authorities: Option<&Path>) -> Result<(), Failure> {
    let system = || SYSTEM_CA.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(file) = authorities.map(Path::to_owned).or_else(system) else {
        let why = "this host has no authorities that it trusts (ca-certificates)";
        return Err(failure(Fault::Authorities, why));
    };
    let config = config(&file).map_err(|why| failure(Fault::Authorities, why))?;
    // A zone tells only this host which interface is meant.
    let host = name.split('%').next().unwrap_or_default();
    let server = match host.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::from(address)),
        Err(_) => ServerName::try_from(host.to_owned()),
    };
    let server =
        server.map_err(|_| failure(Fault::Name, format!("{host:?} is no name for TLS")))?;
    let broken = |error: io::Error| failure(Fault::Broken, error.to_string());
    let inherited = |fd: io::Result<std::os::fd::OwnedFd>| fd.map_err(broken);
    let socket = TcpStream::from(inherited(io::stdin().as_fd().try_clone_to_owned())?);
    let caller = UnixStream::from(inherited(io::stdout().as_fd().try_clone_to_owned())?);
    let client = ClientConnection::new(config, server);
    let client = client.map_err(|error| failure(Fault::Broken, error.to_string()))?;
    let stream = StreamOwned::new(client, socket);
    exchange(stream, caller).map_err(|error| understood(&error, host, &file))
}

fn failure(fault: Fault, why: impl Into<String>) -> Failure {
    Failure { fault, why: why.into() }
}

fn config(authorities: &Path) -> Result<Arc<ClientConfig>, String> {
    let pem = named_pem(authorities, CERTIFICATE)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(format!("{}: no certificate in it can be read", authorities.display()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|it| it.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn exchange(
    mut stream: StreamOwned<ClientConnection, TcpStream>,
    mut caller: UnixStream,
) -> io::Result<()> {
    let mut request = Vec::new();
    caller.read_to_end(&mut request)?;
    stream.write_all(&request)?;
    stream.flush()?;
    match io::copy(&mut stream, &mut caller) {
        // The caller has read what it wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        copied => copied.map(drop),
    }
}

fn understood(error: &io::Error, name: &str, authorities: &Path) -> Failure {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(Error::InvalidCertificate(why)) = known {
        return of_certificate(why, name, authorities);
    }
    if let Some(Error::InvalidMessage(_)) = known {
        return failure(Fault::Plain, "the server does not speak TLS");
    }
    let why = match error.kind() == ErrorKind::UnexpectedEof {
        true => "the server ended the connection before all was said".to_owned(),
        false => error.to_string(),
    };
    failure(Fault::Broken, why)
}

fn of_certificate(error: &CertificateError, name: &str, authorities: &Path) -> Failure {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Other, UnknownIssuer,
    };
    let subject = "the certificate of the server";
    if let NotValidForNameContext { presented, .. } = error {
        let names: Vec<&str> = presented.iter().map(|it| bare_name(it)).collect();
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        let why = format!("{subject} is not valid for {name}, but for {names}");
        return failure(Fault::Name, why);
    }
    if *error == NotValidForName {
        return failure(Fault::Name, format!("{subject} is not valid for {name}"));
    }
    let is_authority = matches!(error, Other(why) if why.to_string().contains("CaUsedAsEndEntity"));
    let why = if *error == UnknownIssuer {
        format!("is signed by no authority in {}", authorities.display())
    } else if *error == Expired || matches!(error, ExpiredContext { .. }) {
        "has ended".to_owned()
    } else if *error == NotValidYet || matches!(error, NotValidYetContext { .. }) {
        "is not valid yet (is the clock of this host right?)".to_owned()
    } else if is_authority {
        "is that of an authority (CA:TRUE), which no server may show".to_owned()
    } else {
        format!("cannot be verified: {error}")
    };
    failure(Fault::Certificate, format!("{subject} {why}"))
}

/// `DnsName("h1")` and `IpAddress(10.0.0.1)` as they were meant.
fn bare_name(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(shown).trim_matches('"')
}

//! The connection to an agent: plain, or with TLS, which `linkd` speaks for this program ([`crate::carrier`]).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::server::Server;
use crate::carrier::{self, Fault};

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Carrier),
}

/// A `linkd` that speaks TLS on the other side of a socket.
#[derive(Debug)]
pub(super) struct Carrier {
    socket: UnixStream,
    process: Child,
}

/// Why TLS was not spoken: of which kind that was, if it is known, and why in words.
#[derive(Debug)]
pub(super) struct NoTls {
    pub(super) fault: Option<Fault>,
    pub(super) why: String,
}

impl Stream {
    /// Puts TLS on the connection, if the server is to speak it.
    pub(super) fn over(stream: TcpStream, server: &Server) -> Result<Stream, NoTls> {
        let Some(trust) = server.trust() else { return Ok(Stream::Plain(stream)) };
        Carrier::start(stream, server.host(), trust.file()).map(Stream::Secure)
    }

    /// Says that the request is complete, to those who have to know.
    pub(super) fn end_request(&self) -> io::Result<()> {
        match self {
            // Its length stands in it.
            Stream::Plain(_) => Ok(()),
            Stream::Secure(carrier) => carrier.socket.shutdown(Shutdown::Write),
        }
    }

    pub(super) fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.set_read_timeout(Some(time)),
            Stream::Secure(carrier) => carrier.socket.set_read_timeout(Some(time)),
        }
    }

    pub(super) fn set_write_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.set_write_timeout(Some(time)),
            Stream::Secure(carrier) => carrier.socket.set_write_timeout(Some(time)),
        }
    }

    /// Whether the end that was read, or the break, is a fault of TLS.
    pub(super) fn fault(&mut self) -> Option<NoTls> {
        match self {
            Stream::Plain(_) => None,
            Stream::Secure(carrier) => carrier.fault(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Secure(carrier) => carrier.socket.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Secure(carrier) => carrier.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier {
    fn start(stream: TcpStream, name: &str, trusted: Option<&Path>) -> Result<Carrier, NoTls> {
        let program = linkd();
        let (socket, theirs) = UnixStream::pair().map_err(|error| unknown(error.to_string()))?;
        let mut command = Command::new(&program);
        command.arg(carrier::OPTION).arg(name).args(trusted);
        // The log of an agent is none of this one's.
        command.env_remove("JOURNAL_STREAM");
        command.stdin(OwnedFd::from(stream)).stdout(OwnedFd::from(theirs)).stderr(Stdio::piped());
        match command.spawn() {
            Ok(process) => Ok(Carrier { socket, process }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unknown(
                "for https linkctl needs linkd beside it, which speaks TLS (it need not run as a service)"
                    .to_owned(),
            )),
            Err(error) => Err(unknown(format!("start {}: {error}", program.display()))),
        }
    }

    /// What it says when it has ended; it is about to, when the socket has.
    fn fault(&mut self) -> Option<NoTls> {
        let mut said = String::new();
        let stderr = self.process.stderr.take();
        // It ends with the process.
        let _ = stderr.map(|mut stderr| stderr.read_to_string(&mut said));
        let status = self.process.wait().ok()?;
        if status.success() {
            return None;
        }
        let line = said.lines().last().unwrap_or_default();
        let why = line.strip_prefix("linkd: ").unwrap_or(line).to_owned();
        match status.code().map(Fault::of) {
            Some(Some(fault)) => Some(NoTls { fault: Some(fault), why }),
            Some(None) => Some(unknown(format!(
                "{} is too old to speak TLS for linkctl: {why}",
                linkd().display()
            ))),
            None => {
                Some(unknown(format!("linkd, which speaks TLS for linkctl, has ended: {status}")))
            }
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // What is left of the session is of no interest.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn unknown(why: String) -> NoTls {
    NoTls { fault: None, why }
}

/// The one that was installed with this program, or any.
fn linkd() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or(Path::new(""));
    let places =
        [folder.join("linkd"), folder.join("../sbin/linkd"), PathBuf::from("/usr/sbin/linkd")];
    places.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("linkd"))
}

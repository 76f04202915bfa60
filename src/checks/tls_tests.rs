//! Real servers, with certificates that openssl has made.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::checks::http::{self, Timed};
use crate::vip::Url;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a certificate that is signed by itself, for `localhost`.
struct Server {
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    fn start(name: &str) -> Server {
        let folder = std::env::temp_dir().join(format!("link-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("make a folder");
        certificate(&folder, "own");
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("it is bound").port()
        };
        let process = Command::new("openssl")
            .args(["s_server", "-www", "-quiet", "-key", "own.key", "-cert", "own.pem", "-accept"])
            .arg(port.to_string())
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start openssl");
        let server = Server { folder, port, process };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "openssl does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn ask(&self, host: &str, trust: Trust) -> Result<u16, String> {
        ask(host, self.port, &mut Tls::new(trust, host))
    }

    fn file(&self, name: &str) -> Trust {
        Trust::File(self.folder.join(name).to_string_lossy().into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ask(host: &str, port: u16, tls: &mut Tls) -> Result<u16, String> {
    let url: Url = format!("https://{host}:{port}/").parse().expect("a URL");
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let stream = Timed::new(stream, Instant::now() + PATIENCE);
    let mut stream = tls.begin(stream).map_err(|error| error.to_string())?;
    http::status(&mut stream, http::get(&url).as_bytes()).map_err(|error| error.to_string())
}

fn certificate(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args("req -x509 -days 1 -subj /CN=x -newkey ec -pkeyopt ec_paramgen_curve:prime256v1".split(' '))
        .args("-nodes -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE".split(' '))
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(folder)
        .output()
        .expect("run openssl");
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_certificate_counts_if_its_authority_is_known_and_its_name_is_the_host() {
    let server = Server::start("known");
    certificate(&server.folder, "other");
    assert_eq!(server.ask("localhost", server.file("own.pem")), Ok(200));
    for (host, trust, why) in [
        ("localhost", server.file("other.pem"), "invalid peer certificate"),
        ("elsewhere", server.file("own.pem"), "invalid peer certificate"),
        ("127.0.0.1", server.file("own.pem"), "invalid peer certificate"),
        ("localhost", server.file("own.key"), "own.key has no certificate in it"),
        ("localhost", server.file("none.pem"), "none.pem is not there"),
        ("localhost", Trust::File("/dev/zero".to_owned()), "/dev/zero is no regular file"),
    ] {
        let error = server.ask(host, trust).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_certificate_that_is_not_to_be_verified_may_be_anybodys() {
    let server = Server::start("anybody");
    assert_eq!(server.ask("elsewhere", Trust::Anybody), Ok(200));
    assert_eq!(server.ask("127.0.0.1", Trust::Anybody), Ok(200));
}

#[test]
fn authorities_are_read_again_when_their_file_has_changed() {
    let server = Server::start("again");
    let trusted = server.folder.join("trusted.pem");
    fs::write(&trusted, "nothing yet").expect("write");
    let mut tls = Tls::new(server.file("trusted.pem"), "localhost");
    let error = ask("localhost", server.port, &mut tls).expect_err("nothing is trusted");
    assert!(error.contains("no certificate"), "{error}");
    fs::copy(server.folder.join("own.pem"), &trusted).expect("copy");
    assert_eq!(ask("localhost", server.port, &mut tls), Ok(200));
    assert_eq!(ask("localhost", server.port, &mut tls), Ok(200));
}

#[test]
fn what_speaks_no_tls_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 1000]);
    });
    let error = ask("localhost", port, &mut Tls::new(Trust::Anybody, "localhost"));
    assert!(error.is_err(), "{error:?}");
    server.join().expect("it ends");
}

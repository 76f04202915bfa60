//! Agents that speak TLS, and servers that do not do it as they should.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::list;
use crate::run::{Run, linkctl, program};
use crate::server::{Server, http};

/// A folder with an authority (`ca.pem`), another one (`other.pem`), and what they have signed.
pub(crate) struct Pki(pub(crate) PathBuf);

impl Pki {
    pub(crate) fn new(name: &str) -> Pki {
        let folder = std::env::temp_dir().join(format!("linkctl-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pki = Pki(folder);
        for name in ["ca", "other"] {
            pki.openssl(&format!(
                "req -x509 -days 1 -subj /CN={name} {NEW} -keyout {name}.key -out {name}.pem"
            ));
        }
        pki
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, name: &str, names: &str, days: &str) {
        self.openssl(&format!("req -subj /CN={name} {NEW} -keyout {name}.key -out {name}.csr"));
        fs::write(self.0.join("extensions"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl(&format!(
            "x509 -req -days {days} -in {name}.csr -extfile extensions -CA ca.pem -CAkey ca.key -CAcreateserial \
             -out {name}.pem"
        ));
    }

    /// Waits until a certificate has ended.
    fn await_end(&self, name: &str) {
        let mut check = Command::new("openssl");
        check.args(["x509", "-checkend", "0", "-noout", "-in", &self.path(&format!("{name}.pem"))]);
        while check.output().unwrap().status.success() {}
        // It is valid in its last second.
        let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let last = second();
        while second() == last {
            thread::yield_now();
        }
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split_whitespace()).current_dir(&self.0).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn config(&self, name: &str) -> Arc<ServerConfig> {
        let chain = CertificateDer::from_pem_file(self.0.join(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.0.join(format!("{name}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(vec![chain], key).unwrap())
    }

    /// An agent that answers one client's `GET /ips` by TLS. It tells what it was asked, if that got through.
    pub(crate) fn agent(&self, name: &str) -> Agent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = self.config(name);
        let serving = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            serve(socket, config).ok()
        });
        Agent { port, serving }
    }
}

const NEW: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Agent {
    pub(crate) port: u16,
    serving: JoinHandle<Option<String>>,
}

impl Agent {
    pub(crate) fn request(self) -> Option<String> {
        self.serving.join().unwrap()
    }
}

fn serve(socket: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<String> {
    let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(session, socket);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    stream.write_all(&http("200 OK", &list(&[])))?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(String::from_utf8(request).unwrap())
}

fn ask(url: &str, cacert: &str) -> Run {
    linkctl(url, &["list", "--json", "--cacert", cacert])
}

#[test]
fn an_agent_with_a_certificate_of_the_authority_is_asked() {
    let pki = Pki::new("good");
    pki.issue("h", "DNS:localhost,IP:127.0.0.1", "1");
    let password = pki.path("password");
    fs::write(&password, "geheim\n").unwrap();
    Command::new("chmod").args(["600", &password]).status().unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let agent = pki.agent("h");
        let url = format!("https://{host}:{}/", agent.port);
        let ca = pki.path("ca.pem");
        let run = linkctl(
            &url,
            &["list", "--json", "--cacert", &ca, "--user", "a", "--password-file", &password],
        );
        run.assert_prints(&list(&[]));
        let request = agent.request().unwrap();
        assert!(request.starts_with("GET /ips HTTP/1.0\r\nHost: "), "{request}");
        // a:geheim
        assert!(request.contains("Authorization: Basic YTpnZWhlaW0=\r\n"), "{request}");
    }
    let agent = pki.agent("h");
    let output = program()
        .args(["--host", &format!("https://localhost:{}", agent.port), "list", "--json"])
        .env("LINK_CACERT", pki.path("ca.pem"))
        .env("LINK_PASSWORD_FILE", &password)
        .output();
    Run::from(output.unwrap()).assert_prints(&list(&[]));
    assert!(agent.request().unwrap().contains("Authorization: Basic OmdlaGVpbQ==\r\n"));
}

#[test]
fn a_certificate_that_does_not_count_is_told_with_what_to_do() {
    let pki = Pki::new("bad");
    pki.issue("h", "DNS:h1.lan,IP:10.0.0.1", "1");
    pki.issue("old", "IP:127.0.0.1", "0");
    pki.await_end("old");
    pki.issue("good", "IP:127.0.0.1", "1");
    let ca = pki.path("ca.pem");
    for (certificate, authorities, why, next) in [
        ("h", &ca, "is not valid for 127.0.0.1, but for h1.lan, 10.0.0.1", "in the certificate"),
        ("old", &ca, "the certificate of the server has ended", "renew API_TLS_CERT"),
        ("good", &pki.path("other.pem"), "is signed by no authority in ", "--cacert"),
        ("ca", &ca, "is that of an authority (CA:TRUE)", "docs/security.md"),
        ("good", &pki.path("none.pem"), "none.pem: No such file", "--cacert"),
        ("good", &pki.path("ca.key"), "ca.key: there is no certificate in it", "--cacert"),
    ] {
        let agent = pki.agent(certificate);
        let run = ask(&format!("https://127.0.0.1:{}", agent.port), authorities);
        run.assert_fails(4, why);
        let told = run.stderr.split("  -> ").nth(1).unwrap();
        assert!(told.contains(next), "{run:?}");
        // The request stays here.
        let _ = TcpStream::connect(("127.0.0.1", agent.port));
        assert_eq!(agent.request(), None, "{why}");
    }
}

#[test]
fn a_server_without_tls_and_a_client_without_it_are_told_so() {
    let pki = Pki::new("plain");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(&http("400 Bad Request", "{\"error\":\"no\"}")).unwrap();
    });
    let run = ask(&format!("https://{address}"), &pki.path("ca.pem"));
    serving.join().unwrap();
    run.assert_fails(4, "the server does not speak TLS");
    assert!(run.stderr.contains("-> give http:// instead"), "{run:?}");

    let answer =
        http("400 Bad Request", "{\"error\":\"the API speaks TLS here: ask by https://\"}");
    let secure = Server::always(&answer);
    let run = linkctl(&secure.address, &["list"]);
    run.assert_fails(4, "speaks TLS only");
    assert!(run.stderr.contains("-> give --host https://NAME, and --cacert"), "{run:?}");

    let run = ask(&address.to_string(), &pki.path("ca.pem"));
    run.assert_fails(2, "--cacert needs https:// before the host");
}

#[test]
fn a_server_that_says_nothing_is_waited_for_as_without_tls() {
    let pki = Pki::new("silent");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let run = ask(&format!("https://{address}"), &pki.path("ca.pem"));
    run.assert_fails(4, "within 5 s");
    // One that hangs up.
    let hanging = thread::spawn(move || drop(listener.accept().unwrap()));
    drop(TcpStream::connect(address));
    hanging.join().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hanging = thread::spawn(move || drop(listener.accept().unwrap()));
    let run = ask(&format!("https://{address}"), &pki.path("ca.pem"));
    run.assert_fails(4, "no TLS with https://127.0.0.1");
    hanging.join().unwrap();
}

#[test]
fn without_linkd_it_says_what_is_missing() {
    let pki = Pki::new("alone");
    let alone = pki.0.join("linkctl");
    fs::copy(env!("CARGO_BIN_EXE_linkctl"), &alone).unwrap();
    assert!(!Path::new("/usr/sbin/linkd").exists(), "this host has LinK");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let output = Command::new(&alone).env_clear().args(["--host", &url, "list"]).output();
    let run = Run::from(output.unwrap());
    run.assert_fails(4, "for https linkctl needs linkd beside it");
    assert!(run.stderr.contains("-> install linkd beside linkctl"), "{run:?}");
}

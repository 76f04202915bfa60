//! Certificates for etcd and its clients, made by openssl.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::namespace::tool;

/// A certificate authority in a folder of its own.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    folder: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) certificate: PathBuf,
    /// The private key, PKCS #8.
    pub(crate) key: PathBuf,
}

impl Authority {
    /// Makes an authority that is valid for a day.
    pub(crate) fn new(folder: PathBuf) -> Authority {
        fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("make {}: {error}", folder.display()));
        let authority = Authority { folder };
        let pair = authority.pair("ca");
        let (key, certificate) = (path(&pair.key), path(&pair.certificate));
        let request =
            "req -x509 -days 1 -subj /CN=lab-ca -addext keyUsage=critical,keyCertSign,cRLSign";
        openssl(&format!("{request} {NEW_KEY} -keyout {key} -out {certificate}"));
        authority
    }

    /// Its own certificate, as a PEM file.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.pair("ca").certificate
    }

    /// Issues a certificate for a server with these addresses; `extendedKeyUsage` allows it to be
    /// a client too, because etcd's gateway calls its own server with it.
    pub(crate) fn server(&self, name: &str, addresses: &[IpAddr]) -> Certificate {
        self.issue(name, &of_server(addresses), 1)
    }

    /// Issues one that ends as it begins.
    pub(crate) fn expired_server(&self, name: &str, addresses: &[IpAddr]) -> Certificate {
        self.issue(name, &of_server(addresses), 0)
    }

    /// Issues a certificate for a client.
    pub(crate) fn client(&self, name: &str) -> Certificate {
        self.issue(name, "extendedKeyUsage=clientAuth\n", 1)
    }

    /// Issues a certificate for a client that ends after so many days.
    pub(crate) fn client_for(&self, name: &str, days: u32) -> Certificate {
        self.issue(name, "extendedKeyUsage=clientAuth\n", days)
    }

    /// Issues a certificate for a client that ends as it begins.
    pub(crate) fn expired_client(&self, name: &str) -> Certificate {
        self.issue(name, "extendedKeyUsage=clientAuth\n", 0)
    }

    fn issue(&self, name: &str, extensions: &str, days: u32) -> Certificate {
        let ca = self.pair("ca");
        let (ca_key, ca_certificate) = (path(&ca.key), path(&ca.certificate));
        let pair = self.pair(name);
        let (key, certificate) = (path(&pair.key), path(&pair.certificate));
        let (request, asked) = (self.folder.join("request"), self.folder.join("extensions"));
        fs::write(&asked, extensions).expect("write to the lab's folder");
        let (request, asked) = (path(&request), path(&asked));
        openssl(&format!("req -subj /CN={name} {NEW_KEY} -keyout {key} -out {request}"));
        openssl(&format!(
            "x509 -req -days {days} -in {request} -extfile {asked} -CA {ca_certificate} -CAkey {ca_key} \
             -CAcreateserial -out {certificate}"
        ));
        pair
    }

    fn pair(&self, name: &str) -> Certificate {
        Certificate {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}

fn of_server(addresses: &[IpAddr]) -> String {
    let names: Vec<String> = addresses.iter().map(|ip| format!("IP:{ip}")).collect();
    format!("extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={}\n", names.join(","))
}

/// Elliptic curves: making an RSA key takes a second.
const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

fn openssl(arguments: &str) {
    tool("openssl", &arguments.split_whitespace().collect::<Vec<_>>());
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the lab's folders have plain names")
}

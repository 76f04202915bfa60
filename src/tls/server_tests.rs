//! Files that openssl has made.

use std::fs;
use std::process::Command;

use super::*;

/// A folder with two certificates that are signed by themselves: `a` and `b`.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder =
            std::env::temp_dir().join(format!("link-server-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("make a folder");
        let folder = Folder(folder);
        for name in ["a", "b"] {
            folder.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN={name} \
                 -keyout {name}.key -out {name}.pem"
            ));
        }
        folder
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(&self.0).output();
        let output = output.expect("run openssl");
        assert!(output.status.success(), "{arguments}: {output:?}");
    }

    fn files(&self, certificate: &str, key: &str) -> ServerFiles {
        ServerFiles { certificate: self.0.join(certificate), key: self.0.join(key) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_certificate_with_its_key_can_be_used_and_tells_when_it_ends() {
    let folder = Folder::new("good");
    let files = folder.files("a.pem", "a.key");
    assert_eq!(files.mistakes(["CERT", "KEY"]), Vec::<String>::new());
    let loaded = files.load().expect("they belong together");
    assert!(loaded.expiry.is_some_and(|it| it.file == files.certificate.display().to_string()));
    assert!(loaded.acceptor.begin().is_some());
    // The forms that openssl has had for keys: SEC1 and PKCS #8, of RSA too.
    folder.openssl("ec -in a.key -out sec1.key");
    assert_eq!(folder.files("a.pem", "sec1.key").mistakes(["CERT", "KEY"]), Vec::<String>::new());
    folder.openssl("req -x509 -newkey rsa:2048 -nodes -subj /CN=r -keyout r.key -out r.pem");
    folder.openssl("rsa -traditional -in r.key -out pkcs1.key");
    for key in ["r.key", "pkcs1.key"] {
        assert_eq!(folder.files("r.pem", key).mistakes(["CERT", "KEY"]), Vec::<String>::new());
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let folder = Folder::new("bad");
    folder.openssl("ec -in a.key -aes128 -passout pass:secret -out encrypted.key");
    fs::write(folder.0.join("half.pem"), "-----BEGIN CERTIFICATE-----\nMIIB\n").expect("write");
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(folder.0.join("damaged.pem"), damaged).expect("write");
    for (certificate, key, words) in [
        ("a.pem", "b.key", ["CERT, KEY: ", "b.key is not the key of the certificate in"]),
        ("absent", "a.key", ["CERT=", "absent cannot be used: No such file"]),
        ("a.pem", "absent", ["KEY=", "absent cannot be used: No such file"]),
        ("a.key", "a.key", ["CERT=", "a.key cannot be used: there is no certificate in it"]),
        ("a.pem", "a.pem", ["KEY=", "a.pem cannot be used: there is no private key in it"]),
        ("a.pem", "encrypted.key", ["KEY=", "the key is encrypted"]),
        ("half.pem", "a.key", ["CERT, KEY: ", "half.pem"]),
        ("damaged.pem", "a.key", ["CERT, KEY: ", "damaged.pem"]),
    ] {
        let mistakes = folder.files(certificate, key).mistakes(["CERT", "KEY"]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        for word in words {
            assert!(mistakes[0].contains(word), "{word:?} is not in {mistakes:?}");
        }
    }
    let both = folder.files("absent", "absent").mistakes(["CERT", "KEY"]);
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn a_file_that_was_written_anew_has_another_fingerprint() {
    let folder = Folder::new("renewed");
    let files = folder.files("a.pem", "a.key");
    let before = files.fingerprint();
    assert_eq!(files.fingerprint(), before);
    fs::copy(folder.0.join("b.key"), folder.0.join("a.key")).expect("copy");
    assert_ne!(files.fingerprint(), before);
    fs::remove_file(folder.0.join("a.key")).expect("remove");
    assert_ne!(files.fingerprint(), before);
}

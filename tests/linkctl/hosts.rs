//! The file with the hosts that somebody manages.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::list;
use crate::run::{Run, program};
use crate::server::{Server, http};
use crate::tls::Pki;

/// A home with that file in it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str, config: &str, mode: u32) -> Home {
        let home = std::env::temp_dir().join(format!("linkctl-home-{}-{name}", std::process::id()));
        fs::create_dir_all(home.join(".config/link")).unwrap();
        let home = Home(home);
        home.write("config", config, mode);
        home
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.join(".config/link").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn linkctl(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        let mut command = program();
        command.env("HOME", &self.0).envs(env.iter().copied()).args(args);
        command.output().unwrap().into()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn agent() -> Server {
    Server::agent(&[("GET /ips", http("200 OK", &list(&[])))])
}

/// admin:geheim
const OF_THE_FILE: &str = "Authorization: Basic YWRtaW46Z2VoZWlt\r\n";

#[test]
fn a_named_host_is_asked_as_the_file_says_and_the_default_one_when_none_is_named() {
    let (first, second) = (agent(), agent());
    let config = format!(
        "[rack1]\nurl = {}\nuser = admin\npassword-file = first\n[default]\nurl = http://{}\nuser = admin\n\
         password = geheim\n",
        first.address, second.address
    );
    let home = Home::new("named", &config, 0o600);
    home.write("first", "geheim\n", 0o640);
    home.linkctl(&["--host", "rack1", "list", "--json"], &[]).assert_prints(&list(&[]));
    home.linkctl(&["list", "--json"], &[("LINK_HOST", "rack1")]).assert_prints(&list(&[]));
    home.linkctl(&["list", "--json"], &[]).assert_prints(&list(&[]));
    // What is said is worth more than what stands in the file.
    let said = [("LINK_PASSWORD", "other")];
    home.linkctl(&["list", "--json", "--host", "rack1"], &said).assert_prints(&list(&[]));
    let requests = first.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[..2].iter().all(|it| it.contains(OF_THE_FILE)), "{requests:?}");
    // admin:other
    assert!(requests[2].contains("Authorization: Basic YWRtaW46b3RoZXI=\r\n"), "{requests:?}");
    assert!(second.requests()[0].contains(OF_THE_FILE));
    // A name that is not in the file is a host.
    let other = agent();
    home.linkctl(&["--host", &other.address, "list", "--json"], &[]).assert_prints(&list(&[]));
    assert!(!other.requests()[0].contains("Authorization"), "not this one's password");
}

#[test]
fn the_place_can_be_another() {
    let agent = agent();
    let config = format!("[h]\nurl = {}\n", agent.address);
    let home = Home::new("xdg", &config, 0o644);
    let elsewhere = home.0.join(".config");
    let env = [("XDG_CONFIG_HOME", elsewhere.to_str().unwrap()), ("HOME", "/nonexistent")];
    home.linkctl(&["--host", "h", "list", "--json"], &env).assert_prints(&list(&[]));
}

#[test]
fn a_password_that_others_may_read_is_refused() {
    let config = "[h]\nurl = h\n\npassword = geheim\n";
    for mode in [0o644, 0o640, 0o604] {
        let home = Home::new(&format!("open{mode}"), config, mode);
        let run = home.linkctl(&["list"], &[]);
        run.assert_fails(
            2,
            "link/config, line 4: a password stands in a file that others may read",
        );
        assert!(
            run.stderr.contains("chmod 600")
                && run.stderr.contains("-> correct it there: docs/operating.md")
                && !run.stderr.contains("geheim"),
            "{run:?}"
        );
    }
    let home = Home::new("file", "[h]\nurl = h\npassword-file = p\n", 0o644);
    home.write("p", "geheim", 0o644);
    let run = home.linkctl(&["--host", "h", "list"], &[]);
    run.assert_fails(2, "others may read it: chmod o= ");
    assert!(run.stderr.contains("-> give a file with the password on its first line"), "{run:?}");
    home.write("p", "\n", 0o600);
    home.linkctl(&["--host", "h", "list"], &[]).assert_fails(2, "is no password");
    let run = home
        .linkctl(&["--host", "1.2.3.4", "--password", "a", "--password-file", "b", "list"], &[]);
    run.assert_fails(2, "--password and --password-file are both given");
    let run =
        home.linkctl(&["--host", "1.2.3.4", "--password-file", "/nonexistent/p", "list"], &[]);
    run.assert_fails(2, "--password-file \"/nonexistent/p\": No such file");
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    let home = Home::new("mistake", "[h]\nurl = h\nhost = x\n", 0o600);
    let run = home.linkctl(&["list"], &[]);
    run.assert_fails(2, ".config/link/config, line 3: \"host\" is not known");
    assert!(run.stderr.contains("-> correct it there: docs/operating.md"), "{run:?}");
}

#[test]
fn a_host_of_the_file_may_speak_tls() {
    let pki = Pki::new("of-the-file");
    pki.issue("h", "IP:127.0.0.1", "1");
    let agent = pki.agent("h");
    let config = format!("[h]\nurl = https://127.0.0.1:{}\ncacert = ca.pem\n", agent.port);
    let home = Home::new("tls", &config, 0o600);
    home.write("ca.pem", &fs::read_to_string(pki.path("ca.pem")).unwrap(), 0o644);
    home.linkctl(&["--host", "h", "list", "--json"], &[]).assert_prints(&list(&[]));
    assert!(agent.request().is_some());
}

//! What the agent says of its environment: the real program, in environments that are wrong.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A folder of the test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("link-environment-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// How `linkd --check` ends in an environment, and what it says on stdout and stderr.
fn check(variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkd"));
    command.arg("--check").env_clear().envs(variables.iter().copied());
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

#[test]
fn a_good_environment_is_shown_and_nothing_is_changed() {
    let folder = Folder::new();
    let state = folder.0.join("state").display().to_string();
    // Not even looked at: etcd need not be there, and the port may be taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, out, err) = check(&[
        ("INTERFACE", "lo"),
        ("HOSTNAME", "h1"),
        ("PORT", &port),
        ("ETCD_HOSTS", "http://127.0.0.1:1,"),
        ("PASSWORD", "sesame"),
        ("STATE_DIR", &state),
        ("NOTIFY_SOCKET", "/nonexistent/notify"),
    ]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with(&format!("linkd {}: host h1, interface lo, ", link::VERSION)), "{out}");
    assert!(!out.contains("sesame"), "{out}");
    assert_eq!(out.lines().count(), 1);
    assert_eq!(folder.names(), [""; 0], "the state folder is not made");
}

#[test]
fn all_mistakes_are_told_at_once_with_variable_and_value() {
    let folder = Folder::new();
    let key = folder.file("key.pem", b"no key");
    let cert = folder.0.join("absent.pem").display().to_string();
    let variables = [
        ("INTERFACE", "\"eth0\""),
        ("HOSTNAME", "h1\n\u{1b}[2J"),
        ("PORT", "http"),
        ("KEEPALIVE_INTERVAL", "1s\r"),
        ("ETCD_HOSTS", "https://10.0.0.5"),
        ("ETCD_TLS_CERT", &cert),
        ("ETCD_TLS_KEY", &key),
        ("STOP_POLICY", "stay"),
    ];
    let (code, out, err) = check(&variables);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    for shown in [
        r#"linkd: INTERFACE="\"eth0\"" has quotes"#,
        r"linkd: HOSTNAME=h1\n\u{1b}[2J is not a host name",
        "linkd: PORT=http is not a number",
        r#"linkd: KEEPALIVE_INTERVAL="1s\r" has quotes"#,
        &format!("linkd: ETCD_TLS_CERT={cert} cannot be used: No such file"),
        &format!("linkd: ETCD_TLS_KEY={key} cannot be used: there is no private key"),
        "linkd: STOP_POLICY=stay ",
    ] {
        assert!(err.lines().any(|line| line.starts_with(shown)), "{shown} is not in:\n{err}");
    }
    assert_eq!(err.lines().count(), 7, "{err}");
}

#[test]
fn what_stops_no_start_is_a_warning() {
    let folder = Folder::new();
    let file = folder.file("state", b"");
    let (code, out, err) = check(&[
        ("INTERFACE", "nosuch0"),
        ("ETCD_HOST", "http://10.0.0.5:2379"),
        ("KEEPALIVE_\u{1b}[2J", "1"),
        ("RUST_LOG", "nonsense=loud"),
        ("STATE_DIR", &file),
    ]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.starts_with("linkd "), "{out}");
    for shown in [
        "linkd: warning: variables that LinK does not know: ",
        "linkd: warning: RUST_LOG=nonsense=loud ",
        "linkd: warning: INTERFACE=nosuch0: no such interface; until it can be used, its IPs are FAILING",
        &format!("linkd: warning: local copy in {file}: Not a directory"),
    ] {
        assert!(err.lines().any(|line| line.starts_with(shown)), "{shown} is not in:\n{err}");
    }
    assert!(err.contains("ETCD_HOST (is ETCD_HOSTS meant?)"), "{err}");
    assert!(err.contains(r"KEEPALIVE_\u{1b}[2J") && !err.contains('\u{1b}'), "{err}");
    assert!(!err.contains("10.0.0.5"), "values are nobody's business: {err}");
}

#[test]
fn a_reload_of_what_is_no_agent_fails() {
    let reload = |agent: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linkd"));
        command
            .args(["--reload", agent])
            .env_clear()
            .env("INTERFACE", "eth0")
            .env("HOSTNAME", "h1");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Whatever this process ignores itself, as under nohup.
    let mut other =
        Command::new("env").args(["--default-signal=HUP", "sleep", "60"]).spawn().unwrap();
    let pid = other.id().to_string();
    // SIGHUP ends it, so that the time limit is not what ends this.
    let asked = std::thread::spawn(move || reload(&pid));
    other.wait().unwrap();
    let (code, said) = asked.join().unwrap();
    assert_eq!(code, Some(1));
    assert!(said.contains("has ended"), "{said}");
    for wrong in ["x", "0", "-1", "", "99999999999"] {
        let (code, said) = reload(wrong);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("--reload {wrong:?}: it takes the process id")), "{said}");
    }
}

/// systemctl tells that a reload was refused only when a command of it fails.
#[test]
fn the_unit_checks_the_environment_before_it_reloads() {
    let unit = include_str!("../link.service");
    let commands: Vec<_> =
        unit.lines().filter_map(|line| line.strip_prefix("ExecReload=")).collect();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert_eq!(commands, [format!("{start} --reload $MAINPID")]);
}

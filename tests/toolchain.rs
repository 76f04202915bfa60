//! The Rust that LinK needs: what `Cargo.toml` says is true, and who has none or an older one is told so in a sentence.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Packages that declare no version and need one that their edition does not tell, found by building with older ones.
const UNDECLARED: &[(&str, &str, &str)] = &[
    // Conditions with several `let`.
    ("comfy-table", "7.2.2", "1.88"),
];

/// Editions, and the first Rust that has them.
const EDITIONS: &[(&str, &str)] = &[("2015", "1.0"), ("2018", "1.31"), ("2021", "1.56")];

/// What the scripts need beside cargo.
const TOOLS: &[&str] =
    &["dirname", "id", "getent", "cut", "env", "sed", "sort", "head", "sh", "bash"];

/// `1.88` or `1.85.0`, so that versions can be compared.
fn version(text: &str) -> Vec<u32> {
    let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
    parts.resize(3, 0);
    parts
}

fn needed() -> &'static str {
    env!("CARGO_PKG_RUST_VERSION")
}

/// The packages of the lock file that are built here, as cargo knows them.
fn packages() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--offline", "--locked", "--format-version=1", "--filter-platform"])
        .arg(platform)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    packages
}

#[test]
fn the_version_that_is_declared_is_enough_for_every_package() {
    let mut undeclared = UNDECLARED.to_vec();
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        let (name, own) = (text("name"), text("version"));
        let is_found = |it: &(&str, &str, &str)| it.0 == name && it.1 == own;
        let found = undeclared.iter().position(is_found).map(|place| undeclared.remove(place).2);
        let by_edition = || EDITIONS.iter().find(|(edition, _)| *edition == text("edition"));
        let needs = package["rust_version"].as_str().or(found).or(by_edition().map(|it| it.1));
        let needs = needs.unwrap_or_else(|| {
            panic!("{name} {own} declares no rust-version: build with older ones, and add it to UNDECLARED")
        });
        assert!(
            version(needs) <= version(needed()),
            "{name} {own} needs {needs}, not {}",
            needed()
        );
    }
    assert_eq!(undeclared, [], "these are not in the lock file any more");
}

/// A machine with the tools of [`TOOLS`] and nothing else in its `PATH`.
struct Machine(PathBuf);

impl Machine {
    fn new() -> Machine {
        let root = std::env::temp_dir().join(format!("link-toolchain-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("cargo/bin")).unwrap();
        for tool in TOOLS {
            let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
            let path = String::from_utf8(found.unwrap().stdout).unwrap();
            symlink(path.trim(), root.join("bin").join(tool)).unwrap();
        }
        Machine(root)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join("cargo/bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// What a script of the project says that looks for cargo here, and then for the target of `benches/run`.
    fn look(&self) -> (bool, String) {
        let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine.sh");
        // The paths that machine.sh adds itself may have a cargo.
        let script =
            r#". "$1" && PATH=$2 && find_cargo && install_target some-target && echo found"#;
        let output = Command::new("bash")
            .args(["-Eeuo", "pipefail", "-c", script, "start.sh"])
            .arg(machine)
            .arg(self.0.join("bin"))
            .env("CARGO_HOME", self.0.join("cargo"))
            .env_remove("SUDO_USER")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[track_caller]
fn assert_sentence(machine: &Machine, parts: &[&str]) {
    let (found, said) = machine.look();
    assert!(!found, "{said}");
    assert!(said.starts_with("start.sh: ") && said.lines().count() == 1, "no sentence: {said}");
    for part in parts {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn a_machine_without_rust_is_told_what_to_install() {
    assert_sentence(&Machine::new(), &["has no cargo", needed(), "https://rustup.rs"]);
}

#[test]
fn a_rust_that_does_not_answer_is_quoted() {
    let machine = Machine::new();
    machine.program("cargo", "echo 'error: no default is configured' >&2; exit 1");
    assert_sentence(&machine, &["cargo --version fails", "no default is configured"]);
    machine.program("cargo", "echo 'cargo 1.99.0'");
    assert_sentence(&machine, &["rustc --version fails", "https://rustup.rs"]);
}

#[test]
fn an_old_rust_is_told_with_both_versions() {
    let machine = Machine::new();
    machine.program("cargo", "echo 'cargo 1.63.0'");
    machine.program("rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'");
    assert_sentence(&machine, &["1.63.0", "too old", needed(), "rustup update"]);
    machine.program("rustc", "echo 'rustc 1.100.0-nightly (4d91de4e4 2027-02-17)'");
    assert_sentence(&machine, &["some-target", "no rustup"]);
    machine.program("rustup", r#"[ "$*" = "--quiet target add some-target" ]"#);
    assert_eq!(machine.look(), (true, "found\n".to_owned()));
}

#[test]
fn the_scripts_look_for_rust_before_they_install_anything() {
    for script in ["start.sh", "tests/run", "benches/run", "packaging/build", ".ci/run"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let text = fs::read_to_string(path).unwrap();
        let place = |word: &str| text.lines().position(|line| line.trim() == word);
        let rust = place("find_cargo").unwrap();
        let words = |line: &str| line.trim().starts_with("install_packages build");
        let packages = text.lines().position(words).unwrap();
        assert!(rust < packages, "{script}");
        assert!(!text.contains("rustup target add"), "{script}");
    }
}

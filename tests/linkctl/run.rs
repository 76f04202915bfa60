//! The program, run to its end.

use std::process::{Command, Output};

use crate::server::Server;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn assert_fails(&self, code: i32, with: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(with), "{with:?} is not in {self:?}");
        assert!(self.stderr.contains("\n  -> "), "nothing says what to do next: {self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }

    #[track_caller]
    pub(crate) fn assert_prints(&self, stdout: &str) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stdout, stdout, "{self:?}");
    }
}

/// The program with an environment that holds nothing of the tester's.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkctl"));
    command.env_clear();
    command
}

impl Server {
    pub(crate) fn linkctl(&self, args: &[&str]) -> Run {
        linkctl(&self.address, args)
    }
}

pub(crate) fn linkctl(host: &str, args: &[&str]) -> Run {
    let output = program().arg("--host").arg(host).args(args).output();
    output.unwrap().into()
}

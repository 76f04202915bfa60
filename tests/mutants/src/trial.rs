//! Running tests on a mutant.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What tests found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A test fails.
    Caught,
    /// The tests do not end.
    Timeout,
    /// All tests pass.
    Missed,
}

/// Tests that are run on each mutant.
pub(crate) struct Trial {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) folder: PathBuf,
    /// The processor time that they may take.
    pub(crate) limit: Duration,
}

/// The most address space, in KiB: a mutant may fill the memory. The most processor time, in seconds: it may go round for
/// ever. The time on the clock would say something of the machine.
const LIMITS: &str = "ulimit -v 8000000; ulimit -t \"$1\"; shift; exec \"$@\"";

/// Tests that wait for what does not come take no processor time.
const HANGS: Duration = Duration::from_secs(600);

/// How the kernel ends who has taken too much processor time (`RLIMIT_CPU`, setrlimit(2)).
const ENDED: [i32; 2] = [9, 24];

impl Trial {
    /// All tests of a program, with ten times the processor time that they take on what is no mutant.
    pub(crate) fn new(program: &Path, folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut trial = Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: folder.to_owned(),
            limit: Duration::from_secs(600),
        };
        let begin = children_time()?;
        let verdict = trial.run(0)?;
        if verdict != Verdict::Missed {
            return Err(format!("{} fails without a mutant: {verdict:?}", program.display()));
        }
        let took = children_time()?.saturating_sub(begin);
        println!("{}: {:.1} s of a processor", program.display(), took.as_secs_f64());
        trial.limit = took * 10 + Duration::from_secs(5);
        Ok(trial)
    }

    /// Runs them on one mutant; 0 is none.
    pub(crate) fn run(&self, mutant: usize) -> Result<Verdict, String> {
        let mut command = Command::new("sh");
        command.args(["-c", LIMITS, "sh", &self.limit.as_secs().to_string()]);
        command.arg(&self.program).args(&self.arguments);
        command.env("MUTANT", mutant.to_string());
        // The stack of each test that fails costs more than all tests.
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let failed = |error| format!("{}: {error}", self.program.display());
        let mut child = command.current_dir(&self.folder).spawn().map_err(failed)?;
        let end = Instant::now() + HANGS;
        loop {
            match child.try_wait().map_err(failed)? {
                Some(status) if status.success() => return Ok(Verdict::Missed),
                Some(status) if status.signal().is_some_and(|it| ENDED.contains(&it)) => {
                    return Ok(Verdict::Timeout);
                }
                Some(_) => return Ok(Verdict::Caught),
                None if Instant::now() > end => {
                    child.kill().and_then(|()| child.wait()).map_err(failed)?;
                    return Ok(Verdict::Timeout);
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Runs them on many mutants, two at a time.
    pub(crate) fn run_all(&self, mutants: &[usize]) -> Result<BTreeMap<usize, Verdict>, String> {
        let left = Mutex::new(mutants.iter().rev().copied().collect::<Vec<_>>());
        let work = || {
            let mut verdicts = Vec::new();
            loop {
                let next = left.lock().map_err(|_| "a thread failed")?.pop();
                let Some(mutant) = next else { return Ok(verdicts) };
                verdicts.push((mutant, self.run(mutant)?));
            }
        };
        thread::scope(|scope| {
            let workers = [scope.spawn(work), scope.spawn(work)];
            let done =
                workers.map(|worker| worker.join().map_err(|_| "a thread failed".to_owned())?);
            let verdicts: Result<Vec<_>, String> = done.into_iter().collect();
            Ok(verdicts?.into_iter().flatten().collect())
        })
    }
}

/// The processor time of all children that have ended: fields 16 and 17 of /proc/self/stat, in hundredths of a second
/// (proc(5), `USER_HZ`).
fn children_time() -> Result<Duration, String> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    // The name of the program is in parentheses, and may have spaces; field 3 follows.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(13).take(2));
    let ticks =
        fields.and_then(|fields| fields.map(|it| it.parse::<u64>().ok()).sum::<Option<u64>>());
    ticks.map(|ticks| Duration::from_millis(10 * ticks)).ok_or(format!("not understood: {stat}"))
}

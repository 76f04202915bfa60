//! The agent: reads the configuration, starts the parts from the bottom up, waits for a signal, and
//! stops them from the top down.

mod errand;

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use sd_notify::NotifyState;

use crate::VERSION;
use crate::api::{self, Api};
use crate::bell::Bell;
use crate::checks;
use crate::config::{Config, Reading, unknown_names};
use crate::etcd::Etcd;
use crate::history::{History, Kind};
use crate::local_copy::CopyFile;
use crate::logging;
use crate::metrics::Budget;
use crate::net::{Announce, Net, expect_threads};
use crate::ping::LivenessCheck;
use crate::policy::{CrashDetection, Defaults, StopPolicy};
use crate::reload::answer::{REQUESTER, Requester};
use crate::reload::{self, NotUsable, TRY_OUT, try_out};
use crate::supervisor::{self, Supervisor};
use crate::systemd::{Watchdog, notify};
use crate::text::clean;

/// The environment is wrong.
const BAD_CONFIGURATION: u8 = 2;

/// How long an agent that cannot start takes to end, unless it is told to.
const BREATH: Duration = Duration::from_secs(1);

/// Runs the agent until it is told to stop.
pub fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    if let Some(done) = errand::done(arguments.map(|it| it.to_string_lossy().into_owned())) {
        return done;
    }
    let read = environment();
    // One for each IP. Before the first thread: a kernel that has threads to take along takes 20 ms for it.
    expect_threads(read.max_ips().unwrap_or(usize::MAX));
    // Before the first thread, so that all of them leave these signals to this one.
    let signals = match block_signals().and_then(|signals| start_log().map(|()| signals)) {
        Ok(signals) => signals,
        Err(error) => {
            errand::complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let code = configured(&signals, read);
    log::logger().flush();
    code
}

/// Runs the agent as the environment says.
fn configured(signals: &SignalFd, read: Reading) -> ExitCode {
    let read = read.config();
    if let Some(unknown) = unknown_variables() {
        warn!("{unknown}");
    }
    let config = match read {
        Ok(config) => config,
        Err(mistakes) => {
            errand::complain(&mistakes.to_string());
            // Where nothing can be removed, nothing was left.
            let _ = errand::remove_left_overs();
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    checks::bury();
    match run(config, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            // A supervisor may start the next life at once, in which nothing is different.
            let _ = next_signal(signals, Some(Instant::now() + BREATH));
            ExitCode::FAILURE
        }
    }
}

fn environment() -> Reading {
    Reading::of(|name| std::env::var_os(name), &kernel_name()).with_files()
}

fn unknown_variables() -> Option<String> {
    unknown_names(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))
}

fn run(config: Config, signals: &SignalFd) -> Result<(), String> {
    introduce(&config);
    let program = reload::program().map_err(text("find the own program"))?;
    let announce = Announce { fixed: config.announce, rate: config.announce_rate };
    let net = Net::start(announce, config.connections).map_err(text("network"))?;
    let etcd = Etcd::start(config.etcd.clone()).map_err(text("etcd client"))?;
    let copy = CopyFile::open(&config.state_dir, &config.hostname).map_err(text("local copy"))?;
    let news = Bell::new().map_err(text("make a counter of events"))?;
    let params = params(&config, &etcd, &net, copy);
    let mut supervisor = Supervisor::start(params, history(&config.hostname), news.clone())
        .map_err(text("supervisor"))?;
    let options = api_options(&config, news);
    let api = Api::start(options, supervisor.requests()).map_err(text("API"))?;
    tell_ready();

    let ask = |check: &LivenessCheck| {
        let etcd_io = check.ask("etcd-io");
        etcd.client().ping(Box::new(move || drop(etcd_io)));
        net.client().ping(check.ask("net"));
        supervisor.ping(check.ask("supervisor"));
        api.ping(check.ask("gate"));
    };
    let refused = |why: &str| {
        let refused = Kind::Refused.of("no reload").because(why);
        supervisor.record(refused);
    };
    let end = wait_for_end(signals, &program, ask, refused)?;
    let history = supervisor.stop(match end {
        End::Stop => config.stop_policy,
        End::StopForGood => StopPolicy::Release,
        End::Reload(_) => StopPolicy::Keep,
    });
    // For the next life: clients that come meanwhile wait for it.
    let sockets = if matches!(end, End::Reload(_)) { api.listeners() } else { Vec::new() };
    // The API answers until everything is handed over; then top down.
    drop(api);
    drop(supervisor);
    drop(etcd);
    drop(net);
    match end {
        End::Stop | End::StopForGood => info!("stopped"),
        End::Reload(by) => return Err(reload::execute(&program, &sockets, &history, by)),
    }
    Ok(())
}

/// What the supervisor needs.
fn params(config: &Config, etcd: &Etcd, net: &Net, copy: CopyFile) -> supervisor::Params {
    supervisor::Params {
        host: config.hostname.clone(),
        interface: config.interface.clone(),
        checks: config.checks.clone(),
        max_ips: config.max_ips,
        defaults: Defaults { loss: config.loss_policy, priority: config.priority },
        all_failing: config.all_failing_policy,
        renewal: config.etcd.renewal,
        loss_after: config.etcd.loss_after(),
        monitoring: (config.crash_detection != CrashDetection::Off).then_some(config.probes),
        etcd: etcd.client(),
        net: net.client(),
        copy,
        budgets: budgets(config),
        etcd_addresses: config.etcd_addresses(),
        hooks: config.hooks.clone(),
    }
}

/// Within which time what is acted on.
fn budgets(config: &Config) -> Vec<Budget> {
    let crash = config.crash_detection().map(|within| Budget { kind: "crash", within });
    let checks = &config.checks;
    let budgets = [
        Budget { kind: "lease", within: config.crash_failover() },
        Budget { kind: "etcd_loss", within: config.etcd.loss_after() },
        Budget { kind: "check", within: checks.interval * checks.fall + checks.timeout },
    ];
    crash.into_iter().chain(budgets).collect()
}

fn introduce(config: &Config) {
    info!("LinK {VERSION}: {config}");
    info!("{}", times(config));
    if let Some(trouble) = config.hooks.trouble() {
        warn!("{trouble}");
    }
}

/// Tells systemd, and whoever has asked the life before for this one.
fn tell_ready() {
    notify(NotifyState::Ready);
    Requester::inherited(std::env::var(REQUESTER).ok().as_deref()).tell_ready();
}

/// How long what takes.
fn times(config: &Config) -> String {
    let dead = config.crash_detection();
    format!(
        "a crashed owner is replaced within {:?}{}; etcd loss is acted on after {:?} at the latest",
        config.crash_failover(),
        dead.map_or(String::new(), |time| format!(", if its host is dead within {time:?}")),
        config.etcd.loss_after(),
    )
}

/// The history of this host, which a life of the agent that has ended just now may have left.
fn history(host: &str) -> History {
    let left = reload::left(std::env::var_os(reload::HISTORY));
    let restored = left.and_then(|bytes| History::restored(&bytes, host.to_owned()));
    restored.unwrap_or_else(|| History::new(uuid::Uuid::new_v4().to_string(), host.to_owned()))
}

fn api_options(config: &Config, news: Bell) -> api::Options {
    // Clients know the host by its own name and those that the operator has added; `link` is any agent.
    let own = [config.hostname.clone(), "link".to_owned()];
    api::Options {
        listen: config.listen.clone(),
        inherited: reload::inherited(std::env::var_os(reload::SOCKETS)),
        names: own.into_iter().chain(config.api_hosts.clone()).collect(),
        credentials: config.credentials.clone(),
        tls: config.api_tls.clone(),
        news: Some(news),
    }
}

/// Why the agent ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// SIGTERM: as `STOP_POLICY` says.
    Stop,
    /// SIGINT: nobody comes after this process, and the IPs are handed over whatever the policy.
    StopForGood,
    /// SIGHUP: the program is executed again in place, with its addresses and its lease.
    Reload(Requester),
}

fn text<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

fn kernel_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

fn block_signals() -> Result<SignalFd, String> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().map_err(text("block signals"))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&signals, flags).map_err(text("make a descriptor of signals"))
}

/// Waits for a signal that ends the agent. Meanwhile, if systemd wants to know whether all threads
/// are alive, they are asked.
fn wait_for_end(
    signals: &SignalFd,
    program: &Path,
    ask: impl Fn(&LivenessCheck),
    refused: impl Fn(&str),
) -> Result<End, String> {
    let mut watchdog = Watchdog::start();
    loop {
        let due = watchdog.as_mut().map(|watchdog| watchdog.turn(Instant::now(), &ask));
        let Some((signal, by)) = next_signal(signals, due).map_err(text("wait for a signal"))?
        else {
            continue;
        };
        if signal != Signal::SIGHUP {
            info!("{signal}: stopping");
            notify(NotifyState::Stopping);
            return Ok(if signal == Signal::SIGINT { End::StopForGood } else { End::Stop });
        }
        match may_replace(program) {
            Ok(()) => {
                info!("{signal}: executing {} again", program.display());
                notify(NotifyState::Reloading);
                return Ok(End::Reload(by));
            }
            Err(why) => {
                refused(&why);
                by.tell_refusal(&format!("no reload: {why}"));
            }
        }
    }
}

/// Whether a program may get the place of this one, or why not; a refusal is in the log, and what
/// `systemctl status` shows.
fn may_replace(program: &Path) -> Result<(), String> {
    let path = program.display();
    let refused = match try_out(program, TRY_OUT) {
        Ok(()) => None,
        Err(NotUsable::TooOld) => {
            warn!(
                "{path} is older than `--check`: whether it starts in this environment is not known"
            );
            // The best that is known of that: this program would.
            environment().config().err().map(|mistakes| mistakes.to_string())
        }
        Err(NotUsable::Because(why)) => Some(why),
    };
    let refused = refused.map(|why| format!("{path}: {}", clean(&why)));
    let status = refused.as_ref().map(|why| format!("no reload: {why}")).unwrap_or_default();
    notify(NotifyState::Status(&status));
    let Some(why) = refused else { return Ok(()) };
    error!("{status}");
    Err(why)
}

/// The next signal and its sender, or nothing if none has come by then.
fn next_signal(
    signals: &SignalFd,
    until: Option<Instant>,
) -> nix::Result<Option<(Signal, Requester)>> {
    let timeout = match until {
        None => PollTimeout::NONE,
        Some(until) => {
            // Rounded up: a wait that ends too early would be repeated until the millisecond is over.
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            left.try_into().unwrap_or(PollTimeout::MAX)
        }
    };
    match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    let Some(info) = signals.read_signal()? else {
        return Ok(None);
    };
    let number = i32::try_from(info.ssi_signo).unwrap_or_default();
    Signal::try_from(number).map(|signal| Some((signal, Requester::sender(info.ssi_pid))))
}

fn start_log() -> Result<(), String> {
    logging::start(std::env::var_os("RUST_LOG").as_deref(), writes_to_journal())
        .map_err(text("start the log"))
}

fn writes_to_journal() -> bool {
    logging::is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref())
}

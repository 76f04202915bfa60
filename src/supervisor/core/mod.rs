//! The decisions about this host: no I/O, no clock, no thread.
//!
//! A [`Core`] is fed with [`Event`]s and the time, and answers with [`Action`]s, which its driver
//! performs in order. What is registered here, under which lease and name, what follows from a command
//! of the API, and what is in etcd that should not be there, is decided here, so that a simulator can
//! run any number of hosts.
//!
//! etcd is *reconciled*: the table says what is wanted; what is found in etcd is compared with it
//! (`compare`), and what differs is mended. Nothing is remembered as a debt: a request whose outcome is
//! not known is sent again until wanted and found agree (`records`).

mod batch;
mod commands;
mod compare;
mod copy;
mod counts;
mod crashes;
mod drain;
mod fence;
mod grouping;
mod groups;
mod health;
mod hosts;
mod identity;
mod lease;
mod measure;
mod membership;
mod mend;
mod message;
mod moves;
mod presence;
mod records;
mod same_address;
mod seating;
mod seats;
mod seen;
mod serving;
mod start;
mod status;
mod stop;
mod table;
mod tell;
mod told;
mod watched;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use log::Level;

use self::commands::Clients;
use self::compare::Comparison;
use self::copy::CopyState;
use self::identity::Identity;
use self::lease::HostLease;
pub use self::message::{
    Action, Copies, Event, Failure, Order, Origin, Outcome, Serial, StartError, Subject, Timer,
    Token,
};
use self::serving::Serving;
use self::start::Start;
use self::stop::Life;
pub use self::stop::REVOKE;
use self::table::Table;
use crate::command::{Answer, Command, Refusal};
use crate::election::Notice;
use crate::failure_detector::{self, FailureDetector};
use crate::history::Happening;
use crate::policy::Defaults;
use crate::store::{self, At, Instance, Request};
use crate::vip::{Slot, VipId};

/// What the core is told once, at its start.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// This host's name in etcd.
    pub host: String,
    /// The machine.
    pub instance: Instance,
    /// The interface of IPs that do not name one.
    pub interface: String,
    /// What may be registered.
    pub permits: Permits,
    /// What holds of IPs that do not say otherwise.
    pub defaults: Defaults,
    /// Between two renewals of the lease.
    pub renewal: Duration,
    /// The silence after which etcd counts as lost.
    pub loss_after: Duration,
    /// How the hosts of owners are monitored, if they are.
    pub detection: Option<failure_detector::Timing>,
    /// Gives an IP that is new its id, which nothing else has.
    pub new_id: fn() -> VipId,
    /// Tells the seconds since 1970.
    pub unix_time: fn() -> u64,
    /// The addresses of etcd, as far as they are known.
    pub etcd_addresses: Vec<IpAddr>,
    /// When this agent began, in seconds since 1970.
    pub started: u64,
}

/// What may be registered on a host.
#[derive(Clone, Copy, Debug)]
pub struct Permits {
    /// How many IPs; no limit if none.
    pub max_ips: Option<usize>,
    /// Whether checks may run commands: the operator has named a folder of them.
    pub commands: bool,
}

/// All that is decided about one host.
#[derive(Clone, Debug)]
pub struct Core {
    config: CoreConfig,
    table: Table,
    start: Start,
    lease: HostLease,
    identity: Identity,
    comparison: Comparison,
    serving: Serving,
    copy: CopyState,
    detector: FailureDetector,
    life: Life,
    clients: Clients,
    out: Vec<Action>,
}

impl Core {
    /// A host of which nothing is known yet; it waits for [`Event::Begin`].
    pub fn new(config: CoreConfig) -> Core {
        Core {
            copy: CopyState::of(&config.instance),
            detector: FailureDetector::new(config.detection.unwrap_or_default()),
            config,
            table: Table::default(),
            start: Start::default(),
            lease: HostLease::default(),
            identity: Identity::default(),
            comparison: Comparison::default(),
            serving: Serving::default(),
            life: Life::Running,
            clients: Clients::default(),
            out: Vec::new(),
        }
    }

    /// Takes one event and tells what has to be done, in order.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        if self.life == Life::Ended {
            return Vec::new();
        }
        match event {
            Event::Begin(copies) => self.begin(*copies, now),
            Event::Command(Command::Metrics, token) => self.tell_counts(token, now),
            Event::Command(command, token) => self.on_command(command, token),
            Event::Answered(request, result) => self.on_answer(request, result, now),
            Event::LeaseKeys(lease, result) => self.on_lease_keys(lease, result),
            Event::LeaseLeft(lease, left) => self.on_lease_left(lease, left),
            Event::Call(host, purpose, number, news) => {
                self.on_call((&host, purpose), number, news, now);
            }
            Event::Answers(token, cidr, mac) => self.on_looked_for(token, cidr, mac),
            Event::Fenced(token, lease, result) => self.on_fenced(token, lease, result),
            Event::Agent { host, lease, revision } => self.on_agent(host, lease, revision, now),
            Event::LeaseHeld { id, ttl } => self.on_lease_held(id, ttl, now),
            Event::EtcdLost { why, revision } => self.on_etcd_lost(&why, revision),
            Event::WatchOpened(_) => {
                self.compare_soon();
                self.all_groups_due();
            }
            Event::KeyChanged { key, exists, revision } => {
                self.on_key_changed(&key, exists, revision);
            }
            Event::Paused(time) => self.on_pause(time, now),
            Event::Started(slot, result) => self.on_started(slot, result),
            Event::Election(slot, serial, notice) if self.runs(slot, serial) => {
                self.on_notice(slot, notice, now);
            }
            Event::Election(..) => {}
            Event::CopyLost => self.copy.is_lost(),
            Event::Stop(policy) => self.begin_stop(policy),
            Event::Revoked(result) => self.on_revoked(result),
            Event::Timer(timer) => self.on_timer(timer, now),
        }
        self.settle(now);
        std::mem::take(&mut self.out)
    }

    /// What follows from what is known now, whatever brought it about.
    fn settle(&mut self, now: Instant) {
        self.settle_detection(now);
        self.ask_about_records();
        self.settle_groups();
        self.begin_comparison();
        self.write_presence();
        self.end_stop();
        self.write_copy();
    }

    fn on_timer(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Load => self.ask(Request::Load),
            Timer::Compare | Timer::CompareLate => self.compare(),
            Timer::ReleaseLate => self.release_left(),
            Timer::CompareKeys => self.compare_keys(),
            Timer::Presence => self.may_write_presence_again(),
            Timer::Retry => {
                self.table.retry();
                self.retry_batches();
            }
            Timer::Batch => self.work_on_batches(),
            Timer::Answer(token) => self.answer_unknown(token),
            Timer::Fence(token) => self.go_on_with_fence(token, now),
            Timer::LeaseOverdue => self.lease.overdue = true,
            Timer::Refused => self.on_refused_too_long(),
            Timer::ServeCheck => self.check_service(),
            Timer::NameCheck => self.check_name(),
            Timer::ClaimsEnd => self.end_claims(),
            Timer::Restart => self.start_again(),
            Timer::Copy => self.copy.may_write_again(),
            Timer::Undrain => self.undrain_in_time(),
            Timer::Detector => self.wake_detector(now),
            Timer::Candidates => self.read_candidates(),
            Timer::Groups => self.look_at_groups(),
            Timer::StopAtLast => self.stop_at_last(),
        }
    }

    fn on_answer(
        &mut self,
        request: Request,
        result: Result<(store::Answer, At), Failure>,
        now: Instant,
    ) {
        let result = match result {
            Ok((answer, at)) => {
                self.on_served(&request);
                Ok((answer, at))
            }
            // It is no service that an IP needs.
            Err(failure)
                if matches!(
                    request,
                    Request::WritePresence { .. }
                        | Request::Footprint(_)
                        | Request::Locks
                        | Request::Group(..)
                ) =>
            {
                Err(failure)
            }
            Err(failure) => {
                self.on_failure(&failure);
                Err(failure)
            }
        };
        match request {
            Request::Load => self.on_loaded(result, now),
            Request::WriteRecord(record) => self.on_record_written(record, result),
            Request::DeleteRecord(id, _) => self.on_record_deleted(&id, result),
            Request::WriteRecords(records) => self.on_records_written(&records, result),
            Request::DeleteRecords(ids) => self.on_records_deleted(&ids, result.is_ok()),
            Request::WriteHost { lease, .. } => self.on_host_written(lease, result),
            Request::WritePresence { lease, .. } => self.on_presence_written(lease, result),
            Request::Release { keys, .. } => self.on_released(&keys, result.is_ok()),
            Request::OtherPrefixes(cidrs) => self.on_other_prefixes(&cidrs, result),
            Request::Candidates(key) => self.on_candidates(&key, result),
            Request::SharedBy(cidr) => self.on_shared_by(cidr, result),
            Request::Hosts => self.on_hosts(result),
            Request::RecordsOf(host) => self.on_records_of(&host, result),
            Request::Footprint(host) => self.on_footprint(&host, result, now),
            Request::Locks => self.on_locks(result),
            Request::Group(name, _) => self.on_group(&name, result, now),
            Request::Regroup(regroup) => self.on_regrouped(&regroup, result),
            // The next look repeats them where that is needed.
            Request::ClaimName { .. } | Request::DropClaims | Request::DryRun(_) => {}
            Request::ForgetHost(_) => self.on_forgotten(result.map(drop)),
        }
    }

    fn on_notice_of_one(&mut self, slot: Slot, notice: Notice, now: Instant) {
        match notice {
            Notice::Status(status) => self.on_status(slot, status, now),
            Notice::Owner(liveness) => self.on_liveness(slot, liveness, now),
            Notice::AlsoMissed(by) => self.on_also_missed(slot, by, now),
            Notice::Acknowledged => {
                self.on_acknowledged(slot, now);
                self.reaffirm(slot, now);
            }
            Notice::HandedOver(result) => self.on_handed_over(slot, result),
            Notice::Refused(why) => self.on_election_refused(slot, &why),
            Notice::Served => self.on_election_served(slot),
            Notice::Happened(happening) => self.on_happened(slot, happening, now),
            Notice::Left { cleanup_pending } => self.on_left(slot, cleanup_pending),
        }
    }

    fn ask(&mut self, request: Request) {
        self.out.push(Action::Ask(request));
    }

    /// What one IP of a group is told, the election of the group is told.
    fn tell(&mut self, slot: Slot, order: Order) {
        let election = self.table.election_of(slot);
        self.out.push(Action::Tell(election, order));
    }

    fn arm(&mut self, timer: Timer, after: Duration) {
        self.out.push(Action::Arm(timer, after));
    }

    fn disarm(&mut self, timer: Timer) {
        self.out.push(Action::Disarm(timer));
    }

    fn reply(&mut self, token: Token, answer: Result<Answer, Refusal>) {
        self.out.push(Action::Reply(token, answer));
    }

    /// Something is logged, and belongs into the history of this host.
    fn happened(&mut self, level: Level, happening: Happening) {
        self.out.push(Action::Happened(level, happening));
    }
}

#[cfg(test)]
mod tests;

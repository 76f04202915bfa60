//! What the core of the supervisor is told, and what it wants done: plain values, and the whole
//! interface of the core to the world.

use std::time::Duration;

use log::Level;

use crate::call::{Purpose, Question};
use crate::cluster::Own;
use crate::command::{Answer, Command, Refusal};
use crate::election::Notice;
use crate::failure_detector::CallNews;
use crate::history::Happening;
use crate::hooks::Standing;
use crate::lock::{Gap, Lease};
use crate::metrics::HostCounts;
use crate::network::{Mac, Missed};
use crate::policy::{LossPolicy, StopPolicy};
use crate::store::{self, At, LocalCopy, Record, Request};
use crate::vip::{Check, Cidr, ElectionKey, Slot};

/// Where the answer to a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Numbers all elections that are started: what was told by an election that had the same slot before is old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serial(pub u32);

/// What the core is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The agent starts, with the local copies that it has found.
    Begin(Box<Copies>),
    /// A command of the API.
    Command(Command, Token),
    /// The outcome of a request to etcd, and when in its history that was.
    Answered(Request, Result<(store::Answer, At), Failure>),
    /// The keys that are attached to the lease of this host.
    LeaseKeys(i64, Result<Vec<String>, Failure>),
    /// What is left of a lease of another host, in whole seconds, and what was granted; negative if
    /// the lease does not exist. Nothing if etcd did not answer.
    LeaseLeft(i64, Option<(i64, i64)>),
    /// The lease of this host is granted or renewed, for so long.
    LeaseHeld {
        /// The lease.
        id: i64,
        /// What etcd has granted.
        ttl: Duration,
    },
    /// etcd was silent for too long.
    EtcdLost {
        /// How long, and why.
        why: String,
        /// The newest revision of which was heard before.
        revision: i64,
    },
    /// The watch was opened again.
    WatchOpened(Gap),
    /// A key of this host was written or deleted, at this revision.
    KeyChanged {
        /// The key.
        key: String,
        /// It was written.
        exists: bool,
        /// The revision.
        revision: i64,
    },
    /// What became of the call of this host to that host, for that, with that number.
    Call(String, Purpose, u64, CallNews),
    /// The hardware address of who answers on the network for an IP of a host that is to be fenced.
    Answers(Token, Cidr, Option<Mac>),
    /// The agent of a host, of this one too, says that it answers calls. Told of all when the watch was
    /// opened.
    Agent {
        /// The host.
        host: String,
        /// As long as this lease lives; 0: it does not say so any more.
        lease: i64,
        /// The revision at which that was said.
        revision: i64,
    },
    /// This process did not run for so long.
    Paused(Duration),
    /// An election was started, or why not.
    Started(Slot, Result<(), StartError>),
    /// What an election tells: the one that was started with this number for that slot.
    Election(Slot, Serial, Notice),
    /// A change was not written behind the local copy.
    CopyLost,
    /// The agent is to stop.
    Stop(StopPolicy),
    /// The lease was revoked, or why not.
    Revoked(Result<(), String>),
    /// The lease of a host that is to be fenced is no more, or why that is not known.
    Fenced(Token, i64, Result<(), Failure>),
    /// A timer that was armed.
    Timer(Timer),
}

/// What was found on disk.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// The copy of this host; why it cannot be read, if so.
    pub own: Option<Result<LocalCopy, String>>,
    /// Copies of other names in the same folder.
    pub others: Vec<LocalCopy>,
}

/// Why a request to etcd has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is known of the outcome.
    pub outcome: Outcome,
    /// Why, in words.
    pub why: String,
}

/// What is known of the outcome of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It may have been carried out, or be carried out yet.
    Unknown,
    /// It was not sent.
    NotSent,
    /// etcd said no.
    Refused,
}

/// Why an election could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The host itself has the address, with whatever prefix length.
    OwnAddress(Cidr),
    /// A machine with this hardware address answers for the address.
    Answered(Mac),
    /// The kernel did not tell, or gave no thread.
    Failed(String),
}

/// Since when an IP is offered on this host, and so what an address is that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Since now: that the host has the address, or another machine, is a reason not to.
    New,
    /// Since now, whatever other machines have.
    Forced,
    /// It was before, by this program, which marks what it adds.
    Before,
    /// The same; and other hosts, which may start at this moment, may offer it, too.
    BeforeWithOthers,
    /// It was before, by the Go LinK, which marks nothing: what is there is taken over.
    Go,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a request to etcd; comes back as [`Event::Answered`].
    Ask(Request),
    /// Read the keys that are attached to this lease; comes back as [`Event::LeaseKeys`].
    ReadLeaseKeys(i64),
    /// Ask what is left of the lease of another host; comes back as [`Event::LeaseLeft`].
    ReadLease(i64),
    /// Call the agent of a host: ask through etcd what it hears on the network of an IP. Comes back as
    /// [`Event::Call`].
    Call {
        /// The name of the host.
        host: String,
        /// For what it is called.
        purpose: Purpose,
        /// The lease of this host.
        lease: i64,
        /// What it is asked.
        question: Question,
    },
    /// Remove the call to this host for that.
    EndCall(String, Purpose),
    /// Ask on the network who answers for this IP; comes back as [`Event::Answers`].
    LookFor(Token, Cidr),
    /// Revoke this lease of another host; comes back as [`Event::Fenced`].
    Fence(Token, i64),
    /// Begin to keep a lease: this one, if it still exists. etcd counts as silent for so long already.
    KeepLease(Option<i64>, Duration),
    /// Revoke this lease; comes back as [`Event::Revoked`].
    Revoke(i64),
    /// Start the election of an IP or of a group; comes back as [`Event::Started`]. It takes the place of one that has the
    /// same number, and takes over what others have managed.
    Start {
        /// The number of the election.
        slot: Slot,
        /// Tells it from those before it that had the same number.
        serial: Serial,
        /// What it is about.
        subject: Box<Subject>,
        /// What an address is that is there already.
        origin: Origin,
    },
    /// Tell an election something.
    Tell(Slot, Order),
    /// End an election and leave lock and address as they are.
    End(Slot),
    /// Answer a command.
    Reply(Token, Result<Answer, Refusal>),
    /// Answer a command with what etcd has of the cluster, and what this host knows itself.
    ReadCluster(Token, Box<Own>),
    /// Answer a command with what is counted, after the actuator and the client of etcd have added theirs.
    ReplyCounts(Token, Box<HostCounts>),
    /// Write the local copy.
    WriteCopy(Vec<u8>),
    /// Write this behind the local copy; comes back as [`Event::CopyLost`] if that cannot be done.
    AppendToCopy(Vec<u8>),
    /// Remove addresses of a former life that are managed no more, and these from kernels that mark
    /// none.
    RemoveLeftOvers(Vec<(Cidr, String)>),
    /// Send [`Event::Timer`] after so long, instead of when it was armed for before.
    Arm(Timer, Duration),
    /// Do not send it.
    Disarm(Timer),
    /// Something to be logged and recorded.
    Happened(Level, Happening),
    /// Something to be recorded that is logged already.
    Record(Happening),
    /// Have the hooks told of an IP.
    Notify(Box<Standing>),
    /// Something to be logged that an event of the API tells, too.
    Log(Level, String),
    /// All is done; nothing more will come.
    Ended,
}

/// What an election is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// For what an owner is elected.
    pub key: ElectionKey,
    /// The IPs that come with the lock, the lowest first; at least one. What the first says holds for all.
    pub records: Vec<Record>,
}

/// What an election is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The state of the lease.
    Lease(Lease),
    /// The newest revision of etcd of which was heard.
    EtcdHeard(i64),
    /// Other health checks of this address, and the seconds between two rounds (0: the agent's default).
    Checks(Cidr, Vec<Check>, u64),
    /// What it does when etcd is lost.
    LossPolicy(LossPolicy),
    /// Its priority.
    Priority(u8),
    /// The host is drained, or no longer.
    Drained(bool),
    /// Try to get the lock now.
    LockNow,
    /// Hand the IP over, to the named host if one is named.
    Failover(Option<String>),
    /// Give the IP up.
    Leave,
    /// The owner with this lease is dead.
    OwnerDead(i64),
    /// The owner with this lease lives and has the IP, which this host has, too.
    OwnerLives(i64),
    /// The owner is silent, and so is etcd.
    OwnerMissed(Missed),
    /// The owner is heard again on the network, where it was not for a while.
    OwnerHeardAgain,
    /// This process did not run for a while.
    Paused,
    /// Other hosts may have become candidates.
    CandidatesOutdated,
    /// Monitor the host of the owner on the network, or no longer.
    Monitor(bool),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// This host's records are read again.
    Load,
    /// Wanted and found are compared.
    Compare,
    /// Wanted and found are compared once more: what was under way the last time is done by now.
    CompareLate,
    /// The keys of IPs that were given up are released once more.
    ReleaseLate,
    /// The keys of the lease are compared.
    CompareKeys,
    /// Others may be told again that this host's candidacies have changed.
    Presence,
    /// Requests whose outcome is unknown are sent again.
    Retry,
    /// The elections of the next of many new IPs are started, or ended.
    Batch,
    /// A client has waited long enough.
    Answer(Token),
    /// An order to fence a host goes on.
    Fence(Token),
    /// The lease should have been renewed by now.
    LeaseOverdue,
    /// etcd has refused for so long that it counts as lost.
    Refused,
    /// etcd is asked whether it serves again.
    ServeCheck,
    /// The name of this host is looked at: is its other holder alive?
    NameCheck,
    /// Claims to the name of this host that are not renewed have ended.
    ClaimsEnd,
    /// Elections that could not be started are tried again.
    Restart,
    /// The local copy may be written again.
    Copy,
    /// It is looked whether the time for which the host is drained is over.
    Undrain,
    /// The failure detector is due.
    Detector,
    /// Candidacies of other hosts have come or gone a while ago.
    Candidates,
    /// Groups are looked at again that are not as they should be.
    Groups,
    /// The agent stops, whatever is left.
    StopAtLast,
}

impl Failure {
    /// Whether the request may have been carried out.
    pub fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown
    }
}

//! The log: lines on stderr, written by a thread of their own.
//!
//! A line is queued and the caller goes on, whatever becomes of stderr: a pipe that nobody reads stops
//! no other thread. The queue is bounded; what does not fit is dropped and counted, and the count is
//! told when the writer gets on. Owns the queue; the thread lives as long as the process.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use env_filter::{Builder, Filter};
use humantime::format_rfc3339_millis;
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::text::{clean, with_room};
use crate::thread;

/// Bytes of lines in the queue: some thousand lines.
const MOST_HELD: usize = 1 << 20;
/// Bytes of a usual line.
const USUAL: usize = 256;
/// Characters of a line, without what stands before the message.
const LONGEST: usize = 4096;
/// For the lines of the end to be written.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT: &str = "info";

/// Starts the log. `filter` is the value of `RUST_LOG`; `journal` tells that journald reads stderr: then
/// lines have its priorities (sd-daemon(3)) instead of the time, which it knows itself.
///
/// A panic is logged too, before it ends the process.
pub(crate) fn start(filter: Option<&OsStr>, journal: bool) -> io::Result<()> {
    let (queue, reader) = queue();
    thread::spawn("log", move || reader.write_to(&mut Patient(io::stderr())))?;
    let (filter, complaint) = filter_of(filter);
    let filter = Builder::new().parse(&filter).build();
    log::set_max_level(filter.filter());
    log::set_boxed_logger(Box::new(Logger { filter, journal, queue })).map_err(io::Error::other)?;
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{}: {}", thread::name(), panic.to_string().replace('\n', " "));
        log::logger().flush();
    }));
    if let Some(complaint) = complaint {
        log::warn!("{complaint}");
    }
    Ok(())
}

/// Whether stderr leads to the journal, by the value of `JOURNAL_STREAM`: the device and the number of the
/// file to which it leads then (systemd.exec(5)). The variable alone tells nothing of who reads stderr now.
pub(crate) fn is_journal(stream: Option<&str>) -> bool {
    let file = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let found =
        file.and_then(|file| file.metadata()).map(|it| format!("{}:{}", it.dev(), it.ino()));
    found.is_ok_and(|found| stream == Some(&found))
}

/// Formats lines, and hands them over to the writer.
struct Logger {
    filter: Filter,
    journal: bool,
    queue: Queue,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.filter.matches(record) {
            self.queue.put(line(record, self.journal, SystemTime::now()).into_bytes());
        }
    }

    /// Returns when all lines so far are written, or when they cannot be for a second.
    fn flush(&self) {
        let (written_tx, written_rx) = bounded(1);
        if self.queue.items.send(Item::Flush(written_tx)).is_ok() {
            let _ = written_rx.recv_timeout(PATIENCE);
        }
    }
}

enum Item {
    Line(Vec<u8>),
    /// To be answered when all lines before it are written.
    Flush(Sender<()>),
}

/// The end of the queue to which lines are written. It never blocks.
struct Queue {
    items: Sender<Item>,
    state: Arc<State>,
}

/// The end of the queue from which lines are read.
struct Reader {
    items: Receiver<Item>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of the lines in the queue.
    held: AtomicUsize,
    /// Lines that were dropped, and of which this was not told yet.
    dropped: AtomicUsize,
}

fn queue() -> (Queue, Reader) {
    let (items_tx, items_rx) = unbounded();
    let state = Arc::new(State::default());
    (Queue { items: items_tx, state: Arc::clone(&state) }, Reader { items: items_rx, state })
}

impl Queue {
    fn put(&self, line: Vec<u8>) {
        let length = line.len();
        let held = self.state.held.fetch_add(length, Ordering::Relaxed) + length;
        let queued = held <= MOST_HELD && self.items.send(Item::Line(line)).is_ok();
        if !queued {
            self.state.held.fetch_sub(length, Ordering::Relaxed);
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Reader {
    /// Writes lines for as long as any come.
    fn write_to(self, output: &mut impl Write) {
        for item in &self.items {
            match item {
                Item::Line(line) => self.write(&line, output),
                Item::Flush(written) => {
                    let _ = written.send(());
                }
            }
        }
    }

    fn write(&self, line: &[u8], output: &mut impl Write) {
        let written = output.write_all(line);
        let held = self.state.held.fetch_sub(line.len(), Ordering::Relaxed) - line.len();
        if written.is_err() {
            // Nobody is there to be told, before a line can be written again.
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        } else if held <= MOST_HELD / 2 {
            let dropped = self.state.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                log::warn!("{dropped} lines of this log were dropped: they were not read in time");
            }
        }
    }
}

/// Waits until it can write, where the descriptor was made non-blocking by those who share it.
struct Patient<W>(W);

impl<W: Write + AsFd> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut output = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut output, PollTimeout::NONE)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The line of a record, with the time or, for the journal, the priority before it.
fn line(record: &Record<'_>, journal: bool, now: SystemTime) -> String {
    let (level, message) = (record.level(), message(record));
    match journal {
        true => format!("<{}>{message}\n", priority(level)),
        false => format!("{} {level:5} {message}\n", format_rfc3339_millis(now)),
    }
}

/// What a record says, on one line that is not too long.
fn message(record: &Record<'_>) -> String {
    let mut message = clean(&with_room(USUAL, *record.args()));
    if let Some((end, _)) = message.char_indices().nth(LONGEST) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// The priorities of syslog(3).
pub(crate) fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// What is wrong with a value of `RUST_LOG`.
pub(crate) fn complaint(wanted: Option<&OsStr>) -> Option<String> {
    filter_of(wanted).1
}

/// The filter to be used, and what is wrong with the one that was asked for.
fn filter_of(wanted: Option<&OsStr>) -> (String, Option<String>) {
    let default = || DEFAULT.to_owned();
    let is_blank = |wanted: &OsStr| wanted.to_str().is_some_and(|wanted| wanted.trim().is_empty());
    let Some(wanted) = wanted.filter(|wanted| !is_blank(wanted)) else {
        return (default(), None);
    };
    match wanted.to_str().filter(|wanted| is_usable(wanted)) {
        Some(wanted) => (wanted.to_owned(), None),
        None => {
            let wanted = wanted.to_string_lossy();
            let complaint = format!(
                "RUST_LOG={wanted} lets nothing of LinK through, not even errors (it could be info, or \
                 warn,link::etcd=debug): {DEFAULT} is used"
            );
            (default(), Some(complaint))
        }
    }
}

/// Whether a filter is well-formed, and lets errors of LinK through or forbids them on purpose.
fn is_usable(filter: &str) -> bool {
    let mut parts = filter.split('/');
    let directives = parts.next().unwrap_or_default().split(',').map(str::trim);
    let level = |text: &str| text.parse::<LevelFilter>().ok();
    let mut off = false;
    for directive in directives {
        let (target, told) = directive.split_once('=').unwrap_or(("", directive));
        match level(told.trim()) {
            Some(told) => off |= told == LevelFilter::Off && !target.contains("::"),
            // A lone word is the name of a part; with a level that is none, nothing is meant.
            None if directive.contains('=') && !told.is_empty() => return false,
            None => {}
        }
    }
    let error = Metadata::builder().target("link").level(Level::Error).build();
    let passes = || Builder::new().parse(filter).build().enabled(&error);
    parts.count() <= 1 && (off || passes())
}

#[cfg(test)]
mod tests;

//! The frames of an HTTP/2 connection to etcd (RFC 9113, section 4.1), as far as it takes to have a
//! watch go silent while all else goes on.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What a client sends before its first frame.
const PREFACE: usize = 24;

/// A frame's length, type, flags and stream.
const HEADER: usize = 9;

const DATA: u8 = 0;

/// The watches of all connections of a proxy, and those of which nothing is heard any more.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<Streams>>);

/// Streams, with the number of their connection.
#[derive(Default)]
struct Streams {
    open: HashSet<(usize, u32)>,
    silent: HashSet<(usize, u32)>,
}

impl Watches {
    /// The watches that are open now go silent: how many they are.
    pub(super) fn silence(&self) -> usize {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.silent = std::mem::take(&mut streams.open);
        streams.silent.len()
    }
}

/// One direction of a connection.
pub(super) struct Frames {
    connection: usize,
    watches: Watches,
    from_client: bool,
    /// What has come of a frame that is not complete.
    partial: Vec<u8>,
    /// What is passed on before frames are looked at.
    preface: usize,
}

impl Frames {
    pub(super) fn of(connection: usize, watches: &Watches, from_client: bool) -> Frames {
        let preface = if from_client { PREFACE } else { 0 };
        let (watches, partial) = (watches.clone(), Vec::new());
        Frames { connection, watches, from_client, partial, preface }
    }

    /// Of what has come, what is to be passed on.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.partial.extend_from_slice(bytes);
        let preface = self.preface.min(self.partial.len());
        self.preface -= preface;
        let mut passed: Vec<u8> = self.partial.drain(..preface).collect();
        while let Some(length) = length_of(&self.partial).filter(|it| *it <= self.partial.len()) {
            let frame: Vec<u8> = self.partial.drain(..length).collect();
            if self.passes(&frame) {
                passed.extend(frame);
            }
        }
        passed
    }

    fn passes(&self, frame: &[u8]) -> bool {
        if frame[3] != DATA {
            return true;
        }
        let id = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
        let mut streams = self.watches.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.from_client && opens_a_watch(&frame[HEADER..]) {
            streams.open.insert((self.connection, id));
        }
        self.from_client || !streams.silent.contains(&(self.connection, id))
    }
}

fn length_of(frame: &[u8]) -> Option<usize> {
    let length = frame.get(..3)?;
    Some(
        HEADER
            + usize::from(length[0]) * 65_536
            + usize::from(length[1]) * 256
            + usize::from(length[2]),
    )
}

/// Whether a gRPC message is a `WatchRequest` with a `create_request`: field 1, with the key in its own
/// field 1. No other request to etcd begins like that.
fn opens_a_watch(message: &[u8]) -> bool {
    let body = message.get(5..).unwrap_or_default();
    matches!(body, [0x0a, _, 0x0a, _, b'/', ..])
}

//! Another program that has taken the port of an agent's API.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::host::Host;

/// Between two looks whether somebody has connected.
const PAUSE: Duration = Duration::from_millis(10);

/// Has the port until it is dropped. Whoever connects is let in, and sent away without an answer.
pub(crate) struct Squatter {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Squatter {
    /// Takes the port of the API on a host, if nobody has it.
    pub(crate) fn start(host: &Host) -> io::Result<Squatter> {
        let api = (Ipv4Addr::LOCALHOST, 1313);
        let listener = host.namespace().run(|| TcpListener::bind(api))?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("lab-squatter".to_owned())
            .spawn(move || send_away(&listener, &stopped))?;
        Ok(Squatter { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send_away(listener: &TcpListener, stopped: &Receiver<()>) {
    while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        while listener.accept().is_ok() {}
    }
}

//! A way to etcd that takes its time: what is on the same machine answers too fast to show what
//! happens in between. Watches may go silent on it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::frames::{Frames, Watches};
use super::namespace::Namespace;
use super::{socket, wait};

/// Listens on a namespace's loopback and passes on, each way later by a few milliseconds, until it is
/// dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    watches: Watches,
    /// Closing it ends the thread that accepts.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts to pass on what comes to the namespace's loopback.
    pub(crate) fn start(namespace: &Arc<Namespace>, target: SocketAddr) -> Proxy {
        let loopback = (Ipv4Addr::LOCALHOST, 0);
        let listener = namespace.run(|| TcpListener::bind(loopback)).expect("listen for a proxy");
        let address = listener.local_addr().expect("the address of a listener");
        let (stopped, stop) = UnixStream::pair().expect("make a pair of sockets");
        let namespace = Arc::clone(namespace);
        let watches = Watches::default();
        let open = watches.clone();
        let stopped = OwnedFd::from(stopped);
        let thread = spawn(move || accept(&listener, &stopped, &namespace, target, &open));
        Proxy { address, watches, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens, for `ETCD_HOSTS`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Passes on nothing more of what etcd tells in the watches that are open now; all else goes on.
    #[track_caller]
    pub(crate) fn silence_watches(&self) {
        assert!(self.watches.silence() > 0, "no watch is open");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    stopped: &OwnedFd,
    namespace: &Namespace,
    target: SocketAddr,
    watches: &Watches,
) {
    let acceptor = OwnedFd::from(listener.try_clone().expect("another handle of a listener"));
    for connection in 0.. {
        let [_, stop] = socket::readable([&acceptor, stopped], Duration::from_secs(3600));
        if stop {
            return;
        }
        let Ok((client, _)) = listener.accept() else { continue };
        // A target that is not there refuses the client, too.
        if let Ok(server) = namespace.run(|| TcpStream::connect(target)) {
            join(client, server, |from_client| Frames::of(connection, watches, from_client));
        }
    }
}

/// Passes on both ways until one end closes; the threads end by themselves then.
fn join(client: TcpStream, server: TcpStream, frames: impl Fn(bool) -> Frames) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("send at once");
    }
    let clone = |stream: &TcpStream| stream.try_clone().expect("another handle of a socket");
    let (from_client, from_server) = (clone(&client), clone(&server));
    let [of_client, of_server] = [true, false].map(frames);
    spawn(move || pass(from_client, server, of_client));
    spawn(move || pass(from_server, client, of_server));
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut frames: Frames) {
    let mut buffer = [0; 65_536];
    while let Ok(length) = from.read(&mut buffer) {
        // The lab's shortest pause: later is all that it has to be.
        wait::until(Duration::from_millis(1), || false);
        if length == 0 || to.write_all(&frames.pass(&buffer[..length])).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name("lab-proxy".to_owned()).spawn(work).expect("start a proxy thread")
}

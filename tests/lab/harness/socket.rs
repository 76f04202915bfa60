//! Raw sockets in a namespace, and when the kernel received what they read.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;

use super::namespace::Namespace;

/// The receive buffer, in bytes: seconds of a ping every millisecond.
const BUFFER: usize = 8 << 20;

/// Opens a non-blocking raw socket in the namespace, with time stamps by the kernel.
pub(crate) fn raw(namespace: &Namespace, family: AddressFamily, protocol: SockProtocol) -> OwnedFd {
    namespace.run(|| {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Raw, flags, protocol).expect("open a raw socket");
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).expect("enlarge the receive buffer");
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("ask for time stamps");
        socket
    })
}

/// Waits until one of the descriptors can be read (or its other end is closed), or that long.
pub(crate) fn readable<const N: usize>(descriptors: [&OwnedFd; N], timeout: Duration) -> [bool; N] {
    let mut polled = descriptors.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
    match ppoll(&mut polled, Some(TimeSpec::from(timeout)), None) {
        Ok(_) => polled.map(|fd| fd.any().unwrap_or(false)),
        Err(Errno::EINTR) => [false; N],
        Err(error) => panic!("wait for a raw socket: {error}"),
    }
}

/// Reads one packet, if there is one: its length, and when the kernel received it.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Option<(usize, Instant)> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = match recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::empty(),
    ) {
        Ok(message) => message,
        // A raw socket is told of link changes too; the next packet is what counts.
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN | Errno::EHOSTUNREACH) => return None,
        Err(error) => panic!("read a raw socket: {error}"),
    };
    let stamp = message.cmsgs().ok()?.find_map(|control| {
        let ControlMessageOwned::ScmTimestampns(stamp) = control else {
            return None;
        };
        Some(Duration::from(stamp))
    });
    Some((message.bytes, stamp.map_or_else(Instant::now, monotonic)))
}

/// The moment on the monotonic clock, for one just past on the wall clock.
fn monotonic(since_epoch: Duration) -> Instant {
    let age =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since_epoch).unwrap_or_default();
    Instant::now().checked_sub(age).unwrap_or_else(Instant::now)
}

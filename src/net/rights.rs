//! The two rights without which the actuator does not start.

use std::io;

use nix::errno::Errno;

use super::reconcile::Route;
use super::sys::PacketSocket;

/// Opens the packet socket of announcements. Its right is the last of two; the error tells of both.
pub(super) fn open_packets(route: &mut Route) -> io::Result<PacketSocket> {
    let may_change = route.may_change();
    let may_change =
        may_change.map_err(|error| io::Error::other(format!("ask for addresses: {error}")))?;
    let missing = match (may_change, PacketSocket::open()) {
        (true, Ok(socket)) => return Ok(socket),
        (true, Err(Errno::EPERM)) => "CAP_NET_RAW",
        (false, Err(Errno::EPERM)) => "CAP_NET_ADMIN and CAP_NET_RAW",
        (false, Ok(_)) => "CAP_NET_ADMIN",
        (_, Err(errno)) => {
            let error = io::Error::from(errno);
            return Err(io::Error::new(error.kind(), format!("open a packet socket: {error}")));
        }
    };
    let error = format!("missing capability: {missing}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, error))
}

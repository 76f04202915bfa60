//! The sockets on which clients are awaited.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

/// Listens on all addresses, or on none; the error names the address.
///
/// A host without IPv6 is no mistake of its owner's: `[::]` means all IPv4 addresses there, and
/// `[::1]` is left out if anything else was asked for.
pub(crate) fn bind_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        match bind(address) {
            Ok(listener) => listeners.push(listener),
            Err(errno) if addresses.len() > 1 && lacks_ipv6(address, errno) => {
                log::warn!("api: not listening on {address}: {}", errno.desc());
            }
            Err(errno) => {
                let error = io::Error::from(errno);
                return Err(io::Error::new(error.kind(), format!("listen on {address}: {error}")));
            }
        }
    }
    Ok(listeners)
}

fn bind(address: SocketAddr) -> Result<TcpListener, Errno> {
    match open(address) {
        Err(Errno::EAFNOSUPPORT) if address.ip().is_unspecified() => {
            open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
        }
        result => result,
    }
}

fn open(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(family, SockType::Stream, flags, None)?;
    // A restarted agent takes the port over from connections in TIME_WAIT.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        // `[::]` serves IPv4 too, whatever net.ipv6.bindv6only says.
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    // As many as net.core.somaxconn allows: a flood must not crowd a good client's SYN out, whose
    // next try is a second later.
    socket::listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(TcpListener::from(socket))
}

fn lacks_ipv6(address: SocketAddr, errno: Errno) -> bool {
    let loopback = address.is_ipv6() && address.ip().is_loopback();
    loopback && matches!(errno, Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL)
}

/// Errors that concern only the connection that would have been accepted (accept(2)).
pub(crate) fn is_of_the_connection(error: &io::Error) -> bool {
    let Some(code) = error.raw_os_error() else {
        return false;
    };
    matches!(
        Errno::from_raw(code),
        Errno::EINTR
            | Errno::ECONNABORTED
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ETIMEDOUT
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn all_addresses_of_both_families_are_served_by_one_socket() {
        let listeners = bind_all(&["[::]:0".parse().unwrap()]).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn an_address_that_is_taken_is_named() {
        let first = bind_all(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let taken = first[0].local_addr().unwrap();
        let error = bind_all(&["127.0.0.1:0".parse().unwrap(), taken]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    }
}

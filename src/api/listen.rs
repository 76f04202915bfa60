//! The sockets on which clients are awaited.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

/// Between two tries to listen on an address: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The addresses of the API, with a socket for each that can be listened on. The others are tried again
/// and again: no IP depends on the API, so the agent goes on without it.
#[derive(Debug)]
pub(crate) struct Doors(Vec<Door>);

#[derive(Debug)]
struct Door {
    address: SocketAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// When it is tried again, and how long is waited if that fails.
    Shut(Instant, Duration),
}

impl Doors {
    /// Listens on all addresses on which that is possible; of those that are listened on already, the
    /// sockets are used.
    ///
    /// A host without IPv6 is no mistake of its owner's: `[::]` means all IPv4 addresses there, and
    /// `[::1]` is left out if anything else was asked for.
    pub(crate) fn open(addresses: &[SocketAddr], mut inherited: Vec<TcpListener>) -> Doors {
        let mut doors = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let known = inherited.iter().position(|listener| is_for(listener, address));
            let bound = match known.map(|index| inherited.swap_remove(index)) {
                Some(listener) => Ok(listener),
                None => bind(address),
            };
            let state = match bound {
                Ok(listener) => State::Open(listener),
                Err(Errno::EAFNOSUPPORT) if addresses.len() > 1 && address.ip().is_loopback() => {
                    log::warn!("api: not listening on {address}: this host has no IPv6");
                    continue;
                }
                Err(errno) => {
                    let why = errno.desc();
                    log::warn!(
                        "api: cannot listen on {address}: {why}; it is tried again, the agent goes on \
                         without"
                    );
                    State::Shut(Instant::now() + FIRST_PAUSE, FIRST_PAUSE * 2)
                }
            };
            doors.push(Door { address, state });
        }
        Doors(doors)
    }

    /// Tries again what is due.
    pub(crate) fn retry(&mut self, now: Instant) {
        for Door { address, state } in &mut self.0 {
            let State::Shut(due, pause) = *state else { continue };
            if now < due {
                continue;
            }
            *state = match bind(*address) {
                Ok(listener) => {
                    log::info!("api: listening on {address} now");
                    State::Open(listener)
                }
                Err(_) => State::Shut(now + pause, (pause * 2).min(LONGEST_PAUSE)),
            };
        }
    }

    /// When something is to be tried again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |door: &Door| match door.state {
            State::Open(_) => None,
            State::Shut(due, _) => Some(due),
        };
        self.0.iter().filter_map(due).min()
    }

    /// The sockets, always in the same order.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &TcpListener> {
        self.0.iter().filter_map(|door| match &door.state {
            State::Open(listener) => Some(listener),
            State::Shut(..) => None,
        })
    }

    /// Listens on nothing any more.
    pub(crate) fn shut(&mut self) {
        self.0.clear();
    }
}

/// Whether this socket, made by an earlier life of the agent, listens on the address.
fn is_for(listener: &TcpListener, address: SocketAddr) -> bool {
    let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
    listener.set_nonblocking(true).is_ok()
        && listener.local_addr().is_ok_and(|bound| {
            bound == address || address.ip().is_unspecified() && bound == everywhere
        })
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
    let storage = SockaddrStorage::from(address);
    if let Err(errno) = socket::bind(socket.as_raw_fd(), &storage) {
        if errno != Errno::EADDRNOTAVAIL {
            return Err(errno);
        }
        // At a boot the network may come later than the agent.
        setsockopt(&socket, sockopt::IpFreebind, &true)?;
        socket::bind(socket.as_raw_fd(), &storage)?;
        log::warn!("api: {} is not an address of this host yet", address.ip());
    }
    // As many as net.core.somaxconn allows: a flood must not crowd a good client's SYN out, whose
    // next try is a second later.
    socket::listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(TcpListener::from(socket))
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

    fn open(address: SocketAddr) -> Doors {
        Doors::open(&[address], Vec::new())
    }

    fn bound(doors: &Doors) -> Vec<SocketAddr> {
        doors.listeners().map(|listener| listener.local_addr().unwrap()).collect()
    }

    #[test]
    fn all_addresses_of_both_families_are_served_by_one_socket() {
        let port = bound(&open("[::]:0".parse().unwrap()))[0].port();
        assert_ne!(port, 0);
        let doors = open("[::]:0".parse().unwrap());
        TcpStream::connect(("127.0.0.1", bound(&doors)[0].port())).unwrap();
    }

    #[test]
    fn an_address_that_is_taken_is_tried_again_ever_more_seldom() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap();
        let mut doors = open(taken);
        assert_eq!(bound(&doors), []);
        let mut pauses = Vec::new();
        let mut due = doors.deadline().unwrap();
        for _ in 0..8 {
            doors.retry(due);
            let next = doors.deadline().unwrap();
            pauses.push((next - due).as_millis());
            due = next;
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        drop(other);
        doors.retry(due - Duration::from_millis(1));
        assert_eq!(bound(&doors), [], "not before it is due");
        doors.retry(due);
        assert_eq!((bound(&doors), doors.deadline()), (vec![taken], None));
    }

    #[test]
    fn an_address_that_comes_later_is_listened_on_already() {
        for address in ["192.0.2.1:0", "[2001:db8::1]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(bound(&open(address))[0].ip(), address.ip());
        }
    }

    #[test]
    fn a_socket_of_an_earlier_life_is_used_and_one_for_another_address_closed() {
        let [mine, other] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, stale] = [&mine, &other].map(|listener| listener.local_addr().unwrap());
        let mut waiting = TcpStream::connect(address).unwrap();
        let doors = Doors::open(&[address], vec![other, mine]);
        assert_eq!(bound(&doors), [address]);
        let accepted = doors.listeners().next().unwrap().accept();
        assert_eq!(accepted.unwrap().1, waiting.local_addr().unwrap());
        assert!(TcpStream::connect(stale).is_err());
        std::io::Write::write_all(&mut waiting, b"x").unwrap();
    }
}

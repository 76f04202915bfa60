//! The actuator's system calls, netlink and packet sockets, and what others need. The only file with
//! `unsafe`.
//!
//! It moves bytes and knows no format: what a message or a frame means is said elsewhere. nix's
//! safe wrappers are used where they exist; what is left is three socket options, one address, and the beginning and
//! the end of a process.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrLike,
    SockaddrStorage, bind, recvfrom, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// A copy of a descriptor that is known by its number only, as the process was executed with it. It is a
/// new one, closed by exec(2), so that nothing happens to what the number stands for.
pub(crate) fn duplicate(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointer is passed; a number that is not open is answered with EBADF.
    let copy = Errno::result(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// `prctl(2)` and its question, which libc does not have (`linux/prctl.h`).
const PR_FUTEX_HASH: libc::c_int = 78;
const PR_FUTEX_HASH_SET_SLOTS: libc::c_ulong = 1;

/// Has the kernel find sleeping threads fast among so many, in so many places. By itself, since Linux 6.16,
/// it has 16 for all threads of a process on a machine with few cores, and each wake-up looks through all threads in
/// one of them. An older kernel has one table for all processes, and refuses this.
pub(crate) fn expect_threads(number: usize) {
    let places = number.clamp(16, MOST_PLACES).next_power_of_two();
    let places = libc::c_ulong::try_from(places).unwrap_or_default();
    // SAFETY: no pointer is passed, and the kernel checks what it is asked.
    unsafe { libc::prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS, places, 0) };
}

/// Half a megabyte of the kernel's.
const MOST_PLACES: usize = 8192;

/// Has a command begin without what this process may do: without its ambient capabilities, and without a way to
/// other ones (`setuid` programs). It is killed when the thread that starts it ends, as it does when this process is
/// executed again.
pub(crate) fn confine(command: &mut Command) {
    let confine = || {
        let no = libc::c_ulong::from(false);
        let yes = libc::c_ulong::from(true);
        let kill = libc::c_ulong::try_from(libc::SIGKILL).unwrap_or_default();
        let clear = libc::c_ulong::try_from(libc::PR_CAP_AMBIENT_CLEAR_ALL).unwrap_or_default();
        // Descriptors that this process got from its own parent; an older kernel cannot do it (before 5.11).
        // SAFETY: no pointer is passed, and nothing is closed before the command is there.
        unsafe {
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
        };
        // SAFETY: no pointer is passed, and prctl(2) touches nothing but the new process.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, kill) })?;
        // SAFETY: as above.
        Errno::result(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, no, no, no) })?;
        // SAFETY: as above.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, no, no, no) })?;
        Ok(())
    };
    // SAFETY: between fork(2) and execve(2) the closure only makes system calls; it allocates nothing and takes
    // no lock.
    unsafe { command.pre_exec(confine) };
}

/// A descriptor that can be read when a process has ended. The process must be a child that is not reaped, so that
/// its number is nobody else's.
pub(crate) fn process(number: u32) -> Result<OwnedFd, Errno> {
    let number = libc::c_long::from(number);
    // SAFETY: no pointer is passed, and the kernel checks what it is asked.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, number, 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor, closed by exec(2), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A netlink socket, closed when dropped.
#[derive(Debug)]
pub(super) struct NetlinkSocket(OwnedFd);

/// What one receive on a netlink socket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    /// How many bytes of the buffer are filled.
    pub(super) length: usize,
    /// The sender was the kernel, not another process.
    pub(super) from_kernel: bool,
    /// The buffer is full to the last byte: what did not fit is lost.
    pub(super) truncated: bool,
}

impl NetlinkSocket {
    /// A socket to a part of the kernel that hears the multicast groups in `groups` (`RTMGRP_*`, 0 for
    /// none).
    pub(super) fn open(
        protocol: SockProtocol,
        groups: u32,
        flags: SockFlag,
    ) -> Result<NetlinkSocket, Errno> {
        let flags = flags | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        // Port 0: the kernel chooses one that no other socket has.
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(NetlinkSocket(fd))
    }

    /// Makes a blocking receive end with `EAGAIN` after this time.
    pub(super) fn set_receive_timeout(&self, timeout: Duration) -> Result<(), Errno> {
        let millis = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        setsockopt(&self.0, sockopt::ReceiveTimeout, &TimeVal::milliseconds(millis))
    }

    /// Enlarges the receive buffer to `bytes`: beyond the system's limit where that is allowed.
    pub(super) fn set_receive_buffer(&self, bytes: usize) -> Result<(), Errno> {
        set_receive_buffer(&self.0, bytes)
    }

    /// Switches an option of level `SOL_NETLINK` on.
    pub(super) fn enable(&self, option: libc::c_int) -> Result<(), Errno> {
        let on: libc::c_int = 1;
        // A c_int is four bytes on every Linux.
        let length: libc::socklen_t = 4;
        // SAFETY: nix has no wrapper for these options. The descriptor is open, and the pointer is
        // to a live c_int of the stated length, which the kernel only reads during the call.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                length,
            )
        };
        Errno::result(result).map(drop)
    }

    /// Sends to the kernel, which carries a request out before this returns.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), Errno> {
        let kernel = NetlinkAddr::new(0, 0);
        retry(|| sendto(self.0.as_raw_fd(), message, &kernel, MsgFlags::empty())).map(drop)
    }

    /// Receives one datagram.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Datagram, Errno> {
        let (length, sender) = retry(|| recvfrom::<NetlinkAddr>(self.0.as_raw_fd(), buffer))?;
        Ok(Datagram {
            length,
            from_kernel: sender.is_some_and(|sender| sender.pid() == 0),
            truncated: length == buffer.len(),
        })
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An `AF_PACKET` socket.
///
/// It is opened once and kept: closing one waits for an RCU grace period, measured at 12 ms.
#[derive(Debug)]
pub(super) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens the socket with protocol 0, so that it receives nothing. Needs `CAP_NET_RAW`.
    pub(super) fn open() -> Result<PacketSocket, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Packet, SockType::Raw, flags, None).map(PacketSocket)
    }

    /// Opens a socket that receives, from all interfaces, the frames of one type that the filter
    /// accepts, and has room for that much of them. The filter is there before the first frame can be.
    pub(super) fn listen(
        ethertype: u16,
        filter: &[libc::sock_filter],
        bytes: usize,
    ) -> Result<PacketSocket, Errno> {
        let socket = PacketSocket::open()?;
        socket.attach(filter)?;
        set_receive_buffer(&socket.0, bytes)?;
        bind(socket.0.as_raw_fd(), &packet_address(0, ethertype)?)?;
        Ok(socket)
    }

    /// Has the kernel drop what this filter does not accept, instead of the one before.
    pub(super) fn attach(&self, filter: &[libc::sock_filter]) -> Result<(), Errno> {
        let program = libc::sock_fprog {
            len: libc::c_ushort::try_from(filter.len()).map_err(|_| Errno::EINVAL)?,
            filter: filter.as_ptr().cast_mut(),
        };
        let length = libc::socklen_t::try_from(size_of_val(&program)).map_err(|_| Errno::EINVAL)?;
        // SAFETY: nix has no wrapper for this option. The descriptor is open; the pointer is to a
        // live sock_fprog of the stated length, and the one in it to as many instructions as it
        // says. The kernel copies them during the call and writes to neither.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                length,
            )
        };
        Errno::result(result).map(drop)
    }

    /// Whether frames that were to be received were lost for want of room, since this was asked last.
    pub(super) fn has_lost(&self) -> bool {
        // struct tpacket_stats: how many have come, and how many of these were lost.
        let mut counts = [0_u32; 2];
        // Two u32 are eight bytes.
        let mut length: libc::socklen_t = 8;
        // SAFETY: nix has no wrapper for this option. The descriptor is open; the pointers are to two live
        // u32, into which the kernel writes no more than the stated length, and to that length.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counts).cast(),
                &raw mut length,
            )
        };
        result == 0 && counts[1] > 0
    }

    /// Receives a frame, as much of it as the buffer holds, with the index of its interface.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<(u32, &'a [u8]), Errno> {
        // Not a LinkAddr: kernels before 5.2 leave out the end of the address, which nix insists on.
        let (length, sender) = retry(|| recvfrom::<SockaddrStorage>(self.0.as_raw_fd(), buffer))?;
        let index = sender.and_then(|sender| u32::try_from(sender.as_link_addr()?.ifindex()).ok());
        Ok((index.ok_or(Errno::EAFNOSUPPORT)?, &buffer[..length]))
    }

    /// Sends a complete Ethernet frame on the interface with this index.
    pub(super) fn send(&self, index: u32, ethertype: u16, frame: &[u8]) -> Result<(), Errno> {
        let address = packet_address(index, ethertype)?;
        retry(|| sendto(self.0.as_raw_fd(), frame, &address, MsgFlags::empty())).map(drop)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn set_receive_buffer(fd: &OwnedFd, bytes: usize) -> Result<(), Errno> {
    setsockopt(fd, sockopt::RcvBufForce, &bytes)
        .or_else(|_| setsockopt(fd, sockopt::RcvBuf, &bytes))
}

/// Where a frame goes: the interface, and the protocol under which filters and taps see it.
///
/// The destination is in the frame; `sll_addr` is not read for raw sockets (packet(7)).
fn packet_address(index: u32, ethertype: u16) -> Result<LinkAddr, Errno> {
    let address = libc::sockaddr_ll {
        sll_family: libc::sa_family_t::try_from(libc::AF_PACKET).map_err(|_| Errno::EINVAL)?,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: libc::c_int::try_from(index).map_err(|_| Errno::ENODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: nix makes a LinkAddr only from a pointer. This one is to a live sockaddr_ll with all
    // fields set; without a length, nix reads exactly one sockaddr_ll and keeps a copy.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), None) };
    address.ok_or(Errno::EAFNOSUPPORT)
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// What the unwinder has for a backtrace, in a program that has no tables to walk its stack by, and no symbols
/// to name what would be found. The compiler sees here that there is no frame, so that whatever the standard
/// library does with one (read DWARF, unpack it, demangle names) is left out: 0.2 MB.
///
/// The functions are those of the Itanium C++ ABI, and of GCC beyond it, that are in one object file: the
/// linker takes all of them from here or none. `.cargo/no-unwind.ld` stands in for the others.
#[cfg(target_env = "musl")]
mod unwinder {
    use libc::{c_int, c_void, uintptr_t};

    const END_OF_STACK: c_int = 5;

    type Frame = *const c_void;

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_visit: *const c_void, _argument: *mut c_void) -> c_int {
        END_OF_STACK
    }

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_FindEnclosingFunction(_address: *const c_void) -> *const c_void {
        std::ptr::null()
    }

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetIPInfo(_frame: Frame, _is_before: *mut c_int) -> uintptr_t {
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetCFA(_frame: Frame) -> uintptr_t {
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetDataRelBase(_frame: Frame) -> uintptr_t {
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetTextRelBase(_frame: Frame) -> uintptr_t {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_are_expected_have_places_to_sleep() {
        const PR_FUTEX_HASH_GET_SLOTS: libc::c_ulong = 2;
        // SAFETY: no pointer is passed.
        let places = || unsafe { libc::prctl(PR_FUTEX_HASH, PR_FUTEX_HASH_GET_SLOTS, 0, 0) };
        if places() < 0 {
            return;
        }
        for (expected, there) in [(1000, 1024), (usize::MAX, 8192)] {
            expect_threads(expected);
            assert_eq!(places(), there);
        }
    }
}

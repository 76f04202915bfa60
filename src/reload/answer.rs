//! `linkd --reload PID` and the agent with that id: the one asks the other by SIGHUP to execute its program
//! again, and is told what has become of it.
//!
//! A signal carries the id of the process that has sent it. That process listens at a socket whose abstract
//! name (unix(7)) has this id; the agent sends a line there, and does not care whether anybody listens: SIGHUP
//! may come from kill(1). What another process sends there does not count: the kernel tells who has sent what. The id
//! goes with the agent into its next life, which tells when it is ready.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt,
};
use nix::unistd::Pid;

use crate::text::clean;

/// The variable that names the process that has asked for the reload.
pub(crate) const REQUESTER: &str = "LINK_RELOADER";

/// How long an agent may take to be ready again: within it one with a thousand IPs is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether the agent is there.
const LOOK: Duration = Duration::from_millis(200);

const READY: &str = "ready";

/// The process that has sent SIGHUP, by its id; 0 if that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requester(u32);

impl Requester {
    /// The sender of a signal.
    pub(crate) fn sender(pid: u32) -> Requester {
        Requester(pid)
    }

    /// That of the life before, by the value of [`REQUESTER`].
    pub(crate) fn inherited(value: Option<&str>) -> Requester {
        Requester(value.and_then(|value| value.parse().ok()).unwrap_or_default())
    }

    /// The value of [`REQUESTER`].
    pub(crate) fn bequeath(self) -> String {
        self.0.to_string()
    }

    /// Tells that the program was executed and serves.
    pub(crate) fn tell_ready(self) {
        self.tell(READY);
    }

    /// Tells why it was not executed.
    pub(crate) fn tell_refusal(self, why: &str) {
        self.tell(why);
    }

    fn tell(self, line: &str) {
        if self.0 != 0 {
            let socket = UnixDatagram::unbound().and_then(|socket| {
                socket.set_nonblocking(true)?;
                socket.send_to_addr(line.as_bytes(), &address(self.0)?)
            });
            // Nobody listens where kill(1) has asked.
            drop(socket);
        }
    }
}

fn address(pid: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("link-reload/{pid}"))
}

/// Has the agent with this id execute its program again, and waits until that serves.
///
/// # Errors
///
/// Why it does not, or that nothing was heard within `patience`.
pub(crate) fn request(agent: i32, patience: Duration) -> Result<(), String> {
    let socket = address(std::process::id()).and_then(|address| UnixDatagram::bind_addr(&address));
    let socket = socket
        .and_then(with_senders)
        .map_err(|error| format!("make a socket for the agent's answer: {error}"))?;
    let agent = Pid::from_raw(agent);
    kill(agent, Signal::SIGHUP).map_err(|errno| format!("send SIGHUP to {agent}: {errno}"))?;
    await_answer(&socket, agent, patience)
}

/// Has the kernel tell who sends what the socket hears, which is given up after [`LOOK`].
fn with_senders(socket: UnixDatagram) -> io::Result<UnixDatagram> {
    socket.set_read_timeout(Some(LOOK))?;
    setsockopt(&socket, sockopt::PassCred, &true)?;
    Ok(socket)
}

/// Hears one line: how long it is, and whether this process has sent it. The name of the socket is known to everybody.
fn hear(socket: &UnixDatagram, line: &mut [u8], agent: Pid) -> nix::Result<(usize, bool)> {
    let mut space = nix::cmsg_space!(UnixCredentials);
    let mut place = [IoSliceMut::new(line)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    let heard = recvmsg::<()>(fd, &mut place, Some(&mut space), flags)?;
    let is_agents = |it: ControlMessageOwned| matches!(it, ControlMessageOwned::ScmCredentials(sender) if sender.pid() == agent.as_raw());
    Ok((heard.bytes, heard.cmsgs()?.any(is_agents)))
}

fn await_answer(socket: &UnixDatagram, agent: Pid, patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience;
    let mut line = [0; 2048];
    while Instant::now() < until {
        match hear(socket, &mut line, agent) {
            Ok((length, true)) if line[..length] == *READY.as_bytes() => return Ok(()),
            Ok((length, true)) => return Err(clean(&String::from_utf8_lossy(&line[..length]))),
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(format!("hear the agent's answer: {error}")),
        }
        if kill(agent, None) == Err(Errno::ESRCH) {
            return Err(format!("the agent, process {agent}, has ended"));
        }
    }
    Err(format!("the agent, process {agent}, does not tell within {patience:?} that it is ready"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_none_is_nobodys() {
        for value in [None, Some(""), Some("x"), Some("-1")] {
            assert_eq!(Requester::inherited(value), Requester(0));
        }
        assert_eq!(Requester::inherited(Some("7")).bequeath(), "7");
        // Nobody listens, and nothing happens.
        Requester(0).tell_ready();
        Requester(u32::MAX).tell_refusal("no");
    }

    #[test]
    fn only_the_agent_tells_that_it_is_ready() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let ours = with_senders(ours).unwrap();
        let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(other.id()).unwrap());
        // This process is not the one that is asked.
        theirs.send(READY.as_bytes()).unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        let told = await_answer(&ours, pid, PATIENCE).unwrap_err();
        assert!(told.contains("has ended"), "{told}");
        theirs.send(READY.as_bytes()).unwrap();
        assert_eq!(await_answer(&ours, Pid::this(), PATIENCE), Ok(()));
        theirs.send(b"no").unwrap();
        assert_eq!(await_answer(&ours, Pid::this(), PATIENCE), Err("no".to_owned()));
    }

    #[test]
    fn an_agent_that_is_not_there_is_told_so() {
        // Beyond what a process id can be.
        let told = request(0x7fff_ffff, Duration::from_secs(60)).unwrap_err();
        assert!(told.contains("send SIGHUP to 2147483647: ESRCH"), "{told}");
    }
}

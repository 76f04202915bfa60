//! tiny_http and the threads that answer what it has read.
//!
//! They own no state: a request becomes a command, the supervisor's answer becomes a reply. They
//! may block on the supervisor, with a deadline. They end when the handle is dropped.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, select};

use super::audit::{self, Caller};
use super::auth;
use super::identity::Asker;
use super::page;
use super::private_socket::PrivateSocket;
use super::reply::{Form, Reply};
use super::request::{FORWARDED, forwarded_for};
use super::route::{self, Action, LARGEST_BODY};
use super::upstream::{MAX_ANSWER, UPSTREAMS};
use crate::command::{self, Answer, Command};
use crate::secret::Credentials;
use crate::thread;

/// For the supervisor: above what a handover takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// For what it answers from memory, so that a monitor hears that it is stuck before giving up itself.
const MEMORY_PATIENCE: Duration = Duration::from_secs(3);

const STOPPING: &str = "the agent is stopping";

/// Owns tiny_http and the threads.
pub(crate) struct Pool {
    server: Option<Arc<tiny_http::Server>>,
    stop: Option<Sender<Infallible>>,
    threads: Vec<JoinHandle<()>>,
    socket: Arc<PrivateSocket>,
}

/// What a thread needs to answer.
#[derive(Clone)]
struct Worker {
    /// Who may ask; everybody if `None`.
    credentials: Option<Credentials>,
    /// Who knows when the API's certificate ends.
    certificate: Option<Asker>,
    /// To the supervisor.
    commands: Sender<command::Request>,
    /// Never carries anything: it is disconnected when the end has come.
    stop: Receiver<Infallible>,
}

impl Pool {
    /// Starts to answer what comes in through the socket.
    pub(crate) fn start(
        credentials: Option<Credentials>,
        certificate: Option<Asker>,
        commands: Sender<command::Request>,
    ) -> io::Result<Pool> {
        let (socket, listener) = PrivateSocket::make()?;
        let server = tiny_http::Server::from_listener(listener, None)
            .map_err(|error| io::Error::other(format!("start tiny_http: {error}")))?;
        let server = Arc::new(server);
        let (stop, stopped) = bounded(0);
        let worker = Worker { credentials, certificate, commands, stop: stopped };
        let mut pool = Pool {
            server: Some(Arc::clone(&server)),
            stop: Some(stop),
            threads: Vec::with_capacity(UPSTREAMS),
            socket: Arc::new(socket),
        };
        // As many as there are connections, so that no request waits for a thread.
        for number in 0..UPSTREAMS {
            let (server, worker) = (Arc::clone(&server), worker.clone());
            let thread = thread::spawn(&format!("api-{number}"), move || worker.run(&server))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// The only way to the server.
    pub(crate) fn socket(&self) -> Arc<PrivateSocket> {
        Arc::clone(&self.socket)
    }

    /// From now on requests are answered 503, those too that are with the supervisor.
    pub(crate) fn refuse(&mut self) {
        self.stop = None;
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.refuse();
        if let Some(server) = &self.server {
            self.threads.iter().for_each(|_| server.unblock());
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        // The last reference: tiny_http's own threads are told to end. It would wake the one that
        // accepts by the name of the socket, which is gone; so that is left to us. They cannot be
        // joined; the idle ones go within five seconds.
        self.server = None;
        let _ = self.socket.connect();
    }
}

impl Worker {
    fn run(&self, server: &tiny_http::Server) {
        loop {
            match server.recv() {
                Ok(request) => self.serve(request),
                Err(_) if self.is_stopping() => return,
                // What is connected stays connected, and those are all that are needed.
                Err(error) => log::error!("api: tiny_http accepts no more connections: {error}"),
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.try_recv().is_err_and(|error| error.is_disconnected())
    }

    fn serve(&self, mut request: tiny_http::Request) {
        let mut reply = self.reply(&mut request);
        let length = reply.body.len();
        if length > MAX_ANSWER {
            let error = format!("the answer has {length} bytes, more than {MAX_ANSWER}");
            reply = Reply::unavailable(&error);
        }
        if let Err(error) = request.respond(response(reply)) {
            log::warn!("api: cannot answer: {error}");
        }
    }

    fn reply(&self, request: &mut tiny_http::Request) -> Reply {
        let target = request.url().to_owned();
        let is_public = route::is_public(&target);
        if !is_public && !self.admits(request) {
            return Reply::unauthorized();
        }
        let body = match body(request) {
            Ok(body) => body,
            Err(error) => return Reply::error(400, &format!("the body cannot be read: {error}")),
        };
        let method = request.method().as_str();
        let caller = self.caller(request, is_public);
        let (command, reply) = match route::route(method, &target, body.as_deref()) {
            Ok(Action::Command(command, form)) => {
                (Some(command.clone()), self.ask(command, form, caller))
            }
            Ok(Action::Version) => (None, Reply::version()),
            Ok(Action::Page) => (None, page::page()),
            Err(reply) => (None, reply),
        };
        let line = audit::line((method, &target), command.as_ref(), caller, &reply);
        // There is nothing to change where everybody may ask.
        if let Some(line) = line.filter(|_| !is_public) {
            log::info!("{line}");
        }
        reply
    }

    fn admits(&self, request: &tiny_http::Request) -> bool {
        let value = field(request, "Authorization");
        self.credentials.as_ref().is_none_or(|credentials| auth::admits(credentials, value))
    }

    /// What only the API knows.
    fn complete(&self, mut answer: Answer) -> Answer {
        if let Answer::Metrics(snapshot) = &mut answer {
            snapshot.certificates.extend(self.certificate.as_ref().and_then(Asker::expiry));
        }
        answer
    }

    /// Where the request comes from. A request for what is public names no user: none has logged in for it.
    fn caller<'a>(&'a self, request: &'a tiny_http::Request, is_public: bool) -> Caller<'a> {
        let address = field(request, FORWARDED).and_then(forwarded_for).unwrap_or("the agent");
        let credentials = self.credentials.as_ref().filter(|_| !is_public);
        Caller { address, user: credentials.map(Credentials::user) }
    }

    /// Lets the supervisor answer; says why if it does not.
    fn ask(&self, command: Command, form: Form, caller: Caller<'_>) -> Reply {
        let (is_health, changes) = (command == Command::Health, command.changes());
        let is_in_memory = matches!(
            command,
            Command::List
                | Command::Get(_)
                | Command::Health
                | Command::Metrics
                | Command::Events(_)
        );
        let deadline = after(if is_in_memory { MEMORY_PATIENCE } else { PATIENCE });
        let unsent = |why: &str| match is_health {
            true => Reply::health(vec![why.to_owned()]),
            false => Reply::unavailable(why),
        };
        let unanswered = |why: &str| match changes {
            true => Reply::outcome_unknown(&format!("{why}; the change may still be made")),
            false => unsent(why),
        };
        if self.is_stopping() {
            return unsent(STOPPING);
        }
        let (reply, outcome) = bounded(1);
        let request = command::Request { command, by: caller.to_string(), reply };
        select! {
            send(self.commands, request) -> sent => if sent.is_err() {
                return unsent(STOPPING);
            },
            recv(self.stop) -> _ => return unsent(STOPPING),
            recv(deadline) -> _ => return unsent("the supervisor is busy"),
        }
        select! {
            recv(outcome) -> outcome => match outcome {
                Ok(outcome) => Reply::outcome(form, outcome.map(|answer| self.complete(answer))),
                Err(_) => unanswered("the supervisor has ended"),
            },
            recv(self.stop) -> _ => unanswered(STOPPING),
            recv(deadline) -> _ => unanswered("the supervisor does not answer in time"),
        }
    }
}

fn field<'a>(request: &'a tiny_http::Request, name: &'static str) -> Option<&'a str> {
    let field = request.headers().iter().find(|header| header.field.equiv(name));
    field.map(|header| header.value.as_str())
}

/// The body, or none when the request told no length. The gate has bounded it already.
fn body(request: &mut tiny_http::Request) -> io::Result<Option<Vec<u8>>> {
    let Some(length) = request.body_length() else {
        return Ok(None);
    };
    let mut body = Vec::with_capacity(length.min(LARGEST_BODY));
    request.as_reader().take(LARGEST_BODY as u64).read_to_end(&mut body)?;
    Ok(Some(body))
}

fn response(reply: Reply) -> tiny_http::Response<io::Cursor<Vec<u8>>> {
    let length = reply.body.len();
    let headers = reply.headers.iter().filter_map(|(name, value)| {
        tiny_http::Header::from_bytes(name.as_bytes(), value.as_bytes()).ok()
    });
    let body = io::Cursor::new(reply.body);
    let status = tiny_http::StatusCode(reply.status);
    tiny_http::Response::new(status, headers.collect(), body, Some(length), None)
        // Always with a length: the gate reads no chunks.
        .with_chunked_threshold(usize::MAX)
}

//! Something that is listed as an etcd member and is none: it gives every request the same answer.

use std::net::{SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use tonic::codegen::{Body as HttpBody, BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Code, Status, body::Body};

use super::namespace::Namespace;

/// What a fake member answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FakeAnswer {
    /// This status of gRPC.
    Status(Code),
    /// A message of gRPC with nothing in it.
    Empty,
    /// A message that is announced as longer than anything.
    Endless,
    /// A page of HTML where a message of gRPC should be.
    Page,
    /// HTTP/1.1, whatever is asked.
    OldHttp,
}

/// The services that it claims to have.
const SERVICES: [&str; 4] =
    ["etcdserverpb.KV", "etcdserverpb.Lease", "etcdserverpb.Watch", "etcdserverpb.Maintenance"];

/// Answers until it is dropped.
pub(crate) struct FakeMember {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeMember {
    /// Starts one in a namespace, which listens on that address.
    pub(crate) fn start(
        ns: &Namespace,
        address: impl Into<SocketAddr>,
        answer: FakeAnswer,
    ) -> Self {
        let address = address.into();
        let listener = ns.run(|| TcpListener::bind(address)).expect("bind a fake member's address");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("lab-fake-member".to_owned())
            .spawn(move || serve(listener, answer, stopped))
            .expect("start a fake member's thread");
        FakeMember { url, stop: Some(stop), thread: Some(thread) }
    }

    /// Its URL, for `ETCD_HOSTS`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for FakeMember {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's life. With the runtime, all connections end.
fn serve(listener: TcpListener, answer: FakeAnswer, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("start a runtime").block_on(async {
        listener.set_nonblocking(true).expect("do not block");
        let listener = tokio::net::TcpListener::from_std(listener).expect("listen");
        let served = async {
            match answer {
                FakeAnswer::OldHttp => speak_old_http(&listener).await,
                FakeAnswer::Status(_)
                | FakeAnswer::Empty
                | FakeAnswer::Endless
                | FakeAnswer::Page => speak_grpc(listener, answer).await,
            }
        };
        tokio::select! {
            () = served => {}
            _ = stopped => {}
        }
    });
}

async fn speak_old_http(listener: &tokio::net::TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        // The client may be gone already.
        let _ = stream.writable().await;
        let _ = stream.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

async fn speak_grpc(listener: tokio::net::TcpListener, answer: FakeAnswer) {
    let served = Server::builder()
        .add_service(Fake::<0>(answer))
        .add_service(Fake::<1>(answer))
        .add_service(Fake::<2>(answer))
        .add_service(Fake::<3>(answer))
        .serve_with_incoming(TcpIncoming::from(listener));
    served.await.expect("serve");
}

/// The service of that number.
#[derive(Clone)]
struct Fake<const SERVICE: usize>(FakeAnswer);

impl<const SERVICE: usize> NamedService for Fake<SERVICE> {
    const NAME: &'static str = SERVICES[SERVICE];
}

impl<B: HttpBody, const SERVICE: usize> Service<http::Request<B>> for Fake<SERVICE> {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<B>) -> Self::Future {
        let response = match self.0 {
            FakeAnswer::Status(code) => Status::new(code, "not here").into_http(),
            // Not compressed, and no byte long.
            FakeAnswer::Empty => message(b"\0\0\0\0\0"),
            FakeAnswer::Endless => message(b"\0\x7f\x7f\x7f\x7f"),
            FakeAnswer::Page | FakeAnswer::OldHttp => message(b"<html>Welcome</html>"),
        };
        Box::pin(async { Ok(response) })
    }
}

fn message(bytes: &'static [u8]) -> http::Response<Body> {
    let mut response = http::Response::new(Body::new(String::from_utf8_lossy(bytes).into_owned()));
    let value = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}

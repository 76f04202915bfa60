//! A connection to one member.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, TlsOptions};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::http::{Request, Uri};
use tonic::transport::{self, Endpoint};
use tower::service_fn;
use tower::util::{BoxCloneSyncService, ServiceExt};

use super::authenticator::Token;
use super::error::Error;
use super::name::Name;

/// HTTP/2 pings: a stock etcd closes quiet connections that ping more often than every 5 s
/// (`--grpc-keepalive-min-time`). They only clean up; deadlines are what finds a black hole.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// The request that asks for a token.
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// Connects to a member. Its requests carry the token of the moment at which they are sent; etcd-client
/// would ask for one with each connection.
pub(super) async fn connect(
    url: &str,
    name: &Rc<Name>,
    tls: Option<TlsOptions>,
    within: Duration,
    token: watch::Receiver<Token>,
) -> Result<Client, Error> {
    let opening = timeout(within, open(url, name, tls, within)).await;
    let channel = opening.unwrap_or_else(|_| Err(Error::deadline("connect")))?;
    let with_token = move |mut request: Request<Body>| {
        // A question for a new token is refused if it carries an old one.
        let asks_for_one = request.uri().path() == AUTHENTICATE;
        if let Some(token) = token.borrow().as_ref().filter(|_| !asks_for_one) {
            request.headers_mut().insert("token", token.clone());
        }
        request
    };
    let service = channel.map_request(with_token).map_err(Into::into);
    let options = ConnectOptions::new().with_require_leader(true);
    let channel = Channel::Custom(BoxCloneSyncService::new(service));
    Ok(Client::from_channel(channel, Some(options)).await?)
}

/// Tries the addresses in turn; each has its share of the time.
async fn open(
    url: &str,
    name: &Rc<Name>,
    tls: Option<TlsOptions>,
    within: Duration,
) -> Result<transport::Channel, Error> {
    let addresses = name.addresses().await?;
    let shares = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = Error::not_sent("the name has no address");
    for address in addresses {
        let endpoint = endpoint(url, name, address, tls.clone(), within / shares)?;
        let connector = service_fn(move |_: Uri| dial(address));
        match endpoint.connect_with_connector(connector).await {
            Ok(channel) => return Ok(channel),
            Err(error) => last = etcd_client::Error::from(error).into(),
        }
    }
    Err(last)
}

/// Connects to an address. The connector of tonic itself knows names and Unix sockets, too, and is 40 KB.
async fn dial(address: SocketAddr) -> io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

fn endpoint(
    url: &str,
    name: &Name,
    address: SocketAddr,
    tls: Option<TlsOptions>,
    within: Duration,
) -> Result<Endpoint, Error> {
    let (scheme, origin) = (url.split(':').next().unwrap_or_default(), url.parse::<Uri>());
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"));
    let endpoint = endpoint.map_err(etcd_client::Error::from)?;
    let endpoint = endpoint
        .origin(origin.map_err(|error| Error::refused(error.to_string()))?)
        .http2_keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .keep_alive_while_idle(true)
        .connect_timeout(within);
    if scheme != "https" {
        return Ok(endpoint);
    }
    let tls = tls.unwrap_or_default();
    let tls = name.domain().map_or(tls.clone(), |domain| tls.domain_name(domain));
    Ok(endpoint.tls_config(tls).map_err(etcd_client::Error::from)?)
}

//! A connection to one member.

use std::time::Duration;

use etcd_client::{Channel, Client, ConnectOptions, TlsOptions};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::transport::Endpoint;
use tower::util::{BoxCloneSyncService, ServiceExt};

use super::authenticator::Token;
use super::error::Error;

/// HTTP/2 pings: a stock etcd closes quiet connections that ping more often than every 5 s
/// (`--grpc-keepalive-min-time`). They only clean up; deadlines are what finds a black hole.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// The request that asks for a token.
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// Connects to a member. Its requests carry the token of the moment at which they are sent; etcd-client
/// would ask for one with each connection.
pub(super) async fn connect(
    url: &str,
    tls: Option<TlsOptions>,
    within: Duration,
    token: watch::Receiver<Token>,
) -> Result<Client, Error> {
    let channel = endpoint(url, tls, within)?.connect().await.map_err(etcd_client::Error::from)?;
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

fn endpoint(url: &str, tls: Option<TlsOptions>, within: Duration) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(etcd_client::Error::from)?;
    let endpoint = endpoint
        .http2_keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .keep_alive_while_idle(true)
        .connect_timeout(within);
    if !url.starts_with("https://") {
        return Ok(endpoint);
    }
    let secured = endpoint.tls_config(tls.unwrap_or_default());
    Ok(secured.map_err(etcd_client::Error::from)?)
}

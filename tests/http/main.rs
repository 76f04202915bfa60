//! The HTTP interface over real sockets, with a stand-in for the supervisor.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

mod attack;
mod audit;
mod browser;
mod client;
mod events;
mod framing;
mod guesses;
mod many;
mod metrics;
mod page;
mod routes;
mod supervisor;
mod tls;

//! Elections: for each IP, a pure core that decides and a thread that carries out.

pub mod core;
mod handle;
mod health;
pub mod message;
mod thread;

pub use self::handle::{Election, Notice, Notices, Params, Status};
